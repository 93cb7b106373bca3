"""What each engine is told for each verb: a protocol, filled once per engine, of functions of a connection.

A function gets a blocking `Connection` in either colour (SQLAlchemy runs it beside the event loop), and says all that
its verb has to say on it. It neither begins nor commits: verbs named in `single` run in AUTOCOMMIT, all others inside
one transaction that is committed after them. Database errors are left to rise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from sqlalchemy import Connection

from .. import Changes, Turn
from .._rows import micros, micros_or_none
from .._values import json_text

#: A session's values in the order of `_rows.COLUMNS`; an id is its 16 bytes.
Row: TypeAlias = Sequence[Any]


class TurnRow(NamedTuple):
    """A turn's conditions and effects in the form that is sent; times in microseconds."""

    bucket: int
    id: bytes
    realm: str
    transport: str
    client_id: str | None
    seed_digest: bytes
    binding: bytes | None
    generation: int
    to: int
    now: int
    turned_before: int | None
    idle_remember: int | None
    idle_session: int | None


class ChangesRow(NamedTuple):
    """A step-up's changes in the form that is sent; None leaves a value as it is."""

    new_floor: int
    new_access_floor: int
    new_authenticated_at: int | None
    new_amr: str | None
    new_scope: str | None
    new_claims: str | None
    new_binding: bytes | None
    until: int


def bucket_of(raw: bytes) -> int:
    """Give the bucket of an id: its first two bytes."""
    return int.from_bytes(raw[:2], "big")


def turn_row(turn: Turn, raw: bytes) -> TurnRow:
    """Give the form of a turn of the row with this id; its changes are left out."""
    return TurnRow(
        bucket_of(raw),
        raw,
        turn.realm,
        turn.transport,
        turn.client_id,
        turn.seed_digest,
        turn.binding,
        turn.generation,
        turn.to,
        micros(turn.now),
        micros_or_none(turn.turned_before),
        micros_or_none(turn.idle_remember),
        micros_or_none(turn.idle_session),
    )


def changes_row(changes: Changes) -> ChangesRow:
    """Give the form of a step-up's changes."""
    return ChangesRow(
        changes.floor,
        changes.access_floor,
        micros_or_none(changes.authenticated_at),
        None if changes.amr is None else json_text(list(changes.amr)),
        changes.scope,
        None if changes.claims is None else json_text(dict(changes.claims)),
        changes.binding,
        micros(changes.until),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """When and why sessions end, and how long the log says so; times in microseconds."""

    at: int
    reason: str
    until: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """The head row: which log this is, the number of its last entry, and the highest number that was dropped."""

    epoch: str
    head: int
    dropped: int


class Statements(Protocol):
    """What one engine is told.

    Attributes:
        single: the verbs of one statement, by their names here.
        isolation: the level that transactions ask for; None leaves the connection's own.
    """

    single: frozenset[str]
    isolation: str | None

    def version(self, connection: Connection) -> int | None:
        """Give the version of the tables; None where the head row is missing. Raises where the tables are."""
        ...

    def add(self, connection: Connection, row: Row) -> bool:
        """Insert a row; False where its id is taken."""
        ...

    def get(self, connection: Connection, raw: bytes) -> Row | None:
        """Give a row."""
        ...

    def advance(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Turn the keys of different sessions (at most 64, sorted by id); give the rows of those that turned."""
        ...

    def fly(self, connection: Connection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Do as `advance` in the cheapest way, on a connection that is kept for it."""
        ...

    def advance_one(self, connection: Connection, turn: TurnRow) -> Row | None:
        """Turn one key; give its row if it turned."""
        ...

    def advance_again(self, connection: Connection, turn: TurnRow) -> Row | None:
        """Turn a key by a turn that may have been heard before: what it did then counts as done now."""
        ...

    def step_up(self, connection: Connection, turn: TurnRow, changes: ChangesRow) -> Row | None:
        """Turn one key, change what is to be changed, and announce the row's access floor."""
        ...

    def recover(self, connection: Connection, raw: bytes, generation: int, now: int) -> Row | None:
        """Count a recovery if the row allows one more."""
        ...

    def find(self, connection: Connection, realm: str, subject: str, now: int) -> Sequence[Row]:
        """Give a user's live rows, in no order."""
        ...

    def end(self, connection: Connection, raws: Sequence[bytes], ending: Ending) -> Sequence[Row]:
        """End rows by their ids (sorted), clear where they came from, and announce it; give them as they were."""
        ...

    def end_of_subject(
        self, connection: Connection, realm: str, subject: str, keep: bytes | None, ending: Ending
    ) -> Sequence[Row]:
        """End all rows of a user but one; give them as they were."""
        ...

    def end_of_realm(
        self,
        connection: Connection,
        realm: str,
        after: tuple[str, bytes],
        limit: int,
        keep: bytes | None,
        ending: Ending,
    ) -> tuple[Sequence[Row], tuple[str, bytes] | None]:
        """Look at the next `limit` rows of a realm along its index (subject, id) and end them.

        Gives those it ended as they were, and where to go on: the last one looked at, None where that was the end.
        """
        ...

    def acknowledge(self, connection: Connection, generations: Mapping[bytes, int]) -> None:
        """Raise `delivered` where it is lower, never above the row's generation; the mapping is sorted by id."""
        ...

    def require(self, connection: Connection, floors: Mapping[bytes, int], until: int) -> None:
        """Raise access floors of rows that have not ended, and announce what they are now; sorted by id."""
        ...

    def log(self, connection: Connection, first: int) -> tuple[LogState, Sequence[tuple[int, bytes, int, int]]]:
        """Give the head row, and the entries (number, id, floor, until) from a number on, of one and the same moment."""
        ...

    def drop_announcements(self, connection: Connection, before: int, limit: int) -> int:
        """Drop at most `limit` log entries whose time has passed, and note the highest; give how many."""
        ...

    def purge(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next `limit` rows along the primary key and delete what was over; give how many, where to go on."""
        ...

    def purgeable(self, connection: Connection, before: int, after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at the next `limit` rows along the primary key and count what was over; give how many, where to go on."""
        ...
