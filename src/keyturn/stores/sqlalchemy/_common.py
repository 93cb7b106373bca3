"""What every engine is told in the same words: reading rows and the log, and walking along the primary key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, tuple_

from ...errors import ConfigurationError
from .._rows import COLUMNS
from ._errors import wrong_version
from ._statements import LogState, Row, TurnRow, bucket_of
from .tables import VERSION, log, revocation, session

_c: Final = session.c
#: The session table's columns in the order that `_rows` reads them.
SELECTED: Final = tuple(_c[name] for name in COLUMNS.split(", "))

_VERSION: Final = select(log.c.version)
_ENCODING: Final = select(func.current_setting("server_encoding"))
_GET: Final = select(*SELECTED).where(_c.bucket == bindparam("bucket"), _c.id == bindparam("raw"))
_FIND: Final = select(*SELECTED).where(
    _c.realm == bindparam("realm"),
    _c.subject == bindparam("subject"),
    _c.ended_at.is_(None),
    bindparam("now", type_=_c.expires_at.type) < _c.idle_expires_at,
    bindparam("now", type_=_c.expires_at.type) < _c.expires_at,
)
# One statement, so that the head row and the entries are of one moment at any level of isolation.
_LOG: Final = (
    select(
        log.c.epoch, log.c.head, log.c.dropped,
        revocation.c.number, revocation.c.session_id, revocation.c.floor, revocation.c.until,
    )
    .select_from(log.outerjoin(revocation, revocation.c.number >= bindparam("first")))
    .order_by(revocation.c.number)
)  # fmt: skip
_STEP_END: Final = (
    select(_c.id)
    .where(tuple_(_c.bucket, _c.id) > tuple_(bindparam("bucket"), bindparam("after")))
    .order_by(_c.bucket, _c.id)
    .limit(1)
    .offset(bindparam("skipped"))
)
_OVER: Final = or_(*(column < bindparam("before") for column in (_c.expires_at, _c.idle_expires_at, _c.ended_at)))
_BEGUN: Final = tuple_(_c.bucket, _c.id) > tuple_(bindparam("bucket"), bindparam("after"))
_PURGE_THE_REST: Final = delete(session).where(and_(_BEGUN, _OVER))
_PURGEABLE_THE_REST: Final = select(func.count()).select_from(session).where(and_(_BEGUN, _OVER))
_UP_TO: Final = tuple_(_c.bucket, _c.id) <= tuple_(bindparam("last_bucket"), bindparam("last"))
_PURGE: Final = _PURGE_THE_REST.where(_UP_TO)
_PURGEABLE: Final = _PURGEABLE_THE_REST.where(_UP_TO)

#: What a turn that was carried out leaves in its row, beside what it must have found there.
_SHOWN: Final = ("realm", "transport", "seed_digest", "binding", "generation", "rotated_at", "ended_at")
_AT: Final = {name: at for at, name in enumerate(COLUMNS.split(", "))}


class CommonStatements:
    """The verbs that read, and the walk of a purge."""

    def version(self, connection: Connection) -> int | None:
        """Give the version of the tables; None where the head row is missing."""
        version: int | None = connection.execute(_VERSION).scalar_one_or_none()
        return version

    def get(self, connection: Connection, raw: bytes) -> Row | None:
        """Give a row."""
        return connection.execute(_GET, {"bucket": bucket_of(raw), "raw": raw}).one_or_none()

    def advance(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Turn the keys of different sessions; give the rows of those that turned."""
        raise NotImplementedError

    def advance_one(self, connection: Connection, turn: TurnRow) -> Row | None:
        """Turn one key; give its row if it turned."""
        rows = self.advance(connection, [turn])
        return rows[0] if rows else None

    def advance_again(self, connection: Connection, turn: TurnRow) -> Row | None:
        """Turn a key by a turn that may have been heard before: what it did then counts as done now.

        It shows in the row, to the microsecond. Else the row would be judged as if two clients had sent one token.
        """
        if turned := self.advance_one(connection, turn):
            return turned
        row = self.get(connection, turn.id)
        return row if row is not None and _shows(row, turn) else None

    def fly(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Do as `advance`: not every engine has a cheaper way."""
        return self.advance(connection, turns)

    def find(self, connection: Connection, realm: str, subject: str, now: int) -> Sequence[Row]:
        """Give a user's live rows, in no order."""
        return connection.execute(_FIND, {"realm": realm, "subject": subject, "now": now}).all()

    def log(self, connection: Connection, first: int) -> tuple[LogState, Sequence[tuple[int, bytes, int, int]]]:
        """Give the head row, and the entries from a number on, of one and the same moment.

        Raises:
            StoreError: the head row is missing.
        """
        rows = connection.execute(_LOG, {"first": first}).all()
        if not rows:
            raise wrong_version(None, VERSION)
        epoch, head, dropped, *_ = rows[0]
        entries = [(number, raw, floor, until) for _, _, _, number, raw, floor, until in rows if number is not None]
        return LogState(epoch=epoch, head=head, dropped=dropped), entries

    def purge(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next rows along the primary key and delete what was over; give how many, and where to go on."""
        start: dict[str, Any] = {"bucket": bucket_of(after), "after": after}
        last: bytes | None = connection.execute(_STEP_END, {**start, "skipped": limit - 1}).scalar_one_or_none()
        if last is None:
            return connection.execute(_PURGE_THE_REST, {**start, "before": before}).rowcount, None
        end = {"last_bucket": bucket_of(last), "last": last}
        return connection.execute(_PURGE, {**start, **end, "before": before}).rowcount, last

    def purgeable(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next rows along the primary key and count what was over; give how many, and where to go on."""
        start: dict[str, Any] = {"bucket": bucket_of(after), "after": after}
        last: bytes | None = connection.execute(_STEP_END, {**start, "skipped": limit - 1}).scalar_one_or_none()
        if last is None:
            return connection.execute(_PURGEABLE_THE_REST, {**start, "before": before}).scalar_one(), None
        end = {"last_bucket": bucket_of(last), "last": last}
        return connection.execute(_PURGEABLE, {**start, **end, "before": before}).scalar_one(), last


def _shows(row: Row, turn: TurnRow) -> bool:
    left = (turn.realm, turn.transport, turn.seed_digest, turn.binding, turn.to, turn.now, None)
    return tuple(row[_AT[name]] for name in _SHOWN) == left and turn.client_id in {None, row[_AT["client_id"]]}


def refuse_encoding(connection: Connection) -> None:
    """Refuse a PostgreSQL database that cannot hold every character.

    Raises:
        ConfigurationError: with the remedy.
    """
    encoding = connection.execute(_ENCODING).scalar_one()
    if encoding != "UTF8":
        raise ConfigurationError([f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'"])
