"""The rule of counting, against a bucket of tokens that is counted by hand."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from keyturn.limits import Limit
from keyturn.testing.clock import START
from keyturn.throttle._window import agreed, given_back, micros, taken, wait

NOW = micros(START)
limits = st.builds(
    lambda count, period: Limit(count=count, period=timedelta(seconds=period)),
    st.integers(1, 20), st.integers(1, 100),
)  # fmt: skip
pauses = st.lists(st.integers(0, 40_000_000), max_size=60)


class Bucket:
    """The model: so many tokens at most, one more every interval, an attempt takes one or is refused."""

    def __init__(self, limit: Limit) -> None:
        self.limit, self.tokens, self.at = limit, Fraction(limit.count), NOW

    def attempt(self, now: int) -> bool:
        self.tokens = min(Fraction(self.limit.count), self.tokens + Fraction(now - self.at, self.limit.interval))
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def attempts(limit: Limit, gaps: list[int]) -> list[tuple[int, bool]]:
    """Play attempts with these pauses between them; when each was, and whether it went on."""
    until, now, told = 0, NOW, []
    for gap in [0, *gaps]:
        now += gap
        goes_on = wait(limit, until, now) == 0
        until = taken(limit, until, now) if goes_on else until
        told.append((now, goes_on))
    return told


@pytest.mark.ids("AU-08")
@given(limits, pauses)
def test_it_lets_through_what_a_bucket_of_tokens_lets_through(limit, gaps):
    bucket = Bucket(limit)
    for now, goes_on in attempts(limit, gaps):
        assert goes_on == bucket.attempt(now)


@pytest.mark.ids("AU-08")
@given(limits, pauses, st.integers(0, 200_000_000))
def test_no_stretch_of_time_lets_more_through_than_promised(limit, gaps, stretch):
    through = [now for now, goes_on in attempts(limit, gaps) if goes_on]
    for start in through:
        assert sum(start <= now < start + stretch for now in through) <= limit.count + stretch / limit.interval


@pytest.mark.ids("AU-08")
@given(limits, pauses)
def test_whoever_waits_as_told_is_let_through_and_a_moment_earlier_is_not(limit, gaps):
    until, now = 0, NOW
    for gap in gaps:
        now += gap
        if (rest := wait(limit, until, now)) == 0:
            until = taken(limit, until, now)
        else:
            assert rest <= limit.interval
            assert wait(limit, until, now + rest) == 0
            assert wait(limit, until, now + rest - 1) == 1


@given(limits, pauses)
def test_what_is_given_back_at_once_leaves_no_trace(limit, gaps):
    until, now = 0, NOW
    for gap in gaps:
        now += gap
        if wait(limit, until, now) == 0:
            mine = taken(limit, until, now)
            assert given_back(limit, mine, now, mine) == max(until, now)
            until = mine


@given(limits, st.integers(0, 200_000_000))
def test_what_has_leaked_away_is_not_given_back_twice(limit, later):
    first = taken(limit, 0, NOW)
    now = NOW + later
    others = taken(limit, first, now)
    left = max(0, min(limit.interval, first - now))
    assert given_back(limit, others, now, first) == others - left


@pytest.mark.ids("AU-08")
@given(limits, st.integers(1, 10**12))
def test_a_clock_that_goes_back_locks_nobody_out(limit, back):
    until = 0
    while wait(limit, until, NOW) == 0:
        until = taken(limit, until, NOW)
    earlier = NOW - back
    assert wait(limit, until, earlier) == 0 or back < limit.span
    assert wait(limit, until, earlier) <= limit.interval + back


def test_a_counter_that_another_clock_filled_is_full_here_too():
    limit = Limit.parse("10/minute")
    until = 0
    for _ in range(10):
        until = taken(limit, until, NOW)
    behind = NOW - 4_000_000
    assert wait(limit, until, behind) == 0  # so it would be forgotten
    assert wait(limit, agreed(limit, until, behind), behind) == limit.interval
    assert agreed(limit, until, NOW - 60_000_000) == until  # a clock that went back a minute is no disagreement


def test_ten_a_minute_are_ten_at_once_and_then_one_every_six_seconds():
    limit = Limit.parse("10/minute")
    told = attempts(limit, [0] * 14 + [5_999_999, 1, 0])
    assert [goes_on for _, goes_on in told] == [True] * 10 + [False] * 5 + [False, True, False]
