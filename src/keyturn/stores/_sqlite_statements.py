"""What each verb says to SQLite: functions of a connection, run by the writer inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import StoreError
from . import ENDED, MAX_RECOVERIES, Changes, Turn
from ._rows import COLUMNS, Row, micros, micros_or_none
from ._values import json_text

_ADD: Final = (
    f"INSERT INTO keyturn_session ({COLUMNS}) VALUES ({', '.join('?' * (COLUMNS.count(',') + 1))})"  # noqa: S608 - constants
    " ON CONFLICT DO NOTHING"
)
_GET: Final = f"SELECT {COLUMNS} FROM keyturn_session WHERE id = ?"  # noqa: S608 - constants
_TURN: Final = """
UPDATE keyturn_session SET
    generation = ?1, rotated_at = ?2, recovered_at = NULL,
    recoveries = CASE WHEN recovered_at IS NULL THEN 0 ELSE recoveries END,
    idle_expires_at = coalesce(min(CASE remember WHEN 1 THEN ?3 ELSE ?4 END, expires_at), idle_expires_at)
"""
_STEP_UP: Final = """,
    floor = max(floor, ?13), access_floor = max(access_floor, ?14),
    authenticated_at = coalesce(?15, authenticated_at), amr = coalesce(?16, amr), scope = coalesce(?17, scope),
    claims = coalesce(?18, claims), binding = coalesce(?19, binding)
"""
_IF_IT_MAY: Final = f"""
WHERE id = ?5 AND realm = ?6 AND transport = ?7 AND (?8 IS NULL OR client_id = ?8)
    AND seed_digest = ?9 AND binding IS ?10 AND generation = ?11 AND generation >= floor
    AND ended_at IS NULL AND ?2 < idle_expires_at AND ?2 < expires_at
    AND (?12 IS NULL OR generation = 0 OR access_floor > generation
        OR (rotated_at <= ?12 AND (recovered_at IS NULL OR recovered_at <= ?12)))
RETURNING {COLUMNS}
"""
_ADVANCE: Final = _TURN + _IF_IT_MAY
_ADVANCE_AND_STEP_UP: Final = _TURN + _STEP_UP + _IF_IT_MAY
_RECOVER: Final = f"""
UPDATE keyturn_session SET recovered_at = ?, recoveries = recoveries + 1
WHERE id = ? AND generation = ? AND ended_at IS NULL AND recoveries < {MAX_RECOVERIES} RETURNING {COLUMNS}
"""  # noqa: S608 - constants
_LIVE: Final = """
FROM keyturn_session
WHERE realm = ?1 AND subject = ?2 AND ended_at IS NULL AND ?3 < idle_expires_at AND ?3 < expires_at
"""
_FIND: Final = f"SELECT {COLUMNS}" + _LIVE
_FIND_IDS: Final = "SELECT created_at, id" + _LIVE
_UNENDED: Final = f"SELECT {COLUMNS} FROM keyturn_session WHERE id = ? AND ended_at IS NULL"  # noqa: S608 - constants
_UNENDED_OF_SUBJECT: Final = f"""
SELECT {COLUMNS} FROM keyturn_session WHERE realm = ? AND subject = ? AND id IS NOT ? AND ended_at IS NULL
"""  # noqa: S608 - constants
_OF_REALM: Final = f"""
SELECT {COLUMNS} FROM keyturn_session WHERE realm = ? AND (subject, id) > (?, ?) ORDER BY subject, id LIMIT ?
"""  # noqa: S608 - constants
_END: Final = """
UPDATE keyturn_session SET ended_at = ?, end_reason = ?, user_agent = '', ip = '', device_name = '' WHERE id = ?
"""
_ACKNOWLEDGE: Final = """
UPDATE keyturn_session SET delivered = min(?1, generation) WHERE id = ?2 AND delivered < min(?1, generation)
"""
_REQUIRE: Final = """
UPDATE keyturn_session SET access_floor = max(access_floor, ?) WHERE id = ? AND ended_at IS NULL RETURNING access_floor
"""
_HEAD_MOVES: Final = "UPDATE keyturn_log SET head = head + ? WHERE only = 1 RETURNING head"
_ANNOUNCE: Final = "INSERT INTO keyturn_revocation (number, session_id, floor, until) VALUES (?, ?, ?, ?)"
_HEADLESS: Final = "the row of keyturn_log is missing: put the file back from a copy"
_LOG: Final = "SELECT epoch, head, dropped FROM keyturn_log WHERE only = 1"
_ENTRIES: Final = "SELECT number, session_id, floor, until FROM keyturn_revocation WHERE number >= ? ORDER BY number"
_PASSED: Final = "SELECT number FROM keyturn_revocation WHERE until <= ? LIMIT ?"
_DROP: Final = "DELETE FROM keyturn_revocation WHERE number = ?"
_DROPPED: Final = "UPDATE keyturn_log SET dropped = max(dropped, ?) WHERE only = 1"
_STEP_END: Final = "SELECT id FROM keyturn_session WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
_OVER: Final = """
FROM keyturn_session WHERE id > ?1 AND id <= ?2 AND (expires_at < ?3 OR idle_expires_at < ?3 OR ended_at < ?3)
"""
_PURGE: Final = "DELETE" + _OVER
_PURGEABLE: Final = "SELECT count(*)" + _OVER

_ID, _REALM, _SUBJECT, _ACCESS_FLOOR, _CREATED_AT, _ENDED_AT = map(
    COLUMNS.split(", ").index, ("id", "realm", "subject", "access_floor", "created_at", "ended_at")
)  # where they stand in a row

#: Above every id: ids have 16 bytes, and a longer text of bytes is greater.
LAST_ID: Final = b"\xff" * 17


def add(connection: sqlite3.Connection, row: Row) -> bool:
    """Insert a row; False where its id is taken."""
    return connection.execute(_ADD, row).rowcount == 1


def add_among(connection: sqlite3.Connection, row: Row, limit: int) -> list[Row] | None:
    """Insert a row; give when its user's live sessions began and their ids, none up to `limit`; None: its id is taken."""
    if not add(connection, row):
        return None
    found = connection.execute(_FIND_IDS, (row[_REALM], row[_SUBJECT], row[_CREATED_AT])).fetchall()
    return found if len(found) > limit else []


