"""Keyturn for Starlette: ``auth = Keyturn(settings, store=…, keys=…, users=…)``, then ``auth.install(app)``.

Example::

    async def me(request):
        claims = await auth.required(request)
        return JSONResponse({"subject": claims.subject})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, cast

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request as StarletteRequest
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from . import _asgi, _sockets
from ._colour import Bridge
from .errors import KeyturnError, TokenMissingError
from .http import forgery
from .http.endpoints.application import SignIn, StepUp
from .http.guard import NOTHING_SPECIAL, Need, Stale
from .http.routes import error_reply
from .messages import Reply
from .service import Service
from .session import Transport
from .sessions import AsyncSessions
from .tokens import Claims
from .users import Principal

_BRIDGE = _asgi.LoopBridge()
_CLAIMS = "keyturn.claims"


@dataclass(frozen=True, slots=True)
class Required:
    """Gives the caller's claims: ``claims = await auth.required(request)``; equal needs are equal.

    Args:
        auth: whose sessions count.
        need: what the route needs.
    """

    auth: Keyturn
    need: Need

    async def __call__(self, conn: HTTPConnection) -> Claims:
        """Give the caller's claims.

        Raises:
            KeyturnError: there is nobody, or what they hold is not enough; the installed handler answers it.
        """
        claims = await self.auth.check_connection(conn, self.need)
        if claims is None:
            raise TokenMissingError
        return claims


@dataclass(frozen=True, slots=True)
class Optional:
    """Gives the caller's claims, or None where nobody (or nobody any more) is signed in."""

    auth: Keyturn
    need: Need

    async def __call__(self, conn: HTTPConnection) -> Claims | None:
        """Give the caller's claims, None without a good token."""
        return await self.auth.check_connection(conn, self.need)


