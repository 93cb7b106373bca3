"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

#: Any moment will do; this one is far from the edges of months, years and daylight saving time.
START: Final = datetime(2030, 3, 14, 12, 0, 0, tzinfo=UTC)


class ManualClock:
    """A clock for tests: it tells the same time until it is moved.

    Args:
        start: an aware time; what the clock tells first.

    Raises:
        ValueError: the time has no time zone.
    """

    __slots__ = ("_now",)

    def __init__(self, start: datetime = START) -> None:
        self._now = _utc(start)

    def __call__(self) -> datetime:
        """Give the time, in UTC."""
        return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Move the clock and give the new time.

        Args:
            by: a timedelta or seconds; a negative one moves it back, as real clocks sometimes go.
        """
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)
        return self._now

    def set(self, to: datetime) -> None:
        """Set the clock; ValueError for a time without time zone."""
        self._now = _utc(to)


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("a clock tells aware times: give the time a time zone, such as datetime.UTC")
    return time.astimezone(UTC)
