"""Sessions as rows of SQLite and back. Times are integers: microseconds since 1970, UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from ..session import EndReason, Session, session_id_bytes, session_id_text
from ._values import claims_of, json_text

Row: TypeAlias = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: The session table's columns, in the order that `session_row` and `session_of` share.
COLUMNS: Final = (
    "id, realm, subject, client_id, transport, remember, seed_digest, binding, generation, delivered, floor,"
    " access_floor, rotated_at, recovered_at, recoveries, authenticated_at, amr, created_at, idle_expires_at,"
    " expires_at, ended_at, end_reason, scope, claims, user_agent, ip, device_name"
)


def micros(at: datetime) -> int:
    """Give a time's microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def micros_or_none(at: datetime | None) -> int | None:
    """Give a time's microseconds since 1970, None for None."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def time_of(value: int) -> datetime:
    """Give the time for its microseconds since 1970."""
    return _EPOCH + value * _MICROSECOND


def _time_or_none(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND


def session_row(session: Session) -> Row:
    """Give the row of a session."""
    return (
        session_id_bytes(session.id),
        session.realm,
        session.subject,
        session.client_id,
        session.transport,
        session.remember,
        session.seed_digest,
        session.binding,
        session.generation,
        session.delivered,
        session.floor,
        session.access_floor,
        micros(session.rotated_at),
        micros_or_none(session.recovered_at),
        session.recoveries,
        micros(session.authenticated_at),
        json_text(list(session.amr)),
        micros(session.created_at),
        micros(session.idle_expires_at),
        micros(session.expires_at),
        micros_or_none(session.ended_at),
        None if session.end_reason is None else session.end_reason.value,
        session.scope,
        json_text(dict(session.claims)),
        session.user_agent,
        session.ip,
        session.device_name,
    )


def session_of(row: Row) -> Session:
    """Give the session of a row."""
    (
        id_, realm, subject, client_id, transport, remember, seed_digest, binding, generation, delivered, floor,
        access_floor, rotated_at, recovered_at, recoveries, authenticated_at, amr, created_at, idle_expires_at,
        expires_at, ended_at, end_reason, scope, claims, user_agent, ip, device_name,
    ) = row  # fmt: skip
    return Session(
        id=session_id_text(id_),
        realm=realm,
        subject=subject,
        client_id=client_id,
        transport=transport,
        remember=bool(remember),
        seed_digest=seed_digest,
        binding=binding,
        generation=generation,
        delivered=delivered,
        floor=floor,
        access_floor=access_floor,
        rotated_at=_EPOCH + rotated_at * _MICROSECOND,
        recovered_at=_time_or_none(recovered_at),
        recoveries=recoveries,
        authenticated_at=_EPOCH + authenticated_at * _MICROSECOND,
        amr=() if amr == "[]" else tuple(json.loads(amr)),
        created_at=_EPOCH + created_at * _MICROSECOND,
        idle_expires_at=_EPOCH + idle_expires_at * _MICROSECOND,
        expires_at=_EPOCH + expires_at * _MICROSECOND,
        ended_at=_time_or_none(ended_at),
        end_reason=None if end_reason is None else EndReason(end_reason),
        scope=scope,
        claims=claims_of(claims),
        user_agent=user_agent,
        ip=ip,
        device_name=device_name,
    )
