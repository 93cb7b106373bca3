"""The shop on whose page the browser client runs, and the house of a stranger who takes what comes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.browser.serving import free_socket, served
from tests.browser.shop import BLANK, STRANGER, Shop, answer, opened

#: The stranger lets every page send them everything.
WELCOME = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-allow-credentials", b"true"),
]


@dataclass(frozen=True)
class Visit:
    """A request that came, and how it was answered; of a token only whether there was one."""

    method: str
    path: str
    status: int
    with_token: bool


@dataclass
class Stranger:
    """The stranger's house, and what came to it."""

    port: int
    taken: list[Visit] = field(default_factory=list)


@dataclass
class Street:
    """The shop, what came to it, and its neighbour."""

    shop: Shop
    stranger: Stranger
    visits: list[Visit] = field(default_factory=list)

    def away(self, host: str = STRANGER, status: int = 302) -> str:
        """A path of the shop that redirects to the stranger's house, under this name of its."""
        return f"/away/{status}?" + quote(f"{self.shop.scheme}://{host}:{self.stranger.port}/take")

    def statuses(self, path: str) -> list[int]:
        """How the requests to a path of the shop were answered, in their order."""
        return [visit.status for visit in self.visits if visit.path == path]


@contextmanager
def opened_stranger(tls: Path) -> Iterator[Stranger]:
    """Open the stranger's house on a free port."""
    bound = free_socket()
    stranger = Stranger(bound.getsockname()[1])
    with served(_recorded(_welcome, stranger.taken), bound, tls):
        yield stranger


@contextmanager
def opened_street(stranger: Stranger, tls: Path | None, **settings: Any) -> Iterator[Street]:
    """Open the shop on a free port."""
    with opened(tls, **settings) as shop:
        street = Street(shop, stranger)
        shop.app = _recorded(_redirecting(shop.app), street.visits)
        yield street


def _redirecting(app: Any) -> Any:
    async def around(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/away/"):
            target = unquote(scope["query_string"].decode())
            await answer(send, int(scope["path"][-3:]), [(b"location", target.encode())], b"")
        else:
            await app(scope, receive, send)

    return around


def _recorded(app: Any, visits: list[Visit]) -> Any:
    async def around(scope: Any, receive: Any, send: Any) -> None:
        async def keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                with_token = any(name == b"authorization" for name, _ in scope["headers"])
                visits.append(Visit(scope["method"], scope["path"], message["status"], with_token))
            await send(message)

        await app(scope, receive, keep)

    return around


async def _welcome(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        origin = dict(scope["headers"]).get(b"origin", b"*")
        headers = [(b"content-type", b"text/html"), (b"access-control-allow-origin", origin), *WELCOME]
        await answer(send, 200, headers, BLANK.encode())
