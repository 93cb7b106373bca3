"""session and sessions: what the caller's token says, on which devices they are signed in, and ending those."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...errors import RequestError
from ...messages import Reply, Request
from ...session import EndReason, Session, is_live
from ...tokens import Claims
from .. import guard, replies
from ..core import Core
from . import _common


async def show(core: Core, request: Request, _last: str) -> Reply:
    """GET /session: the caller's claims, in JWT names, without what only machines need."""
    return replies.json_reply(_common.shown_claims(await _common.caller(core, request)))


async def index(core: Core, request: Request, _last: str) -> Reply:
    """GET /sessions: where the caller is signed in."""
    claims = await _common.caller(core, request)
    found = await core.flows.ends.find(claims.subject)
    return replies.json_reply({"sessions": [_listed(session, claims.session_id) for session in found]})


def _listed(session: Session, current: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": _text(session.created_at),
        "refreshed_at": _text(session.rotated_at),
        "expires_at": _text(session.expires_at),
        "idle_expires_at": _text(session.idle_expires_at),
        "user_agent": session.user_agent,
        "ip": session.ip,
        "device_name": session.device_name,
        "current": session.id == current,
    }


def _text(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")


async def end_one(core: Core, request: Request, session_id: str) -> Reply:
    """DELETE /sessions/{id}: end one of the caller's sessions; another than the own asks for a recent sign-in."""
    claims = await _common.caller(core, request)
    own = session_id == claims.session_id
    if not own:
        _require_recent(core, claims)
    session = await core.flows.ends.get(session_id)
    # One answer for an unknown, another realm's and another user's session: nothing can be probed.
    if session is None or session.subject != claims.subject or not is_live(session, core.clock()):
        raise RequestError("There is no such session.", code="not_found", status=404)
    await core.flows.ends.end([session.id], EndReason.ENDED, _common.origin_of(request))
    return replies.no_content(replies.cleared_cookies(core.settings) if own else ())


async def end_others(core: Core, request: Request, _last: str) -> Reply:
    """DELETE /sessions: end all sessions of the caller but the current one."""
    claims = await _common.caller(core, request)
    _require_recent(core, claims)
    ended = await core.flows.ends.end_all(
        claims.subject, EndReason.ENDED, _common.origin_of(request), keep=claims.session_id
    )
    return replies.json_reply({"ended": len(ended)})


def _require_recent(core: Core, claims: Claims) -> None:
    guard.require_grant(claims, guard.Need(within=core.settings.recent_auth), core.clock)
