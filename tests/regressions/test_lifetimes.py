"""Faults of other projects about when things are over: on every store."""

from datetime import timedelta

import pytest

from keyturn.errors import SessionEndedError, TokenError, TokenStaleError
from keyturn.session import EndReason
from keyturn.testing.clock import ManualClock
from keyturn.verifier import Verifier
from tests.support.desk import BOB, KEYS
from tests.support.interleaving import PausingStore, call_pausing, run_interleaved
from tests.support.rows import DAY, TICK, settings_with

HOUR = timedelta(hours=1)
TRANSPORTS = ["cookie", "body"]


@pytest.mark.ids("M04", "P2")
def test_a_purge_ahead_of_time_forgets_no_end_that_still_matters(desk):
    device = desk.sign_in()
    desk.run(desk.flows.ends.end([desk.row(device).id], EndReason.LOGOUT))
    assert desk.run(desk.flows.ends.purge(desk.clock() + DAY, 10)) == 1
    restarted = Verifier(desk.flows.settings, KEYS, clock=desk.clock)
    desk.run(restarted.catch_up(desk.flows.store))
    with pytest.raises(SessionEndedError):
        restarted.verify(device.access_token, binding=device.binding)


class Apart:
    """A clock that is always the same time away from another one."""

    def __init__(self, clock: ManualClock, by: timedelta) -> None:
        self.clock = clock
        self.by = by

    def __call__(self):
        return self.clock() + self.by


