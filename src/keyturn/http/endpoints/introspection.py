"""introspect: what a service that does not verify tokens itself is told about one (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from ..._policy import Presented, Refuse, Reuse, decide_refresh
from ..._refresh_token import RefreshToken
from ...errors import RequestError, TokenError
from ...messages import Reply, Request
from ...session import Session
from ...tokens import Claims
from .. import bodies, replies
from ..core import Core
from . import _client_proof, _common

#: One answer for every token that is not good, whatever the reason: section 2.2 lets nobody learn why.
_INACTIVE: Final[Mapping[str, Any]] = MappingProxyType({"active": False})


async def introspect(core: Core, request: Request, _last: str) -> Reply:
    """POST /introspect: whether a token is good now, by the store itself; nothing is turned, counted or written."""
    fields = await bodies.form(request)
    client_id = await _client_proof.proved(core, request, fields)
    if "token" not in fields:
        raise RequestError("token is missing.")
    # The hint is not looked at: the two kinds of token cannot be mistaken for one another.
    refresh = _common.genuine_or_none(core, fields["token"])
    if refresh is not None:
        return replies.json_reply(dict(await _refresh_token(core, refresh, client_id)))
    return replies.json_reply(dict(await _access_token(core, request, fields["token"])))


# --- access tokens: any client's, since services are asked by all of them ------------------------------------------


async def _access_token(core: Core, request: Request, text: str) -> Mapping[str, Any]:
    try:
        # A bound token is good where its binding is proved. Cookies are never read here; services forward the proof.
        claims = core.guard.verify(text, request.header(b"keyturn-binding"))
    except TokenError:
        return _INACTIVE
    session = await core.flows.ends.get(claims.session_id)
    if session is None or not _stands(session, claims) or not await core.clients.has(claims.client_id):
        return _INACTIVE
    shown = {**_common.shown_claims(claims), "jti": claims.token_id, "token_type": "Bearer"}
    return {**shown, "active": True}


def _stands(session: Session, claims: Claims) -> bool:
    """Say whether a session's row, which knows more than this process has read so far, lets a token of it stand."""
    return session.ended_at is None and session.access_floor <= claims.generation


# --- refresh tokens: the asking client's own ones -------------------------------------------------------------------


async def _refresh_token(core: Core, token: RefreshToken, client_id: str) -> Mapping[str, Any]:
    session = await core.flows.ends.session_of(token)
    presented = Presented(token=token, transport="body", client_id=client_id)
    if session is None or not _would_refresh(core, session, presented):
        return _INACTIVE
    shown: dict[str, Any] = {
        "iss": core.settings.issuer,
        "sub": session.subject,
        "client_id": session.client_id,
        "sid": session.id,
        "exp": int(min(session.idle_expires_at, session.expires_at).timestamp()),
        "auth_time": int(session.authenticated_at.timestamp()),
        # RFC 8693 section 2.2.1: not an access token; whoever takes it for one finds neither scope nor audience.
        "token_type": "N_A",
    }
    return {**shown, "active": True}


def _would_refresh(core: Core, session: Session, presented: Presented) -> bool:
    """Say whether /token would give something for it now; the alarm, where one is due, is left to /token."""
    # What was accepted here and is not written yet counts, as it does at /token.
    seen = min(core.guard.verifier.sighted(session.id), session.generation)
    row = replace(session, delivered=max(session.delivered, seen))
    decision = decide_refresh(row, presented, now=core.clock(), settings=core.settings)
    return not isinstance(decision, Refuse | Reuse)
