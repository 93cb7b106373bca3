"""The clock and the entropy that applications are given for their own tests."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from keyturn.testing.clock import START, ManualClock
from keyturn.testing.entropy import CountingEntropy

HERE = timezone(timedelta(hours=2))


def test_a_manual_clock_stands_still_until_it_is_moved():
    clock = ManualClock()
    assert clock() == clock() == START
    assert clock.advance(1.5) == START + timedelta(seconds=1.5)
    assert clock.advance(timedelta(days=-1)) == clock() == START + timedelta(days=-1, seconds=1.5)
    clock.set(START)
    assert clock() == START


def test_a_manual_clock_tells_utc_whatever_zone_it_was_set_in():
    clock = ManualClock(datetime(2030, 1, 1, 14, tzinfo=HERE))
    assert clock() == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert clock().tzinfo is UTC
    clock.set(datetime(2030, 1, 2, 14, tzinfo=HERE))
    assert clock().tzinfo is UTC


def test_a_time_without_a_zone_is_refused():
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(naive)
    with pytest.raises(ValueError, match="time zone"):
        ManualClock().set(naive)


def test_counting_entropy_repeats_from_run_to_run_and_never_within_one():
    first, again, other = CountingEntropy(), CountingEntropy(), CountingEntropy("other")
    drawn = [first(16) for _ in range(1000)]
    assert drawn == [again(16) for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert set(drawn).isdisjoint(other(16) for _ in range(1000))
    assert [len(first(length)) for length in (0, 1, 14, 32)] == [0, 1, 14, 32]
