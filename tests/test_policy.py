"""The table of protocol section 4, row by row, at every edge; and what else is decided without a store."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from keyturn import _policy
from keyturn._binding import binding_digest
from keyturn._colour import drive
from keyturn._policy import (
    CatchUp,
    Decision,
    Presented,
    Recover,
    Refuse,
    Reissue,
    Reuse,
    TryAgain,
    decide_refresh,
    plan_again,
    plan_catch_up,
    plan_turn,
)
from keyturn.session import MAX_GENERATION, EndReason, Session
from keyturn.settings import Settings
from keyturn.stores.memory import MemoryStore
from tests.support.effort import examples
from tests.support.rows import (
    BROWSER,
    DAY,
    LEEWAY,
    NOW,
    OTHER_COOKIE,
    OTHER_SEED,
    STRICT,
    TICK,
    a_row,
    presenting,
    settings_with,
)

ALARM = Reuse
GONE = Refuse("session_ended", "unknown")
WINDOW = timedelta(hours=1)


def decide(row: Session | None, presented: Presented, *, now: datetime = NOW, settings: Settings = BROWSER) -> Decision:
    return decide_refresh(row, presented, now=now, settings=settings)


# --- rows 1 to 4: is there a session for this token at all? ----------------------------------------------------------


@pytest.mark.ids("RT-07", "RT-10", "M22")
@pytest.mark.parametrize(
    ("row", "presented"),
    [
        pytest.param(None, presenting(5), id="no such session"),
        pytest.param(a_row(realm="staff"), presenting(5), id="another realm's"),
        pytest.param(a_row(), presenting(5, seed=OTHER_SEED), id="another seed"),
        pytest.param(a_row(), presenting(0, seed=OTHER_SEED), id="another seed, spent generation"),
        pytest.param(a_row(), presenting(9, seed=OTHER_SEED), id="another seed, future generation"),
    ],
)
def test_row_1_a_token_without_a_session_is_refused_and_accuses_nobody(row, presented):
    assert decide(row, presented) == GONE


@pytest.mark.ids("RT-10")
def test_row_1_a_request_that_names_another_client_is_refused_and_one_that_names_none_is_not():
    assert decide(a_row(), presenting(5, client_id="shop")) == Refuse("session_ended", "other_client")
    assert decide(a_row(), presenting(3, client_id="shop")) == Refuse("session_ended", "other_client")
    assert decide(a_row(), presenting(5, client_id="default")) == TryAgain()
    assert decide(a_row(), presenting(5, client_id=None)) == TryAgain()


@pytest.mark.ids("P2", "RT-12")
@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("generation", [0, 4, 5, 6])
def test_row_2_no_token_of_an_ended_session_is_good_for_anything(reason, generation):
    row = a_row(ended_at=NOW - DAY, end_reason=reason, rotated_at=NOW, delivered=0)
    assert decide(row, presenting(generation)) == Refuse("session_ended", reason.value)


@pytest.mark.ids("RT-08", "RT-09", "RT-17", "SE-06", "M33")
@pytest.mark.parametrize("end", ["idle_expires_at", "expires_at"])
@pytest.mark.parametrize("generation", [0, 4, 5, 6])
def test_row_3_a_session_is_over_at_the_instant_of_its_end_and_not_a_microsecond_before(end, generation):
    over = a_row(**{end: NOW})
    assert decide(over, presenting(generation)) == Refuse("session_ended", "expired")
    assert decide(a_row(**{end: NOW - TICK}), presenting(generation)) == Refuse("session_ended", "expired")
    assert not isinstance(decide(a_row(**{end: NOW + TICK}), presenting(generation)), Refuse)


@pytest.mark.ids("RT-06")
@pytest.mark.parametrize("generation", [0, 4, 5, 6])
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"binding": None}, id="no binding"),
        pytest.param({"binding": binding_digest(OTHER_COOKIE)}, id="another binding"),
        pytest.param({"binding": binding_digest(OTHER_COOKIE)[:16]}, id="half a digest"),
        pytest.param({"transport": "body"}, id="another transport"),
    ],
)
def test_row_4_a_genuine_token_in_wrong_hands_is_refused_told_loudly_and_ends_nothing(generation, wrong):
    decision = decide(a_row(), presenting(generation, **wrong))
    assert decision == Refuse("binding_mismatch", "other_transport_or_binding", high=True)


def test_row_4_a_cookie_session_stays_a_cookie_session_and_a_body_session_a_body_session():
    row = a_row(transport="body", binding=None)
    assert decide(row, presenting(5, binding=None)).code == "binding_mismatch"
    assert decide(row, presenting(5, transport="body", binding=None)) == TryAgain()


def test_an_unbound_session_needs_no_proof_and_minds_none():
    row = a_row(binding=None)
    assert decide(row, presenting(5, binding=None)) == TryAgain()
    assert decide(row, presenting(5)) == TryAgain()


# --- rows 5 and 6 ---------------------------------------------------------------------------------------------------


@pytest.mark.ids("M25", "P1")
@pytest.mark.parametrize("generation", [6, 7, 4000])
def test_row_5_a_token_ahead_of_the_row_makes_the_row_catch_up_whatever_the_time(generation):
    for row in (a_row(), a_row(rotated_at=NOW), a_row(rotated_at=NOW + DAY), a_row(floor=5, access_floor=6)):
        assert decide(row, presenting(generation)) == CatchUp(5)
        assert decide(row, presenting(generation), settings=STRICT) == CatchUp(5)


@pytest.mark.ids("M25")
def test_row_5_catching_up_compares_and_sets_and_does_not_wait():
    presented = presenting(9)
    turn = plan_turn(presented, now=NOW, settings=BROWSER)
    plan = plan_catch_up(turn, CatchUp(5))
    assert (plan.generation, plan.to, plan.turned_before) == (5, 10, None)
    assert replace(plan, generation=9, turned_before=turn.turned_before) == turn


def test_the_last_generation_that_fits_into_a_token_turns_no_further():
    last = presenting(MAX_GENERATION)
    assert decide(a_row(), last) == Refuse("session_ended", "exhausted")
    assert decide(a_row(generation=MAX_GENERATION), last) == Refuse("session_ended", "exhausted")
    assert decide(a_row(generation=MAX_GENERATION, rotated_at=NOW), last) == Reissue(MAX_GENERATION)
    assert decide(a_row(), presenting(MAX_GENERATION - 1)) == CatchUp(5)


@pytest.mark.ids("M14", "M26")
@pytest.mark.parametrize("generation", [0, 3, 4])
def test_row_6_below_the_floor_is_stale_and_nobody_is_accused(generation):
    stale = Refuse("token_stale", "below_floor")
    for row in (
        a_row(floor=5),
        a_row(floor=5, rotated_at=NOW),
        a_row(floor=5, rotated_at=NOW, delivered=4),
        a_row(floor=5, delivered=0),
    ):
        assert decide(row, presenting(generation)) == stale


@pytest.mark.ids("M14")
def test_row_6_ends_at_the_floor_itself():
    assert decide(a_row(floor=5), presenting(5)) == TryAgain()
    assert decide(a_row(generation=6, floor=5, delivered=6), presenting(5)) == Reuse(1, timedelta(hours=1))
    assert decide(a_row(generation=6, floor=5, rotated_at=NOW), presenting(5)) == Reissue(6)
    assert decide(a_row(generation=6, floor=5, rotated_at=NOW), presenting(4)) == Refuse("token_stale", "below_floor")


# --- rows 7 and 8: equal --------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-03", "RT-06", "M11", "M24", "P5")
def test_row_7_a_cookie_session_turns_once_a_leeway_and_gives_the_presented_token_until_then():
    turned = NOW - LEEWAY
    assert decide(a_row(rotated_at=turned), presenting(5)) == TryAgain()
    assert decide(a_row(rotated_at=turned + TICK), presenting(5)) == Reissue(5)
    assert decide(a_row(rotated_at=NOW), presenting(5)) == Reissue(5)


def test_row_7_counts_from_the_last_recovery_where_that_is_later():
    row = a_row(rotated_at=NOW - DAY, recoveries=1)
    assert decide(replace(row, recovered_at=NOW - LEEWAY + TICK), presenting(5)) == Reissue(5)
    assert decide(replace(row, recovered_at=NOW - LEEWAY), presenting(5)) == TryAgain()
    behind = a_row(rotated_at=NOW, recovered_at=NOW - DAY, recoveries=1)
    assert decide(behind, presenting(5)) == Reissue(5)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(a_row(generation=0, delivered=0, rotated_at=NOW), id="the first turn waits for nothing"),
        pytest.param(a_row(rotated_at=NOW, access_floor=6), id="required: the access token must be fresh"),
    ],
)
@pytest.mark.ids("M26")
def test_row_8_some_turns_need_no_wait(row):
    assert decide(row, presenting(row.generation)) == TryAgain()


def test_row_7_holds_while_nothing_is_required():
    assert decide(a_row(rotated_at=NOW, access_floor=5), presenting(5)) == Reissue(5)


def test_row_8_body_sessions_turn_at_every_refresh():
    row = a_row(transport="body", binding=None, rotated_at=NOW)
    assert decide(row, presenting(5, transport="body", binding=None)) == TryAgain()


# --- rows 9 to 11: behind -------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-06", "M07", "M10", "M15", "P5")
@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_row_9_a_retry_within_the_leeway_gets_the_same_successor(transport):
    presented = presenting(4, transport=transport)
    row = a_row(transport=transport)
    assert decide(replace(row, rotated_at=NOW), presented) == Reissue(5)
    assert decide(replace(row, rotated_at=NOW - LEEWAY + TICK), presented) == Reissue(5)
    assert decide(replace(row, rotated_at=NOW - LEEWAY), presented) == Reuse(1, LEEWAY)


@pytest.mark.ids("M08")
def test_row_9_the_window_hangs_on_the_turn_so_that_replays_do_not_keep_it_open():
    row = a_row(rotated_at=NOW)
    assert decide(row, presenting(4), now=NOW + 9 * LEEWAY / 10) == Reissue(5)
    assert decide(row, presenting(4), now=NOW + LEEWAY) == Reuse(1, LEEWAY)


def test_row_9_counts_from_the_last_recovery_too():
    row = a_row(rotated_at=NOW - DAY, recovered_at=NOW - LEEWAY + TICK, recoveries=1)
    assert decide(row, presenting(4)) == Reissue(5)
    assert isinstance(decide(replace(row, recovered_at=NOW - LEEWAY), presenting(4)), Reuse)


@pytest.mark.ids("RT-06", "P3")
def test_row_10_an_undelivered_successor_is_recovered_until_the_window_closes():
    settings = settings_with(recovery_window=WINDOW)
    row = a_row(delivered=4)
    at = row.rotated_at
    assert decide(row, presenting(4), now=at + LEEWAY, settings=settings) == Recover(5)
    assert decide(row, presenting(4), now=at + WINDOW - TICK, settings=settings) == Recover(5)
    assert decide(row, presenting(4), now=at + WINDOW, settings=settings) == Reuse(1, WINDOW)


def test_row_10_counts_from_the_turn_and_not_from_the_last_recovery():
    settings = settings_with(recovery_window=WINDOW)
    row = a_row(delivered=4, rotated_at=NOW - WINDOW, recovered_at=NOW - LEEWAY, recoveries=1)
    assert decide(row, presenting(4), settings=settings) == Reuse(1, WINDOW)


@pytest.mark.ids("P4")
@pytest.mark.parametrize("delivered", [5])
def test_row_10_is_closed_by_delivery(delivered):
    assert decide(a_row(delivered=delivered), presenting(4)) == Reuse(1, timedelta(hours=1))
    assert decide(a_row(delivered=delivered - 1), presenting(4)) == Recover(5)
    assert decide(a_row(delivered=0), presenting(4)) == Recover(5)


@pytest.mark.ids("P3", "P4")
@pytest.mark.parametrize(("recoveries", "kind"), [(0, Recover), (7, Recover), (8, Reuse), (9, Reuse)])
def test_row_10_closes_after_eight_recoveries_in_a_row(recoveries, kind):
    row = a_row(delivered=4, recoveries=recoveries, recovered_at=NOW - timedelta(minutes=5))
    assert type(decide(row, presenting(4))) is kind


@pytest.mark.ids("RT-04", "RT-18", "M06", "M17", "P4")
@pytest.mark.parametrize("generation", [0, 1, 2, 3])
@pytest.mark.parametrize("age", [timedelta(0), TICK, LEEWAY, timedelta(days=29)])
@pytest.mark.parametrize("delivered", [0, 4, 5])
def test_row_11_two_behind_is_reuse_at_any_time_delivered_or_not(generation, age, delivered):
    row = a_row(rotated_at=NOW - age, delivered=delivered)
    assert decide(row, presenting(generation)) == Reuse(5 - generation, age)


# --- the rows as a whole --------------------------------------------------------------------------------------------

#: What each row's state looks like when everything after it would match too; the first match must win.
SPOILT = {
    "session_ended unknown": {"seed_digest": b"\0" * 32},
    "session_ended logout": {"ended_at": NOW, "end_reason": EndReason.LOGOUT},
    "session_ended expired": {"expires_at": NOW},
    "binding_mismatch other_transport_or_binding": {"binding": b"\0" * 32},
}


@pytest.mark.parametrize("generation", [2, 4, 5, 6])
def test_the_first_row_that_matches_wins(generation):
    """Each of rows 1 to 4 hides all that follow, whatever the generation says."""
    names = list(SPOILT)
    for first in range(len(names)):
        changes: dict[str, Any] = {}
        for name in names[first:]:
            changes |= SPOILT[name]
        decision = decide(a_row(**changes), presenting(generation))
        assert isinstance(decision, Refuse)
        assert f"{decision.code} {decision.reason}" == names[first]


def test_the_floor_comes_before_every_row_about_time():
    assert decide(a_row(floor=5, rotated_at=NOW, delivered=0), presenting(4)).code == "token_stale"


@pytest.mark.ids("RT-03")
def test_strict_knows_neither_leeway_nor_recovery():
    row = a_row(rotated_at=NOW, delivered=4)
    assert decide(row, presenting(5), settings=STRICT) == TryAgain()
    assert decide(row, presenting(4), settings=STRICT) == Reuse(1, timedelta(0))
    assert plan_turn(presenting(5), now=NOW, settings=STRICT).turned_before is None


@pytest.mark.parametrize("back", [TICK, LEEWAY, DAY, 20 * DAY])
def test_without_a_leeway_no_clock_that_went_back_opens_one(back):
    now = NOW - back
    row = a_row(rotated_at=NOW, delivered=4)
    assert decide(row, presenting(5), now=now, settings=STRICT) == TryAgain()
    assert isinstance(decide(row, presenting(4), now=now, settings=STRICT), Reuse)
    no_recovery = settings_with(leeway=timedelta(0), recovery_window=timedelta(0))
    assert isinstance(decide(row, presenting(4), now=now, settings=no_recovery), Reuse)


def test_without_recovery_the_leeway_still_forgives():
    settings = settings_with(recovery_window=timedelta(0))
    row = a_row(rotated_at=NOW, delivered=4)
    assert decide(row, presenting(4), settings=settings) == Reissue(5)
    assert decide(row, presenting(4), now=NOW + LEEWAY, settings=settings) == Reuse(1, LEEWAY)


def test_without_a_leeway_recovery_alone_forgives_lost_answers():
    settings = settings_with(leeway=timedelta(0))
    assert decide(a_row(rotated_at=NOW, delivered=4), presenting(4), settings=settings) == Recover(5)
    assert decide(a_row(rotated_at=NOW, delivered=5), presenting(4), settings=settings) == Reuse(1, timedelta(0))
    assert decide(a_row(rotated_at=NOW), presenting(5), settings=settings) == TryAgain()


@pytest.mark.ids("P3", "P7")
def test_a_clock_that_went_back_a_day_is_patient_with_the_honest_and_still_sees_old_tokens():
    row, now = a_row(rotated_at=NOW), NOW - DAY
    assert decide(row, presenting(5), now=now) == Reissue(5)
    assert decide(row, presenting(4), now=now) == Reissue(5)
    assert decide(row, presenting(3), now=now) == Reuse(2, -DAY)
    assert decide(replace(row, transport="body"), presenting(5, transport="body"), now=now) == TryAgain()


@pytest.mark.ids("P7")
def test_a_clock_that_went_forward_a_day_only_closes_windows():
    row, now = a_row(rotated_at=NOW), NOW + DAY
    assert decide(row, presenting(5), now=now) == TryAgain()
    assert decide(row, presenting(4), now=now) == Reuse(1, DAY)
    assert decide(replace(row, delivered=4), presenting(4), now=now) == Recover(5)


@pytest.mark.ids("M03", "P7")
@pytest.mark.parametrize("settings", [BROWSER, STRICT], ids=["browser", "strict"])
def test_tokens_are_told_apart_by_generation_alone_when_every_time_is_the_same(settings):
    row = a_row(rotated_at=NOW, recovered_at=NOW, created_at=NOW, authenticated_at=NOW, transport="body")
    decisions = [decide(row, presenting(generation, transport="body"), settings=settings) for generation in range(8)]
    kinds = [type(decision) for decision in decisions]
    assert kinds[:4] == [Reuse] * 4
    assert kinds[4] is (Reissue if settings is BROWSER else Reuse)
    assert kinds[5:] == [TryAgain, CatchUp, CatchUp]


# --- the step and the table complement each other -------------------------------------------------------------------

LENGTHS = st.sampled_from([timedelta(0), LEEWAY, timedelta(seconds=60)])
#: Times around every edge: the ends of the windows, a microsecond either side, and clocks gone astray.
MOMENTS = st.builds(
    lambda whole, tick: NOW + whole + tick * TICK,
    st.sampled_from([timedelta(0), LEEWAY, -LEEWAY, WINDOW, -WINDOW, DAY, -DAY, -timedelta(seconds=60)]),
    st.integers(-1, 1),
)
BINDINGS = st.sampled_from([None, binding_digest("a" * 43), binding_digest("b" * 43)])
REALMS = st.sampled_from(["default", "default", "default", "staff"])
TRANSPORTS = st.sampled_from(["cookie", "cookie", "body"])


@st.composite
def rows(draw: st.DrawFn) -> Session:
    generation = draw(st.integers(0, 4))
    ended = draw(st.sampled_from([False, False, False, True]))
    return a_row(
        realm=draw(REALMS),
        client_id=draw(st.sampled_from(["default", "shop"])),
        transport=draw(TRANSPORTS),
        binding=draw(BINDINGS),
        generation=generation,
        delivered=draw(st.integers(0, generation)),
        floor=draw(st.integers(0, generation)),
        access_floor=draw(st.integers(0, generation + 1)),
        rotated_at=draw(MOMENTS),
        recovered_at=draw(st.none() | MOMENTS),
        recoveries=draw(st.integers(0, 9)),
        remember=draw(st.booleans()),
        idle_expires_at=draw(st.just(NOW + 30 * DAY) | MOMENTS),
        expires_at=draw(st.just(NOW + 90 * DAY) | MOMENTS),
        ended_at=NOW if ended else None,
        end_reason=EndReason.ENDED if ended else None,
    )


@st.composite
def requests_for(draw: st.DrawFn, row: Session) -> Presented:
    """Mostly right for the row, so that the rows about generations are reached."""
    right = draw(st.sampled_from([True, True, True, False]))
    return presenting(
        draw(st.integers(0, 6)),
        transport=row.transport if right else draw(TRANSPORTS),
        binding=row.binding if right else draw(BINDINGS),
        client_id=draw(st.sampled_from([None, None, "default", "shop"])),
        seed=presenting(0).token.seed if right else draw(st.sampled_from([presenting(0).token.seed, OTHER_SEED])),
    )


ALL_SETTINGS = st.builds(
    lambda leeway, longer, sliding: settings_with(
        leeway=leeway, recovery_window=longer and max(longer, leeway), sliding=sliding
    ),
    LENGTHS,
    st.sampled_from([timedelta(0), LEEWAY, WINDOW, 30 * DAY]),
    st.booleans(),
)


async def _stored(row: Session) -> MemoryStore:
    store = MemoryStore()
    await store.add(row)
    return store


@pytest.mark.ids("RT-05", "P1")
@examples(300)
@given(data=st.data(), row=rows(), now=MOMENTS, settings=ALL_SETTINGS)
def test_the_step_acts_exactly_where_the_table_says_take_it(data, row, now, settings):
    """Never both refuse, never both act: what `advance` does not do, `decide_refresh` explains, and only that."""
    presented = data.draw(requests_for(row))
    store = drive(_stored(row))
    turn = plan_turn(presented, now=now, settings=settings)
    acted = drive(store.advance(turn))
    decision = decide(row, presented, now=now, settings=settings)
    if row.binding is None and presented.binding is not None and isinstance(decision, TryAgain):
        # A proof that nobody asked for: the second attempt leaves it out.
        assert acted is None
        acted = drive(store.advance(plan_again(turn, row)))
    assert (acted is not None) == isinstance(decision, TryAgain)
    if acted is not None:
        assert (acted.generation, acted.rotated_at) == (row.generation + 1, now)
        assert acted.expires_at == row.expires_at
        assert acted.idle_expires_at <= acted.expires_at or acted.idle_expires_at == row.idle_expires_at


@pytest.mark.ids("P1")
@examples(150)
@given(data=st.data(), row=rows(), now=MOMENTS, settings=ALL_SETTINGS)
def test_a_catch_up_that_the_table_orders_is_carried_out(data, row, now, settings):
    presented = data.draw(requests_for(row))
    decision = decide(row, presented, now=now, settings=settings)
    if isinstance(decision, CatchUp):
        store = drive(_stored(row))
        plan = plan_catch_up(plan_again(plan_turn(presented, now=now, settings=settings), row), decision)
        caught_up = drive(store.advance(plan))
        assert caught_up is not None
        assert caught_up.generation == presented.token.generation + 1


@pytest.mark.ids("P1")
@examples(300)
@given(data=st.data(), row=rows(), now=MOMENTS, settings=ALL_SETTINGS)
def test_nothing_but_the_current_token_its_predecessor_and_one_from_the_future_is_ever_honoured(
    data, row, now, settings
):
    presented = data.draw(requests_for(row))
    decision = decide(row, presented, now=now, settings=settings)
    behind = row.generation - presented.token.generation
    match decision:
        case TryAgain():
            assert behind == 0
        case Reissue(generation) | Recover(generation):
            assert behind in (0, 1)
            assert generation == row.generation
        case CatchUp():
            assert behind < 0
        case Reuse():
            assert behind >= 1
            assert presented.token.generation >= row.floor
        case Refuse():
            pass
    if row.ended_at or now >= min(row.idle_expires_at, row.expires_at):
        assert isinstance(decision, Refuse)


def test_a_turn_says_what_the_row_must_be_and_how_long_it_lives_on():
    turn = plan_turn(presenting(5, client_id="shop"), now=NOW, settings=BROWSER)
    assert (turn.generation, turn.to, turn.realm, turn.client_id) == (5, 6, "default", "shop")
    assert turn.turned_before == NOW - LEEWAY
    assert (turn.idle_remember, turn.idle_session) == (NOW + 30 * DAY, NOW + DAY)
    assert turn.changes is None


def test_body_sessions_wait_for_nothing():
    assert plan_turn(presenting(5, transport="body"), now=NOW, settings=BROWSER).turned_before is None


@pytest.mark.ids("RT-09", "SE-06")
def test_the_idle_lifetime_slides_only_where_asked_for_and_a_day_at_most_without_remember():
    fixed = plan_turn(presenting(5), now=NOW, settings=settings_with(sliding=False))
    assert (fixed.idle_remember, fixed.idle_session) == (None, None)
    short = plan_turn(presenting(5), now=NOW, settings=settings_with(idle_lifetime=timedelta(hours=2)))
    assert (short.idle_remember, short.idle_session) == (NOW + timedelta(hours=2), NOW + timedelta(hours=2))


# --- step-up --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("M14", "SE-07")
def test_a_step_up_turns_at_once_and_leaves_nothing_older_alive():
    turn = _policy.plan_step_up(
        presenting(5), now=NOW, settings=BROWSER, amr=("pwd", "otp"), claims=None, new_binding=None
    )
    assert (turn.generation, turn.to, turn.turned_before) == (5, 6, None)
    assert turn.changes is not None
    assert (turn.changes.floor, turn.changes.access_floor) == (6, 6)
    assert (turn.changes.authenticated_at, turn.changes.amr) == (NOW, ("pwd", "otp"))
    row = drive(drive(_stored(a_row(rotated_at=NOW))).advance(turn))
    assert row is not None
    assert decide(row, presenting(5)) == Refuse("token_stale", "below_floor")


@pytest.mark.ids("M23")
@pytest.mark.parametrize("lifetime", [timedelta(minutes=1), timedelta(hours=1)])
@pytest.mark.parametrize("skew", [timedelta(0), timedelta(seconds=30), timedelta(seconds=60)])
def test_an_announcement_outlives_every_access_token_whatever_the_lifetime_is_today(lifetime, skew):
    settings = settings_with(access_token_lifetime=lifetime, clock_skew=skew)
    until = _policy.announce_until(NOW, settings)
    other_issuer = NOW + timedelta(seconds=25)  # its clock is ahead, and its lifetime was an hour when it signed
    assert until > other_issuer + timedelta(hours=1) + skew - timedelta(seconds=60 - 30)
    assert until >= NOW + timedelta(hours=1) + 2 * skew