@pytest.mark.ids("M23", "P2")
@pytest.mark.parametrize("ahead", [timedelta(seconds=25), timedelta(seconds=-25)])
@pytest.mark.parametrize("skew", [timedelta(seconds=-30), timedelta(0), timedelta(seconds=30)])
def test_no_access_token_revives_after_its_entry_was_dropped(backing, new_desk, ahead, skew):
    """One issuer still gives an hour and its clock is off; the other ends the session, with five minutes set.

    The verifiers' clocks are as far from the signing issuer's as is allowed.
    """
    store, clock = backing.store, ManualClock()
    step = 60 if backing.name == "memory" else 420  # seconds
    hour = settings_with(access_token_lifetime=HOUR)
    other = new_desk(PausingStore(store), settings=hour, clock=Apart(clock, ahead), call=call_pausing)
    desk = new_desk(settings=settings_with(access_token_lifetime=timedelta(minutes=5)), clock=clock)
    signing = new_desk(settings=hour, clock=Apart(clock, ahead))
    device = signing.sign_in()
    in_flight = other.flows.refresh(signing.presented(device))
    in_flight.send(None)  # the step is taken, the answer is not made yet
    desk.end(device)
    clock.advance(2)
    (outcome,) = run_interleaved([in_flight], lambda _: 0)
    token = outcome.pair.access_token
    judge = new_desk(settings=hour, clock=Apart(clock, ahead + skew))
    for _ in range(70 * 60 // step):
        judge.run(judge.verifier.catch_up(store))
        fresh = new_desk(settings=hour, clock=judge.clock)
        fresh.run(fresh.verifier.catch_up(store))
        for each in (judge, fresh):
            with pytest.raises(TokenError):
                each.verify(token, device.binding)
        clock.advance(step)
        desk.run(desk.flows.ends.purge(None, 100))
    assert len(judge.verifier.floors) <= 1


@pytest.mark.ids("M33", "P6", "RT-08", "RT-09")
@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.parametrize("sliding", [True, False])
@pytest.mark.parametrize(("idle", "absolute"), [(2, 3), (3, 3)])
def test_no_option_outlives_either_end(new_desk, remember, sliding, idle, absolute):
    """Refreshed every half hour until it is over, then tried once more; all other combinations in test_flows.py."""
    desk = new_desk(
        settings=settings_with(idle_lifetime=idle * HOUR, session_lifetime=absolute * HOUR, sliding=sliding)
    )
    device = desk.sign_in(remember=remember)
    end = desk.row(device).expires_at
    over = desk.clock() + (absolute if sliding else min(idle, absolute)) * HOUR
    while desk.clock() + HOUR / 2 < over:
        desk.advance(HOUR / 2)
        assert desk.use(desk.refresh(device)).expires_at <= end
        assert desk.row(device).expires_at == end
    desk.advance(over - desk.clock() - TICK)
    desk.refresh(device)
    desk.advance(TICK)
    with pytest.raises(SessionEndedError):
        desk.ask(device)
    assert desk.run(desk.flows.ends.find("alice")) == []


@pytest.mark.ids("M13")
def test_what_is_listed_what_refreshes_and_what_is_purged_agree_at_every_edge(desk):
    idle, absolute = desk.settings.idle_lifetime, desk.settings.session_lifetime
    kept, forgotten = desk.sign_in(), desk.sign_in()
    forgotten_id = desk.row(forgotten).id
    for moment, alive in ((idle - TICK, True), (TICK, False)):
        desk.advance(moment)
        listed = {row.id for row in desk.run(desk.flows.ends.find("alice"))}
        assert (forgotten_id in listed) is alive
        if alive:
            desk.refresh(kept)
    with pytest.raises(SessionEndedError):
        desk.ask(forgotten)
    desk.advance(TICK)
    assert desk.run(desk.flows.ends.purge(None, 100)) == 1
    assert desk.run(desk.store.get(forgotten_id)) is None
    desk.use(desk.refresh(kept))
    kept_id, started = desk.row(kept).id, desk.row(kept).created_at
    while desk.clock() < started + absolute - DAY:
        desk.advance(DAY)
        desk.refresh(kept)
    desk.advance(started + absolute - TICK - desk.clock())
    assert [row.id for row in desk.run(desk.flows.ends.find("alice"))] == [kept_id]
    desk.refresh(kept)
    desk.advance(TICK)
    assert desk.run(desk.flows.ends.find("alice")) == []
    with pytest.raises(SessionEndedError):
        desk.ask(kept)
    assert desk.run(desk.flows.ends.purge(None, 100)) == 0, "it was over before, not yet before this instant"
    desk.advance(TICK)
    assert desk.run(desk.flows.ends.purge(None, 100)) == 1


@pytest.mark.ids("M05")
@pytest.mark.parametrize("first", ["require", "end", "alarm"])
def test_whichever_mark_says_dead_wins_in_whatever_order_they_came(desk, first):
    """What a verifier learns from this store's log, read in one go or entry by entry; the rule is the floor map's."""
    device = desk.sign_in()
    spent = device.copy()
    for _ in range(2):
        desk.advance(HOUR)
        desk.use(desk.refresh(device))
    news = Verifier(desk.settings, KEYS, clock=desk.clock)
    desk.run(news.catch_up(desk.store))
    row = desk.row(device)
    marks = {
        "require": lambda: desk.require(device),
        "end": lambda: desk.end(device),
        "alarm": lambda: alarm(desk, spent),
    }
    marks.pop(first)()
    if first == "require":  # its access token is stale, the next one is good
        desk.run(news.catch_up(desk.store))
        with pytest.raises(TokenStaleError):
            news.verify(device.access_token, binding=device.binding)
        desk.refresh(device)
        assert news.verify(device.access_token, binding=device.binding).generation == 3
    for mark in marks.values():
        mark()
        desk.run(desk.flows.ends.require([row]))
    late = Verifier(desk.settings, KEYS, clock=desk.clock)
    for verifier in (news, late):
        desk.run(verifier.catch_up(desk.store))
        with pytest.raises(SessionEndedError):
            verifier.verify(device.access_token, binding=device.binding)


def alarm(desk, spent) -> None:
    with pytest.raises(SessionEndedError):
        desk.ask(spent)


@pytest.mark.ids("M04", "P2")
def test_a_verifier_that_was_killed_and_started_anew_knows_every_end_before_its_first_answer(desk):
    """What a new process reads first is the whole log: an end, an end of all, an alarm, none of them forgotten."""
    devices = [desk.sign_in() for _ in range(3)]
    spent = devices[0].copy()
    for _ in range(2):
        desk.advance(HOUR)
        desk.refresh(devices[0])
    desk.sign_in(BOB)
    alarm(desk, spent)
    desk.end(devices[1])
    desk.run(desk.flows.ends.end_all("alice", EndReason.LOGOUT_ALL))
    restarted = Verifier(desk.settings, KEYS, clock=desk.clock)
    desk.run(restarted.catch_up(desk.store))
    for device in devices:
        with pytest.raises(TokenError):
            restarted.verify(device.access_token, binding=device.binding)
