"""Ending a whole realm: step by step, told as it goes, and felt by everybody who was there when it began."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn import AsyncSessions, Principal, Sessions, stores
from keyturn._colour import drive
from keyturn.errors import SessionEndedError
from keyturn.events import SessionEnded
from keyturn.keyrings.static import testing_keys
from keyturn.session import EndReason
from keyturn.stores.memory import MemoryStore
from keyturn.testing.entropy import CountingEntropy
from tests.support.desk import BOB, Desk, a_desk, is_over
from tests.support.rows import settings_with

HOUR = timedelta(hours=1)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("keyturn._ends._END_STEP", 3)
    return a_desk(MemoryStore())


class WithoutSteps:
    """A store that has the eleven verbs and no more."""

    def __init__(self, store):
        for verb in [name for name in vars(stores.SessionStore) if not name.startswith("_")]:
            setattr(self, verb, getattr(store, verb))


@pytest.mark.ids("SE-04", "B07")
def test_the_whole_realm_ends_in_steps_and_each_session_is_told_once(desk):
    devices = [desk.sign_in() for _ in range(7)]
    other = a_desk(desk.store, settings=settings_with(realm="staff"), clock=desk.clock, entropy=CountingEntropy("s"))
    elsewhere = other.sign_in()
    told = []
    assert desk.run(desk.flows.ends.end_realm(EndReason.ENDED, progress=told.append)) == 7
    assert told == [3, 6]
    facts = desk.told(SessionEnded)
    assert {fact.session.id for fact in facts} == {desk.row(device).id for device in devices}
    assert [fact.reason for fact in facts] == [EndReason.ENDED] * 7
    for device in devices:
        with pytest.raises(SessionEndedError):
            desk.verify(device.access_token, device.binding)
        assert is_over(desk, device)
    other.use(other.refresh(elsewhere))
    assert desk.run(desk.flows.ends.end_realm(EndReason.ENDED)) == 0


@pytest.mark.ids("B07")
def test_who_was_signed_in_when_it_began_is_out_at_its_end_whoever_signs_in_meanwhile(desk):
    devices = [desk.sign_in() for _ in range(10)]
    later = []

    def meanwhile(_count):
        if len(later) < 4:
            later.append(desk.sign_in(BOB))
        desk.ask(next(device for device in devices if desk.row(device).ended_at is None))

    ended = desk.run(desk.flows.ends.end_realm(EndReason.ENDED, progress=meanwhile))
    assert all(is_over(desk, device) for device in devices)
    assert ended == sum(desk.row(device).ended_at is not None for device in [*devices, *later])


@pytest.mark.ids("SE-02", "B07")
def test_however_long_it_takes_the_log_outlives_every_access_token(desk):
    devices, last = [desk.sign_in() for _ in range(10)], []

    def meanwhile(_count):
        desk.advance(HOUR)
        last[:] = [device for device in devices if desk.row(device).ended_at is None]
        for device in last:
            desk.refresh(device)

    desk.run(desk.flows.ends.end_realm(EndReason.ENDED, progress=meanwhile))
    desk.run(desk.flows.ends.purge(None, None))  # drops what the log need no longer say
    elsewhere = a_desk(desk.store, clock=desk.clock)
    drive(elsewhere.verifier.catch_up(desk.store))
    assert last
    for device in last:
        with pytest.raises(SessionEndedError):
            elsewhere.verify(device.access_token, device.binding)


@pytest.mark.ids("B07")
def test_stopped_in_its_midst_it_has_told_what_it_did_and_goes_on_when_it_is_begun_again(desk):
    devices = [desk.sign_in() for _ in range(7)]

    def stop(_count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.run(desk.flows.ends.end_realm(EndReason.ENDED, progress=stop))
    ended = {desk.row(device).id for device in devices if desk.row(device).ended_at is not None}
    assert {fact.session.id for fact in desk.told(SessionEnded)} == ended
    assert len(ended) == 3
    assert desk.run(desk.flows.ends.end_realm(EndReason.ENDED)) == 4
    assert len(desk.told(SessionEnded)) == 7


@pytest.mark.ids("B07")
def test_a_store_that_knows_no_steps_ends_the_realm_in_one(desk):
    devices = [desk.sign_in() for _ in range(5)]
    told = []
    ends = replace(desk.flows.ends, store=WithoutSteps(desk.store))
    assert desk.run(ends.end_realm(EndReason.ENDED, progress=told.append)) == 5
    assert told == []
    assert len(desk.told(SessionEnded)) == 5
    assert all(is_over(desk, device) for device in devices)


@pytest.mark.ids("B07")
def test_both_doors_tell_how_far_they_are(desk):
    settings, keys, ana = settings_with(), testing_keys(), Principal(subject="ana")
    told, events = [], []
    blocking = Sessions(settings, desk.store, keys, listeners=[events.append])
    for _ in range(4):
        blocking.start(ana)
    assert blocking.end_all(progress=told.append, reason=EndReason.USER_DISABLED) == 4

    async def awaited() -> int:
        door = AsyncSessions(settings, MemoryStore(), keys)
        for _ in range(4):
            await door.start(ana)
        return await door.end_all(progress=told.append)

    assert asyncio.run(awaited()) == 4
    assert told == [3, 3]
    assert [fact.reason for fact in events if isinstance(fact, SessionEnded)] == [EndReason.USER_DISABLED] * 4
