"""Faults of other projects that show when many come at once; every store, stopped and let go on in every order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from keyturn._admission import Start
from keyturn._flows import Outcome
from keyturn.errors import SessionEndedError, SessionLimitError, TokenStaleError
from keyturn.events import ReuseDetected, SessionEnded
from keyturn.session import EndReason
from keyturn.settings import Settings
from tests.support.all_stores import Backing
from tests.support.desk import ALICE, Desk, a_desk, is_over
from tests.support.interleaving import PausingStore, call_pausing, explore, run_interleaved
from tests.support.rows import BROWSER, DAY, settings_with

HOUR = timedelta(hours=1)
TRANSPORTS = ["cookie", "body"]


@pytest.fixture
def pausing_desk(backing: Backing, new_desk: Callable[..., Desk]) -> Callable[..., Desk]:
    """Opens desks whose flows let others in after every call of the store and of a hook; a realm for each."""
    worlds = count()

    def open_desk(settings: Settings = BROWSER) -> Desk:
        own = replace(settings, realm=f"world-{next(worlds)}")
        return new_desk(PausingStore(backing.store), settings=own, call=call_pausing)

    return open_desk


#: Orders that are tried on other stores than the memory's: between its verbs there are no other ones than there, where
#: each is tried; what happens inside a verb is tried statement by statement in test_statements.py.
SAMPLE = 12


def every_order(world: Callable[[Any], None], backing: Backing) -> int:
    """Play a world in every order of its steps, or in a sample of them where each step is dear."""
    if backing.name == "memory":
        return explore(world)
    for seed in range(SAMPLE):
        world(chance(seed))
    return SAMPLE


def chance(seed: int) -> Any:
    random = Random(seed)
    return random.randrange


def answers(results: list[Any]) -> list[Outcome]:
    return [result for result in results if isinstance(result, Outcome)]


@pytest.mark.ids("M01", "M10", "RT-05")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("seed", range(2))
def test_64_parallel_identical_refreshes_make_one_step_and_get_one_token(pausing_desk, transport, seed):
    racing = pausing_desk()
    desk = quiet_racers(racing)
    device = desk.refresh(desk.sign_in(transport=transport))
    desk.advance(HOUR)
    presented = desk.presented(device)
    results = run_interleaved([racing.flows.refresh(presented) for _ in range(64)], chance(seed))
    assert len(answers(results)) == 64
    assert len({answer.pair.refresh_token for answer in answers(results)}) == 1
    assert desk.row(device).generation == 2
    assert sum(answer.turned for answer in answers(results)) == 1
    assert desk.told(ReuseDetected) == []


def quiet_racers(racing: Desk) -> Desk:
    """A desk over the same store, clock and floors that does not pause."""
    desk = a_desk(
        racing.store._store,
        settings=racing.settings,
        clock=racing.clock,
        people=racing.people,
        entropy=racing.flows.entropy,
    )
    ends = replace(desk.flows.ends, floors=racing.verifier.floors)
    desk.flows = replace(desk.flows, ends=ends, report=racing.verifier.report)
    desk.verifier, desk.facts = racing.verifier, racing.facts
    teller = replace(desk.flows.ends.teller, listeners=(desk.facts.append,))
    desk.flows = replace(desk.flows, ends=replace(ends, teller=teller))
    return desk


@pytest.mark.ids("M01", "M10", "RT-05")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("generation", [0, 1])
def test_two_refreshes_agree_in_every_order_of_their_steps(backing, pausing_desk, transport, generation):
    def world(choose) -> None:
        racing = pausing_desk()
        desk = quiet_racers(racing)
        device = desk.sign_in(transport=transport)
        for _ in range(generation):
            desk.refresh(device)
        desk.advance(HOUR)
        presented = desk.presented(device)
        results = run_interleaved([racing.flows.refresh(presented) for _ in range(2)], choose)
        assert len({answer.pair.refresh_token for answer in answers(results)}) == 1
        assert len(answers(results)) == 2
        assert desk.row(device).generation == generation + 1
        desk.use(device.take(answers(results)[0]))

    assert every_order(world, backing) > 10


@pytest.mark.ids("M01", "RT-05")
def test_strict_lets_one_of_parallel_refreshes_through_and_tells_its_alarm_once(backing, pausing_desk):
    def world(choose) -> None:
        racing = pausing_desk(settings=Settings(issuer="https://id.example.org", profile="strict"))
        desk = quiet_racers(racing)
        device = desk.sign_in()
        presented = desk.presented(device)
        results = run_interleaved([racing.flows.refresh(presented) for _ in range(2)], choose)
        assert desk.row(device).generation == 1
        assert len(answers(results)) <= 1
        assert len(racing.told(ReuseDetected)) == 1
        assert len(racing.told(SessionEnded)) == 1
        assert is_over(desk, device)

    assert every_order(world, backing) > 10


@pytest.mark.ids("M02", "P2")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("state", ["fresh", "turned", "undelivered", "behind"])
def test_after_end_returned_nothing_verifies_or_refreshes_in_whatever_order_they_raced(
    backing, pausing_desk, transport, state
):
    """An end against a refresh, and a refresh that begins right after the end, stopped at every await."""

    def world(choose) -> None:
        racing = pausing_desk()
        desk = quiet_racers(racing)
        device = desk.sign_in(transport=transport)
        if state != "fresh":
            desk.refresh(device)
            desk.advance(HOUR)
        if state in ("undelivered", "behind"):
            desk.ask(device)
            desk.advance(HOUR if state == "undelivered" else 1)
        presented, row = desk.presented(device), desk.row(device)
        late: list[Any] = []

        async def end_then_refresh() -> None:
            assert len(await racing.flows.ends.end([row.id], EndReason.LOGOUT)) == 1
            try:
                late.append(await racing.flows.refresh(presented))
            except SessionEndedError as refused:
                late.append(refused)

        results = run_interleaved([racing.flows.refresh(presented), end_then_refresh()], choose)
        assert isinstance(late[0], SessionEndedError)
        for answer in answers(results):
            got = device.copy().take(answer)
            assert is_over(desk, got)
        assert is_over(desk, device)
        assert [fact.reason for fact in racing.told(SessionEnded)] == [EndReason.LOGOUT]

    assert every_order(world, backing) >= 4


@pytest.mark.ids("M02", "M14")
def test_a_step_up_against_refreshes_leaves_at_most_one_token_alive(backing, pausing_desk):
    def world(choose) -> None:
        racing = pausing_desk()
        desk = quiet_racers(racing)
        device = desk.refresh(desk.sign_in())
        desk.advance(HOUR)
        presented = desk.presented(device)
        flows = racing.flows
        results = run_interleaved([flows.step_up(presented), flows.refresh(presented)], choose)
        stepped, refreshed = results
        assert racing.told(ReuseDetected) == []
        if isinstance(stepped, Outcome):
            desk.use(device.copy().take(stepped))
            assert isinstance(refreshed, TokenStaleError)
        else:
            assert isinstance(stepped, TokenStaleError)
            desk.use(device.copy().take(refreshed))

    assert every_order(world, backing) > 3


@pytest.mark.ids("M18", "SE-05")
@pytest.mark.parametrize("on_limit", ["end_oldest", "refuse"])
@pytest.mark.parametrize("seed", range(3))
def test_parallel_logins_never_exceed_the_limit(pausing_desk, on_limit, seed):
    racing = pausing_desk(settings=settings_with(max_sessions=3, on_limit=on_limit))
    desk = quiet_racers(racing)
    logins = [racing.flows.start(ALICE, Start(transport="cookie")) for _ in range(12)]
    results = run_interleaved(logins, chance(seed))
    live = desk.run(desk.flows.ends.find("alice"))
    assert len(live) == 3
    assert {answer.session.id for answer in answers(results)} >= {session.id for session in live}
    assert all(isinstance(result, Outcome | SessionLimitError) for result in results)


@pytest.mark.ids("M18", "SE-08")
@pytest.mark.parametrize("seed", range(2))
def test_no_session_that_began_before_survives_a_logout_from_everywhere(pausing_desk, seed):
    racing = pausing_desk(settings=settings_with(max_sessions=2000))
    desk = quiet_racers(racing)
    before = [desk.sign_in() for _ in range(30)]
    rivals: list[Any] = [racing.flows.refresh(desk.presented(device)) for device in before]
    rivals.append(racing.flows.ends.end_all("alice", EndReason.LOGOUT_ALL))
    run_interleaved(rivals, chance(seed))
    assert desk.run(desk.flows.ends.find("alice")) == []
    assert all(is_over(desk, device) for device in before)


@pytest.mark.ids("M24", "P3")
def test_ten_tabs_restored_in_one_second_cause_no_alarm(backing, pausing_desk):
    """They share a jar and no lock; requests and answers overtake each other; some of them come twice."""
    for seed in range(25 if backing.name == "memory" else 3):
        ten_tabs(pausing_desk(), Random(seed))


def ten_tabs(racing: Desk, random: Random) -> None:
    desk = quiet_racers(racing)
    jar = desk.refresh(desk.sign_in())
    desk.use(jar)
    desk.advance(DAY)

    async def tab() -> None:
        for _ in range(random.randint(1, 2)):
            presented = desk.presented(jar)
            await racing.store.get(presented.token.session_id)  # on its way
            answer = await racing.flows.refresh(presented)
            await racing.store.get(presented.token.session_id)  # on its way back
            jar.take(answer)

    results = run_interleaved([tab() for _ in range(10)], random.randrange)
    assert results == [None] * 10
    desk.use(jar)
    desk.advance(HOUR)
    desk.use(desk.refresh(jar))
    assert racing.told(ReuseDetected) == []
