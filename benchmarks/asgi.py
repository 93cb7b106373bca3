"""One GET as a server would hand it to an application: in process, headers as a browser sends them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from itertools import cycle
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

BROWSER = {
    b"host": b"app.example.org",
    b"user-agent": b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    b"accept": b"application/json",
    b"accept-language": b"en-GB,en;q=0.7,de;q=0.3",
    b"accept-encoding": b"gzip, deflate, br, zstd",
    b"referer": b"https://app.example.org/orders",
    b"sec-fetch-dest": b"empty",
    b"sec-fetch-mode": b"cors",
    b"sec-fetch-site": b"same-origin",
    b"connection": b"keep-alive",
}
#: What stands beside our cookies on an ordinary page.
OTHER_COOKIES = b"theme=dark; _ga=GA1.1.1299713451.1763900000; consent=all"


def headers_of(token: str, cookies: Sequence[tuple[str, str]] = ()) -> list[tuple[bytes, bytes]]:
    """Give a request's headers: a bearer token, our cookies behind those of others."""
    ours = "".join(f"; {name}={value}" for name, value in cookies).encode("ascii")
    bearer = b"Bearer " + token.encode("ascii")
    return [*BROWSER.items(), (b"cookie", OTHER_COOKIES + ours), (b"authorization", bearer)]


class Caller:
    """Sends a GET to an application, the clients taking turns, and sees that it is answered with 200.

    Args:
        app: the application.
        path: what is asked for.
        clients: the headers of each client.
    """

    def __init__(self, app: App, path: str, clients: Sequence[Sequence[tuple[bytes, bytes]]]) -> None:
        self._app = app
        self._path = path
        self._clients = cycle(clients)
        self._status = 0

    async def __call__(self) -> None:
        self._status = 0
        await self._app(self._scope(), _receive, self._send)
        if self._status != 200:
            raise AssertionError(f"{self._path} was answered with {self._status}")

    def _scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("192.0.2.7", 51234),
            "scheme": "https",
            "method": "GET",
            "root_path": "",
            "path": self._path,
            "raw_path": self._path.encode("ascii"),
            "query_string": b"",
            # new octets, as from a socket: nobody has computed their hashes
            "headers": [(name, bytes(memoryview(value))) for name, value in next(self._clients)],
            "state": {},
        }

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
