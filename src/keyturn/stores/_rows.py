"""Sessions as rows of SQL databases and back. Times are integers: microseconds since 1970, UTC."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeAlias

from ..session import EndReason, Session, session_id_bytes, session_id_text
from ._values import claims_of, is_text, json_text

Row: TypeAlias = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ID_CHARACTERS: Final = 22

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


@lru_cache(maxsize=256)  # there are few ways to sign in, and every refresh reads one
def _amr_of(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _reason_or_none(value: str | None) -> EndReason | None:
    return None if value is None else EndReason(value)


#: What is kept in another form than a session has it, by column.
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": session_id_text,
    "remember": bool,
    "rotated_at": time_of,
    "recovered_at": _time_or_none,
    "authenticated_at": time_of,
    "amr": _amr_of,
    "created_at": time_of,
    "idle_expires_at": time_of,
    "expires_at": time_of,
    "ended_at": _time_or_none,
    "end_reason": _reason_or_none,
    "claims": claims_of,
}
#: Columns are named for the fields that they fill, by the slots' own descriptors: a frozen class takes three times as
#: long through its constructor, and every refresh reads a row.
_FILL: Final = tuple((getattr(Session, name).__set__, _READ.get(name)) for name in COLUMNS.split(", "))


def session_of(row: Sequence[Any]) -> Session:
    """Give the session of a row."""
    session = object.__new__(Session)
    for (fill, read), value in zip(_FILL, row, strict=True):
        fill(session, value if read is None else read(value))
    return session


def realm_start(limit: int, after: str | None) -> tuple[str, bytes]:
    """Give the subject and the id behind which a step through a realm begins.

    Raises:
        ValueError: `limit` is below 1, or `after` is no cursor.
    """
    if limit < 1:
        raise ValueError("a step through a realm looks at one row at least")
    if after is None:
        return "", b""
    raw, subject = session_id_bytes(after[:_ID_CHARACTERS]), after[_ID_CHARACTERS:]
    if raw is None or not is_text(subject):
        raise ValueError("a step through a realm begins where another one stopped")
    return subject, raw


def realm_cursor(last: tuple[str, bytes] | None) -> str | None:
    """Give the cursor for the last row that a step looked at."""
    return None if last is None else session_id_text(last[1]) + last[0]
