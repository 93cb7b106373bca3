"""token, revoke, docs-token: for programs that speak OAuth, and for the framework's documentation page."""

from __future__ import annotations

from ..._admission import Start
from ..._policy import Presented
from ...errors import ForgeryError, RequestError, TokenError, TokenMissingError
from ...messages import Reply, Request
from ...session import EndReason, Session
from ...tokens import UNCHECKED
from .. import bodies, replies
from ..core import Core
from . import _client_proof, _common, sign_in


async def token(core: Core, request: Request, _last: str) -> Reply:
    """POST /token: the refresh grant of RFC 6749 section 6; cookies are never read."""
    fields = await bodies.form(request)
    client_id = await _client_proof.named(core, request, fields)
    if fields.get("grant_type") != "refresh_token":
        code = "unsupported_grant_type" if "grant_type" in fields else "invalid_request"
        raise RequestError("Only grant_type=refresh_token is offered here.", code=code)
    if "refresh_token" not in fields:
        raise TokenMissingError("refresh_token is missing.")
    presented = Presented(token=_common.genuine(core, fields["refresh_token"]), transport="body", client_id=client_id)
    await _common.admitted(core, _common.refreshing(core, request, presented))
    if client_id is None:
        await sign_in.refuse_confidential(core, presented)
    outcome = await core.flows.refresh(presented, _common.origin_of(request), scope=fields.get("scope"))
    reply = _common.answer(core, request, outcome)
    return await _common.hooked(core, request, reply, outcome.principal, outcome.session)


async def revoke(core: Core, request: Request, _last: str) -> Reply:
    """POST /revoke: RFC 7009; a genuine refresh token of any generation, or an unbound access token, ends its session."""
    fields = await bodies.form(request)
    client_id = await _client_proof.named(core, request, fields)
    if "token" not in fields:
        raise RequestError("token is missing.")
    session = await _session_of(core, fields["token"])
    if session is not None and await _may_revoke(core, client_id, session):
        await core.flows.ends.end([session.id], EndReason.LOGOUT, _common.origin_of(request))
    return replies.json_reply({})


async def _session_of(core: Core, text: str) -> Session | None:
    refresh = _common.genuine_or_none(core, text)
    if refresh is not None:
        return await core.flows.ends.session_of(refresh)
    try:
        claims = core.guard.verifier.verify(text, binding=UNCHECKED)
    except TokenError:
        return None
    # A bound access token without its cookie is what a thief has; it shall not sign the victim out.
    return await core.flows.ends.get(claims.session_id) if claims.binding is None else None


async def _may_revoke(core: Core, client_id: str | None, session: Session) -> bool:
    if client_id is not None:
        return client_id == session.client_id
    owner = await core.clients.find(session.client_id)
    return owner is None or owner.secret_digest is None


async def docs_token(core: Core, request: Request, _last: str) -> Reply:
    """POST /docs-token: lets the documentation page of the framework sign in; nowhere but from that page."""
    settings = core.settings
    if not (settings.docs_login or settings.development):
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    if request.header_values(b"sec-fetch-site") != ["same-origin"]:
        raise ForgeryError
    fields = await bodies.form(request)
    username, password = fields.get("username"), fields.get("password")
    if username is None or password is None:
        raise RequestError("username and password are missing.")
    # The page keeps no refresh token, so the session may as well be short.
    how = Start(transport="body", remember=False, scope=fields.get("scope"), amr=("pwd",))
    outcome = await sign_in.admitted(core, request, (username, password), how)
    shown = {"access_token": outcome.pair.access_token, "token_type": "bearer"}
    return replies.json_reply(shown)
