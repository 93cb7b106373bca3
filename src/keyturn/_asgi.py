"""ASGI to our two values and back: the outermost layer of an application, pure and without a base class.

It hides our cookies from the application and its logs, answers our routes, keeps an eye on guarded WebSockets, and
reads the log of ended sessions ahead of time while the application lives.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from ._sockets import Watched
from .errors import KeyturnError, RequestError
from .http.routes import error_reply
from .messages import Cookies, RawHeaders, Reply, Request
from .service import Service

T = TypeVar("T")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("keyturn")
#: Where the cookies that were taken out of a request wait for the guard.
_COOKIES: Final = "keyturn.cookies"
#: Where a layer outside of ours, which counts and logs, leaves a dictionary for the code of an error.
NOTE: Final = "keyturn.note"


class Native(Protocol):
    """Builds the framework's own request."""

    def __call__(self, scope: Scope, receive: Receive, /) -> Any:
        """Give the request that the application's hooks shall see."""
        ...


class LoopBridge:
    """The way between an anyio event loop and its worker threads."""

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Run a function that blocks in a worker thread."""
        return await anyio.to_thread.run_sync(function)

    def run_in_loop(self, function: Callable[..., Awaitable[T]], /, *args: Any) -> T:
        """Run an async function in the loop that this worker thread came from."""

        async def run() -> T:
            return await function(*args)

        return anyio.from_thread.run(run)


async def _no_body(_limit: int) -> bytes:
    return b""


def _route_path(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def request_of(
    service: Service, scope: Scope, native: Any, read: Callable[[int], Awaitable[bytes]] = _no_body
) -> Request:
    """Give an ASGI scope as a request."""
    headers, taken = scope["headers"], scope.get(_COOKIES)
    cookies: Cookies | None = taken.get(service) if taken else None
    if cookies is None:  # the layer of `wrap` is not around this application
        headers, cookies = service.take_cookies(headers)
    websocket = scope["type"] == "websocket"
    if websocket:
        headers = _with_subprotocols(headers, scope)
    peer = scope.get("client")
    return Request(  # by position: this runs on every guarded request
        "GET" if websocket else scope["method"],
        scope["path"] if not scope.get("root_path") else _route_path(scope),
        "",
        headers,
        cookies,
        scope.get("scheme", "http"),
        peer[0] if peer else "",
        read,
        native,
        websocket,
    )


def _with_subprotocols(headers: RawHeaders, scope: Scope) -> RawHeaders:
    """Put the offered subprotocols back where a server took them out of the headers, as those over wsproto do."""
    name, offered = b"sec-websocket-protocol", ", ".join(scope.get("subprotocols") or ())
    if not offered or any(key == name for key, _ in headers):
        return headers
    return [*headers, (name, offered.encode("latin-1", "replace"))]


class Body:
    """A request's body, read by us and then once more by a hook of the application that asks the framework's request.

    Args:
        receive: ASGI's.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._taken: bytes | None = None

    async def read(self, limit: int) -> bytes:
        """Read, but never more than is asked for and the message at hand holds."""
        body = b""
        more = True
        while more and len(body) < limit:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RequestError("The body broke off.")
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._taken = body
        return body[:limit]

    async def receive(self) -> Message:
        """Give what was read as one message, then whatever the server has to say."""
        if self._taken is None:
            return await self._receive()
        message: Message = {"type": "http.request", "body": self._taken, "more_body": False}
        self._taken = None
        return message


def noted(reply: Reply, scope: Scope) -> Reply:
    """Leave the code of an error where a layer outside looks for it, and give the answer on."""
    note = scope.get(NOTE)
    if note is not None and reply.code:
        note["code"] = reply.code
    return reply


async def send_reply(reply: Reply, send: Send) -> None:
    """Send an answer of ours."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.raw_headers()})
    await send({"type": "http.response.body", "body": reply.body})


async def refuse_socket(reply: Reply, scope: Scope, send: Send) -> None:
    """Refuse a WebSocket handshake: with the whole answer where the server can, else by closing it."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": reply.status, "headers": reply.raw_headers()})
        await send({"type": "websocket.http.response.body", "body": reply.body})
    else:
        await send({"type": "websocket.close", "code": 4401 if reply.status == 401 else 4403, "reason": ""})


def _no_socket() -> RequestError:
    return RequestError("There is no WebSocket at this address.", code="not_found", status=404)


def wrap(service: Service, app: App, native: Native) -> App:
    """Put our layer around an application."""

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await _live(service, app, scope, receive, send)
            return
        headers, cookies = service.take_cookies(scope["headers"])
        others = scope.get(_COOKIES)
        if others and service in others:  # an application inside another: the outer layer has taken them
            cookies = others[service]
        scope = {**scope, "headers": headers, _COOKIES: {**others, service: cookies} if others else {service: cookies}}
        ours = service.answers(_route_path(scope))
        if kind == "websocket" and ours:
            await refuse_socket(error_reply(_no_socket(), service.settings), scope, send)
        elif kind == "websocket":
            await Watched(service, scope, receive, send).run(app)
        elif ours:
            body = Body(receive)
            request = request_of(service, scope, native(scope, body.receive), body.read)
            await send_reply(noted(await service.handle(request), scope), send)
        else:
            await app(scope, receive, send)

    return layer


async def _live(service: Service, app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass the lifespan on; between start and stop, read the log of ended sessions ahead of time."""
    failure: BaseException | None = None
    reading = anyio.CancelScope()
    async with anyio.create_task_group() as group:

        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":  # before the application closes what the store stands on
                reading.cancel()
                await _flush(service)
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                group.start_soon(_read_ahead, service, reading)
            elif message["type"].startswith("lifespan.shutdown"):
                await anyio.to_thread.run_sync(service.close)
            await send(message)

        try:
            await app(scope, watched_receive, watched_send)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _read_ahead(service: Service, until: anyio.CancelScope) -> None:
    with until:
        while True:
            await _flush(service)
            await anyio.sleep(service.settings.staleness_bound.total_seconds() / 3)


async def _flush(service: Service) -> None:
    try:
        await service.keep_up()
    except KeyturnError as error:
        _log.warning("the log of ended sessions cannot be read: %s", error.cause)
    except Exception as error:  # noqa: BLE001 - a store's own fault must not take the whole application down
        _log.warning("the log of ended sessions cannot be read: %s", type(error).__name__)
