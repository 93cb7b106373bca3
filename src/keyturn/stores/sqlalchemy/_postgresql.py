"""What PostgreSQL is told: one statement for each verb, so that one turn on the network is all it takes.

A verb that announces something does so in the statement that changes the rows. The head row of the log, for which
others wait, is then locked for no longer than the server needs, whatever becomes of the caller or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Connection, Dialect, Integer, LargeBinary, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeEngine

from .. import ENDED, MAX_RECOVERIES
from .._rows import COLUMNS
from ._common import CommonStatements, refuse_encoding
from ._directly import Direct
from ._statements import ChangesRow, Ending, Row, TurnRow, bucket_of
from .tables import session

_NUMBER: Final = BigInteger()
#: The types of what is sent, by name: the server must not guess them from a value that may be NULL.
_TYPES: Final[Mapping[str, TypeEngine[Any]]] = {
    "bucket": Integer(),
    "raw": LargeBinary(),
    "seed_digest": LargeBinary(),
    "binding": LargeBinary(),
    "new_binding": LargeBinary(),
    "keep": LargeBinary(),
    "after_id": LargeBinary(),
    "last_id": LargeBinary(),
    "buckets": ARRAY(Integer()),
    "raws": ARRAY(LargeBinary()),
    "values": ARRAY(BigInteger()),
    **dict.fromkeys(
        (
            "realm", "subject", "transport", "client_id", "reason", "after_subject", "last_subject", "new_amr",
            "new_scope", "new_claims",
        ),
        Text(),
    ),
}  # fmt: skip


def _said(statement: str) -> TextClause:
    """Give a statement whose parameters have their types."""
    clause = text(statement)
    names = clause._bindparams  # noqa: SLF001 - no public way to ask
    return clause.bindparams(*(bindparam(name, type_=_TYPES.get(name, _NUMBER)) for name in names))


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in COLUMNS.split(", "))


def _of_parameter(name: str) -> str:
    return ":" + ("raw" if name == "id" else name)


def _of_table(name: str) -> str:
    return f't."{name}"'  # "to" is a word of SQL


def _turned(value: Callable[[str], str], also: str, source: str) -> str:
    """Spell the turn: conditions and effects of `advance`, with a turn's values from parameters or from a table."""
    v = {name: value(name) for name in TurnRow._fields}
    idle = f"CASE WHEN s.remember THEN {v['idle_remember']} ELSE {v['idle_session']} END"
    return f"""
    UPDATE keyturn_session AS s SET
        generation = {v["to"]}, rotated_at = {v["now"]}, recovered_at = NULL,
        recoveries = CASE WHEN s.recovered_at IS NULL THEN 0 ELSE s.recoveries END,
        idle_expires_at = CASE WHEN {idle} IS NULL THEN s.idle_expires_at ELSE least({idle}, s.expires_at) END{also}
    {source}
    WHERE s.bucket = {v["bucket"]} AND s.id = {v["id"]} AND s.realm = {v["realm"]} AND s.transport = {v["transport"]}
        AND ({v["client_id"]} IS NULL OR s.client_id = {v["client_id"]})
        AND s.seed_digest = {v["seed_digest"]} AND s.binding IS NOT DISTINCT FROM {v["binding"]}
        AND s.generation = {v["generation"]} AND s.generation >= s.floor
        AND s.ended_at IS NULL AND {v["now"]} < s.idle_expires_at AND {v["now"]} < s.expires_at
        AND ({v["turned_before"]} IS NULL OR s.generation = 0 OR s.access_floor > s.generation
            OR (s.rotated_at <= {v["turned_before"]}
                AND (s.recovered_at IS NULL OR s.recovered_at <= {v["turned_before"]})))
    RETURNING {_columns("s")}
    """  # noqa: S608 - constants


# Appends what `source`, a table of (id, floor), says. `head` waits for whoever appended before and has not committed.
def _announcing(source: str) -> str:
    return f"""
    head AS (
        UPDATE keyturn_log SET head = head + (SELECT count(*) FROM {source})
        WHERE id = 1 AND EXISTS (SELECT FROM {source}) RETURNING head
    ), said AS (
        INSERT INTO keyturn_revocation (number, session_id, floor, until)
        SELECT head.head - count(*) OVER () + row_number() OVER (ORDER BY a.id), a.id, a.floor, :until
        FROM head, {source} AS a
    )
    """  # noqa: S608 - constants


def _ending(which: str) -> TextClause:
    """Spell the end of all rows that have not ended and are meant by `which`; locks are taken in the order of ids."""
    return _said(f"""
    WITH old AS MATERIALIZED (
        SELECT {_columns("s")}, s.bucket FROM keyturn_session AS s
        WHERE s.ended_at IS NULL AND {which} ORDER BY s.bucket, s.id FOR UPDATE
    ), ended AS (
        UPDATE keyturn_session AS s
        SET ended_at = :at, end_reason = :reason, user_agent = '', ip = '', device_name = ''
        FROM old WHERE s.bucket = old.bucket AND s.id = old.id
        RETURNING s.id, CAST({ENDED} AS bigint) AS floor
    ), {_announcing("ended")}
    SELECT {_columns("old")} FROM old
    """)  # noqa: S608 - constants


