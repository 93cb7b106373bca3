"""How requests get out: a small HTTP/1.1 client on h11, with no cookie jar, no redirects and no retries.

The tool shares its machine with the server it measures, so what a request costs here is measured there.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import h11

from ._adapter import Answer, Call

#: A server that takes longer is in trouble; the client takes it for a lost answer.
_PATIENCE_SECONDS: Final = 15.0
#: Shorter than the five seconds after which servers close an idle connection, so that none is lost by that.
_IDLE_SECONDS: Final = 2.0
_READ_BYTES: Final = 65536
_PORTS: Final = {"http": 80, "https": 443}


class LostError(Exception):
    """No answer came: the connection could not be made, or was closed."""


@dataclass(slots=True)
class _Connection:
    """One connection to a server; `rested` is when it became idle."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    speaker: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))
    rested: float = 0.0

    async def exchange(self, request: h11.Request, body: bytes) -> Answer:
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        self.writer.write(b"".join(self.speaker.send(part) or b"" for part in parts))
        await self.writer.drain()
        answer: h11.Response | None = None
        content: list[bytes] = []
        while True:
            event = self.speaker.next_event()
            if event is h11.NEED_DATA:
                self.speaker.receive_data(await self.reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                content.append(event.data)
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                return _answer(answer, b"".join(content))
            elif not isinstance(event, h11.InformationalResponse):
                raise LostError("the connection was closed")

    def is_reusable(self) -> bool:
        """Say whether another request may follow; makes it ready for that."""
        if self.speaker.our_state is not h11.DONE or self.speaker.their_state is not h11.DONE:
            return False
        self.speaker.start_next_cycle()
        return True

    def is_fresh(self, now: float) -> bool:
        """Say whether the server cannot have closed it for idling."""
        return now - self.rested < _IDLE_SECONDS and not self.reader.at_eof()

    def close(self) -> None:
        self.writer.close()


def _answer(head: h11.Response, body: bytes) -> Answer:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
    return Answer(status=head.status_code, headers=headers, body=body)


class Wire:
    """Sends calls to the servers, past the faulty network or into it.

    Args:
        targets: the servers' base URLs; the first is the one that ends sessions.
    """

    def __init__(self, targets: Sequence[str]) -> None:
        self.targets = tuple(target.rstrip("/") for target in targets)
        self._idle: dict[str, deque[_Connection]] = defaultdict(deque)
        self._tls = ssl.create_default_context()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in [connection for idle in self._idle.values() for connection in idle]:
            connection.close()
            with suppress(OSError):
                await connection.writer.wait_closed()

    async def send(self, call: Call, *, place: int = 0, fresh: bool = False) -> Answer:
        """Send a call straight to a server.

        Args:
            call: what.
            place: which server, as counted in `targets`.
            fresh: over a connection of its own, so that another worker behind the same port may get it.

        Raises:
            LostError: no answer came.
        """
        headers = {**call.headers, "Connection": "close"} if fresh else call.headers
        return await self._send(call.method, _address(self.targets[place], call.path), headers, call.body, fresh=fresh)

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

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, fresh: bool = False
    ) -> Answer:
        parts = urlsplit(url)
        named = {"Host": parts.netloc, **headers}
        if body or method not in {"GET", "HEAD"}:
            named["Content-Length"] = str(len(body))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            request = h11.Request(method=method, target=path, headers=list(named.items()))
        except h11.LocalProtocolError:  # whose text quotes the header, and that may be a token
            raise LostError("an adapter's request is no HTTP") from None
        origin = f"{parts.scheme}://{parts.netloc}"
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._by_a_connection(origin, request, body, fresh=fresh)
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            raise LostError(f"{parts.netloc}: {type(error).__name__}") from None

    async def _by_a_connection(self, origin: str, request: h11.Request, body: bytes, *, fresh: bool) -> Answer:
        connection = None if fresh else self._rested(origin)
        connection = connection or await self._connected(origin)
        kept = False
        try:
            answer = await connection.exchange(request, body)
            kept = connection.is_reusable()
        finally:
            if kept:
                connection.rested = time.monotonic()
                self._idle[origin].append(connection)
            else:
                connection.close()
        return answer

    def _rested(self, origin: str) -> _Connection | None:
        """Take the connection that was used last; the others grow old and are closed."""
        idle, now = self._idle[origin], time.monotonic()
        while idle and not idle[0].is_fresh(now):
            idle.popleft().close()
        while idle:
            if (connection := idle.pop()).is_fresh(now):
                return connection
            connection.close()
        return None

    async def _connected(self, origin: str) -> _Connection:
        parts = urlsplit(origin)
        tls = self._tls if parts.scheme == "https" else None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORTS[parts.scheme], ssl=tls)
        return _Connection(reader, writer)


def _address(target: str, path: str) -> str:
    """Give the URL of a path at a target; a whole URL must be of the same target."""
    if path.startswith("/"):
        return target + path
    whole = urljoin(target + "/", path)
    if urlsplit(whole).netloc != urlsplit(target).netloc:
        raise LostError(f"an adapter asked for another host: {urlsplit(whole).netloc}")
    return whole
