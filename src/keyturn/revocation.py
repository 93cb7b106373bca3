"""The map of floors: which access tokens are no longer good although their time is not over; and how it is kept fed.

Built for threads without locks. Entries only ever rise, so the order in which writers come does not matter, and the
log tells everything a second time within the staleness bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from .feeds import Feed
from .stores import ENDED, Revocation, Revocations

_NO_TIME: Final = timedelta(0)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
#: A half of the map outlives its last entry by this much: writers that overtake one another, clocks that differ.
_GRACE: Final = timedelta(minutes=5)
#: A clock that went back by more makes the map as good as never read. Issuers' clocks agree within a second.
_STEP_BACK: Final = timedelta(seconds=1)
#: A reader that was lost with its process's parent (fork), or hangs, keeps others from reading for so long only.
_READER_LOST: Final = timedelta(seconds=10)


class _Half:
    """One of the two generations of the map: kept as a whole, dropped as a whole."""

    __slots__ = ("ended", "floors", "last_drop", "until")

    def __init__(self) -> None:
        self.ended: set[int] = set()  # apart, so that no lower floor written at the same moment can win over an end
        self.floors: dict[int, int] = {}
        self.until = _NEVER
        self.last_drop = [True]  # who pops it may drop this half; list.pop is atomic


class FloorMap:
    """The lowest acceptable generation of sessions that ended, or whose access tokens must be renewed.

    One map belongs to one issuer. It holds an entry at least until no access token it concerns can be unexpired, and
    at most twice as long. A million ended sessions take less than 100 MB.
    """

    __slots__ = ("_halves", "_turn", "_turn_taken_at", "loaded_at", "position", "served_stale")

    def __init__(self) -> None:
        self._halves = (_Half(), _Half())
        self._turn = [True]  # who pops it may read the log; list.pop and append are atomic
        self._turn_taken_at = _NEVER
        #: When the log was last read, by the clock of `catch_up`; None: never.
        self.loaded_at: datetime | None = None
        #: Where the log stood then, opaque.
        self.position: str | None = None
        #: How many requests were answered on a picture older than the bound, because their methods are safe.
        self.served_stale = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} entries, loaded_at={self.loaded_at})"

    def __len__(self) -> int:
        return sum(len(half.ended) + len(half.floors) for half in self._halves)

    def add(self, entries: Iterable[Revocation]) -> None:
        """Raise floors: entries of one session combine by maximum, and an end wins over everything."""
        half = self._halves[0]
        for entry in entries:
            key = session_key(entry.session_id)
            half.until = max(half.until, entry.until)
            if entry.floor >= ENDED:
                half.ended.add(key)
            elif entry.floor > half.floors.get(key, 0):
                half.floors[key] = entry.floor

    def floor_of(self, session_id: str) -> int:
        """Give a session's floor: 0 where nothing is known, `ENDED` where it is over."""
        return self.floor_at(session_key(session_id))

    def floor_at(self, key: int) -> int:
        """Give the floor of a session by its `session_key`: the quick way, for tokens that were read before."""
        young, old = self._halves  # one look: a rotation in between takes nothing away
        if key in young.ended or key in old.ended:
            return ENDED
        floor, other = young.floors.get(key, 0), old.floors.get(key, 0)
        return floor if floor > other else other  # noqa: FURB136 - max() costs as much as all of the above

    def drop(self, now: datetime) -> None:
        """Let go of entries that no unexpired access token can concern any more; cheap, however many there are."""
        young, old = self._halves
        if now < old.until + _GRACE or not len(self):
            return
        try:
            old.last_drop.pop()
        except IndexError:
            return
        self._halves = (_Half(), young)

    def age(self, now: datetime) -> timedelta | None:
        """Say how long ago the log was read.

        None: never. `timedelta.max`: the clock went back since, so nobody knows, and the map counts as stale.
        """
        if self.loaded_at is None:
            return None
        age = now - self.loaded_at
        return timedelta.max if age < -_STEP_BACK else max(age, timedelta(0))

    def load(self, news: Revocations, *, as_of: datetime) -> None:
        """Take over what was read from the log.

        A snapshot is merged like everything else: what this process announced while it was read stays, and whatever
        the snapshot no longer holds is let go in its time.

        Args:
            as_of: when the reading began, by the clock that `age` is asked with.
        """
        self.add(news.entries)
        self.position = news.position
        self.loaded_at = as_of

    def take_turn(self, now: datetime) -> bool:
        """Say whether the caller is the one to read the log now; then it must `give_turn` back."""
        try:
            self._turn.pop()
        except IndexError:
            if _NO_TIME <= now - self._turn_taken_at < _READER_LOST:
                return False
        self._turn_taken_at = now
        return True

    def give_turn(self) -> None:
        """Let the next caller read the log."""
        if not self._turn:
            self._turn.append(True)


def session_key(session_id: str) -> int:
    """Give a session id's characters as one number: the map's key, half as large as the text."""
    return int.from_bytes(session_id.encode("ascii", "replace"))


async def catch_up(feed: Feed, floors: FloorMap, clock: Callable[[], datetime]) -> bool:
    """Bring a map up to date. While one caller reads, others return at once, unless nothing was ever read.

    Args:
        feed: the revocation log.
        floors: the map.
        clock: tells the time, aware UTC.

    Returns:
        Whether it was this caller who read.

    Raises:
        StoreError: the log cannot be read now; the map and its age stay as they were.
    """
    now = clock()
    if not floors.take_turn(now) and floors.loaded_at is not None:
        return False
    try:
        floors.drop(now)
        await read_on(feed, floors, now)
    finally:
        floors.give_turn()
    return True


async def read_on(feed: Feed, floors: FloorMap, now: datetime) -> None:
    """Read the log on into a map, whoever else reads it; StoreError where it cannot be read."""
    floors.load(await feed.revocations(_after(floors, now)), as_of=now)


def _after(floors: FloorMap, now: datetime) -> str | None:
    """Say from where to read: from the start if the clock went back, since it may have dropped too much before."""
    return None if floors.age(now) in (None, timedelta.max) else floors.position
