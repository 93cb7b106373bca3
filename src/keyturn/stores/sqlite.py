"""The embedded store: one SQLite file, the standard library and nothing else.

For one machine; several processes may use the file at once. Not for a network file system, whose locks do not hold.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from .._colour import Colour
from ..errors import ConfigurationError, StoreError
from ..session import EndReason, Session, is_live, session_id_bytes, session_id_text
from . import EndStep, Purged, Revocation, Revocations, Turn, _sqlite_statements as statements
from ._rows import Row, micros, realm_cursor, realm_start, session_of, session_row, time_of
from ._sqlite_life import WriterOnDemand
from ._sqlite_schema import Synchronous, open_database
from ._sqlite_writer import Call, running_loop
from ._values import is_text, refuse_unstorable, refuse_unstorable_changes, revocations_after

T = TypeVar("T")

#: Rows that one transaction ends or drops at most where a verb concerns any number of them: some 10 ms of work.
_STEP: Final = 1000
#: Seconds between two steps of a purge, longer than a group of refreshes takes to commit.
_BREATH: Final = 0.002
_TAKEN: Final = "a session with this id exists already"
#: RETURNING came with it.
_OLDEST_SQLITE: Final = (3, 35, 0)


class SqliteStore:
    """Keeps sessions in a SQLite file; the first call makes the file (mode 0600) and its tables where it is new.

    One thread owns the connection and does all that waits in one transaction. A caller in a running asyncio loop
    awaits its answer, any other one blocks for it. Nothing is opened before the first call, and `close` may be
    followed by further calls, which open the file again.

    Args:
        path: where the file is; relative to the current folder at this moment.
        synchronous: ``"FULL"``: what was answered survives kill -9 and the loss of power. ``"NORMAL"``: it survives
            kill -9, but losing power may take the last moments away; faster.
        busy_timeout: how long a call waits for another process that holds the file; then it raises StoreError.

    Raises:
        ConfigurationError: Python's SQLite is older than 3.35.
    """

    colour: Colour = "both"

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout: timedelta = timedelta(seconds=5),  # two turns of the disk on a bad day; a client waits longer
    ) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigurationError([f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed"])
        self.path = Path(path).absolute()
        self._writer = WriterOnDemand(
            partial(open_database, str(self.path), synchronous=synchronous, busy_timeout=busy_timeout)
        )

    def close(self) -> None:
        """Finish what waits and close the file; blocks until that is done. A later call opens it again."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def add(self, session: Session) -> None:
        """Keep a new session; a duplicate id raises StoreError and changes nothing."""
        refuse_unstorable(session)
        row = session_row(session)
        if not await self._write(lambda connection: statements.add(connection, row)):
            raise StoreError(cause=_TAKEN)

    async def add_among(self, session: Session, *, limit: int) -> Sequence[str]:
        """Keep a new session and give the ids of its user's live ones, oldest first; none where no more than `limit`."""
        refuse_unstorable(session)
        row = session_row(session)
        found = await self._write(lambda connection: statements.add_among(connection, row, limit))
        if found is None:
            raise StoreError(cause=_TAKEN)
        return [id_ for _, id_ in sorted((at, session_id_text(raw)) for at, raw in found)]

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the protocol's own word
        """Give the row, ended and expired ones too; None where there is none."""
        raw = session_id_bytes(id)
        if raw is None:
            return None
        return _session_or_none(await self._read(lambda connection: statements.get(connection, raw)))

    async def advance(self, turn: Turn) -> Session | None:
        """Turn the key if every condition of `turn` holds, and give the row after; else None. One statement."""
        if turn.changes is not None:
            refuse_unstorable_changes(turn.changes)
        raw = session_id_bytes(turn.id)
        if raw is None or not (is_text(turn.realm) and is_text(turn.client_id or "")):
            return None
        parameters = statements.advance_parameters(turn, raw)
        until = None if turn.changes is None else micros(turn.changes.until)
        return _session_or_none(await self._write(lambda connection: statements.advance(connection, parameters, until)))

    async def recover(self, id: str, *, generation: int, now: datetime) -> Session | None:  # noqa: A002
        """Set recovered_at and count it, if the row has not moved, not ended, and may be recovered still."""
        raw, at = session_id_bytes(id), micros(now)
        if raw is None:
            return None
        return _session_or_none(
            await self._write(lambda connection: statements.recover(connection, at, raw, generation))
        )

    async def find(self, realm: str, subject: str, *, now: datetime) -> Sequence[Session]:
        """Give a user's live sessions, oldest first (created_at, then id)."""
        if not (is_text(realm) and is_text(subject)):
            return []
        at = micros(now)
        rows = await self._read(lambda connection: statements.find(connection, realm, subject, at))
        return sorted(map(session_of, rows), key=lambda session: (session.created_at, session.id))

    async def end(self, ids: Iterable[str], *, at: datetime, reason: EndReason, until: datetime) -> Sequence[Session]:
        """End sessions and announce it; give those that this call ended."""
        raw = list(dict.fromkeys(filter(None, map(session_id_bytes, ids))))
        ending = _ending(at, reason, until)
        rows = await self._write(lambda connection: statements.end(connection, raw, ending))
        return [_ended(row, at, reason) for row in rows]

    async def end_all(
        self, realm: str, subject: str | None, *, keep: str | None = None, at: datetime, reason: EndReason,
        until: datetime,
    ) -> Sequence[Session]:  # fmt: skip
        """End all sessions of a user or of the whole realm, but for `keep`; give those that were live at `at`.

        A user's sessions end in one transaction, a realm's in steps of a thousand.
        """
        if not (is_text(realm) and is_text(subject or "")):
            return []
        kept = None if keep is None else session_id_bytes(keep)
        ending = _ending(at, reason, until)
        if subject is None:
            rows = await self._end_realm(realm, kept, ending)
        else:
            rows = await self._write(lambda c: statements.end_of_subject(c, realm, subject, kept, ending))
        return _were_live(rows, at, reason)

    async def end_step(
        self, realm: str, *, at: datetime, reason: EndReason, until: datetime, limit: int, after: str | None = None
    ) -> EndStep:
        """End the next sessions of a realm, looking at `limit` rows; give those that were live at `at`.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start = realm_start(limit, after)
        if not is_text(realm):
            return EndStep(sessions=[], cursor=None)
        ending = _ending(at, reason, until)
        step = partial(statements.end_of_realm, realm=realm, after=start, limit=limit, keep=None, ending=ending)
        rows, last = await self._write(step)
        if last is not None:
            await _breathe()
        return EndStep(sessions=_were_live(rows, at, reason), cursor=realm_cursor(last))

    async def acknowledge(self, generations: Mapping[str, int]) -> None:
        """Raise `delivered`; never lowers it, never above the row's generation."""
        by_id = _by_raw_id(generations)
        await self._write(lambda connection: statements.acknowledge(connection, by_id))

    async def require(self, floors: Mapping[str, int], *, until: datetime) -> None:
        """Raise access_floor in rows that have not ended, and announce it; never lowers it."""
        by_id, last = _by_raw_id(floors), micros(until)
        await self._write(lambda connection: statements.require(connection, by_id, last))

    async def revocations(self, after: str | None) -> Revocations:
        """Give the log's entries after a position in commit order (all of them after None)."""
        return await self._read(lambda connection: _read_log(connection, after))

    async def purge(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Delete sessions that were over before `before`, looking at `limit` rows; drops old log entries too.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start, at = _step_start(limit, after), micros(before)
        if after is None:
            await self._drop_announcements(at)
        count, cursor = await self._write(lambda connection: statements.purge(connection, at, start, limit))
        if cursor is not None:
            await _breathe()
        return Purged(count=count, cursor=None if cursor is None else session_id_text(cursor))

    async def purgeable(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Count what `purge` would delete with the same arguments; changes nothing.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start, at = _step_start(limit, after), micros(before)
        count, cursor = await self._read(lambda connection: statements.purgeable(connection, at, start, limit))
        return Purged(count=count, cursor=None if cursor is None else session_id_text(cursor))

    async def _end_realm(self, realm: str, keep: bytes | None, ending: statements.Ending) -> list[Row]:
        rows: list[Row] = []
        after: tuple[str, bytes] | None = ("", b"")
        while after is not None:
            step = partial(statements.end_of_realm, realm=realm, after=after, limit=_STEP, keep=keep, ending=ending)
            ended, after = await self._write(step)
            rows += ended
        return rows

    async def _drop_announcements(self, before: int) -> None:
        while await self._write(lambda c: statements.drop_announcements(c, before, _STEP)) == _STEP:
            pass

    # Plain functions that give a coroutine: one layer less in every refresh.

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> Coroutine[Any, Any, T]:
        return self._ask(Call(work, writes=False))

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> Coroutine[Any, Any, T]:
        return self._ask(Call(work, writes=True))

    def _ask(self, call: Call[T]) -> Coroutine[Any, Any, T]:
        self._writer.submit(call)
        return call.answer()


def _step_start(limit: int, after: str | None) -> bytes:
    start = b"" if after is None else session_id_bytes(after)
    if limit < 1 or start is None:
        raise ValueError("a step of a purge looks at one row at least, from where another one stopped")
    return start


async def _breathe() -> None:
    """Leave the file to refreshes for a moment: one writer after the other is all that SQLite knows."""
    if running_loop() is None:
        time.sleep(_BREATH)  # noqa: ASYNC251 - the caller blocks
    else:
        await asyncio.sleep(_BREATH)


def _session_or_none(row: Row | None) -> Session | None:
    return None if row is None else session_of(row)


def _ended(row: Row, at: datetime, reason: EndReason) -> Session:
    return replace(session_of(row), ended_at=at, end_reason=reason)


def _were_live(rows: Iterable[Row], at: datetime, reason: EndReason) -> list[Session]:
    before = map(session_of, rows)
    return [replace(row, ended_at=at, end_reason=reason) for row in before if is_live(row, at)]


def _ending(at: datetime, reason: EndReason, until: datetime) -> statements.Ending:
    return statements.Ending(at=micros(at), reason=reason.value, until=micros(until))


def _by_raw_id(values: Mapping[str, int]) -> dict[bytes, int]:
    return {raw: value for id_, value in values.items() if (raw := session_id_bytes(id_)) is not None}


def _read_log(connection: sqlite3.Connection, after: str | None) -> Revocations:
    epoch, head, dropped = statements.log(connection)

    def entries_from(first: int) -> list[tuple[int, Revocation]]:
        return [
            (number, Revocation(session_id=session_id_text(id_), floor=floor, until=time_of(until)))
            for number, id_, floor, until in statements.entries(connection, first)
        ]

    return revocations_after(after, entries_from, epoch=epoch, dropped=dropped, head=head)
