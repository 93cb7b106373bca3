"""The rule of counting, pure: one number for each counter, and what it means at a moment.

The number is a time, `until`: when all that was counted will be forgotten. What is counted leaks away, one every
`interval`, and there is room for `count` (the generic cell rate algorithm). So a counter needs one integer and no
history, is changed by one addition, gives back exactly what it took, knows to the microsecond when there is room again,
and means nothing any more once `until` has passed. A fixed window has none of these and lets twice as many through at
its edges; a log of times costs memory that the caller chooses. In any stretch of time t at most count + t / interval
go through; so of two limits, a steep and a flat one, the wait grows as guessing goes on: that is the back-off, and it
is bounded, so that nobody is ever locked out for longer than one interval of what others did.

All times are microseconds since 1970, UTC. An `until` of 0 is a counter that has counted nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from ..limits import Limit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: Issuers' clocks agree within half of the leeway (docs/explanation/sessions.md), here its default's, in microseconds.
_SKEW: Final = 5 * 10**6


def micros(time: datetime) -> int:
    """Give an aware time as microseconds since 1970, UTC."""
    return (time - _EPOCH) // _MICROSECOND


def _level(limit: Limit, until: int, now: int) -> int:
    level = until - now
    # More than the limit holds: a clock went back, or the limit was lowered; nobody is locked out by that.
    return max(level, 0) if level <= limit.span else 0


def agreed(limit: Limit, until: int, now: int) -> int:
    """Give a counter as another worker left it, whose clock may be ahead: what is full for one is full for all."""
    full = now + limit.span
    return full if full < until <= full + _SKEW else until


def wait(limit: Limit, until: int, now: int) -> int:
    """Say in how many microseconds there is room for one more; 0 where there is."""
    return max(0, _level(limit, until, now) + limit.interval - limit.span)


def taken(limit: Limit, until: int, now: int) -> int:
    """Give the counter with one more in it."""
    return now + _level(limit, until, now) + limit.interval


def given_back(limit: Limit, until: int, now: int, mine: int) -> int:
    """Give the counter without one that was taken before.

    Args:
        mine: what `taken` gave for it. What has leaked away of it in the meantime cannot be given back: else slow
            attempts that succeed would make room for others that fail.
    """
    left = min(limit.interval, max(0, mine - now))
    return max(now, until - left)