def get(connection: sqlite3.Connection, id_: bytes) -> Row | None:
    """Give a row."""
    row: Row | None = connection.execute(_GET, (id_,)).fetchone()
    return row


def advance_parameters(turn: Turn, id_: bytes) -> Row:
    """Give the parameters of `advance` for a turn of the row with this id."""
    common = (
        turn.to,
        micros(turn.now),
        micros_or_none(turn.idle_remember),
        micros_or_none(turn.idle_session),
        id_,
        turn.realm,
        turn.transport,
        turn.client_id,
        turn.seed_digest,
        turn.binding,
        turn.generation,
        micros_or_none(turn.turned_before),
    )
    return common if turn.changes is None else common + _changes_parameters(turn.changes)


def _changes_parameters(changes: Changes) -> Row:
    return (
        changes.floor,
        changes.access_floor,
        micros_or_none(changes.authenticated_at),
        None if changes.amr is None else json_text(list(changes.amr)),
        changes.scope,
        None if changes.claims is None else json_text(dict(changes.claims)),
        changes.binding,
    )


def advance(connection: sqlite3.Connection, parameters: Row, announced_until: int | None) -> Row | None:
    """Turn the key in one statement; with `announced_until`, step up and announce the access floor as well."""
    statement = _ADVANCE if announced_until is None else _ADVANCE_AND_STEP_UP
    rows: list[Row] = connection.execute(statement, parameters).fetchall()
    if not rows:
        return None
    if announced_until is not None:
        announce(connection, [(rows[0][_ID], rows[0][_ACCESS_FLOOR])], announced_until)
    return rows[0]


def recover(connection: sqlite3.Connection, now: int, id_: bytes, generation: int) -> Row | None:
    """Count a recovery if the row allows one more."""
    rows: list[Row] = connection.execute(_RECOVER, (now, id_, generation)).fetchall()
    return rows[0] if rows else None


def find(connection: sqlite3.Connection, realm: str, subject: str, now: int) -> list[Row]:
    """Give a user's live rows, in no order."""
    return connection.execute(_FIND, (realm, subject, now)).fetchall()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """When and why sessions end, and how long the log says so; times in microseconds."""

    at: int
    reason: str
    until: int