_ADD: Final = insert(session).on_conflict_do_nothing().returning(session.c.id)
_ADDED: Final = ("bucket", *COLUMNS.split(", "))
_ADVANCE: Final = _said(_turned(_of_parameter, "", ""))
_TURN_ARRAYS: Final = ", ".join(f":{name}" for name in TurnRow._fields)
_TURN_NAMES: Final = ", ".join(f'"{name}"' for name in TurnRow._fields)
_ADVANCE_SEVERAL: Final = text(_turned(_of_table, "", f"FROM unnest({_TURN_ARRAYS}) AS t ({_TURN_NAMES})")).bindparams(
    *(bindparam(name, type_=ARRAY(_TYPES.get("raw" if name == "id" else name, _NUMBER))) for name in TurnRow._fields)
)
_CHANGES: Final = """,
        floor = greatest(s.floor, :new_floor), access_floor = greatest(s.access_floor, :new_access_floor),
        authenticated_at = coalesce(:new_authenticated_at, s.authenticated_at), amr = coalesce(:new_amr, s.amr),
        scope = coalesce(:new_scope, s.scope), claims = coalesce(:new_claims, s.claims),
        binding = coalesce(:new_binding, s.binding)"""
_STEP_UP: Final = _said(f"""
    WITH turned AS ({_turned(_of_parameter, _CHANGES, "")}),
    announced AS (SELECT id, access_floor AS floor FROM turned), {_announcing("announced")}
    SELECT {_columns("turned")} FROM turned
    """)  # noqa: S608 - constants
_RECOVER: Final = _said(f"""
    UPDATE keyturn_session AS s SET recovered_at = :now, recoveries = s.recoveries + 1
    WHERE s.bucket = :bucket AND s.id = :raw AND s.generation = :generation AND s.ended_at IS NULL
        AND s.recoveries < {MAX_RECOVERIES}
    RETURNING {_columns("s")}
    """)  # noqa: S608 - constants
_END: Final = _ending("(s.bucket, s.id) IN (SELECT * FROM unnest(:buckets, :raws))")
_END_OF_SUBJECT: Final = _ending("s.realm = :realm AND s.subject = :subject AND s.id IS DISTINCT FROM :keep")
_REALM_STEP_END: Final = _said("""
    SELECT subject, id FROM keyturn_session
    WHERE realm = :realm AND subject >= :after_subject AND (subject, id) > (:after_subject, :after_id)
    ORDER BY subject, id LIMIT 1 OFFSET :skipped
    """)
# The bounds of the subject alone say no more, but of pairs the planner guesses a third of the table, and reads it all.
_IN_REALM: Final = (
    "s.realm = :realm AND s.id IS DISTINCT FROM :keep"
    " AND s.subject >= :after_subject AND (s.subject, s.id) > (:after_subject, :after_id)"
)
_END_REST_OF_REALM: Final = _ending(_IN_REALM)
_END_STEP_OF_REALM: Final = _ending(
    _IN_REALM + " AND s.subject <= :last_subject AND (s.subject, s.id) <= (:last_subject, :last_id)"
)
_ACKNOWLEDGE: Final = _said("""
    UPDATE keyturn_session AS s SET delivered = least(t.value, s.generation)
    FROM unnest(:buckets, :raws, :values) AS t (bucket, id, value)
    WHERE s.bucket = t.bucket AND s.id = t.id AND s.delivered < least(t.value, s.generation)
    """)
_REQUIRE: Final = _said(f"""
    WITH required AS (
        UPDATE keyturn_session AS s SET access_floor = greatest(s.access_floor, t.value)
        FROM unnest(:buckets, :raws, :values) AS t (bucket, id, value)
        WHERE s.bucket = t.bucket AND s.id = t.id AND s.ended_at IS NULL
        RETURNING s.id, s.access_floor AS floor
    ), {_announcing("required")}
    SELECT 1
    """)  # noqa: S608 - constants
_DROP: Final = _said("""
    WITH gone AS (
        DELETE FROM keyturn_revocation
        WHERE number IN (SELECT number FROM keyturn_revocation WHERE until <= :before ORDER BY until LIMIT :limit)
        RETURNING number
    ), noted AS (
        UPDATE keyturn_log SET dropped = greatest(dropped, (SELECT max(number) FROM gone))
        WHERE id = 1 AND EXISTS (SELECT FROM gone)
    )
    SELECT count(*) FROM gone
    """)

#: Rows that one statement joins with a list at most: beyond it the plan may become a hash join, which takes locks in no
#: order.
_BATCH: Final = 64


