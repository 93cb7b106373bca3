"""Which browsers have signed a user in before: a short list for each user, pure."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Remembered browsers of one user. One more makes the oldest forgotten, so signing in again and again fills no memory.
MOST_BROWSERS: Final = 8
#: As long as a session lives by default, and with it the cookie that a browser is known by: 90 days, in microseconds.
REMEMBERED: Final = 90 * 24 * 3600 * 10**6


class Known(NamedTuple):
    """The browsers of one user, oldest first.

    Args:
        until: when all of them are forgotten, unless one signs in again.
        browsers: digests, good for this user alone.
    """

    until: int
    browsers: tuple[bytes, ...]


def knows(known: Known | None, browser: bytes, now: int) -> bool:
    """Say whether a browser has signed the user in before."""
    return known is not None and now < known.until and browser in known.browsers


def learnt(known: Known | None, browser: bytes, now: int) -> Known:
    """Give the browsers of a user with one more, the youngest."""
    before = () if known is None or known.until <= now else tuple(b for b in known.browsers if b != browser)
    return Known(now + REMEMBERED, (*before, browser)[-MOST_BROWSERS:])
