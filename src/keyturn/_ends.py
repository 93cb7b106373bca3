"""The coroutines that end sessions, make tokens stale, look up and clear away; and the one place that tells events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from . import _policy
from ._colour import Caller
from ._refresh_token import RefreshToken, seed_digest
from .errors import ConfigurationError, kind_and_place
from .events import Event, Listener, RefreshRequired, SessionEnded
from .revocation import FloorMap
from .session import ID_BYTES, Client, EndReason, Session, session_id_text
from .settings import Settings
from .stores import ENDED, EndStep, Purged, Revocation, SessionStore, purge_step

_log = logging.getLogger("keyturn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a call comes from.

    Args:
        client: as it will be shown in lists and events.
        request: the framework's own request, for listeners; None outside HTTP.
    """

    client: Client = Client()  # noqa: RUF009 - a frozen value
    request: Any = field(default=None, repr=False)


NOWHERE: Final = Origin()
#: No session has this id: a walk that goes on after it looks at all of them.
_BEFORE_ALL: Final = session_id_text(bytes(ID_BYTES))
#: Sessions that one step ends: some 20 ms of a database's work, and a few MB here.
_END_STEP: Final = 1000


def event(kind: type[Event], session: Session, origin: Origin, at: datetime, **more: Any) -> Event:
    """Build an event about a session."""
    return kind(at=at, session=session, client=origin.client, request=origin.request, **more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Teller:
    """Tells listeners what happened; one that fails is logged and changes nothing: the write is done."""

    call: Caller
    listeners: tuple[Listener, ...] = ()

    async def tell(self, fact: Event) -> None:
        """Give an event to every listener, in their order."""
        for listener in self.listeners:
            try:
                await self.call(listener, fact)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is the listener's
                _log.error("a listener failed on %s with %s", type(fact).__name__, kind_and_place(error))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What can be done with sessions without their tokens.

    Args:
        settings: of one issuer and realm.
        store: where the sessions are.
        clock: gives the time, aware UTC.
        floors: the map that verifiers of this process read; None where there is none.
        teller: tells what happened.
    """

    settings: Settings
    store: SessionStore
    clock: Callable[[], datetime]
    floors: FloorMap | None
    teller: Teller

    async def require(self, sessions: Sequence[Session], origin: Origin = NOWHERE) -> int:
        """Make the access tokens of these sessions stale: their clients refresh silently and see what changed."""
        floors = {session.id: session.generation + 1 for session in sessions}
        if floors:
            now = self.clock()
            until = _policy.announce_until(now, self.settings)
            await self.store.require(floors, until=until)
            self.announce(floors, until)
            await self.teller.tell(
                RefreshRequired(at=now, client=origin.client, request=origin.request, session_ids=tuple(floors))
            )
        return len(floors)

    async def end(self, ids: Iterable[str], reason: EndReason, origin: Origin = NOWHERE) -> Sequence[Session]:
        """End sessions, announce it and tell; give those that this call ended."""
        wanted = list(ids)
        if not wanted:
            return []
        now = self.clock()
        until = _policy.announce_until(now, self.settings)
        ended = await self.store.end(wanted, at=now, reason=reason, until=until)
        # Those that another process ended before are over as well, and this one may not have read of it yet.
        self.announce(dict.fromkeys(wanted, ENDED), until)
        await self._tell_ended(ended, now, reason, origin)
        return ended

    async def end_all(
        self, subject: str | None, reason: EndReason, origin: Origin = NOWHERE, *, keep: str | None = None
    ) -> Sequence[Session]:
        """End all sessions of a user, or of the whole realm where `subject` is None."""
        now = self.clock()
        until = _policy.announce_until(now, self.settings)
        ended = await self.store.end_all(self.settings.realm, subject, keep=keep, at=now, reason=reason, until=until)
        await self._ended(ended, now, reason, origin)
        return ended

    async def end_realm(
        self, reason: EndReason, origin: Origin = NOWHERE, progress: Callable[[int], None] | None = None
    ) -> int:
        """End every session of the realm, step by step where the store can; give how many."""
        ask = getattr(self.store, "end_step", None)
        if ask is None:
            return len(await self.end_all(None, reason, origin))
        count, cursor, is_over = 0, None, False
        while not is_over:
            # By the clock of each step: an access token of the last one's sessions may be younger than the first step.
            now = self.clock()
            until = _policy.announce_until(now, self.settings)
            step: EndStep = await ask(
                self.settings.realm, at=now, reason=reason, until=until, limit=_END_STEP, after=cursor
            )
            await self._ended(step.sessions, now, reason, origin)
            count, cursor, is_over = count + len(step.sessions), step.cursor, step.cursor is None
            if progress is not None and not is_over:
                progress(count)
        return count

    async def end_by_token(self, token: RefreshToken, origin: Origin = NOWHERE) -> Session | None:
        """End the session of a genuine refresh token of any generation; give it if this call ended it."""
        session = await self.session_of(token)
        ended = await self.end([session.id], EndReason.LOGOUT, origin) if session is not None else []
        return ended[0] if ended else None

    async def end_own(self, token: RefreshToken, subject: str, origin: Origin = NOWHERE) -> None:
        """End the session of a genuine refresh token where it is this user's."""
        session = await self.session_of(token)
        if session is not None and session.subject == subject:
            await self.end([session.id], EndReason.ENDED, origin)

    async def _ended(self, ended: Sequence[Session], now: datetime, reason: EndReason, origin: Origin) -> None:
        until = _policy.announce_until(now, self.settings)
        self.announce({session.id: ENDED for session in ended}, until)
        await self._tell_ended(ended, now, reason, origin)

    async def _tell_ended(self, ended: Sequence[Session], now: datetime, reason: EndReason, origin: Origin) -> None:
        for session in ended:
            await self.teller.tell(event(SessionEnded, session, origin, now, reason=reason))

    def announce(self, floors: Mapping[str, int], until: datetime) -> None:
        """Let this process feel at once what the log tells the others."""
        if self.floors is not None:
            self.floors.add([Revocation(session_id=id_, floor=floor, until=until) for id_, floor in floors.items()])

    async def get(self, session_id: str) -> Session | None:
        """Give a session of this realm, None where there is none."""
        session = await self.store.get(session_id)
        return session if session is not None and session.realm == self.settings.realm else None

    async def find(self, subject: str) -> Sequence[Session]:
        """Give a user's live sessions, oldest first."""
        return await self.store.find(self.settings.realm, subject, now=self.clock())

    async def purge(
        self, before: datetime | None, limit: int | None, progress: Callable[[int], None] | None = None
    ) -> int:
        """Delete what was over before `before` (now where left out), step by step; give how many rows went."""
        now = self.clock()
        when = before or now
        limit = purge_step(self.store) if limit is None else limit
        # The first step drops what was announced before its moment: never more than has passed, or an ended session's
        # access tokens would be good again in a process that starts now.
        step = await self.store.purge(min(when, now), limit=limit)
        count = step.count
        if when > now:
            step = await self.store.purge(when, limit=limit, after=_BEFORE_ALL)
            count += step.count
        while step.cursor is not None:
            if progress is not None:
                progress(count)
            step = await self.store.purge(when, limit=limit, after=step.cursor)
            count += step.count
        return count

    async def purgeable(
        self, before: datetime | None, limit: int | None, progress: Callable[[int], None] | None = None
    ) -> int:
        """Count what `purge` would delete, in the same steps; changes nothing.

        Raises:
            ConfigurationError: the store cannot count.
        """
        ask = getattr(self.store, "purgeable", None)
        if ask is None:
            raise ConfigurationError(["this store cannot count what a purge would delete: it has no verb purgeable"])
        when = before or self.clock()
        limit = purge_step(self.store) if limit is None else limit
        step: Purged = await ask(when, limit=limit)
        count = step.count
        while step.cursor is not None:
            if progress is not None:
                progress(count)
            step = await ask(when, limit=limit, after=step.cursor)
            count += step.count
        return count

    async def session_of(self, token: RefreshToken) -> Session | None:
        """Give the session of a genuine refresh token of any generation, None where there is none."""
        session = await self.get(token.session_id)
        known = session is not None and session.seed_digest == seed_digest(token.seed)
        return session if known else None
