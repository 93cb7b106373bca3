"""The store over an application's engine, or over one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..._colour import Colour, resolve
from ...errors import ConfigurationError, StoreError
from ...session import EndReason, Session, is_live, session_id_bytes, session_id_text
from .. import EndStep, Purged, Revocations, Turn
from .._rows import micros, realm_cursor, realm_start, session_of, session_row
from .._values import is_text, refuse_unstorable, refuse_unstorable_changes
from ._awaiting import Awaiting
from ._blocking import Blocking
from ._engines import Verb
from ._log import Entry, first_of, read_on
from ._statements import Ending, LogState, Row, Statements, changes_row, turn_row
from ._urls import parsed

T = TypeVar("T")

#: Rows that one statement ends or drops at most where a verb concerns any number of them: some 20 ms of work.
_STEP: Final = 1000
#: Others write beside it, and each turn on the network is worth some work: 7 times as fast as steps of a hundred.
_PURGE_STEP: Final = 1000
#: A client waits longer; and a refresh that took this long will not be the last.
_TIMEOUT: Final = timedelta(seconds=10)


class SqlAlchemyStore:
    """Keeps sessions in PostgreSQL or MariaDB.

    Nothing is connected before the first call. Make the tables first: `upgrade`, or
    ``python -m keyturn.stores.sqlalchemy upgrade URL``. The store speaks on connections of its own from the engine's
    pool; it never sees, flushes or commits what a session of the application has under way.

    Args:
        engine: the application's Engine (the store then blocks) or AsyncEngine (it awaits); it remains the
            application's to dispose of.
        timeout: how long a call of an awaiting store may take before it raises StoreError. A blocking engine keeps its
            own times: set ``statement_timeout`` on it.

    Raises:
        ConfigurationError: the engine is none, its database is neither PostgreSQL nor MariaDB, or it translates schemas.
    """

    #: How many rows a step of a purge looks at where nobody says.
    purge_step: Final = _PURGE_STEP

    def __init__(self, engine: Engine | AsyncEngine, *, timeout: timedelta = _TIMEOUT) -> None:
        if isinstance(engine, AsyncEngine):
            self._side: Blocking | Awaiting = Awaiting(lambda: engine, owned=False, timeout=timeout)
        elif isinstance(engine, Engine):
            self._side = Blocking(engine, owned=False)
        else:
            raise ConfigurationError(["SqlAlchemyStore takes an Engine or an AsyncEngine, not a session or a URL"])
        if engine.get_execution_options().get("schema_translate_map"):
            # It reaches half of the statements: sign-ins would go to one schema, and refreshes look in another.
            raise ConfigurationError(
                ["the engine has a schema_translate_map, which statements in SQL do not follow: set its search_path"]
            )

    @classmethod
    def at(cls, url: str, *, door: Literal["sync", "async"] = "sync", timeout: timedelta = _TIMEOUT) -> Self:
        """Give a store at an address, with an engine of its own that `close` disposes of; see `keyturn.stores.open`.

        Raises:
            ConfigurationError: the address cannot be read, or its driver is missing or of the wrong colour.
        """
        address = parsed(url, door)
        store = cls.__new__(cls)
        if address.awaits:
            store._side = Awaiting(lambda: address.async_engine(timeout), owned=True, timeout=timeout)  # noqa: SLF001 - its own
        else:
            store._side = Blocking(address.engine(timeout), owned=True)  # noqa: SLF001 - its own
        return store

    @property
    def colour(self) -> Colour:
        """What the engine does: block or await."""
        return self._side.colour

    def close(self) -> None:
        """Finish what is under way and let go of connections; an application's engine stays open.

        A later call connects again. From a coroutine, await `aclose` instead. An event loop that ends in order closes
        what the store opened in it by itself.
        """
        self._side.close()

    async def aclose(self) -> None:
        """Do as `close`, in the event loop that runs now."""
        if isinstance(self._side, Awaiting):
            await self._side.aclose()
        else:
            self._side.close()

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
        if not await self._ask("add", lambda connection: self._said.add(connection, row)):
            raise StoreError(cause="a session with this id exists already")

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the protocol's own word
        """Give the row, ended and expired ones too; None where there is none."""
        raw = session_id_bytes(id)
        if raw is None:
            return None
        return _session_or_none(await self._ask("get", lambda connection: self._said.get(connection, raw)))

    async def advance(self, turn: Turn) -> Session | None:
        """Turn the key if every condition of `turn` holds, and give the row after; else None. One statement."""
        if turn.changes is not None:
            refuse_unstorable_changes(turn.changes)
        raw = session_id_bytes(turn.id)
        if raw is None or not (is_text(turn.realm) and is_text(turn.client_id or "")):
            return None
        said = turn_row(turn, raw)
        if turn.changes is not None:
            changes = changes_row(turn.changes)
            return _session_or_none(
                await self._ask("step_up", lambda connection: self._said.step_up(connection, said, changes))
            )
        if isinstance(self._side, Awaiting):
            return _session_or_none(await self._side.advance(said))
        once, again = (partial(verb, turn=said) for verb in (self._said.advance_one, self._said.advance_again))
        return _session_or_none(self._side.ask("advance", once, again))

    async def recover(self, id: str, *, generation: int, now: datetime) -> Session | None:  # noqa: A002
        """Set recovered_at and count it, if the row has not moved, not ended, and may be recovered still."""
        raw, at = session_id_bytes(id), micros(now)
        if raw is None:
            return None
        return _session_or_none(
            await self._ask("recover", lambda connection: self._said.recover(connection, raw, generation, at))
        )

    async def find(self, realm: str, subject: str, *, now: datetime) -> Sequence[Session]:
        """Give a user's live sessions, oldest first (created_at, then id)."""
        if not (is_text(realm) and is_text(subject)):
            return []
        at = micros(now)
        rows = await self._ask("find", lambda connection: self._said.find(connection, realm, subject, at))
        return sorted(map(session_of, rows), key=lambda session: (session.created_at, session.id))

    async def end(self, ids: Iterable[str], *, at: datetime, reason: EndReason, until: datetime) -> Sequence[Session]:
        """End sessions and announce it; give those that this call ended."""
        raws = sorted(set(filter(None, map(session_id_bytes, ids))))
        if not raws:
            return []
        ending = _ending(at, reason, until)
        rows = await self._ask("end", lambda connection: self._said.end(connection, raws, ending))
        return [replace(session_of(row), ended_at=at, end_reason=reason) for row in rows]

    async def end_all(
        self, realm: str, subject: str | None, *, keep: str | None = None, at: datetime, reason: EndReason,
        until: datetime,
    ) -> Sequence[Session]:  # fmt: skip
        """End all sessions of a user or of the whole realm, but for `keep`; give those that were live at `at`.

        A user's sessions end in one statement, a realm's in steps of a thousand.
        """
        if not (is_text(realm) and is_text(subject or "")):
            return []
        kept = None if keep is None else session_id_bytes(keep)
        ending = _ending(at, reason, until)
        if subject is None:
            rows: Sequence[Row] = await self._end_realm(realm, kept, ending)
        else:
            rows = await self._ask(
                "end_of_subject", lambda connection: self._said.end_of_subject(connection, realm, subject, kept, ending)
            )
        return _were_live(rows, at, reason)

    async def end_step(
        self, realm: str, *, at: datetime, reason: EndReason, until: datetime, limit: int, after: str | None = None
    ) -> EndStep:
        """End the next sessions of a realm, looking at `limit` rows; give those that were live at `at`.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start, ending = realm_start(limit, after), _ending(at, reason, until)
        if not is_text(realm):
            return EndStep(sessions=[], cursor=None)
        step = partial(self._said.end_of_realm, realm=realm, after=start, limit=limit, keep=None, ending=ending)
        rows, last = await self._ask("end_of_realm", step)
        return EndStep(sessions=_were_live(rows, at, reason), cursor=realm_cursor(last))

    async def acknowledge(self, generations: Mapping[str, int]) -> None:
        """Raise `delivered`; never lowers it, never above the row's generation."""
        if by_id := _by_raw_id(generations):
            await self._ask("acknowledge", lambda connection: self._said.acknowledge(connection, by_id))

    async def require(self, floors: Mapping[str, int], *, until: datetime) -> None:
        """Raise access_floor in rows that have not ended, and announce it; never lowers it."""
        last = micros(until)
        if by_id := _by_raw_id(floors):
            await self._ask("require", lambda connection: self._said.require(connection, by_id, last))

    async def revocations(self, after: str | None) -> Revocations:
        """Give the log's entries after a position in commit order (all of them after None)."""
        first = first_of(after)
        read = read_on(after, *await self._read_log(first), first)
        return read or cast("Revocations", read_on(after, *await self._read_log(0), 0))

    async def purge(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Delete sessions that were over before `before`, looking at `limit` rows; drops old log entries too.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start, at = _step_start(limit, after), micros(before)
        if after is None:
            await self._drop_announcements(at)
        count, cursor = await self._ask("purge", lambda connection: self._said.purge(connection, at, start, limit))
        return Purged(count=count, cursor=None if cursor is None else session_id_text(cursor))

    async def purgeable(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Count what `purge` would delete with the same arguments; changes nothing.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        start, at = _step_start(limit, after), micros(before)
        count, cursor = await self._ask(
            "purgeable", lambda connection: self._said.purgeable(connection, at, start, limit)
        )
        return Purged(count=count, cursor=None if cursor is None else session_id_text(cursor))

    async def _end_realm(self, realm: str, keep: bytes | None, ending: Ending) -> Sequence[Row]:
        rows: list[Row] = []
        after: tuple[str, bytes] | None = ("", b"")
        while after is not None:
            step = partial(self._said.end_of_realm, realm=realm, after=after, limit=_STEP, keep=keep, ending=ending)
            ended, after = await self._ask("end_of_realm", step)
            rows += ended
        return rows

    async def _drop_announcements(self, before: int) -> None:
        while (
            await self._ask(
                "drop_announcements", lambda connection: self._said.drop_announcements(connection, before, _STEP)
            )
            == _STEP
        ):
            pass

    async def _read_log(self, first: int) -> tuple[LogState, Sequence[Entry]]:
        return await self._ask("log", lambda connection: self._said.log(connection, first))

    @property
    def _said(self) -> Statements:
        return self._side.statements

    async def _ask(self, verb: Verb, work: Callable[[Connection], T]) -> T:
        return await resolve(self._side.ask(verb, work))


def _session_or_none(row: Row | None) -> Session | None:
    return None if row is None else session_of(row)


def _were_live(rows: Iterable[Row], at: datetime, reason: EndReason) -> list[Session]:
    before = map(session_of, rows)
    return [replace(row, ended_at=at, end_reason=reason) for row in before if is_live(row, at)]


def _step_start(limit: int, after: str | None) -> bytes:
    start = b"" if after is None else session_id_bytes(after)
    if limit < 1 or start is None:
        raise ValueError("a step of a purge looks at one row at least, from where another one stopped")
    return start


def _ending(at: datetime, reason: EndReason, until: datetime) -> Ending:
    return Ending(at=micros(at), reason=reason.value, until=micros(until))


def _by_raw_id(values: Mapping[str, int]) -> dict[bytes, int]:
    """Sort by id: locks are then taken in the same order by everybody."""
    return dict(sorted((raw, value) for id_, value in values.items() if (raw := session_id_bytes(id_)) is not None))