def end(connection: sqlite3.Connection, ids: Sequence[bytes], ending: Ending) -> list[Row]:
    """End rows by their ids; give them as they were."""
    rows = [row for id_ in ids for row in connection.execute(_UNENDED, (id_,))]
    return _end(connection, rows, ending)


def end_of_subject(
    connection: sqlite3.Connection, realm: str, subject: str, keep: bytes | None, ending: Ending
) -> list[Row]:
    """End all rows of a user but one; give them as they were."""
    rows = connection.execute(_UNENDED_OF_SUBJECT, (realm, subject, keep)).fetchall()
    return _end(connection, rows, ending)


def end_of_realm(
    connection: sqlite3.Connection,
    *,
    realm: str,
    after: tuple[str, bytes],
    limit: int,
    keep: bytes | None,
    ending: Ending,
) -> tuple[list[Row], tuple[str, bytes] | None]:
    """End the next rows of a realm along its index; give them as they were, and where to go on."""
    rows = connection.execute(_OF_REALM, (realm, *after, limit)).fetchall()
    unended = [row for row in rows if row[_ENDED_AT] is None and row[_ID] != keep]
    last = (rows[-1][_SUBJECT], rows[-1][_ID]) if len(rows) == limit else None
    return _end(connection, unended, ending), last


def _end(connection: sqlite3.Connection, rows: list[Row], ending: Ending) -> list[Row]:
    connection.executemany(_END, [(ending.at, ending.reason, row[_ID]) for row in rows])
    announce(connection, [(row[_ID], ENDED) for row in rows], ending.until)
    return rows


def acknowledge(connection: sqlite3.Connection, generations: Mapping[bytes, int]) -> None:
    """Raise `delivered` where it is lower."""
    connection.executemany(_ACKNOWLEDGE, [(generation, id_) for id_, generation in generations.items()])


def require(connection: sqlite3.Connection, floors: Mapping[bytes, int], until: int) -> None:
    """Raise access floors, and announce what they are now."""
    raised = [(id_, row[0]) for id_, floor in floors.items() for row in connection.execute(_REQUIRE, (floor, id_))]
    announce(connection, raised, until)


def announce(connection: sqlite3.Connection, floors: Sequence[tuple[bytes, int]], until: int) -> None:
    """Append entries to the log; raises StoreError where its head is missing."""
    if not floors:
        return
    heads = connection.execute(_HEAD_MOVES, (len(floors),)).fetchall()
    if not heads:
        raise StoreError(cause=_HEADLESS)
    head = heads[0][0]
    first = head - len(floors) + 1
    entries = [(number, id_, floor, until) for number, (id_, floor) in enumerate(floors, first)]
    connection.executemany(_ANNOUNCE, entries)


def log(connection: sqlite3.Connection) -> tuple[str, int, int]:
    """Give the log's epoch, the number of its last entry, and the highest number that was dropped.

    Raises:
        StoreError: somebody deleted the row that says so.
    """
    state: tuple[str, int, int] | None = connection.execute(_LOG).fetchone()
    if state is None:
        raise StoreError(cause=_HEADLESS)
    return state


def entries(connection: sqlite3.Connection, first: int) -> list[Row]:
    """Give the log's entries from a number on, that one included."""
    return connection.execute(_ENTRIES, (first,)).fetchall()


def drop_announcements(connection: sqlite3.Connection, before: int, limit: int) -> int:
    """Drop log entries whose time has passed; give how many."""
    numbers = connection.execute(_PASSED, (before, limit)).fetchall()
    if numbers:
        connection.executemany(_DROP, numbers)
        connection.execute(_DROPPED, (max(number for (number,) in numbers),))
    return len(numbers)


def purge(connection: sqlite3.Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
    """Look at the next rows along the primary key and delete what was over; give how many, and where to go on."""
    cursor = _step_end(connection, after, limit)
    deleted = connection.execute(_PURGE, (after, cursor or LAST_ID, before))
    return deleted.rowcount, cursor


def purgeable(connection: sqlite3.Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
    """Look at the next rows along the primary key and count what was over; give how many, and where to go on."""
    cursor = _step_end(connection, after, limit)
    (count,) = connection.execute(_PURGEABLE, (after, cursor or LAST_ID, before)).fetchone()
    return count, cursor


def _step_end(connection: sqlite3.Connection, after: bytes, limit: int) -> bytes | None:
    last = connection.execute(_STEP_END, (after, limit - 1)).fetchone()
    return last[0] if last else None
