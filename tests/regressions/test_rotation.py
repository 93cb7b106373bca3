"""Faults of other projects in turning the key, from the first lost answer to a store that lost writes: on every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn._refresh_token import RefreshToken
from keyturn.errors import SessionEndedError, TokenInvalidError, TokenStaleError
from keyturn.events import (
    RefreshRecovered,
    RefreshRefused,
    RefreshRequired,
    ReuseDetected,
    SessionEnded,
    SessionSteppedUp,
    StoreWentBack,
)
from keyturn.session import EndReason
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from keyturn.users import Principal
from tests.support.all_stores import Backing
from tests.support.desk import ALICE, Desk, Device, People, generation, is_over
from tests.support.rows import DAY, LEEWAY, settings_with

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
TRANSPORTS = ["cookie", "body"]


@pytest.mark.ids("M03", "P7")
def test_replays_in_the_same_instant_are_told_apart_by_generation(desk):
    """Time stands still: many turns, and each old token is still known for what it is."""
    device = desk.sign_in(transport="body")
    olds = []
    for _ in range(5):
        olds.append(device.copy())
        desk.use(desk.refresh(device))
    assert generation(desk, device) == 5
    assert desk.ask(olds[-1]).pair.refresh_token == device.refresh_token
    with pytest.raises(SessionEndedError):
        desk.ask(olds[-2])
    (alarm,) = desk.told(ReuseDetected)
    assert (alarm.behind, alarm.since_rotation) == (2, timedelta(0))


@pytest.mark.ids("M06", "RT-06")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_generations_old_is_reuse_even_inside_the_leeway(desk, transport):
    device = desk.sign_in(transport=transport)
    oldest = device.copy()
    desk.refresh(device)
    desk.require(device)  # lets a cookie session turn at once
    desk.refresh(device)
    assert generation(desk, device) == 2
    with pytest.raises(SessionEndedError):
        desk.ask(oldest)
    assert desk.told(ReuseDetected)[0].behind == 2


@pytest.mark.ids("M07", "RT-06", "P3")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_lost_answer_is_fetched_again_and_the_next_refresh_works(desk, transport):
    device = desk.sign_in(transport=transport)
    lost = desk.ask(device)
    desk.advance(2 * SECOND)
    retried = desk.ask(device)
    assert retried.pair.refresh_token == lost.pair.refresh_token
    assert not retried.turned
    desk.use(device.take(retried))
    desk.advance(HOUR)
    assert desk.use(desk.refresh(device)).generation == 2
    assert desk.told(ReuseDetected) == []


@pytest.mark.ids("M07", "P3", "P5")
def test_an_answer_lost_on_friday_is_fetched_on_monday(desk):
    device = desk.sign_in()
    desk.use(device)
    desk.advance(HOUR)
    lost = desk.ask(device)
    before = desk.row(device)
    desk.advance(3 * DAY)
    recovered = desk.ask(device)
    assert recovered.pair.refresh_token == lost.pair.refresh_token
    now = desk.clock()
    assert desk.row(device) == replace(before, recovered_at=now, recoveries=1)
    assert len(desk.told(RefreshRecovered)) == 1
    desk.use(device.take(recovered))
    desk.advance(HOUR)
    assert desk.ask(device).turned
    assert desk.row(device).recoveries == 1  # this generation needed one
    desk.advance(HOUR)
    desk.refresh(device.take(desk.ask(device)))


@pytest.mark.ids("M08")
def test_the_window_does_not_slide_with_its_use(desk):
    thief = desk.sign_in()
    victim = desk.refresh(thief.copy())
    desk.use(victim)
    desk.advance(LEEWAY - SECOND)
    assert not desk.ask(thief).turned
    desk.advance(LEEWAY - SECOND)
    with pytest.raises(SessionEndedError):
        desk.ask(thief)
    assert is_over(desk, victim)


@pytest.mark.ids("M09", "P4")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("thief_first", [True, False])
def test_a_thief_who_goes_on_using_a_copy_collides_with_the_victim(desk, transport, thief_first):
    """There is one line of tokens and no branches: two holders who both use theirs cannot both go on."""
    victim = desk.sign_in(transport=transport)
    desk.use(victim)
    thief = victim.copy()
    order = [thief, victim] if thief_first else [victim, thief]
    for turn in range(4):
        desk.advance(HOUR)
        try:
            desk.use(desk.refresh(order[turn % 2]))
        except SessionEndedError:
            break
    assert len(desk.told(ReuseDetected)) == 1
    assert is_over(desk, victim)
    assert is_over(desk, thief)


@pytest.mark.ids("M11")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("apart", [0, 3, 9])
def test_two_answers_may_reach_one_jar_in_either_order(desk, order, apart):
    jar = desk.sign_in()
    for _ in range(3):
        desk.advance(HOUR)
        answers = [desk.ask(jar)]
        desk.advance(apart)
        answers.append(desk.ask(jar))
        for which in order:
            jar.take(answers[which])
        desk.use(jar)
    assert desk.told(ReuseDetected) == []


@pytest.mark.ids("M12")
def test_an_alarm_ends_one_session_and_no_other_device(desk):
    phone, laptop = desk.sign_in(), desk.sign_in()
    spent = phone.copy()
    desk.refresh(phone)
    desk.advance(HOUR)
    desk.refresh(phone)
    with pytest.raises(SessionEndedError):
        desk.ask(spent)
    assert is_over(desk, phone)
    desk.use(desk.refresh(laptop))


@pytest.mark.ids("M14", "SE-07")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_a_step_up_everything_older_is_dead_at_once_and_nobody_is_accused(desk, transport):
    device = desk.sign_in(transport=transport, amr=("pwd",))
    desk.refresh(device)
    before = device.copy()
    desk.advance(5 * SECOND)  # no wait applies
    device.take(desk.step_up(device, amr=("pwd", "otp"), claims={"level": 2}))
    with pytest.raises(TokenStaleError):
        desk.verify(before.access_token, before.binding)
    with pytest.raises(TokenStaleError):
        desk.ask(before)
    claims = desk.use(device)
    assert (claims.generation, claims.amr, claims.authenticated_at) == (2, ("pwd", "otp"), desk.clock())
    assert claims.extra["level"] == 2
    assert desk.told(ReuseDetected, SessionEnded) == []
    assert len(desk.told(SessionSteppedUp)) == 1
    desk.advance(HOUR)
    assert desk.use(desk.refresh(device)).amr == ("pwd", "otp")


@pytest.mark.ids("M14")
def test_a_step_up_with_a_token_that_is_not_current_changes_nothing(desk):
    device = desk.sign_in()
    olds = [device.copy()]
    desk.refresh(device)
    olds.append(device.copy())
    desk.advance(HOUR)
    desk.refresh(device)
    before = desk.row(device)
    for old in olds:
        with pytest.raises(TokenStaleError):
            desk.step_up(old)
    assert desk.row(device) == before
    assert desk.told(ReuseDetected, SessionSteppedUp) == []


@pytest.mark.ids("M15")
def test_a_request_with_the_stale_cookie_forty_milliseconds_after_the_refresh_works(desk):
    device = desk.sign_in()
    desk.use(desk.refresh(device))
    desk.advance(LEEWAY)
    stale = device.copy()
    desk.use(desk.refresh(device))
    desk.advance(0.040)
    assert desk.ask(stale).pair.refresh_token == device.refresh_token
    assert desk.told(ReuseDetected) == []


@pytest.mark.ids("M17", "RT-18")
def test_a_token_of_29_days_ago_still_alarms(desk):
    device = desk.sign_in()
    spent = device.copy()
    for _ in range(29):
        desk.advance(DAY)
        desk.use(desk.refresh(device))
    with pytest.raises(SessionEndedError):
        desk.ask(spent)
    assert desk.told(ReuseDetected)[0].behind == 29
    assert is_over(desk, device)


@pytest.mark.ids("M21", "RT-07")
def test_a_hundred_forged_tokens_with_a_real_session_id_leave_the_victim_signed_in(desk):
    """Not only values without a good tag: with the refresh key in hand, the seed is still missing."""
    victim = desk.sign_in()
    known = desk.presented(victim).token
    chance = CountingEntropy("thief")
    for n in range(100):
        token = RefreshToken(key_id=known.key_id, session_id=known.session_id, generation=n, seed=chance(16))
        with pytest.raises(SessionEndedError):
            desk.run(desk.flows.refresh(replace(desk.presented(victim), token=token)))
    desk.use(desk.refresh(victim))
    assert desk.told(ReuseDetected, SessionEnded) == []


@pytest.mark.ids("M21", "RT-07")
def test_a_made_up_seed_logs_nobody_out(desk):
    device = desk.sign_in()
    token = replace(desk.presented(device).token, seed=b"\0" * 16)
    assert desk.run(desk.flows.ends.end_by_token(token)) is None
    desk.use(device)


@pytest.mark.ids("SE-01", "RT-07", "M21")
def test_a_login_that_carries_a_made_up_seed_ends_nothing(desk):
    device = desk.sign_in()
    desk.sign_in(presented=replace(desk.presented(device).token, seed=b"\0" * 16))
    desk.refresh(device)


@pytest.mark.ids("M22")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_realms_share_a_ring_a_store_and_subjects_and_nothing_else(new_desk, transport):
    clock = ManualClock()
    seven = Principal(subject="7")
    shop, staff = (
        new_desk(
            clock=clock,
            people=People(seven),
            settings=settings_with(realm=realm),
            entropy=CountingEntropy(realm),
        )
        for realm in ("default", "staff")
    )
    customer, employee = shop.sign_in(seven, transport), staff.sign_in(seven, transport)
    for here, foreign in ((shop, employee), (staff, customer)):
        with pytest.raises(TokenInvalidError):
            here.presented(foreign)
        with pytest.raises(TokenInvalidError):
            here.verify(foreign.access_token, foreign.binding)
        # Even a row of the other realm, reached with its genuine parts, is not there.
        there = staff if here is shop else shop
        presented = there.presented(foreign)
        token = presented.token
        with pytest.raises(SessionEndedError):
            here.run(here.flows.refresh(presented))
        assert here.run(here.flows.ends.get(token.session_id)) is None
        assert here.run(here.flows.ends.end_by_token(token)) is None
    assert shop.run(shop.flows.ends.end_all("7", EndReason.LOGOUT_ALL))
    staff.use(staff.refresh(employee))


def went_back(backing: Backing, desk: Desk, device: Device, to: int) -> None:
    """A failover to a copy of the row as it was some generations ago."""
    backing.put_back(desk.row(device), generation=to, delivered=to, rotated_at=desk.clock() - HOUR)


@pytest.mark.ids("M25", "P1")
def test_a_row_that_lost_writes_catches_up_with_the_honest_and_knows_the_thief(backing, desk):
    device = desk.sign_in()
    stolen = device.copy()
    for _ in range(4):
        desk.advance(HOUR)
        desk.use(desk.refresh(device))
    went_back(backing, desk, device, to=0)
    desk.use(desk.refresh(device))
    assert desk.row(device).generation == 5
    (fact,) = desk.told(StoreWentBack)
    assert (fact.row_generation, fact.token_generation) == (0, 4)
    with pytest.raises(SessionEndedError):
        desk.ask(stolen)
    assert desk.told(ReuseDetected)[0].behind == 5


@pytest.mark.ids("M25")
def test_a_thief_who_comes_first_after_the_loss_does_not_shut_the_honest_out_and_is_found(backing, desk):
    device = desk.sign_in()
    thief = device.copy()
    for _ in range(4):
        desk.advance(HOUR)
        desk.use(desk.refresh(device))
    went_back(backing, desk, device, to=0)
    desk.refresh(thief)
    desk.use(desk.refresh(device))
    assert desk.row(device).generation == 5
    desk.advance(HOUR)
    with pytest.raises(SessionEndedError):
        desk.ask(thief)
    assert len(desk.told(ReuseDetected)) == 1


@pytest.mark.ids("M25")
def test_two_tabs_that_catch_up_together_get_the_same_token(backing, desk):
    device = desk.sign_in()
    for _ in range(3):
        desk.advance(HOUR)
        desk.refresh(device)
    went_back(backing, desk, device, to=1)
    first, second = desk.ask(device), desk.ask(device)
    assert first.pair.refresh_token == second.pair.refresh_token
    assert len(desk.told(StoreWentBack)) == 1


@pytest.mark.ids("M26")
def test_a_lost_step_up_answer_means_signing_in_again_and_no_alarm(desk):
    device = desk.sign_in()
    desk.step_up(device)  # lost
    for later in (0, 5, 3600):
        desk.advance(later)
        with pytest.raises(TokenStaleError):
            desk.ask(device)
    assert desk.row(device).ended_at is None
    assert desk.told(ReuseDetected) == []
    assert {fact.code for fact in desk.told(RefreshRefused)} == {"token_stale"}


@pytest.mark.ids("M26", "RT-12")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_change_of_roles_makes_access_tokens_stale_and_a_silent_refresh_mends_it(desk, transport):
    device = desk.sign_in(transport=transport)
    desk.use(desk.refresh(device))
    desk.people.known["alice"] = replace(ALICE, scopes=frozenset({"admin"}))
    desk.require(device)
    with pytest.raises(TokenStaleError):
        desk.verify(device.access_token, device.binding)
    assert desk.use(desk.refresh(device)).scope == {"admin"}
    assert desk.told(ReuseDetected) == []
    assert [fact.session_ids for fact in desk.told(RefreshRequired)] == [(desk.row(device).id,)]


@pytest.mark.ids("M26")
def test_a_change_of_roles_while_an_answer_is_lost_raises_no_alarm(desk):
    device = desk.sign_in()
    desk.ask(device)  # lost
    desk.require(device)
    desk.advance(2 * SECOND)
    desk.refresh(device)  # the same successor, whose access token is stale at once
    with pytest.raises(TokenStaleError):
        desk.verify(device.access_token, device.binding)
    desk.use(desk.refresh(device))  # one further refresh, as the protocol allows
    assert desk.told(ReuseDetected) == []
