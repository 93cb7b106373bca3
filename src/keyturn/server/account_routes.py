"""The stand-alone server's routes for accounts: a user's own password change, and the reset that an operator allowed.

They are answered as Keyturn's own routes are: the same rules on bodies, forgery and cookies, the same fields and errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request as StarletteRequest
from starlette.routing import Route as StarletteRoute

from .._asgi import Body, Receive, Scope, Send, noted, request_of, send_reply
from ..errors import CredentialsError, RequestError, TokenMissingError, TokenStaleError
from ..http import bodies, replies
from ..http.core import Core
from ..http.endpoints import _common, sign_in
from ..http.routes import Route
from ..messages import Reply, Request
from ..starlette import Keyturn
from .accounts import AsyncAccounts
from .password_rules import MAX_BYTES
from .users import client_gone

PASSWORD: Final = "/account/password"  # noqa: S105 - a path
RESET: Final = "/account/password-reset"


def routes(auth: Keyturn, accounts: AsyncAccounts) -> Sequence[StarletteRoute]:
    """Give the routes of accounts, to be mounted at the root of the server.

    Args:
        auth: whose sessions count.
        accounts: over that one's own sessions.
    """
    endpoints = Endpoints(accounts)
    known = (Route(PASSWORD, {"POST": endpoints.change}), Route(RESET, {"POST": endpoints.use_reset}))
    return [StarletteRoute(route.path, _Mounted(auth, route)) for route in known]


class _Mounted:
    """One of the routes as an ASGI application, so that Keyturn decides on methods and preflights too."""

    def __init__(self, auth: Keyturn, route: Route) -> None:
        self._auth = auth
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        body = Body(receive)
        native = StarletteRequest(scope, body.receive)
        reply = await self._auth.handle(request_of(self._auth, scope, native, body.read), self._route)
        await send_reply(noted(reply, scope), send)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What answers at the routes of accounts."""

    accounts: AsyncAccounts

    async def change(self, core: Core, request: Request, _last: str) -> Reply:
        """POST /account/password: another password for the caller, who knows the present one.

        The session's key is turned first, then the password is written: should that fail, older tokens are dead and the
        user signs in again, with the password that still is.
        """
        body = await bodies.json_object(request)
        claims = await _common.caller(core, request)
        presented = _common.presented_token(core, request, bodies.text(body, "refresh_token"))
        current, new = _needed(body, "current_password"), _needed(body, "new_password")
        if presented is None:
            raise TokenMissingError("The session's current refresh token is needed too.")
        if presented.token.session_id != claims.session_id:
            raise TokenStaleError(cause="password change: the tokens belong to two sessions")
        attempt = sign_in.attempt_of(core, request, "step_up", session_id=claims.session_id)
        admission = await _common.admitted(core, attempt)
        await sign_in.refuse_confidential(core, presented)
        gone = client_gone(request.native)
        try:
            proving = self.accounts.prove(claims.subject, current, gone=gone)
            proved = await _common.tried(core, (attempt, admission), proving)
        except CredentialsError as error:
            await sign_in.tell_failed(core, request, "", error)
            raise
        await _common.given_back(core, attempt, admission)
        prepared = await self.accounts.prepare_password(proved, new, gone=gone)
        outcome = await core.flows.step_up(presented, _common.origin_of(request), amr=("pwd",))
        await self.accounts.change_password(prepared, keep=claims.session_id)
        return _common.answer(core, request, outcome)

    async def use_reset(self, core: Core, request: Request, _last: str) -> Reply:
        """POST /account/password-reset: a first or a forgotten password, by the one-time token of an operator."""
        body = await bodies.json_object(request)
        token, new = _needed(body, "token"), _needed(body, "new_password")
        # Each token has a count of its own beside the address's: nobody can use up another's.
        attempt = sign_in.attempt_of(core, request, "login", username=f"reset {token}")
        admission = await _common.admitted(core, attempt)
        using = self.accounts.use_reset(token, new, gone=client_gone(request.native))
        await _common.tried(core, (attempt, admission), using)
        await _common.given_back(core, attempt, admission)
        return replies.no_content()


def _needed(body: dict[str, Any], name: str) -> str:
    text = bodies.text(body, name, limit=MAX_BYTES)
    if text is None:
        raise RequestError(f"{name} is missing.")
    return text
