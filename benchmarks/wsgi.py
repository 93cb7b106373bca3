"""One GET as a server would hand it to a WSGI application: in process, headers as a browser sends them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any, TypeAlias

App: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Caller:
    """Sends a GET to an application, the clients taking turns, and sees that it is answered with 200.

    Args:
        app: the application.
        path: what is asked for.
        clients: the headers of each client.
    """

    def __init__(self, app: App, path: str, clients: Sequence[Sequence[tuple[bytes, bytes]]]) -> None:
        self._app = app
        self._clients = cycle([_environ(path, headers) for headers in clients])
        self._status = ""

    def __call__(self) -> None:
        self._status = ""
        answer = self._app(self._next(), self._start)
        for _ in answer:
            pass
        getattr(answer, "close", lambda: None)()
        if not self._status.startswith("200"):
            raise AssertionError(f"the request was answered with {self._status}")

    def _next(self) -> dict[str, Any]:
        # new texts, as from a socket: nobody has computed their hashes
        fresh = {name: value.decode("latin-1") for name, value in next(self._clients).items()}
        return {**_SERVER, **fresh, "wsgi.input": BytesIO()}

    def _start(self, status: str, _headers: Any, _error: Any = None) -> None:
        self._status = status


_SERVER: Mapping[str, Any] = {
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "51234",
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _environ(path: str, headers: Sequence[tuple[bytes, bytes]]) -> dict[str, bytes]:
    asked = {"REQUEST_METHOD": b"GET", "PATH_INFO": path.encode(), "RAW_URI": path.encode(), "QUERY_STRING": b""}
    sent = {f"HTTP_{name.decode().upper().replace('-', '_')}": value for name, value in headers}
    return {**asked, **sent}
