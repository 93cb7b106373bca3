"""Sign-in, step-up and sign-out for applications with a login of their own: the same acts, without our routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._admission import Start
from ..._policy import Presented
from ...errors import ConfigurationError, TokenMissingError, TokenStaleError
from ...messages import Reply, Request
from ...session import Transport
from ...users import DEFAULT_CLIENT, Principal
from .. import credentials, forgery, replies
from ..core import Core
from . import _common, sign_in as own_login


@dataclass(frozen=True, kw_only=True, slots=True)
class SignIn:
    """What a session that the application starts shall be like.

    Args:
        transport: how refresh tokens will travel; the settings' first where left out.
        remember: False ends the session after 24 h without use, and with the browser.
        amr: how the user proved who they are (RFC 8176).
        scope: space-separated; all that the principal holds where left out.
        claims: what the session's access tokens shall say besides.
        device_name: what the user calls the device.
    """

    transport: Transport | None = None
    remember: bool = True
    client_id: str = "default"
    amr: tuple[str, ...] = ()
    scope: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    device_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepUp:
    """What changes in a session whose user proved again who they are.

    Args:
        refresh_token: the current one, where it does not come in the cookie.
        amr: the new methods; None keeps the old.
        claims: the session's new claims; None keeps the old.
        rebind: give the session a new binding cookie.
    """

    refresh_token: str | None = field(default=None, repr=False)
    amr: tuple[str, ...] | None = None
    claims: Mapping[str, Any] | None = None
    rebind: bool = False


async def sign_in(core: Core, request: Request, principal: Principal, how: SignIn) -> Reply:
    """Start a session for a user whom the application authenticated.

    On a safe method (the return from another site's login page) the application's own state parameter is what stops
    forgery; on an unsafe one our rule does.
    """
    transport = how.transport or core.settings.transports[0]
    if transport not in core.settings.transports:
        raise ConfigurationError([f"sign_in asks for {transport} sessions, and settings.transports has none"])
    await _require_client(core, how.client_id, transport)
    if transport == "cookie" and request.method not in forgery.SAFE_METHODS:
        forgery.require_own_page(request, core.settings)
    origin = _common.origin_of(request, how.device_name)
    start = Start(
        transport=transport, remember=how.remember, client_id=how.client_id, scope=how.scope, amr=how.amr,
        claims=how.claims, client=origin.client,
    )  # fmt: skip
    token = _common.genuine_or_none(core, credentials.refresh_cookie(request, core.settings))
    outcome = await core.flows.start(principal, start, origin, presented=token)
    reply = _common.answer(core, request, outcome)
    reply = replies.with_cookies(reply, replies.cleared_doubles(request, core.settings))
    return await _common.hooked(core, request, reply, outcome.principal, outcome.session)


async def _require_client(core: Core, client_id: str, transport: Transport) -> None:
    """Refuse a client that is not registered or could not refresh: the application's slip, not its caller's."""
    if client_id == DEFAULT_CLIENT:
        return
    client = await core.clients.find(client_id)
    if client is None:
        raise ConfigurationError([f"sign_in names a client, and {client_id!r} is not registered"])
    if not own_login.can_keep(client, transport):
        raise ConfigurationError([f"sign_in names {client_id!r}, a client with a secret: its transport must be body"])


async def step_up(core: Core, request: Request, how: StepUp) -> Reply:
    """Turn the key of the caller's session because they proved again who they are."""
    presented = _common.presented_token(core, request, how.refresh_token)
    if presented is None:
        raise TokenMissingError("The session's current refresh token is needed too.")
    await _require_one_session(core, request, presented)
    outcome = await core.flows.step_up(
        presented, _common.origin_of(request), amr=how.amr, claims=how.claims, rebind=how.rebind
    )
    return _common.answer(core, request, outcome)


async def _require_one_session(core: Core, request: Request, presented: Presented) -> None:
    """Refuse two sessions at once: whom the application asked for a factor is whom the access token names."""
    if credentials.access_token(request, core.settings, core.guard.readers) is None:
        return
    if (await _common.caller(core, request)).session_id != presented.token.session_id:
        raise TokenStaleError(cause="step-up: the tokens belong to two sessions")


async def sign_out(core: Core, request: Request) -> Reply:
    """End the caller's session and clear the cookies."""
    return await own_login.logout(core, request._replace(read=lambda _limit: b""), "")
