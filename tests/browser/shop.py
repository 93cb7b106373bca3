"""An application of ours, as pages meet it: on app.example.test, with a sibling and a stranger beside it."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse

from keyturn import Settings
from keyturn._build import Chance
from keyturn._colour import drive
from keyturn.events import Event
from keyturn.fastapi import Keyturn
from keyturn.keyrings.static import testing_keys
from keyturn.session import Session
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import ManualClock
from keyturn.tokens import Claims
from keyturn.users import Principal
from tests.browser.client_page import page_file
from tests.browser.serving import Gates, free_socket, served

PASSWORD = "correct horse battery staple"
KEYS = testing_keys()
APP, SIBLING, STRANGER = "app.example.test", "sub.example.test", "evil.test"
REFRESH, BIND, ACCESS = "__Host-Http-kt_refresh", "__Host-Http-kt_bind", "__Host-Http-kt_access"
BLANK = "<!doctype html><title>page</title><link rel=icon href='data:,'>"


class Members:
    """Two users with one password."""

    known = {name: Principal(subject=f"u-{name}") for name in ("alice", "mallory")}  # noqa: RUF012 - a constant

    def authenticate(self, username: str, password: str, _request: Any) -> Principal | None:
        return self.known.get(username) if password == PASSWORD else None

    def load(self, subject: str) -> Principal | None:
        return self.known.get(subject.removeprefix("u-"))


def page(_request: Request | None = None) -> HTMLResponse:
    return HTMLResponse(BLANK)


def application(auth: Keyturn, done: Counter[str]) -> FastAPI:
    """A FastAPI application with a page, a guarded route that tells, one that does, and a guarded WebSocket."""
    app = FastAPI()
    auth.install(app)
    app.add_middleware(CORSMiddleware, **auth.cors())
    app.add_route("/", page)
    claims = Annotated[Claims, Depends(auth.required)]

    @app.get("/me")
    async def me(claims: claims) -> dict[str, str]:
        return {"subject": claims.subject}

    @app.get("/hello")
    async def hello(claims: Annotated[Claims | None, Depends(auth.optional)]) -> dict[str, str]:
        return {"hello": claims.subject if claims else "stranger"}

    @app.post("/orders")
    async def order(claims: claims) -> dict[str, int]:
        done[claims.subject] += 1
        return {"orders": done[claims.subject]}

    @app.websocket("/live")
    async def live(socket: WebSocket, claims: claims) -> None:
        await socket.accept()
        await socket.send_text(f"hello {claims.subject}")
        async for text in socket.iter_text():
            if text.startswith("renew "):
                await auth.renew(socket, text.removeprefix("renew "))
                await socket.send_text("renewed")
            else:
                await socket.send_text(f"you said {text}")

    return app


@dataclass
class Shop:
    """The application, what was given to it, and what came of it."""

    port: int
    scheme: str
    clock: ManualClock
    gates: Gates = field(default_factory=Gates)
    facts: list[Event] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    #: Path and Cookie field of every request to the application's host, as they came over the wire.
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    #: Host, path and Authorization field of every request to the other hosts.
    heard_elsewhere: list[tuple[str, str, bytes]] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    auth: Any = None
    app: Any = None

    def url(self, host: str = APP, path: str = "/") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def origin(self, host: str = APP) -> str:
        return f"{self.scheme}://{host}:{self.port}"

    def install(self, **changes: Any) -> None:
        """Put a (further) version of the application on the air; store, keys and clock stay."""
        chosen = {"issuer": self.origin(), **changes}
        clock = chosen.pop("clock", self.clock)
        self.auth = Keyturn(
            Settings(**chosen), store=self.store, keys=KEYS, users=Members(), chance=Chance(clock=clock),
            listeners=(self.facts.append,),
        )  # fmt: skip
        self.app = self.gates.around(application(self.auth, self.done))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = scope.get("headers", ())
        host = next((value.partition(b":")[0] for key, value in headers if key == b"host"), b"")
        if scope["type"] == "http" and (file := page_file(scope["path"])):
            await answer(send, *file)
        elif scope["type"] == "lifespan" or host.decode() in (APP, "localhost"):
            cookies = b"; ".join(value for key, value in headers if key == b"cookie")
            self.heard.append((scope.get("path", ""), cookies))
            await self.app(scope, receive, send)
        else:
            token = next((value for key, value in headers if key == b"authorization"), b"")
            self.heard_elsewhere.append((host.decode(), scope["path"], token))
            await elsewhere(scope, receive, send)

    def cookies_of(self, path: str) -> list[bytes]:
        """The Cookie fields of the requests to a path."""
        return [cookies for heard, cookies in self.heard if heard == path]

    def names_of(self, path: str) -> set[str]:
        """The names in the newest Cookie field that a path received."""
        return {crumb.strip().partition(b"=")[0].decode("latin-1") for crumb in self.cookies_of(path)[-1].split(b";")}

    def row(self, session_id: str) -> Session:
        row = drive(self.store.get(session_id))
        assert row is not None
        return row

    def told(self) -> list[str]:
        """The names of the events so far."""
        return [type(fact).__name__ for fact in self.facts]


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """Pages of other hosts: blank, but for ``/plant?…``, which sets a cookie of exactly these octets.

    ``/open`` lets every origin call it, with whatever header it likes.
    """
    headers = [(b"content-type", b"text/html")]
    if scope["path"] == "/plant":
        headers.append((b"set-cookie", unquote_to_bytes(scope["query_string"])))
    if scope["path"] == "/open":
        headers += [(b"access-control-allow-origin", b"*"), (b"access-control-allow-headers", b"authorization")]
    await answer(send, 200, headers, BLANK.encode())


async def answer(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def opened(tls: Path | None, **settings: Any) -> Iterator[Shop]:
    """Open a shop on a free port; the issuer is ``https://app.example.test:port`` unless settings say otherwise."""
    bound: socket.socket = free_socket()
    shop = Shop(port=bound.getsockname()[1], scheme="https" if tls else "http", clock=ManualClock())
    shop.install(**{name: at_port(value, shop.port) for name, value in settings.items()})
    with served(shop, bound, tls):
        yield shop


def at_port(value: Any, port: int) -> Any:
    """Fill the port in where settings name an address: ``http://localhost:{port}``."""
    if isinstance(value, str):
        return value.replace("{port}", str(port))
    return tuple(at_port(item, port) for item in value) if isinstance(value, tuple) else value