class PostgresqlStatements(CommonStatements):
    """What PostgreSQL is told."""

    single: frozenset[str] = frozenset({
        "version", "add", "get", "advance", "step_up", "recover", "find", "end", "end_of_subject", "end_of_realm",
        "acknowledge", "require", "log", "drop_announcements", "purge", "purgeable",
    })  # fmt: skip
    isolation: str | None = "READ COMMITTED"

    def __init__(self, dialect: Dialect) -> None:
        self._one = Direct(_ADVANCE, dialect)
        self._several = Direct(_ADVANCE_SEVERAL, dialect)

    def version(self, connection: Connection) -> int | None:
        """Give the version of the tables; refuses a database that cannot hold every character."""
        refuse_encoding(connection)
        return super().version(connection)

    def add(self, connection: Connection, row: Row) -> bool:
        """Insert a row; False where its id is taken."""
        values: dict[str, Any] = dict(zip(_ADDED, (bucket_of(row[0]), *row), strict=True))
        return connection.execute(_ADD, values).first() is not None

    def advance(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Turn the keys of different sessions; give the rows of those that turned."""
        if len(turns) == 1:
            return connection.execute(_ADVANCE, _parameters(turns[0])).all()
        return connection.execute(_ADVANCE_SEVERAL, _lists(turns)).all()

    def fly(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Do as `advance` in the cheapest way, on a connection that is kept for it."""
        if len(turns) == 1:
            return self._one.rows(connection, _parameters(turns[0]))
        return self._several.rows(connection, _lists(turns))

    def step_up(self, connection: Connection, turn: TurnRow, changes: ChangesRow) -> Row | None:
        """Turn one key, change what is to be changed, and announce the row's access floor."""
        return connection.execute(_STEP_UP, {**_parameters(turn), **changes._asdict()}).one_or_none()

    def recover(self, connection: Connection, raw: bytes, generation: int, now: int) -> Row | None:
        """Count a recovery if the row allows one more."""
        values = {"bucket": bucket_of(raw), "raw": raw, "generation": generation, "now": now}
        return connection.execute(_RECOVER, values).one_or_none()

    def end(self, connection: Connection, raws: Sequence[bytes], ending: Ending) -> Sequence[Row]:
        """End rows by their ids; give them as they were."""
        return _ended(connection, _END, ending, buckets=[bucket_of(raw) for raw in raws], raws=list(raws))

    def end_of_subject(
        self, connection: Connection, realm: str, subject: str, keep: bytes | None, ending: Ending
    ) -> Sequence[Row]:
        """End all rows of a user but one; give them as they were."""
        return _ended(connection, _END_OF_SUBJECT, ending, realm=realm, subject=subject, keep=keep)

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
        start = {"realm": realm, "after_subject": after[0], "after_id": after[1]}
        last = connection.execute(_REALM_STEP_END, {**start, "skipped": limit - 1}).one_or_none()
        if last is None:
            return _ended(connection, _END_REST_OF_REALM, ending, keep=keep, **start), None
        subject, raw = last
        bounds = {"last_subject": subject, "last_id": raw}
        return _ended(connection, _END_STEP_OF_REALM, ending, keep=keep, **start, **bounds), (subject, raw)

    def acknowledge(self, connection: Connection, generations: Mapping[bytes, int]) -> None:
        """Raise `delivered` where it is lower; every batch for itself, for it may be said again."""
        raws = list(generations)
        for start in range(0, len(raws), _BATCH):
            batch = raws[start : start + _BATCH]
            connection.execute(_ACKNOWLEDGE, _listed({raw: generations[raw] for raw in batch}))

    def require(self, connection: Connection, floors: Mapping[bytes, int], until: int) -> None:
        """Raise access floors of rows that have not ended, and announce what they are now."""
        connection.execute(_REQUIRE, {**_listed(floors), "until": until})

    def drop_announcements(self, connection: Connection, before: int, limit: int) -> int:
        """Drop log entries whose time has passed; give how many."""
        dropped: int = connection.execute(_DROP, {"before": before, "limit": limit}).scalar_one()
        return dropped


def _parameters(turn: TurnRow) -> dict[str, Any]:
    values = turn._asdict()
    values["raw"] = values.pop("id")
    return values


def _lists(turns: Sequence[TurnRow]) -> dict[str, list[Any]]:
    return dict(zip(TurnRow._fields, map(list, zip(*turns, strict=True)), strict=True))


def _listed(values: Mapping[bytes, int]) -> dict[str, Any]:
    return {
        "buckets": [bucket_of(raw) for raw in values],
        "raws": list(values),
        "values": list(values.values()),
    }


def _ended(connection: Connection, statement: TextClause, ending: Ending, **which: Any) -> Sequence[Row]:
    values = {"at": ending.at, "reason": ending.reason, "until": ending.until}
    return connection.execute(statement, {**values, **which}).all()
