"""What MariaDB is told.

MariaDB has no UPDATE … RETURNING. A turn is one statement all the same: an INSERT of what the row shall be, selected
from the row itself under its lock, which finds the key taken and becomes an update, and which may say what it left.
Nothing is selected where a condition fails, and so nothing is written.

Nothing here trusts the connection's settings, which are the application's. Bytes travel as hexadecimal digits: drivers
escape them with backslashes, which NO_BACKSLASH_ESCAPES turns into text. What is too long is refused here: without a
strict sql_mode the server would cut it short. No count of affected rows is read where the driver's flags decide what
it counts. Transactions lock what they read and read nothing else before they write, which is right at every level of
isolation, with innodb_snapshot_isolation (on by default from 11.8) and without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import IntegrityError

from .. import ENDED, MAX_RECOVERIES
from .._rows import COLUMNS
from ._common import CommonStatements
from ._mariadb_turns import ADVANCE, RECOVER, STEP_UP, advancing_several
from ._mariadb_values import code_of, digits, id_list, of_ids, refuse_too_long, refuse_unfit, together
from ._statements import ChangesRow, Ending, Row, TurnRow, bucket_of

_NAMES: Final = COLUMNS.split(", ")
_BINARY: Final = frozenset({"id", "seed_digest", "binding"})
_ADD: Final = (
    f"INSERT INTO keyturn_session (bucket, {COLUMNS}) VALUES (%(bucket)s, "  # noqa: S608 - constants
    + ", ".join(f"UNHEX(%({name})s)" if name in _BINARY else f"%({name})s" for name in _NAMES)
    + ")"
)
_DUPLICATE_KEY: Final = 1062
_GET: Final = f"SELECT {COLUMNS} FROM keyturn_session WHERE bucket = %(bucket)s AND id = UNHEX(%(id)s)"  # noqa: S608
_UNENDED: Final = f"SELECT {COLUMNS} FROM keyturn_session WHERE ended_at IS NULL AND "  # noqa: S608 - constants
_END: Final = """
UPDATE keyturn_session SET ended_at = %(at)s, end_reason = %(reason)s, user_agent = '', ip = '', device_name = '' WHERE
"""
_OF_SUBJECT: Final = "realm = %(realm)s AND subject = %(subject)s AND id <> UNHEX(%(keep)s) FOR UPDATE"
# MariaDB reads (a, b) > (x, y) row by row; spelled out, it is a range of the index.
_OF_REALM: Final = f"""
SELECT {COLUMNS} FROM keyturn_session WHERE realm = %(realm)s AND (
    subject > %(subject)s OR (subject = %(subject)s AND bucket > %(bucket)s)
    OR (subject = %(subject)s AND bucket = %(bucket)s AND id > UNHEX(%(after)s)))
