"""Where sessions are kept: the eleven verbs that a store is, and `open` to get one by its address.

A store holds no rule of its own, reads no clock, tells no events. Each verb is one committed transaction. Times are
aware UTC with microseconds and come back as they were given; a driver's exceptions and timeouts come out as StoreError.

Texts are Unicode: one with a lone surrogate or a NUL, which not every database keeps, is refused with ValueError by the
verbs that would keep it, and equals nothing where it is compared. So an application behaves alike on every store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from .._colour import Colour
from .._turn import MAX_RECOVERIES as MAX_RECOVERIES, Changes as Changes, Turn as Turn
from ..errors import ConfigurationError
from ..session import EndReason, Session
from ._sql import SCHEMES, needing_sqlalchemy

#: The floor of a session that ended: above every generation.
ENDED: Final = 2**63 - 1
#: A step of so many rows keeps refreshes waiting no longer than a commit does where only one can write (SQLite).
PURGE_STEP: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocation:
    """One entry of the revocation log.

    Args:
        session_id: 22 characters.
        floor: access tokens below this generation are stale; `ENDED` for a session that is over.
        until: from then on no access token that it concerns can be unexpired, and the entry may go.
    """

    session_id: str
    floor: int
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocations:
    """Log entries in commit order, and where the log stood.

    Args:
        position: opaque; given back to read on from here.
        complete: False where `after` was older than the log: the entries are a new snapshot.
    """

    entries: Sequence[Revocation]
    position: str
    complete: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Purged:
    """What one bounded step of `purge` did, or of `Counting.purgeable` would do.

    Args:
        count: how many sessions it removed, or would remove.
        cursor: where to go on; None when the walk is over.
    """

    count: int
    cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndStep:
    """What one bounded step of `Stepping.end_step` did.

    Args:
        sessions: those that it ended and that were live.
        cursor: where to go on, opaque; None when the walk is over.
    """

    sessions: Sequence[Session]
    cursor: str | None


class SessionStore(Protocol):
    """Where sessions are kept. ``keyturn.testing.StoreConformance`` is this contract as a test suite."""

    @property
    def colour(self) -> Colour:
        """What the store's client does: block, await, or either."""
        ...

    async def add(self, session: Session) -> None:
        """Keep a new session; a duplicate id raises StoreError and changes nothing."""
        ...

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the protocol's own word
        """Give the row, ended and expired ones too; None where there is none."""
        ...

    async def advance(self, turn: Turn) -> Session | None:
        """Turn the key if every condition of `turn` holds, and give the row after; else change nothing and give None.

        Conditions: id, realm, transport, client_id (where given), seed_digest, binding (None equals None), generation
        are equal; generation >= floor; live at ``now``; `turned_before` as told there.
        Effects: generation = to, rotated_at = now, recoveries = 0 if recovered_at is None, recovered_at = None,
        idle_expires_at = min(idle_remember or idle_session, expires_at) where given, and `changes` with its log entry.
        Atomic; one statement and one network turn where the engine can.
        """
        ...

    async def recover(self, id: str, *, generation: int, now: datetime) -> Session | None:  # noqa: A002
        """Set recovered_at = now and count it; give the row after, else None.

        Conditions: the generation still is that, the row has not ended, fewer than `MAX_RECOVERIES` were counted.
        """
        ...

    async def find(self, realm: str, subject: str, *, now: datetime) -> Sequence[Session]:
        """Give a user's live sessions, oldest first (created_at, then id)."""
        ...

    async def end(self, ids: Iterable[str], *, at: datetime, reason: EndReason, until: datetime) -> Sequence[Session]:
        """End sessions and announce it; give those that this call ended. Ended and unknown ids are passed over.

        user_agent, ip and device_name are cleared in the row; the returned rows still carry them.
        """
        ...

    async def end_all(
        self,
        realm: str,
        subject: str | None,
        *,
        keep: str | None = None,
        at: datetime,
        reason: EndReason,
        until: datetime,
    ) -> Sequence[Session]:
        """End all sessions of a user, or of the whole realm where `subject` is None, but for the id `keep`.

        Gives the sessions that this call ended and that were live at `at`; for a whole realm in bounded steps.
        """
        ...

    async def acknowledge(self, generations: Mapping[str, int]) -> None:
        """Raise `delivered` to these generations; never lowers it, never above the row's generation."""
        ...

    async def require(self, floors: Mapping[str, int], *, until: datetime) -> None:
        """Raise access_floor in rows that have not ended, and announce it; never lowers it."""
        ...

    async def revocations(self, after: str | None) -> Revocations:
        """Give the log's entries after a position in commit order (all of them after None); duplicates are allowed."""
        ...

    async def purge(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Delete sessions that expired, idled out or ended before `before`, in one bounded step along the primary key.

        `limit` bounds the rows looked at. The first step of a walk also drops log entries whose `until` has passed
        by `before`. A store for which another step is better than `PURGE_STEP` says so in an attribute
        ``purge_step: int``, which is not required of it.
        """
        ...


class Counting(Protocol):
    """What a store may offer besides, and all of ours do: to say what a purge would delete, and delete nothing.

    Without it ``keyturn purge --dry-run`` is refused; nothing else asks for it.
    """

    async def purgeable(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Count what `purge` would delete with the same arguments, in the same steps; changes nothing, log included."""
        ...


class Stepping(Protocol):
    """What a store may offer besides, and all of ours do: to end a whole realm step by step, in flat memory.

    Without it a realm is ended by `SessionStore.end_all`, which gives all its sessions at once.
    """

    async def end_step(
        self, realm: str, *, at: datetime, reason: EndReason, until: datetime, limit: int, after: str | None = None
    ) -> EndStep:
        """End the next sessions of a realm and announce it: one committed transaction, as `SessionStore.end_all` does.

        A walk that begins with None and goes on until there is no cursor ends every session that was there when it
        began, whoever signs in or refreshes meanwhile; of those that began since, it ends some.

        Args:
            realm: whose sessions.
            at: when they end; what was not live then ends too, and is not given.
            reason: why.
            until: how long the log says so.
            limit: bounds the rows looked at.
            after: the cursor of the step before; None begins.

        Raises:
            ValueError: `limit` is below 1, or `after` is no cursor.
        """
        ...


class Admitting(Protocol):
    """What a store may offer besides, and SQLite's does: to keep a new session and look for a surplus in one step.

    Without it a sign-in asks `SessionStore.add`, then `SessionStore.find`.
    """

    async def add_among(self, session: Session, *, limit: int) -> Sequence[str]:
        """Keep a new session as `SessionStore.add` does, and give the ids of all that its user then has.

        They are those that `SessionStore.find` gives at the moment of the sign-in, in its order. Atomic.

        Args:
            session: the new one.
            limit: where there are no more than that, no id is given at all.
        """
        ...


def purge_step(store: SessionStore) -> int:
    """Give how many rows one step of a purge looks at where nobody says: the store's own `purge_step`, if it has one."""
    step = getattr(store, "purge_step", None)  # a wrapper may have a function for every name
    return step if isinstance(step, int) else PURGE_STEP


def open(url: str, *, colour: Literal["sync", "async"] = "sync") -> SessionStore:  # noqa: A001 - reads as stores.open(url)
    """Open a store by its address; nothing is connected before its first call.

    Args:
        url: ``memory:``, ``sqlite:///path/to/file.db``, ``postgresql://user@host/database`` or
            ``mysql://user@host/database`` (MariaDB). A driver may be named, as in ``postgresql+asyncpg://``.
        colour: how the door that will use it waits; where there is a driver of that kind, the store does likewise.

    Raises:
        ConfigurationError: the address names no store that is known here, or its driver is not installed.
    """
    if url in ("memory:", "memory://"):
        from .memory import MemoryStore

        return MemoryStore()
    if url.startswith("sqlite:///"):
        from .sqlite import SqliteStore

        return SqliteStore(url.removeprefix("sqlite:///"))
    scheme = url.partition(":")[0]
    if scheme.partition("+")[0] in SCHEMES:
        return _open_sql(url, colour)
    raise ConfigurationError(
        [f"no store is known for {scheme!r}: use postgresql://…, mysql://…, sqlite:///PATH or memory:"]
    )


def _open_sql(url: str, colour: Literal["sync", "async"]) -> SessionStore:
    with needing_sqlalchemy(url.partition(":")[0]):
        from .sqlalchemy import SqlAlchemyStore
    return SqlAlchemyStore.at(url, door=colour)