class Keyturn(Service):
    """Sessions for a Starlette application; the arguments are those of `keyturn.Service`."""

    door: Literal["sync", "async"] = "async"

    def _bridge(self) -> Bridge:
        return _BRIDGE

    @property
    def sessions(self) -> AsyncSessions:
        """Start, end and look at sessions with no request at hand."""
        return self._async_sessions()

    # --- installing ------------------------------------------------------------------------------------------------

    def install(self, app: Starlette) -> None:
        """Bring our routes, the error handler and the layer that hides our cookies into an application.

        Raises:
            RuntimeError: the application has started already, or has it already.
        """
        if app.exception_handlers.get(KeyturnError) == self._answer_error:
            raise RuntimeError("this Keyturn is installed in this application already")
        if app.middleware_stack is not None:
            raise RuntimeError("install Keyturn before the application handles its first request")
        app.add_exception_handler(KeyturnError, cast("Any", self._answer_error))  # one for HTTP and WebSocket alike
        build = app.build_middleware_stack
        # Outermost, also of middleware that is added later: nothing of the application sees our cookies.
        app.build_middleware_stack = lambda: _asgi.wrap(self, build(), StarletteRequest)  # type: ignore[method-assign]  # the one place where Starlette offers no hook

    async def _answer_error(self, conn: Any, error: Exception) -> Response | None:
        if not isinstance(error, KeyturnError):
            raise error
        reply = _asgi.noted(error_reply(error, self.settings), conn.scope)
        if isinstance(conn, WebSocket):
            await _refuse(conn, reply)
            return None
        return response_of(reply)

    # --- guards ----------------------------------------------------------------------------------------------------

    @property
    def required(self) -> Required:
        """The guard of routes that need a signed-in caller."""
        return Required(self, NOTHING_SPECIAL)

    @property
    def optional(self) -> Optional:
        """The guard of routes that like to know who calls; a bad token counts as none."""
        return Optional(self, Need(optional=True))

    def fresh(self, *, minutes: float = 5, amr: Sequence[str] = ()) -> Required:
        """The guard of routes that need a sign-in not longer ago than that.

        Args:
            minutes: how far back the sign-in may lie.
            amr: one of these methods must have been used.
        """
        return self.require(within=timedelta(minutes=minutes), amr=amr)

    def require(
        self, *scopes: str, within: timedelta | None = None, amr: Sequence[str] = (), stale: Stale = "auto"
    ) -> Required:
        """The guard of routes that need more: scopes, a recent or stronger sign-in, a picture without delay.

        Args:
            scopes: all of them are needed.
            within: how far back the sign-in may lie.
            amr: one of these methods must have been used.
            stale: see `keyturn.Need`.
        """
        return Required(self, Need(scopes=frozenset(scopes), within=within, amr=frozenset(amr), stale=stale))

    async def check_connection(self, conn: HTTPConnection, need: Need) -> Claims | None:
        """Give the claims of whoever sent a request or opened a WebSocket."""
        scope = conn.scope
        claims = await self.check(_asgi.request_of(self, scope, conn), need)
        if claims is not None and scope["type"] == "websocket":
            socket = _sockets.watched(self, scope)
            if socket is not None:
                socket.guard(claims)
        return claims

    def protect(self, app: _asgi.App, *scopes: str, need: Need | None = None) -> _asgi.App:
        """Put a guard before a whole ASGI application: ``Mount("/api", app=auth.protect(api))``; see `claims`.

        It answers refusals itself, so it works around any application, and as ``Middleware(auth.protect)`` too.

        Args:
            app: what is guarded.
            scopes: all of them are needed.
            need: what is needed besides; takes the place of `scopes`.
        """
        wanted = need or Need(scopes=frozenset(scopes))

        async def guarded(scope: _asgi.Scope, receive: _asgi.Receive, send: _asgi.Send) -> None:
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            conn = HTTPConnection(scope) if scope["type"] == "http" else WebSocket(scope, receive, send)
            try:
                scope[_CLAIMS] = await self.check_connection(conn, wanted)
            except KeyturnError as error:
                reply = _asgi.noted(error_reply(error, self.settings), scope)
                await (
                    _asgi.refuse_socket(reply, scope, send)
                    if isinstance(conn, WebSocket)
                    else _asgi.send_reply(reply, send)
                )
                return
            await app(scope, receive, send)

        return guarded

    def claims(self, conn: HTTPConnection) -> Claims | None:
        """Give the claims that `protect` found for this request; None where nobody is signed in."""
        found: Claims | None = conn.scope.get(_CLAIMS)
        return found

    async def renew(self, websocket: WebSocket, token: str) -> Claims:
        """Let a guarded WebSocket live on with a newer access token that came in one of its messages.

        Raises:
            TokenError: the token is not good, or belongs to another session.
        """
        return await _sockets.renew(self, websocket.scope, token)

    def cors(self) -> dict[str, Any]:
        """Give the arguments for Starlette's CORSMiddleware that let the configured origins call the application."""
        origins: dict[str, Any] = {"allow_origins": list(self.settings.origins)}
        if self.settings.development:
            origins["allow_origin_regex"] = r"https?://(localhost|127\.0\.0\.1|\[::1\]|[a-z0-9.-]+\.localhost)(:\d+)?"
        return {**origins, **forgery.CORS_ARGUMENTS}

    # --- for applications with a login of their own ----------------------------------------------------------------

    async def sign_in(
        self,
        request: HTTPConnection,
        principal: Principal,
        *,
        into: Response | None = None,
        transport: Transport | None = None,
        remember: bool = True,
        client_id: str = "default",
        amr: Sequence[str] = (),
        scope: str | None = None,
        claims: Mapping[str, Any] | None = None,
        device_name: str | None = None,
    ) -> Response:
        """Start a session for a user whom the application has authenticated; give the token answer.

        Args:
            request: the one that is being answered.
            into: a response of the application's that shall carry the cookies instead (a redirect after social login).
            transport, remember, client_id, amr, scope, claims, device_name: see `AsyncSessions.start`.
        """
        how = SignIn(
            transport="cookie" if into is not None else transport, remember=remember, client_id=client_id,
            amr=tuple(amr), scope=scope, claims=dict(claims or {}), device_name=device_name,
        )  # fmt: skip
        reply = await self.start_session(_asgi.request_of(self, request.scope, request), principal, how)
        return response_of(reply, into)

    async def step_up(
        self,
        request: HTTPConnection,
        *,
        refresh_token: str | None = None,
        amr: Sequence[str] | None = None,
        claims: Mapping[str, Any] | None = None,
        rebind: bool = False,
        into: Response | None = None,
    ) -> Response:
        """Note that the caller proved again who they are; give the token answer, older tokens are dead.

        Args:
            request: the one that is being answered; it carries the current refresh token in its cookie.
            refresh_token: the current one, for sessions that carry it in bodies.
            amr, claims, rebind: see `AsyncSessions.step_up`.
            into: a response of the application's that shall carry the cookies instead.
        """
        new_amr = None if amr is None else tuple(amr)
        how = StepUp(refresh_token=refresh_token, amr=new_amr, claims=claims, rebind=rebind)
        reply = await self.raise_session(_asgi.request_of(self, request.scope, request), how)
        return response_of(reply, into)

    async def sign_out(self, request: HTTPConnection, *, into: Response | None = None) -> Response:
        """End the caller's session and clear the cookies, as POST /logout does.

        Args:
            into: a response of the application's that shall carry the cleared cookies instead.
        """
        return response_of(await self.finish_session(_asgi.request_of(self, request.scope, request)), into)


async def _refuse(websocket: WebSocket, reply: Reply) -> None:
    if websocket.application_state is WebSocketState.CONNECTING:
        await _asgi.refuse_socket(reply, websocket.scope, websocket.send)
    elif websocket.application_state is WebSocketState.CONNECTED:  # a newer token that was no good (`renew`)
        await websocket.close(_sockets.CLOSED_UNAUTHORIZED, reason="session_ended")


def response_of(reply: Reply, into: Response | None = None) -> Response:
    """Give a reply as a Starlette response, or put its cookies into one."""
    if into is None:
        response = Response(status_code=reply.status)
        response.body = reply.body
        response.raw_headers = reply.raw_headers()
        return response
    into.raw_headers += [field for field in reply.raw_headers() if field[0] == b"set-cookie"]
    into.headers["cache-control"] = "no-store"
    return into


def with_scopes(need: Need, scopes: Sequence[str]) -> Need:
    """Give a need with more scopes."""
    return replace(need, scopes=need.scopes | frozenset(scopes)) if scopes else need
