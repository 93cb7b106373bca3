"""Signing in, turning the key, stepping up and ending, over the memory store and a clock that is moved by hand."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn._application import async_faults
from keyturn._ends import Origin
from keyturn.errors import (
    BindingMismatchError,
    ConfigurationError,
    CredentialsError,
    KeyturnError,
    RequestError,
    SessionEndedError,
    SessionLimitError,
    StoreError,
    TokenError,
    TokenExpiredError,
)
from keyturn.events import (
    RefreshRecovered,
    RefreshRefused,
    ReuseDetected,
    SessionEnded,
    SessionRefreshed,
    SessionStarted,
)
from keyturn.keyrings.directory import DirectoryKeys
from keyturn.keys import rotate_access
from keyturn.session import Client, EndReason
from keyturn.stores import PURGE_STEP, Purged
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.desk import ALICE, BOB, Desk, People, a_desk, generation, is_over
from tests.support.rows import DAY, LEEWAY, settings_with

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
TRANSPORTS = ["cookie", "body"]


@pytest.fixture
def desk() -> Desk:
    return a_desk(MemoryStore())


@pytest.fixture(params=["memory", "sqlite"])
def limited(request, tmp_path):
    """Give a store that is asked twice for a sign-in, and one that is asked once."""
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SqliteStore(tmp_path / "sessions.db") as store:
            yield store


# --- signing in -----------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-01", "SE-01")
def test_every_sign_in_draws_a_seed_an_id_and_a_binding_of_its_own(desk):
    devices = [desk.sign_in() for _ in range(200)]
    tokens = [desk.presented(device).token for device in devices]
    assert len({token.seed for token in tokens}) == 200
    assert len({token.session_id for token in tokens}) == 200
    assert len({device.binding for device in devices}) == 200
    assert all(len(token.seed) == 16 for token in tokens)


def test_a_cookie_session_is_bound_and_a_body_session_is_not(desk):
    cookie, body = desk.sign_in(), desk.sign_in(transport="body")
    assert cookie.binding is not None
    assert body.binding is None
    with pytest.raises(BindingMismatchError):
        desk.verify(cookie.access_token)
    assert desk.verify(body.access_token).subject == "alice"
    unbound = a_desk(MemoryStore(), settings=settings_with(binding="none"))
    assert unbound.sign_in().binding is None


def test_a_sign_in_is_told_with_user_and_client(desk):
    client = Client(user_agent="Firefox\r\nforged: line", ip="192.0.2.1", device_name="d" * 200)
    device = desk.sign_in(client=client)
    (fact,) = desk.told()
    assert isinstance(fact, SessionStarted)
    assert fact.principal is ALICE
    assert desk.row(device).client == Client(user_agent="Firefoxforged: line", ip="192.0.2.1", device_name="d" * 100)


@pytest.mark.ids("RT-12", "SE-08")
def test_a_disabled_user_cannot_start_a_session(desk):
    with pytest.raises(CredentialsError):
        desk.sign_in(replace(ALICE, disabled=True))
    assert desk.run(desk.flows.ends.find("alice")) == []


@pytest.mark.ids("ATP-05")
def test_a_subject_that_equals_a_client_id_starts_nothing():
    desk = a_desk(MemoryStore(), client_ids=frozenset({"alice"}))
    with pytest.raises(ConfigurationError):
        desk.sign_in()
    assert desk.run(desk.flows.ends.find("alice")) == []


@pytest.mark.ids("M52", "SE-01")
@pytest.mark.parametrize("claim", ["sid", "sub", "gen", "realm", "bnd", "exp", "cnf"])
def test_claims_that_would_plant_an_id_leave_no_session_behind(desk, claim):
    with pytest.raises(KeyturnError):
        desk.sign_in(claims={claim: "planted"})
    assert desk.run(desk.flows.ends.find("alice")) == []
    assert desk.told() == []


@pytest.mark.ids("M40", "SE-01")
def test_a_strangers_token_in_a_login_is_neither_adopted_nor_ended(desk):
    alices = desk.sign_in(ALICE)
    token = desk.presented(alices).token
    bobs = desk.sign_in(BOB, presented=token)
    assert desk.use(bobs).subject == "bob"
    assert desk.row(bobs).id != desk.row(alices).id
    assert desk.use(desk.refresh(alices)).subject == "alice"


@pytest.mark.ids("SE-01")
def test_a_login_ends_the_same_users_session_that_it_still_carried(desk):
    old = desk.sign_in()
    desk.sign_in(presented=desk.presented(old).token)
    assert is_over(desk, old)
    assert desk.row(old).end_reason is EndReason.ENDED


@pytest.mark.ids("SE-01", "SE-05")
def test_a_login_makes_room_for_itself_where_the_limit_refuses(limited):
    strict = a_desk(limited, settings=settings_with(max_sessions=1, on_limit="refuse"))
    old = strict.sign_in()
    new = strict.sign_in(presented=strict.presented(old).token)
    assert strict.use(new).subject == "alice"
    assert is_over(strict, old)


# --- the common case ------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-03", "ATP-04", "SE-07")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_refresh_gives_a_new_token_and_renews_neither_sign_in_time_nor_methods(desk, transport):
    device = desk.sign_in(transport=transport, amr=("pwd", "otp"))
    first, since = desk.row(device), desk.use(device).authenticated_at
    seen = {device.refresh_token}
    for turn in range(1, 4):
        desk.advance(HOUR)
        claims = desk.use(desk.refresh(device))
        seen.add(device.refresh_token)
        assert generation(desk, device) == claims.generation == desk.row(device).generation == turn
        assert (claims.authenticated_at, claims.amr) == (since, ("pwd", "otp"))
    assert len(seen) == 4
    assert desk.row(device).seed_digest == first.seed_digest
    assert len(desk.told(SessionRefreshed)) == 3


@pytest.mark.ids("RT-15", "M48")
def test_a_refresh_needs_no_access_token_good_or_expired(desk):
    device = desk.sign_in()
    desk.advance(2 * HOUR)
    with pytest.raises(TokenExpiredError):
        desk.verify(device.access_token, device.binding)
    desk.use(desk.refresh(device))


def test_the_binding_stays_the_same_for_the_sessions_whole_life(desk):
    device = desk.sign_in()
    outcome = desk.ask(device)
    assert outcome.pair.binding is None
    assert desk.verify(outcome.pair.access_token, device.binding).binding == desk.row(device).binding


@pytest.mark.ids("RT-03", "RT-06")
def test_a_cookie_session_turns_at_most_once_a_leeway_but_its_access_token_is_fresh(desk):
    device = desk.refresh(desk.sign_in())
    before = desk.row(device)
    desk.advance(LEEWAY - TICK)
    again = desk.ask(device)
    assert not again.turned
    assert again.pair.refresh_token == device.refresh_token
    assert again.pair.access_token != device.access_token
    assert desk.row(device) == before
    desk.advance(TICK)
    assert desk.ask(device).turned


def test_a_fresh_sign_in_may_turn_at_once(desk):
    device = desk.sign_in()
    assert desk.ask(device).turned


# --- answers that are lost, late, doubled ---------------------------------------------------------------------------


@pytest.mark.ids("P3", "P4")
def test_seven_lost_answers_in_a_row_are_forgiven_and_a_mirror_is_found_in_the_end(desk):
    device = desk.sign_in()
    for _ in range(9):  # the turn, then eight recoveries
        desk.ask(device)
        desk.advance(HOUR)
    with pytest.raises(SessionEndedError):
        desk.ask(device)
    assert len(desk.told(RefreshRecovered)) == 8
    assert len(desk.told(ReuseDetected)) == 1


def test_recoveries_are_counted_until_a_generation_needs_none(desk):
    device = desk.sign_in()
    for _ in range(3):
        desk.ask(device)  # lost
        desk.advance(HOUR)
        desk.refresh(device)  # recovered
        desk.advance(HOUR)
    assert desk.row(device).recoveries == 3
    desk.refresh(device)
    desk.advance(HOUR)
    assert desk.row(device).recoveries == 3
    desk.refresh(device)
    assert desk.row(device).recoveries == 0


# --- two holders ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-04", "RT-20", "SE-02", "P2", "P4")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_spent_token_ends_the_session_kills_its_access_tokens_and_is_told(desk, transport):
    device = desk.sign_in(transport=transport, client=Client(ip="192.0.2.1"))
    first = device.copy()
    for _ in range(2):
        desk.advance(HOUR)
        desk.use(desk.refresh(device))
    presenter = Client(ip="203.0.113.9")
    with pytest.raises(SessionEndedError) as caught:
        desk.run(desk.flows.refresh(desk.presented(first), Origin(client=presenter)))
    assert caught.value.reason == "reuse"
    assert is_over(desk, device)
    ended, alarm = desk.told(SessionEnded, ReuseDetected)
    assert ended.reason is EndReason.REUSE
    assert (alarm.behind, alarm.since_rotation) == (2, timedelta(0))
    assert (alarm.sign_in_client.ip, alarm.client) == ("192.0.2.1", presenter)


@pytest.mark.ids("RT-04", "SE-02")
def test_an_alarm_whose_end_was_carried_out_unanswered_shows_in_every_refusal_that_follows(desk):
    """Nobody knows then whom the end was told to, so `ReuseDetected` is told at most once, and here never."""
    device = desk.sign_in()
    first = device.copy()
    for _ in range(2):
        desk.use(desk.refresh(device))
        desk.advance(HOUR)
    end = desk.store.end

    async def end_unanswered(*arguments, **more):
        await end(*arguments, **more)
        raise StoreError(cause="the connection broke")

    desk.store.end = end_unanswered
    with pytest.raises(StoreError):
        desk.ask(first)
    desk.store.end = end
    for holder in (first, device):
        with pytest.raises(SessionEndedError) as caught:
            desk.ask(holder)
        assert caught.value.reason == "reuse"
    assert desk.told(ReuseDetected, SessionEnded) == []
    refusals = desk.told(RefreshRefused)
    assert [(fact.reason, fact.session.end_reason) for fact in refusals] == [("reuse", EndReason.REUSE)] * 2


@pytest.mark.ids("P4", "RT-04")
def test_one_behind_delivered_and_outside_the_leeway_is_an_alarm_and_a_microsecond_earlier_it_is_not(desk):
    victim = desk.sign_in()
    thief = victim.copy()
    desk.use(desk.refresh(victim))
    desk.advance(LEEWAY - TICK)
    desk.ask(thief)
    desk.advance(TICK)
    with pytest.raises(SessionEndedError):
        desk.ask(thief)
    assert is_over(desk, victim)


# --- wrong hands, wrong client, wrong realm -------------------------------------------------------------------------


@pytest.mark.ids("RT-06")
def test_a_token_without_its_binding_turns_nothing_and_is_told_as_an_alarm(desk):
    device = desk.sign_in()
    for binding in (None, desk.sign_in(BOB).binding):
        with pytest.raises(BindingMismatchError):
            desk.ask(replace(device, binding=binding))
    refused = desk.told(RefreshRefused)
    assert [(fact.code, fact.high) for fact in refused] == [("binding_mismatch", True)] * 2
    assert desk.row(device).generation == 0
    desk.use(desk.refresh(device))


def test_a_cookie_of_another_sign_in_does_not_disturb_a_session_that_has_no_binding(desk):
    """A browser sends the binding cookie to the whole host; a program in it may hold a body session."""
    stray = desk.sign_in().binding
    device = replace(desk.sign_in(transport="body"), binding=stray)
    desk.refresh(device)
    desk.advance(HOUR)
    desk.refresh(device)
    assert generation(desk, device) == 2
    device.take(desk.step_up(device))
    assert generation(desk, device) == 3
    assert desk.row(device).binding is None


@pytest.mark.ids("RT-10")
def test_a_request_in_another_clients_name_is_refused_and_ends_nothing(desk):
    device = desk.sign_in(client_id="shop")
    with pytest.raises(SessionEndedError):
        desk.ask(device, client_id="other")
    desk.refresh(device, client_id="shop")
    assert desk.verify(device.access_token, device.binding).client_id == "shop"
    assert desk.told(SessionEnded) == []


# --- scope ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-11", "ATP-06")
def test_a_narrower_scope_is_for_one_access_token_and_the_grant_stays(desk):
    device = desk.sign_in()
    assert desk.verify(device.access_token, device.binding).scope == {"read", "write"}
    desk.refresh(device, scope="read")
    assert desk.verify(device.access_token, device.binding).scope == {"read"}
    desk.advance(HOUR)
    desk.refresh(device)
    assert desk.verify(device.access_token, device.binding).scope == {"read", "write"}


@pytest.mark.ids("RT-11", "ATP-06")
@pytest.mark.parametrize("scope", ["admin", "read admin", "read  write", 'read "'])
def test_a_scope_that_is_not_held_loses_nothing(desk, scope):
    device = desk.sign_in()
    before = desk.row(device)
    with pytest.raises(RequestError) as caught:
        desk.ask(device, scope=scope)
    assert caught.value.code == "invalid_scope"
    assert desk.row(device) == before
    desk.use(desk.refresh(device))


@pytest.mark.ids("RT-11")
def test_what_was_not_granted_at_sign_in_is_not_granted_later_though_it_is_held(desk):
    device = desk.sign_in(scope="read")
    desk.refresh(device)
    assert desk.verify(device.access_token, device.binding).scope == {"read"}
    with pytest.raises(RequestError):
        desk.ask(device, scope="write")


@pytest.mark.ids("RT-11", "RT-12")
def test_scope_is_decided_anew_at_every_refresh(desk):
    device = desk.sign_in()
    desk.people.known["alice"] = replace(ALICE, scopes=frozenset({"write", "admin"}))
    desk.refresh(device)
    assert desk.verify(device.access_token, device.binding).scope == {"write", "admin"}
    desk.people.known["alice"] = replace(ALICE, scopes=frozenset())
    desk.advance(HOUR)
    desk.refresh(device)
    assert desk.verify(device.access_token, device.binding).scope == frozenset()


@pytest.mark.ids("RT-04", "RT-11")
def test_a_wrong_scope_does_not_hide_a_spent_token_or_wrong_hands(desk):
    device = desk.sign_in()
    spent = device.copy()
    with pytest.raises(BindingMismatchError):
        desk.ask(replace(device, binding=None), scope="admin")
    for _ in range(2):
        desk.advance(HOUR)
        desk.use(desk.refresh(device))
    with pytest.raises(SessionEndedError):
        desk.ask(spent, scope="admin")
    assert len(desk.told(ReuseDetected)) == 1
    with pytest.raises(SessionEndedError):
        desk.ask(device, scope="admin")


# --- the user behind the session ------------------------------------------------------------------------------------


@pytest.mark.ids("RT-12", "SE-08")
@pytest.mark.parametrize(
    "now_known",
    [None, replace(ALICE, disabled=True)],
    ids=["deleted", "disabled"],
)
@pytest.mark.parametrize("moment", ["turn", "reissue", "recover", "catch up", "step-up"])
def test_a_user_who_may_not_be_signed_in_any_more_is_signed_out_at_the_next_refresh(desk, now_known, moment):
    device = desk.refresh(desk.sign_in())
    if moment in ("turn", "recover"):
        desk.advance(HOUR)
    if moment == "recover":
        desk.ask(device)
        desk.advance(HOUR)
    if moment == "catch up":
        row = desk.row(device)
        desk.store._rows[row.id] = replace(row, generation=0, delivered=0)
    desk.people.known["alice"] = now_known
    with pytest.raises(SessionEndedError):
        desk.step_up(device) if moment == "step-up" else desk.ask(device)
    assert desk.row(device).end_reason is EndReason.USER_DISABLED
    assert is_over(desk, device)
    assert len(desk.told(SessionEnded)) == 1


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("trouble", [OSError("no route"), TimeoutError(), RuntimeError("bug")])
@pytest.mark.parametrize("later", [SECOND, HOUR])
def test_trouble_in_loading_the_user_is_raised_and_nothing_is_lost(desk, trouble, later):
    device = desk.sign_in()
    desk.use(device)
    desk.advance(HOUR)
    desk.people.trouble = trouble
    with pytest.raises(StoreError) as caught:
        desk.ask(device)
    assert caught.value.status == 503
    assert "no route" not in str(caught.value)
    desk.people.trouble = None
    desk.advance(later)
    assert desk.use(desk.refresh(device)).generation == 1
    desk.advance(HOUR)
    desk.use(desk.refresh(device))
    assert desk.told(SessionEnded) == []


@pytest.mark.ids("ST-05", "RT-06")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_tries_again_and_again_while_users_cannot_be_loaded_keeps_its_session(desk, transport):
    device = desk.sign_in(transport=transport)
    desk.advance(HOUR)
    desk.people.trouble = OSError("no route")
    for _ in range(20):
        with pytest.raises(StoreError):
            desk.ask(device)
        desk.advance(LEEWAY)
    assert desk.row(device).recoveries == 0
    desk.people.trouble = None
    assert desk.use(desk.refresh(device)).generation == 1
    assert desk.told(ReuseDetected, SessionEnded) == []


@pytest.mark.ids("ST-05", "SE-07")
def test_a_step_up_while_users_cannot_be_loaded_changes_nothing(desk):
    device = desk.sign_in()
    before = desk.row(device)
    desk.people.trouble = OSError("no route")
    with pytest.raises(StoreError):
        desk.step_up(device)
    assert desk.row(device) == before
    desk.people.trouble = None
    assert desk.use(device.take(desk.step_up(device))).generation == 1


def test_an_applications_own_refusal_from_loading_is_passed_on(desk):
    device = desk.sign_in()
    desk.people.trouble = StoreError(cause="theirs")
    with pytest.raises(StoreError) as caught:
        desk.ask(device)
    assert caught.value.cause == "theirs"


def test_the_user_is_loaded_after_the_step_and_not_for_a_token_that_is_refused(desk):
    device = desk.sign_in()
    desk.end(device)
    with pytest.raises(SessionEndedError):
        desk.ask(device)
    assert desk.people.loads == 0


def test_without_users_a_refresh_says_what_is_missing(desk):
    device = desk.sign_in()
    with pytest.raises(ConfigurationError, match="users is missing"):
        desk.run(replace(desk.flows, users=None).refresh(desk.presented(device)))


# --- ends of life ---------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-08", "P6", "SE-06", "RT-17")
def test_the_absolute_end_is_fixed_at_sign_in_and_the_last_token_reaches_no_further(desk):
    device = desk.sign_in()
    end = desk.row(device).expires_at
    for _ in range(89):
        desk.advance(DAY)
        desk.refresh(device)
        assert desk.row(device).expires_at == end
    desk.advance(DAY - SECOND)
    last = desk.ask(device)
    assert last.pair.refresh_expires_at == end
    assert last.pair.expires_at <= end
    desk.advance(SECOND)
    with pytest.raises(SessionEndedError):
        desk.ask(device.take(last))
    assert desk.told(SessionEnded) == []


@pytest.mark.ids("RT-09", "SE-06")
@pytest.mark.parametrize(("remember", "idle"), [(True, 30 * DAY), (False, DAY)])
def test_a_session_that_is_not_used_idles_out(desk, remember, idle):
    used, forgotten = desk.sign_in(remember=remember), desk.sign_in(remember=remember)
    desk.advance(idle - TICK)
    desk.refresh(used)
    desk.advance(TICK)
    with pytest.raises(SessionEndedError):
        desk.ask(forgotten)
    desk.advance(idle - 2 * TICK)
    desk.refresh(used)


@pytest.mark.ids("M33", "P6", "RT-08", "RT-09")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.parametrize("sliding", [True, False])
@pytest.mark.parametrize(("idle", "absolute"), [(2, 3), (3, 3), (2, 7)])
@pytest.mark.parametrize("leeway", [0, 10, 60])
@pytest.mark.parametrize("losing", [False, True])
def test_no_combination_of_options_outlives_either_end(transport, remember, sliding, idle, absolute, leeway, losing):
    """Refreshed every half hour, with answers lost or not, until it is over; then by whom and when is checked."""
    settings = settings_with(
        idle_lifetime=idle * HOUR,
        session_lifetime=absolute * HOUR,
        sliding=sliding,
        leeway=timedelta(seconds=leeway),
        access_token_lifetime=timedelta(minutes=5),
    )
    desk = a_desk(MemoryStore(), settings=settings)
    device = desk.sign_in(transport=transport, remember=remember)
    started, end = desk.clock(), desk.row(device).expires_at
    over = started + (min(idle, absolute) if not sliding else absolute) * HOUR
    for half_hours in range(1, 2 * absolute + 4):
        desk.advance(HOUR / 2)
        if desk.clock() >= over:
            with pytest.raises(SessionEndedError):
                desk.ask(device)
            continue
        answer = desk.ask(device)
        row = desk.row(device)
        assert row.expires_at == end == started + absolute * HOUR
        assert answer.pair.expires_at <= end
        assert answer.pair.refresh_expires_at == min(row.idle_expires_at, row.expires_at)
        if not (losing and half_hours % 2):
            device.take(answer)
    with pytest.raises(SessionEndedError):
        desk.ask(device)


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-02", "SE-03", "RT-12", "RT-20", "M44", "P2")
@pytest.mark.parametrize("reason", EndReason)
def test_after_the_end_neither_token_works_and_it_is_told_once(desk, reason):
    device = desk.sign_in()
    desk.use(desk.refresh(device))
    assert desk.end(device, reason) == 1
    assert desk.end(device, reason) == 0
    assert is_over(desk, device)
    assert [fact.reason for fact in desk.told(SessionEnded)] == [reason]


@pytest.mark.ids("SE-02", "P2")
def test_a_logout_is_felt_here_at_once_though_another_process_ended_the_session_before(desk):
    elsewhere = a_desk(desk.store, clock=desk.clock)
    device = desk.sign_in()
    assert elsewhere.end(device, EndReason.REUSE) == 1
    assert desk.end(device) == 0
    with pytest.raises(SessionEndedError):
        desk.verify(device.access_token, device.binding)
    assert not desk.told(SessionEnded)


@pytest.mark.ids("SE-03", "RT-20")
def test_a_genuine_token_of_any_generation_logs_out_with_an_expired_access_token_and_twice(desk):
    device = desk.sign_in()
    oldest = device.copy()
    for _ in range(3):
        desk.advance(HOUR)
        desk.refresh(device)
    token = desk.presented(oldest).token
    assert desk.run(desk.flows.ends.end_by_token(token)) is not None
    assert desk.run(desk.flows.ends.end_by_token(token)) is None
    assert is_over(desk, device)
    assert [fact.reason for fact in desk.told(SessionEnded)] == [EndReason.LOGOUT]


@pytest.mark.ids("SE-04", "SE-08", "RT-12")
def test_all_sessions_of_a_user_end_but_the_one_that_is_kept(desk):
    devices = [desk.sign_in() for _ in range(4)]
    bobs = desk.sign_in(BOB)
    kept = desk.row(devices[2]).id
    ended = desk.run(desk.flows.ends.end_all("alice", EndReason.CREDENTIALS_CHANGED, keep=kept))
    assert {session.id for session in ended} == {desk.row(device).id for device in devices} - {kept}
    for number, device in enumerate(devices):
        assert number == 2 or is_over(desk, device)
    desk.use(desk.refresh(devices[2]))
    desk.use(desk.refresh(bobs))
    assert len(desk.told(SessionEnded)) == 3


@pytest.mark.ids("SE-05")
def test_the_oldest_session_makes_room_for_the_new_one(limited):
    desk = a_desk(limited, settings=settings_with(max_sessions=2))
    devices = []
    for _ in range(3):
        devices.append(desk.sign_in())
        desk.advance(HOUR)
    assert is_over(desk, devices[0])
    assert desk.row(devices[0]).end_reason is EndReason.LIMIT
    for device in devices[1:]:
        desk.use(desk.refresh(device))
    desk.sign_in(BOB)


@pytest.mark.ids("SE-05")
def test_where_the_limit_refuses_nobody_is_signed_out(limited):
    desk = a_desk(limited, settings=settings_with(max_sessions=1, on_limit="refuse"))
    first = desk.sign_in()
    desk.advance(HOUR)
    with pytest.raises(SessionLimitError):
        desk.sign_in()
    desk.use(desk.refresh(first))
    desk.end(first)
    desk.sign_in()


# --- step-up and require --------------------------------------------------------------------------------------------


def test_a_step_up_of_a_session_that_is_over_says_so(desk):
    device = desk.sign_in()
    desk.end(device)
    with pytest.raises(SessionEndedError):
        desk.step_up(device)
    with pytest.raises(BindingMismatchError):
        desk.step_up(replace(desk.sign_in(), binding=None))


def test_a_step_up_may_bind_anew_and_the_old_binding_is_worth_nothing(desk):
    device = desk.sign_in()
    old = device.binding
    device.take(desk.step_up(device, rebind=True))
    assert device.binding not in (None, old)
    desk.use(desk.refresh(device))
    with pytest.raises(BindingMismatchError):
        desk.ask(replace(device, binding=old))
    with pytest.raises(BindingMismatchError):
        desk.verify(device.access_token, old)


# --- hooks ----------------------------------------------------------------------------------------------------------


def test_a_listener_that_fails_is_logged_and_changes_nothing(caplog):
    def fail(fact) -> None:
        raise RuntimeError("mail server away")

    desk = a_desk(MemoryStore(), listeners=[fail])
    with caplog.at_level(logging.ERROR, "keyturn"):
        device = desk.sign_in()
        desk.use(desk.refresh(device))
        desk.end(device)
    assert is_over(desk, device)
    assert [type(fact) for fact in desk.told()][:3] == [SessionStarted, SessionRefreshed, SessionEnded]
    told = [record.getMessage().splitlines()[0] for record in caplog.records]
    assert told[:3] == [
        "a listener failed on SessionStarted with RuntimeError at",
        "a listener failed on SessionRefreshed with RuntimeError at",
        "a listener failed on SessionEnded with RuntimeError at",
    ]


@pytest.mark.ids("ST-01", "M32")
def test_no_log_line_or_event_shows_a_secret(caplog):
    def fail(fact) -> None:
        raise RuntimeError(repr(fact))

    desk = a_desk(MemoryStore(), listeners=[fail])
    with caplog.at_level(logging.DEBUG):
        device = desk.sign_in()
        spent = device.copy()
        desk.refresh(device)
        desk.advance(HOUR)
        desk.refresh(device)
        for wrong in (replace(device, binding=None), spent, device):
            with pytest.raises(TokenError):
                desk.ask(wrong)
    shown = caplog.text + "".join(map(repr, desk.facts)) + repr(desk.row(device)) + repr(desk.presented(device))
    seed = desk.presented(device).token.seed
    row = desk.row(device)
    for secret in (
        device.refresh_token,
        device.access_token,
        spent.refresh_token,
        str(device.binding),
        repr(seed)[2:-1],
        repr(row.seed_digest)[2:-1],
        repr(row.binding)[2:-1],
    ):
        assert secret not in shown


class AsyncPeople(People):
    async def load(self, subject):
        return self.known.get(subject)


async def _listen(fact) -> None:
    """An async listener."""


def test_async_hooks_are_refused_by_a_door_that_blocks_each_with_its_name():
    assert async_faults(People(), [print]) == []
    assert async_faults(None, []) == []
    faults = async_faults(AsyncPeople(ALICE), [print, _listen])
    assert len(faults) == 2
    assert "AsyncPeople.load is async" in faults[0]
    assert "_listen is async" in faults[1]


def test_a_hook_that_turns_out_to_be_async_in_a_blocking_door_is_an_error_and_not_a_yes():
    desk = a_desk(MemoryStore(), people=AsyncPeople(ALICE))
    device = desk.sign_in()
    with pytest.raises((RuntimeError, StoreError)):
        desk.ask(device)


# --- purge ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("ST-04")
def test_a_purge_walks_in_steps_and_tells_how_far_it_is(desk):
    over = [desk.sign_in() for _ in range(7)]
    for device in over[:3]:
        desk.end(device)
    desk.advance(31 * DAY)
    kept = desk.sign_in()
    foreseen: list[int] = []
    assert desk.run(desk.flows.ends.purgeable(None, 2, foreseen.append)) == 7
    progress: list[int] = []
    assert desk.run(desk.flows.ends.purge(None, 2, progress.append)) == 7
    assert foreseen == progress
    assert progress
    assert progress == sorted(progress)
    desk.use(desk.refresh(kept))


@pytest.mark.ids("ST-04")
@pytest.mark.parametrize(("own", "step"), [(None, PURGE_STEP), (7, 7), (print, PURGE_STEP)])
def test_a_purge_takes_the_steps_that_suit_its_store(desk, own, step):
    """A store may say which; one that says nothing is as good as ever."""
    steps = []

    class Store:
        async def purge(self, before, *, limit, after=None):
            steps.append(limit)
            return Purged(count=0, cursor=None)

    if own is not None:
        Store.purge_step = own
    assert desk.run(replace(desk.flows.ends, store=Store()).purge(None, None)) == 0
    assert steps == [step]


@pytest.mark.ids("RT-18")
def test_purging_every_day_forgets_no_spent_token_of_a_live_session(desk):
    device = desk.sign_in()
    spent = device.copy()
    for _ in range(10):
        desk.advance(DAY)
        desk.use(desk.refresh(device))
        desk.run(desk.flows.ends.purge(None, 100))
    with pytest.raises(SessionEndedError):
        desk.ask(spent)
    assert len(desk.told(ReuseDetected)) == 1


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-03")
def test_an_issuer_that_only_refreshes_sees_a_rotated_ring_in_time(tmp_path):
    clock = ManualClock()
    source, other = (DirectoryKeys(tmp_path / "keys", clock=clock) for _ in range(2))
    desk = a_desk(MemoryStore(), clock=clock, keys=source)
    device = desk.sign_in(transport="body")
    before = source.ring.signing(clock()).id
    other.change(lambda ring: rotate_access(ring, now=clock(), entropy=CountingEntropy("new key")))
    for _ in range(10):
        clock.advance(timedelta(minutes=1))
        desk.refresh(device)
    assert source.ring.signing(clock()).id != before


# --- what others give, and what time does ----------------------------------------------------------------------------


def test_users_that_give_another_subject_are_a_fault_and_end_nothing():
    desk = a_desk(MemoryStore())
    device = desk.sign_in()
    desk.people.load = lambda subject: replace(ALICE, subject="somebody else")
    with pytest.raises(ConfigurationError, match="another user"):
        desk.ask(device)
    assert desk.row(device).ended_at is None


@pytest.mark.ids("P3")
def test_claims_that_outgrow_the_access_token_never_become_an_alarm():
    desk = a_desk(MemoryStore())
    device = desk.sign_in(transport="body")
    slim = desk.people.load
    desk.people.load = lambda subject: replace(ALICE, claims={"roles": "x" * 9000})
    for _ in range(12):
        with pytest.raises(KeyturnError) as caught:
            desk.ask(device)
        assert caught.value.code == "token_too_large"
        desk.clock.advance(60)
    desk.people.load = slim
    assert desk.use(desk.refresh(device)).subject == ALICE.subject
