"""The reference store: a dictionary under a lock. For tests, and for one process that may forget at its end."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from .._colour import Colour
from ..errors import StoreError
from ..session import EndReason, Session, is_live, session_id_bytes
from . import ENDED, MAX_RECOVERIES, Changes, EndStep, Purged, Revocation, Revocations, Turn
from ._values import (
    claims_of,
    json_text,
    refuse_unstorable,
    refuse_unstorable_changes,
    revocations_after,
)


class MemoryStore:
    """Keeps sessions in this process's memory; every verb does its work under one lock and never suspends."""

    colour: Colour = "both"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, Session] = {}
        self._log: list[tuple[int, Revocation]] = []
        self._epoch = secrets.token_hex(8)
        self._head = 0
        self._dropped = 0

    async def add(self, session: Session) -> None:
        """Keep a new session; a duplicate id raises StoreError and changes nothing."""
        refuse_unstorable(session)
        with self._lock:
            if session.id in self._rows:
                raise StoreError(cause="a session with this id exists already")
            self._rows[session.id] = _own(session)

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the protocol's own word
        """Give the row, ended and expired ones too; None where there is none."""
        with self._lock:
            row = self._rows.get(id)
            return None if row is None else _own(row)

    async def advance(self, turn: Turn) -> Session | None:
        """Turn the key if every condition of `turn` holds, and give the row after; else None."""
        if turn.changes is not None:
            refuse_unstorable_changes(turn.changes)
        with self._lock:
            row = self._rows.get(turn.id)
            if row is None or not _may_turn(row, turn):
                return None
            row = self._rows[turn.id] = _own(_turned(row, turn))
            if turn.changes is not None:
                self._announce(row.id, row.access_floor, turn.changes.until)
            return _own(row)

    async def recover(self, id: str, *, generation: int, now: datetime) -> Session | None:  # noqa: A002
        """Set recovered_at and count it, if the row has not moved, not ended, and may be recovered still."""
        with self._lock:
            row = self._rows.get(id)
            if row is None or row.generation != generation or row.ended_at is not None:
                return None
            if row.recoveries >= MAX_RECOVERIES:
                return None
            row = self._rows[id] = replace(row, recovered_at=now, recoveries=row.recoveries + 1)
            return _own(row)

    async def find(self, realm: str, subject: str, *, now: datetime) -> Sequence[Session]:
        """Give a user's live sessions, oldest first (created_at, then id)."""
        with self._lock:
            live = [_own(row) for row in self._of(realm, subject) if is_live(row, now)]
        return sorted(live, key=lambda row: (row.created_at, row.id))

    async def end(self, ids: Iterable[str], *, at: datetime, reason: EndReason, until: datetime) -> Sequence[Session]:
        """End sessions and announce it; give those that this call ended."""
        with self._lock:
            return [row for id_ in ids if (row := self._end(id_, at, reason, until))]

    async def end_all(
        self, realm: str, subject: str | None, *, keep: str | None = None, at: datetime, reason: EndReason,
        until: datetime,
    ) -> Sequence[Session]:  # fmt: skip
        """End all sessions of a user or of the whole realm, but for `keep`; give those that were live at `at`."""
        with self._lock:
            before = [row.id for row in self._of(realm, subject) if row.id != keep]
            return [row for id_ in before if (row := self._end_living(id_, at, reason, until))]

    async def end_step(
        self, realm: str, *, at: datetime, reason: EndReason, until: datetime, limit: int, after: str | None = None
    ) -> EndStep:
        """End the next sessions of a realm, looking at `limit` rows; give those that were live at `at`."""
        if limit < 1 or (after is not None and not _raw(after)):
            raise ValueError("a step through a realm looks at one row at least, from where another one stopped")
        with self._lock:
            before = self._next((row.id for row in self._of(realm, None)), limit, after)
            ended = [row for id_ in before if (row := self._end_living(id_, at, reason, until))]
        return EndStep(sessions=ended, cursor=before[-1] if len(before) == limit else None)

    async def acknowledge(self, generations: Mapping[str, int]) -> None:
        """Raise `delivered`; never lowers it, never above the row's generation."""
        with self._lock:
            for id_, generation in generations.items():
                if row := self._rows.get(id_):
                    delivered = max(row.delivered, min(generation, row.generation))
                    self._rows[id_] = replace(row, delivered=delivered)

    async def require(self, floors: Mapping[str, int], *, until: datetime) -> None:
        """Raise access_floor in rows that have not ended, and announce it; never lowers it."""
        with self._lock:
            for id_, floor in floors.items():
                row = self._rows.get(id_)
                if row is not None and row.ended_at is None:
                    row = self._rows[id_] = replace(row, access_floor=max(row.access_floor, floor))
                    self._announce(id_, row.access_floor, until)

    async def revocations(self, after: str | None) -> Revocations:
        """Give the log's entries after a position in commit order (all of them after None)."""
        with self._lock:
            return revocations_after(
                after,
                lambda first: [(number, entry) for number, entry in self._log if number >= first],
                epoch=self._epoch,
                dropped=self._dropped,
                head=self._head,
            )

    async def purge(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Delete sessions that were over before `before`, looking at `limit` rows; drops old log entries too."""
        if limit < 1:
            raise ValueError("a step of a purge looks at one row at least")
        with self._lock:
            if after is None:
                self._drop_announcements(before)
            over, cursor = self._over(before, limit, after)
            for id_ in over:
                del self._rows[id_]
        return Purged(count=len(over), cursor=cursor)

    async def purgeable(self, before: datetime, *, limit: int, after: str | None = None) -> Purged:
        """Count what `purge` would delete with the same arguments; changes nothing."""
        if limit < 1:
            raise ValueError("a step of a purge looks at one row at least")
        with self._lock:
            over, cursor = self._over(before, limit, after)
        return Purged(count=len(over), cursor=cursor)

    def _over(self, before: datetime, limit: int, after: str | None) -> tuple[list[str], str | None]:
        looked_at = self._next(self._rows, limit, after)
        over = [id_ for id_ in looked_at if _was_over(self._rows[id_], before)]
        return over, looked_at[-1] if len(looked_at) == limit else None

    def _next(self, ids: Iterable[str], limit: int, after: str | None) -> list[str]:
        start = b"" if after is None else _raw(after)
        return sorted((id_ for id_ in ids if _raw(id_) > start), key=_raw)[:limit]

    def _of(self, realm: str, subject: str | None) -> Iterator[Session]:
        rows = (row for row in self._rows.values() if row.realm == realm)
        return (row for row in rows if subject is None or row.subject == subject)

    def _end_living(self, id_: str, at: datetime, reason: EndReason, until: datetime) -> Session | None:
        was_live = is_live(self._rows[id_], at)
        ended = self._end(id_, at, reason, until)
        return ended if was_live else None

    def _end(self, id_: str, at: datetime, reason: EndReason, until: datetime) -> Session | None:
        row = self._rows.get(id_)
        if row is None or row.ended_at is not None:
            return None
        ended = replace(row, ended_at=at, end_reason=reason)
        self._rows[id_] = replace(ended, user_agent="", ip="", device_name="")
        self._announce(id_, ENDED, until)
        return _own(ended)

    def _announce(self, id_: str, floor: int, until: datetime) -> None:
        self._head += 1
        self._log.append((self._head, Revocation(session_id=id_, floor=floor, until=until)))

    def _drop_announcements(self, before: datetime) -> None:
        passed = [number for number, entry in self._log if entry.until <= before]
        self._dropped = max([self._dropped, *passed])
        self._log = [(number, entry) for number, entry in self._log if entry.until > before]


def _may_turn(row: Session, turn: Turn) -> bool:
    return (
        row.realm == turn.realm
        and row.transport == turn.transport
        and turn.client_id in (None, row.client_id)
        and row.seed_digest == turn.seed_digest
        and row.binding == turn.binding
        and row.generation == turn.generation
        and row.generation >= row.floor
        and is_live(row, turn.now)
        and _waited(row, turn.turned_before)
    )


def _waited(row: Session, turned_before: datetime | None) -> bool:
    if turned_before is None or row.generation == 0 or row.access_floor > row.generation:
        return True
    return row.rotated_at <= turned_before and (row.recovered_at or row.rotated_at) <= turned_before


def _turned(row: Session, turn: Turn) -> Session:
    idle = turn.idle_remember if row.remember else turn.idle_session
    return _changed(
        replace(
            row,
            generation=turn.to,
            rotated_at=turn.now,
            recoveries=0 if row.recovered_at is None else row.recoveries,
            recovered_at=None,
            idle_expires_at=row.idle_expires_at if idle is None else min(idle, row.expires_at),
        ),
        turn.changes,
    )


def _changed(row: Session, changes: Changes | None) -> Session:
    if changes is None:
        return row
    return replace(
        row,
        floor=max(row.floor, changes.floor),
        access_floor=max(row.access_floor, changes.access_floor),
        authenticated_at=row.authenticated_at if changes.authenticated_at is None else changes.authenticated_at,
        amr=row.amr if changes.amr is None else changes.amr,
        scope=row.scope if changes.scope is None else changes.scope,
        claims=row.claims if changes.claims is None else changes.claims,
        binding=row.binding if changes.binding is None else changes.binding,
    )


def _raw(id_: str) -> bytes:
    return session_id_bytes(id_) or b""  # ids are kept in canonical form only; the text's order is another


def _was_over(row: Session, before: datetime) -> bool:
    ends = (row.expires_at, row.idle_expires_at, row.ended_at or row.expires_at)
    return any(end < before for end in ends)


def _own(session: Session) -> Session:
    """Give a session whose claims nobody else can reach into: neither who stored it nor who read it before."""
    if not session.claims:
        return session
    return replace(session, claims=claims_of(json_text(dict(session.claims))))
