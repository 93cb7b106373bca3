"""The throttle of one process: counters in bounded memory. With several workers, each has its own counts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

from .._colour import Colour
from ..limits import LIMIT_NAMES, Limits
from . import FREE, Admission, Attempt
from ._counters import Concerned, Counter, of_login, of_refresh, of_step_up, remembered
from ._keys import digest
from ._known import REMEMBERED, Known, knows, learnt
from ._table import Table
from ._window import given_back, micros, taken, wait

#: Counters of each kind: some 15 MB a kind where a flood has filled them. One is needed for its limit's period at most.
SIZE: Final = 65_536

#: A counter, and what it stood at when something was taken from it.
Held: TypeAlias = tuple[Counter, int]


class MemoryThrottle:
    """Counts in this process's memory; it never waits for anything, and forgets at the process's end.

    Names and addresses are kept as digests under a random secret of this object, never as they came.

    Args:
        limits: those of docs/reference/settings.md where left out.
        size: counters of each kind, users whose browsers are remembered, and sessions whose are, at most.
    """

    colour: Colour = "both"

    def __init__(self, limits: Limits | None = None, *, size: int = SIZE) -> None:
        self.limits = Limits() if limits is None else limits
        self._digest = partial(digest, secrets.token_bytes(32))
        self._size = size
        # Held for some microseconds, and never while anything is waited for.
        self._lock = threading.Lock()
        self._counts: dict[str, Table[bytes | int, int]] = {name: Table(size) for name in LIMIT_NAMES}
        self._known: Table[bytes, Known] = Table(size)
        # Sessions with the browsers that are their own, and when that was last seen.
        self._proven: Table[int, int] = Table(size)

    def anew(self) -> MemoryThrottle:
        """Give another with the same limits that has counted nothing."""
        return MemoryThrottle(self.limits, size=self._size)

    def __len__(self) -> int:
        return len(self._known) + len(self._proven) + sum(map(len, self._counts.values()))

    async def admit(self, attempt: Attempt) -> Admission:
        """Count an attempt, or say how long to wait and count nothing."""
        now = micros(attempt.at)
        if attempt.action == "refresh":
            return self._admit_refresh(attempt, now)
        of = of_login if attempt.action == "login" else of_step_up
        concerned = of(attempt, self.limits, self._digest)
        with self._lock:
            return self._take(self._chosen(concerned, now), now)

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give back what the attempt was counted with, and remember the browser."""
        at = micros(now)
        with self._lock:
            self._give_back(admission.held or (), at)
            if browser and attempt.username:
                self._remember(attempt, browser, at)

    def proven(self, session_id: str, browser: str, *, now: datetime) -> None:
        """Count a session's own browser for itself from now on.

        Whoever holds a token of the session without its binding cookie shares one count with all who do: it never
        touches the owner's, and trying many cookies makes it no larger.
        """
        at = micros(now)
        with self._lock:
            self._proven.put(hash((session_id, browser)), at, at - REMEMBERED)

    def counted(self, attempt: Attempt) -> Attempt:
        """Give a refresh as it is counted: without a browser that is not known for the session's own."""
        is_own = not attempt.browser or self._proven.get(hash((attempt.session_id, attempt.browser))) is not None
        return attempt if is_own else attempt._replace(browser="")

    def _chosen(self, concerned: Concerned, now: int) -> Sequence[Counter]:
        is_known = knows(self._known.get(concerned.user), concerned.browser, now)
        return concerned.own if is_known else concerned.usual

    def _take(self, counters: Sequence[Counter], now: int) -> Admission:
        stands = [(counter, self._counts[counter.kind].get(counter.id) or 0) for counter in counters]
        longest = max((wait(counter.limit, until, now) for counter, until in stands), default=0)
        if longest:
            return Admission(wait=timedelta(microseconds=longest))
        held = tuple((counter, taken(counter.limit, until, now)) for counter, until in stands)
        for counter, until in held:
            self._counts[counter.kind].put(counter.id, until, now)
        return Admission(held=held)

    def _give_back(self, held: Iterable[Held], now: int) -> None:
        for counter, mine in held:
            table = self._counts[counter.kind]
            until = given_back(counter.limit, table.get(counter.id) or 0, now, mine)
            if until <= now:
                table.drop(counter.id)
            else:
                table.put(counter.id, until, now)

    def _remember(self, attempt: Attempt, browser: str, now: int) -> None:
        user = of_login(attempt, self.limits, self._digest).user
        known = learnt(self._known.get(user), remembered(attempt, browser, self._digest), now)
        self._known.put(user, known, Known(now, ()))

    def _admit_refresh(self, attempt: Attempt, now: int) -> Admission:
        """Count a refresh: the same as above, without what costs most of it."""
        limit = self.limits.refresh_per_session
        if limit is None or self.limits.refresh_per_address is not None:
            with self._lock:
                return self._take(of_refresh(self.counted(attempt), self.limits, self._digest), now)
        table, key = self._counts["refresh_per_session"], hash(attempt.session_id)
        with self._lock:
            if attempt.browser:
                own = hash((attempt.session_id, attempt.browser))
                key = own if self._proven.get(own) is not None else key
            until = table.entries(key).get(key, 0)
            if until <= now:  # as nearly always
                table.put(key, now + limit.interval, now)
                return FREE
            if longer := wait(limit, until, now):
                return Admission(wait=timedelta(microseconds=longer))
            table.put(key, taken(limit, until, now), now)
        return FREE