ORDER BY subject, bucket, id LIMIT %(limit)s FOR UPDATE
"""  # noqa: S608 - constants
# LAST_INSERT_ID(…) hands the new value back with the statement's acknowledgement.
_HEAD_MOVES: Final = "UPDATE keyturn_log SET head = LAST_INSERT_ID(head + %(count)s) WHERE id = 1"
_ANNOUNCE: Final = "INSERT INTO keyturn_revocation (number, session_id, floor, until) VALUES "
_FLOORS: Final = "SELECT id, access_floor FROM keyturn_session WHERE ended_at IS NULL AND "
_RAISE: Final = """
UPDATE ({values}) AS t STRAIGHT_JOIN keyturn_session AS s ON s.bucket = t.bucket AND s.id = t.id
SET s.{column} = {value} WHERE s.{column} < {value}
"""
_DROP: Final = """
DELETE FROM keyturn_revocation WHERE until <= %(before)s ORDER BY until LIMIT %(limit)s RETURNING number
"""
_DROPPED: Final = "UPDATE keyturn_log SET dropped = GREATEST(dropped, %(highest)s) WHERE id = 1"
_OVER: Final = "(expires_at < %(before)s OR idle_expires_at < %(before)s OR ended_at < %(before)s)"
_WALK: Final = f"""
SELECT id, COALESCE({_OVER}, FALSE) FROM keyturn_session
WHERE bucket > %(bucket)s OR (bucket = %(bucket)s AND id > UNHEX(%(after)s))
ORDER BY bucket, id LIMIT %(limit)s
"""  # noqa: S608 - constants
_ID, _SUBJECT, _ACCESS_FLOOR, _ENDED_AT = map(_NAMES.index, ("id", "subject", "access_floor", "ended_at"))
#: Rows that one statement names at most: the text stays below 64 KiB, and the optimizer looks at each.
_BATCH: Final = 1000
_SELECTS: Final = 64  # and where each is a SELECT of its own
_VERBS: Final = frozenset({
    "version", "add", "get", "advance", "step_up", "recover", "find", "end", "end_of_subject", "end_of_realm",
    "acknowledge", "require", "log", "drop_announcements", "purge", "purgeable",
})  # fmt: skip
_GROUPED: Final = frozenset({"advance"})


class MariadbStatements(CommonStatements):
    """What MariaDB is told.

    Args:
        dialect: of the engine.
    """

    single: frozenset[str]

    isolation: str | None = None

    def __init__(self, dialect: Dialect) -> None:
        # Drivers switch AUTOCOMMIT with a statement: on a connection from an application's pool that costs more turns
        # on the network than a COMMIT. Not so where connections are made that way, or kept.
        lasts = getattr(dialect, "_on_connect_isolation_level", None) == "AUTOCOMMIT"
        self.single = _VERBS if lasts else _GROUPED if dialect.is_async else frozenset()

    def version(self, connection: Connection) -> int | None:
        """Give the version of the tables; refuses connections that lose characters, and servers that are no MariaDB."""
        refuse_unfit(connection)
        return super().version(connection)

    def add(self, connection: Connection, row: Row) -> bool:
        """Insert a row; False where its id is taken."""
        refuse_too_long(dict(zip(_NAMES, row, strict=True)))
        values = {name: digits(value) if name in _BINARY else value for name, value in zip(_NAMES, row, strict=True)}
        try:
            connection.exec_driver_sql(_ADD, {"bucket": bucket_of(row[_ID]), **values})
        except IntegrityError as error:
            if code_of(error) != _DUPLICATE_KEY:
                raise
            return False
        return True

    def get(self, connection: Connection, raw: bytes) -> Row | None:
        """Give a row."""
        return connection.exec_driver_sql(_GET, {"bucket": bucket_of(raw), "id": digits(raw)}).one_or_none()

    def advance(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Turn the keys of different sessions; give the rows of those that turned."""
        statement = ADVANCE if len(turns) == 1 else advancing_several(len(turns))
        values = _turn_values(turns[0]) if len(turns) == 1 else _numbered(turns)
        return connection.exec_driver_sql(statement, values).all()

    def step_up(self, connection: Connection, turn: TurnRow, changes: ChangesRow) -> Row | None:
        """Turn one key, change what is to be changed, and announce the row's access floor."""
        sent = changes._asdict()
        refuse_too_long({name.removeprefix("new_"): value for name, value in sent.items()})
        values = {**_turn_values(turn), **sent, "new_binding": digits(changes.new_binding)}

        def work() -> Row | None:
            row = connection.exec_driver_sql(STEP_UP, values).one_or_none()
            if row is not None:
                _announce(connection, [(row[_ID], row[_ACCESS_FLOOR])], changes.until)
            return row

        return together(connection, work)

    def recover(self, connection: Connection, raw: bytes, generation: int, now: int) -> Row | None:
        """Count a recovery if the row allows one more."""
        values = {
            "bucket": bucket_of(raw), "id": digits(raw), "generation": generation, "now": now, "most": MAX_RECOVERIES,
        }  # fmt: skip
        return connection.exec_driver_sql(RECOVER, values).one_or_none()

    def end(self, connection: Connection, raws: Sequence[bytes], ending: Ending) -> Sequence[Row]:
        """End rows by their ids; give them as they were."""

        def work() -> Sequence[Row]:
            rows: list[Row] = []
            for batch in _batches(raws, _BATCH):
                rows += connection.exec_driver_sql(f"{_UNENDED} {of_ids(batch)} FOR UPDATE").all()
            return _end(connection, rows, ending)

        return together(connection, work)

    def end_of_subject(
        self, connection: Connection, realm: str, subject: str, keep: bytes | None, ending: Ending
    ) -> Sequence[Row]:
        """End all rows of a user but one; give them as they were."""
        values = {"realm": realm, "subject": subject, "keep": digits(keep or b"")}

        def work() -> Sequence[Row]:
            return _end(connection, connection.exec_driver_sql(_UNENDED + _OF_SUBJECT, values).all(), ending)

        return together(connection, work)

    def end_of_realm(
        self,
        connection: Connection,
        realm: str,
        after: tuple[str, bytes],
        limit: int,
        keep: bytes | None,
        ending: Ending,
    ) -> tuple[Sequence[Row], tuple[str, bytes] | None]:
        """End the next rows of a realm along its index; give them as they were, and where to go on."""
        subject, raw = after
        values = {"realm": realm, "subject": subject, "bucket": bucket_of(raw), "after": digits(raw), "limit": limit}

        def work() -> tuple[Sequence[Row], tuple[str, bytes] | None]:
            rows = connection.exec_driver_sql(_OF_REALM, values).all()
            last = (rows[-1][_SUBJECT], rows[-1][_ID]) if len(rows) == limit else None
            unended = [row for row in rows if row[_ENDED_AT] is None and row[_ID] != keep]
            return _end(connection, unended, ending), last

        return together(connection, work)

    def acknowledge(self, connection: Connection, generations: Mapping[bytes, int]) -> None:
        """Raise `delivered` where it is lower; every batch for itself, for it may be said again."""
        for batch in _batches(list(generations.items()), _SELECTS):
            statement = _RAISE.format(values=id_list(batch), column="delivered", value="LEAST(t.value, s.generation)")
            connection.exec_driver_sql(statement)

    def require(self, connection: Connection, floors: Mapping[bytes, int], until: int) -> None:
        """Raise access floors of rows that have not ended, and announce what they are now."""

        def work() -> None:
            raised: list[tuple[bytes, int]] = []
            for batch in _batches(list(floors), _BATCH):
                rows = connection.exec_driver_sql(f"{_FLOORS} {of_ids(batch)} FOR UPDATE").all()
                raised += [(raw, max(floors[raw], floor)) for raw, floor in rows]
            for pairs in _batches(raised, _SELECTS):
                connection.exec_driver_sql(_RAISE.format(values=id_list(pairs), column="access_floor", value="t.value"))
            _announce(connection, raised, until)

        together(connection, work)

    def drop_announcements(self, connection: Connection, before: int, limit: int) -> int:
        """Drop log entries whose time has passed; give how many."""

        def work() -> int:
            numbers = connection.exec_driver_sql(_DROP, {"before": before, "limit": limit}).scalars().all()
            if numbers:
                connection.exec_driver_sql(_DROPPED, {"highest": max(numbers)})
            return len(numbers)

        return together(connection, work)

    def purge(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next rows along the primary key and delete what was over; give how many, and where to go on.

        What is alive is read without a lock: no refresh waits for a purge.
        """
        start = {"bucket": bucket_of(after), "after": digits(after), "limit": limit, "before": before}
        seen = connection.exec_driver_sql(_WALK, start).all()
        for batch in _batches([raw for raw, is_over in seen if is_over], _BATCH):
            statement = f"DELETE FROM keyturn_session WHERE {of_ids(batch)} AND {_OVER}"  # noqa: S608 - digits
            connection.exec_driver_sql(statement, {"before": before})
        return sum(1 for _, is_over in seen if is_over), (seen[-1][0] if len(seen) == limit else None)

    def purgeable(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next rows along the primary key and count what was over; give how many, and where to go on."""
        start = {"bucket": bucket_of(after), "after": digits(after), "limit": limit, "before": before}
        seen = connection.exec_driver_sql(_WALK, start).all()
        return sum(1 for _, is_over in seen if is_over), (seen[-1][0] if len(seen) == limit else None)


def _turn_values(turn: TurnRow) -> dict[str, Any]:
    values = turn._asdict()
    return values | {name: digits(values[name]) for name in _BINARY}


def _numbered(turns: Sequence[TurnRow]) -> dict[str, Any]:
    return {f"{name}_{nth}": value for nth, turn in enumerate(turns) for name, value in _turn_values(turn).items()}


def _batches(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _end(connection: Connection, rows: Sequence[Row], ending: Ending) -> Sequence[Row]:
    raws = [row[_ID] for row in rows]
    for batch in _batches(raws, _BATCH):
        connection.exec_driver_sql(_END + of_ids(batch), {"at": ending.at, "reason": ending.reason})
    _announce(connection, [(raw, ENDED) for raw in raws], ending.until)
    return rows


def _announce(connection: Connection, floors: Sequence[tuple[bytes, int]], until: int) -> None:
    """Append entries to the log; last in a transaction, for who moves `head` lets others wait until it is over."""
    if not floors:
        return
    head: int = connection.exec_driver_sql(_HEAD_MOVES, {"count": len(floors)}).lastrowid
    first = head - len(floors) + 1
    entries = [f"({number}, x'{raw.hex()}', {floor}, {until})" for number, (raw, floor) in enumerate(floors, first)]
    for batch in _batches(entries, _BATCH):
        connection.exec_driver_sql(_ANNOUNCE + ", ".join(batch))
