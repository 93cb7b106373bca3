"""What Keyturn tells of, kept for the demonstration's page: the newest few facts, and no secret among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Final

from .._build import random_bytes
from ..events import Event, RefreshRequired
from .blanking import blanked
from .observing import event_fields

#: A page that looks away for long misses what is older; it draws no more than this anyway.
MOST_EVENTS: Final = 500
_RUN_BYTES: Final = 8
#: Of one event that concerns many sessions.
_MOST_SESSIONS: Final = 20
#: What stands beside an event's own facts, or is a mark for a log where the page is given the id.
_TOLD_ELSEWHERE: Final = frozenset({"at", "session", "sessions", "generation", "request_id"})


class EventRing:
    """The newest events, numbered from 1; it may be told from any thread.

    Args:
        most: how many are kept.
        entropy: gives so many random bytes.
    """

    def __init__(self, most: int = MOST_EVENTS, entropy: Callable[[int], bytes] = random_bytes) -> None:
        self._kept: deque[Mapping[str, Any]] = deque(maxlen=most)
        self._last = 0
        self._turn = Lock()
        #: Another with each start of the server: the numbers of one run mean nothing in the next.
        self.run = entropy(_RUN_BYTES).hex()

    @property
    def last(self) -> int:
        """The newest event's number; 0 before the first."""
        return self._last

    def tell(self, event: Event) -> None:
        """Keep an event of Keyturn's: a listener for ``Keyturn(listeners=…)``."""
        self.add(
            type(event).__name__,
            at=event.at.isoformat(),
            session=event.session.id if event.session is not None else None,
            generation=event.session.generation if event.session is not None else None,
            detail=detail_of(event),
        )

    def add(
        self, kind: str, *, at: str, session: str | None = None, generation: int | None = None,
        detail: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Keep a fact.

        Args:
            kind: its name.
            at: when it happened, as ISO 8601 writes it.
            session: the id of the session concerned, and where that stands.
            generation: of that session.
            detail: whatever else may be known; never a secret.
        """
        with self._turn:
            self._last += 1
            fact = {"n": self._last, "at": at, "type": kind, "session": session, "generation": generation}
            self._kept.append({**fact, "detail": dict(detail)})

    def after(self, number: int) -> Sequence[Mapping[str, Any]]:
        """Give the events that are newer than that one, the oldest first."""
        with self._turn:
            return [fact for fact in self._kept if fact["n"] > number]

    def forget(self) -> None:
        """Keep none of those that were; the numbers go on."""
        with self._turn:
            self._kept.clear()


def detail_of(event: Event) -> dict[str, Any]:
    """Give an event's own facts: what a log may know of it, and the name that the browser gives itself."""
    told = {name: value for name, value in event_fields(event).items() if name not in _TOLD_ELSEWHERE}
    told["user_agent"] = blanked(event.client.user_agent)
    if isinstance(event, RefreshRequired):
        told["sessions"] = list(event.session_ids[:_MOST_SESSIONS])
    return told
