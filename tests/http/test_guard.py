"""The guard and the log of ended sessions: who reads it, who goes on meanwhile, and clocks that jump."""

from datetime import timedelta

import pytest

from keyturn.errors import SessionEndedError
from keyturn.http.guard import Need
from keyturn.testing.entropy import CountingEntropy
from tests.support.front import a_front, snapshot

BOUND = timedelta(seconds=5)
ASK = Need(stale="ask")


def while_another_caller_reads(front):
    assert front.service.verifier.floors.take_turn(front.clock())
    front.store.calls.clear()


@pytest.mark.ids("M37")
def test_who_goes_on_while_another_caller_reads_asks_the_store_nothing():
    front = a_front()
    first, second = front.device(), front.device()
    front.check(first)
    front.advance(BOUND / 2)
    front.check(first)
    front.check(second)  # a first sighting waits for being told
    front.advance(BOUND / 2)
    while_another_caller_reads(front)
    assert front.check(second) is not None
    assert front.store.calls == []


@pytest.mark.ids("ST-05", "SE-02")
@pytest.mark.parametrize("need", [Need(), Need(stale="refuse")])
def test_after_a_quiet_while_two_requests_at_once_are_both_answered(need):
    front = a_front()
    device = front.device()
    front.check(device)
    front.advance(60)
    while_another_caller_reads(front)
    assert front.check(device, need, "POST") is not None


@pytest.mark.ids("SE-02", "P2")
def test_beyond_the_bound_who_may_not_be_served_stale_feels_an_end_that_another_caller_still_reads():
    front = a_front()
    other = a_front(store=front.store, clock=front.clock, entropy=CountingEntropy("other"))
    device = front.device()
    elsewhere = snapshot(device)
    elsewhere.front = other
    other.check(elsewhere)
    device.send("POST", "/auth/logout")
    front.advance(60)
    while_another_caller_reads(other)
    with pytest.raises(SessionEndedError):
        other.check(elsewhere, method="POST")


@pytest.mark.ids("P2", "M23")
@pytest.mark.parametrize("need", [Need(), ASK])
def test_an_end_that_a_clock_far_ahead_made_forgotten_is_read_again_when_the_clock_comes_back(need):
    front = a_front()
    other = a_front(store=front.store, clock=front.clock, entropy=CountingEntropy("other"))
    device, witness = front.device(), other.device()
    elsewhere = snapshot(device)
    elsewhere.front = other
    other.check(elsewhere)
    device.send("POST", "/auth/logout")
    ahead = timedelta(days=1)
    for _ in range(3):
        other.check(witness, Need(optional=True, stale="serve"))
        front.advance(ahead)
    other.check(witness, Need(optional=True, stale="serve"))
    front.advance(-3 * ahead)
    with pytest.raises(SessionEndedError):
        other.check(elsewhere, need)
