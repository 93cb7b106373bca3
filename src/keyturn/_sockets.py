"""Guarded WebSockets: closed with 4401 when their session ends, or their token's life is over and no newer one came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import anyio

from .errors import KeyturnError, SessionEndedError, TokenError
from .http.credentials import WEBSOCKET_PROTOCOL
from .service import Service
from .tokens import UNCHECKED, Claims

#: Private use range of RFC 6455 section 7.4.2; 4401 reads like the status it stands for.
CLOSED_UNAUTHORIZED: Final = 4401
_LIVE: Final = "keyturn.socket"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


class Watched:
    """One WebSocket connection and the claims it was opened with.

    Args:
        service: whose sessions it depends on.
        scope, receive, send: ASGI's.
    """

    def __init__(
        self,
        service: Service,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._service = service
        self._scope = {**scope, _LIVE: {**scope.get(_LIVE, {}), service: self}}
        self._receive = receive
        self._send = send
        self._claims: Claims | None = None
        self._over = anyio.Event()
        self._closed = False
        self._guarded = anyio.Event()

    def guard(self, claims: Claims) -> None:
        """Depend on these claims from now on."""
        self._claims = claims
        self._guarded.set()

    async def run(self, app: Callable[[Scope, Any, Any], Awaitable[None]]) -> None:
        """Run the application on this connection, and watch it."""
        failure: BaseException | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            try:
                await app(self._scope, self._receive_or_over, self._send_unless_over)
            except Exception as error:  # noqa: BLE001 - raised below, outside the group, which would wrap it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _send_unless_over(self, message: Message) -> None:
        if self._over.is_set():
            if message["type"] == "websocket.close":
                return
            # What servers raise when the other end is gone (ASGI 2.4): one who only sends would go on for ever.
            raise OSError("the session of this connection is over")
        if message["type"] == "websocket.accept" and not message.get("subprotocol") and self._offered():
            # A browser that offered protocols gives up where none is taken.
            message = {**message, "subprotocol": WEBSOCKET_PROTOCOL}
        # What the application closed, or answered with a refusal, cannot be closed again.
        self._closed = self._closed or message["type"] not in {"websocket.accept", "websocket.send"}
        await self._send(message)

    def _offered(self) -> bool:
        return WEBSOCKET_PROTOCOL in self._scope.get("subprotocols", ())

    async def _receive_or_over(self) -> Message:
        if self._claims is None:
            return await self._receive()
        received: list[Message] = []

        async def receive() -> None:
            received.append(await self._receive())
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await self._over.wait()
            group.cancel_scope.cancel()
        return received[0] if received else {"type": "websocket.disconnect", "code": CLOSED_UNAUTHORIZED, "reason": ""}

    async def _watch(self) -> None:
        await self._guarded.wait()
        while not await self._is_over():  # noqa: ASYNC110 - time is what is waited for, not an event
            await anyio.sleep(self._pause())
        self._over.set()
        if not self._closed:
            with suppress(OSError):  # the other end is gone already
                await self._send({"type": "websocket.close", "code": CLOSED_UNAUTHORIZED, "reason": "session_ended"})

    def _pause(self) -> float:
        bound = self._service.settings.staleness_bound / 2
        left = self._claims.expires_at - self._service.guard.clock() if self._claims is not None else bound
        return max(timedelta(milliseconds=10), min(bound, left)).total_seconds()

    async def _is_over(self) -> bool:
        if self._service.guard.is_due():
            # Trouble with the store closes nobody's connection; the token's own end still does.
            with suppress(KeyturnError):
                await self._service.keep_up()
        claims = self._claims
        if claims is None:
            return False
        floor = self._service.verifier.floors.floor_of(claims.session_id)
        return floor > claims.generation or self._service.guard.clock() >= claims.expires_at


def watched(service: Service, scope: Scope) -> Watched | None:
    """Give the watched connection that a handshake belongs to, None where our layer is not around it."""
    found: Watched | None = scope.get(_LIVE, {}).get(service)
    return found


async def renew(service: Service, scope: Scope, token: str) -> Claims:
    """Let a connection live on with a newer access token of the same session, received on it.

    Raises:
        TokenError: the token is not good, or belongs to another session.
    """
    socket = watched(service, scope)
    claims = service.verifier.verify(token, binding=UNCHECKED)  # the handshake proved the binding for the session
    if socket is None or socket._claims is None or socket._claims.session_id != claims.session_id:  # noqa: SLF001
        raise SessionEndedError("the token is of another session")
    socket.guard(claims)
    return claims


__all__ = ["CLOSED_UNAUTHORIZED", "TokenError", "Watched", "renew", "watched"]
