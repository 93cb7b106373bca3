"""How requests get out: one connection pool without cookie jar, redirects or retries."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import httpx

from ._adapter import Answer, Call

#: A server that takes longer is in trouble; the client takes it for a lost answer.
_PATIENCE_SECONDS: Final = 15.0
#: Shorter than the five seconds after which servers close an idle connection, so that none is lost by that.
_IDLE_SECONDS: Final = 2.0


class LostError(Exception):
    """No answer came: the connection could not be made, or was closed."""


class Wire:
    """Sends calls to the servers, past the faulty network or into it.

    Args:
        targets: the servers' base URLs; the first is the one that ends sessions.
    """

    def __init__(self, targets: Sequence[str]) -> None:
        self.targets = tuple(target.rstrip("/") for target in targets)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200, keepalive_expiry=_IDLE_SECONDS)
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def send(self, call: Call, *, place: int = 0, fresh: bool = False) -> Answer:
        """Send a call straight to a server.

        Args:
            call: what.
            place: which server, as counted in `targets`.
            fresh: over a connection of its own, so that another worker behind the same port may get it.

        Raises:
            LostError: no answer came.
        """
        headers = {**call.headers, **({"Connection": "close"} if fresh else {})}
        return await self._send(call.method, _address(self.targets[place], call.path), headers, call.body)

    async def send_by(self, proxy: str, call: Call, exchange: tuple[str, str]) -> Answer:
        """Send a call into the faulty network.

        Args:
            proxy: its base URL.
            call: what.
            exchange: the header by which the proxy knows it.

        Raises:
            LostError: no answer came.
        """
        headers = {**call.headers, "Host": urlsplit(self.targets[0]).netloc, exchange[0]: exchange[1]}
        return await self._send(call.method, proxy + urlsplit(self.targets[0]).path + call.path, headers, call.body)

    async def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        request = httpx.Request(
            method, url, headers=headers, content=body or (b"" if method != "GET" else None),
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), _PATIENCE_SECONDS)},
        )  # fmt: skip
        try:
            response = await self._transport.handle_async_request(request)
            content = await response.aread()
        except (httpx.TransportError, OSError) as error:
            raise LostError(f"{urlsplit(url).netloc}: {type(error).__name__}") from None
        headers_seen = tuple((name.lower(), value) for name, value in response.headers.multi_items())
        return Answer(status=response.status_code, headers=headers_seen, body=content)


def _address(target: str, path: str) -> str:
    """Give the URL of a path at a target; a whole URL must be of the same target."""
    if path.startswith("/"):
        return target + path
    whole = urljoin(target + "/", path)
    if urlsplit(whole).netloc != urlsplit(target).netloc:
        raise LostError(f"an adapter asked for another host: {urlsplit(whole).netloc}")
    return whole
