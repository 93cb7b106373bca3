"""The judge sees each promise broken, and does not see it where it was kept."""

from typing import Any

import pytest

from keyturn.testing.torture._facts import ANYWHERE, Kind, Party
from keyturn.testing.torture._oracle import PROMISES, judge
from tests.testing.torture.histories import RULES, a_history, call, end, listing, refusal, trouble, turn

THIEF, PROBE = Party.THIEF, Party.PROBE


def broken(history: Any) -> list[str]:
    return sorted({breach.promise for breach in judge(history, RULES).breaches})


def test_a_quiet_life_breaks_nothing() -> None:
    history = a_history(
        presented=[turn(1, "t0", "t1"), turn(3, "t1", "t2"), turn(3.2, "t1", "t2", copy=True, answered=False,
                   expires_in=999.8), refusal(20.1, "t2", PROBE)],
        called=[call(1.1, "t1"), call(3.1, "t2"), call(20.02, "t2", accepted=False, party=PROBE),
                call(26.2, "t2", accepted=False, party=PROBE)],
        ends=[end(20)],
        listed=[listing(2, "noon"), listing(4, "noon")],
    )  # fmt: skip
    verdict = judge(history, RULES)
    assert verdict.breaches == []
    assert verdict.refreshes == 3
    assert (verdict.logout, verdict.theft, verdict.resurrected) == (None, None, 0)
    assert {promise for promise, seen in verdict.observed.items() if seen} == {"P2", "P3", "P5", "P6"}


def test_what_nobody_tried_was_not_observed() -> None:
    verdict = judge(a_history(presented=[turn(1, "t0", "t1")]), RULES)
    assert [promise for promise in PROMISES if verdict.observed[promise]] == ["P3"]


# --- P1 --------------------------------------------------------------------------------------------------------------


def test_a_token_two_generations_old_that_works_breaks_p1() -> None:
    history = a_history(
        Kind.LATE, presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2"), turn(3, "t0", "t1", THIEF, expires_in=998)]
    )
    verdict = judge(history, RULES)
    assert "P1" in broken(history)
    assert verdict.breaches[0].what == "session 1 (thief late, body): generation 0 worked when 2 was handed out"


def test_a_predecessor_that_works_breaks_nothing() -> None:
    assert broken(a_history(presented=[turn(1, "t0", "t1"), turn(2, "t0", "t1", expires_in=999)])) == []


def test_a_token_that_was_overtaken_while_under_way_breaks_nothing() -> None:
    slow = turn(1, "t0", "t1", expires_in=999.9)
    history = a_history(presented=[turn(0.5, "t0", "t1"), turn(1.005, "t1", "t2"), slow])
    assert "P1" not in broken(history)


def test_two_branches_that_both_go_on_break_p1() -> None:
    history = a_history(
        presented=[turn(1, "t0", "t1"), turn(2, "t0", "u1", expires_in=999), turn(3, "t1", "t2"), turn(4, "u1", "u2")]
    )
    assert "P1" in broken(history)


# --- P2 --------------------------------------------------------------------------------------------------------------


def test_a_refresh_after_the_end_breaks_p2() -> None:
    history = a_history(presented=[turn(1, "t0", "t1"), turn(5.02, "t1", "t2", PROBE)], ends=[end(5)])
    assert broken(history) == ["P2"]
    assert judge(history, RULES).resurrected == 1


def test_a_refresh_that_began_before_the_end_returned_may_work() -> None:
    history = a_history(presented=[turn(5.005, "t0", "t1")], ends=[end(5, "race")])
    verdict = judge(history, RULES)
    assert (broken(history), verdict.resurrected) == ([], 0)


def test_an_access_token_that_is_taken_past_the_bound_breaks_p2() -> None:
    late = a_history(called=[call(5.02, "t0", party=PROBE), call(11.05, "t0", party=PROBE)], ends=[end(5)])
    assert broken(late) == ["P2"]
    assert judge(late, RULES).resurrected == 1
    within = a_history(called=[call(10.9, "t0", party=PROBE), call(11.2, "t0", accepted=False)], ends=[end(5)])
    assert broken(within) == []


def test_an_end_that_nobody_promised_binds_nobody() -> None:
    history = a_history(presented=[turn(6, "t0", "t1")], ends=[end(5, promised=False)])
    assert broken(history) == []


def test_trouble_after_the_end_is_neither_resurrection_nor_a_chance_to_see_one() -> None:
    verdict = judge(a_history(presented=[trouble(6, "t0")], ends=[end(5)]), RULES)
    assert (verdict.resurrected, verdict.observed["P2"]) == (0, 0)


def test_how_long_an_end_goes_unfelt_is_told_for_each_place() -> None:
    history = a_history(
        ends=[end(5)],
        called=[
            call(5.05, "t0", accepted=False), call(5.06, "t0", place=1), call(5.3, "t0", accepted=False, place=1),
            call(5.5, "t0", place=1), call(5.8, "t0", accepted=False, place=1), call(6, "t0", accepted=False, place=1),
            call(5.1, "t0", place=2), call(9, "t0", accepted=False, place=3), call(5.2, "t0", place=ANYWHERE),
        ],
    )  # fmt: skip
    felt = judge(history, RULES).revocation
    assert felt[0] == pytest.approx(0.04)
    assert felt[1] == pytest.approx(0.79)  # a worker that knew came first, one that did not came later
    assert felt[2] is None
    assert set(felt) == {0, 1, 2}  # what was asked too late, or who knows where, says nothing


def test_an_end_that_an_alarm_went_before_has_no_latency_of_its_own() -> None:
    called = [call(5.05, "t2"), call(5.5, "t2", accepted=False)]
    alarmed = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", THIEF), refusal(3.1, "t2")]
    assert judge(a_history(Kind.LATE, presented=alarmed, ends=[end(5)], called=called), RULES).revocation == {}
    assert judge(a_history(Kind.LATE, presented=alarmed[:2], ends=[end(5)], called=called), RULES).revocation != {}


# --- P3 --------------------------------------------------------------------------------------------------------------


def test_an_honest_client_that_is_refused_breaks_p3() -> None:
    history = a_history(presented=[turn(1, "t0", "t1", answered=False), refusal(2, "t0")])
    assert broken(history) == ["P3"]
    assert judge(history, RULES).breaches[0].what.endswith("refused 2.0 s after the sign-in")


def test_tabs_without_a_lock_are_counted_apart() -> None:
    history = a_history(Kind.TABS_UNLOCKED, presented=[turn(1, "t0", "t1"), turn(1, "t0", "t1"), refusal(2, "t1")])
    verdict = judge(history, RULES)
    assert verdict.logout is not None
    assert (verdict.breaches, verdict.observed["P3"]) == ([], 0)


def test_whoever_was_signed_out_on_purpose_is_refused_rightly() -> None:
    history = a_history(presented=[turn(1, "t0", "t1"), refusal(5.005, "t1")], ends=[end(5, "other")])
    assert judge(history, RULES).logout is None


def test_a_refusal_that_overlaps_the_end_is_the_ends() -> None:
    history = a_history(presented=[turn(1, "t0", "t1"), refusal(4.995, "t1")], ends=[end(5, "other")])
    assert judge(history, RULES).logout is None


def test_whoever_has_an_excuse_is_counted_and_breaks_nothing() -> None:
    late = refusal(30, "t0", copy=True, answered=False)
    verdict = judge(a_history(presented=[turn(1, "t0", "t1"), late, refusal(31, "t1")]), RULES)
    assert verdict.logout is not None
    assert (verdict.breaches, verdict.observed["P3"]) == ([], 0)


def test_a_copy_that_is_refused_signs_nobody_out() -> None:
    copy = refusal(3, "t0", copy=True, answered=False)
    assert judge(a_history(presented=[turn(1, "t0", "t1"), copy]), RULES).logout is None


def test_an_access_token_that_is_refused_twice_may_just_be_old() -> None:
    called = [call(1.1, "t1", accepted=False), call(1.2, "t1", accepted=False)]
    assert judge(a_history(presented=[turn(1, "t0", "t1")], called=called), RULES).logout is None


def test_trouble_signs_nobody_out() -> None:
    assert judge(a_history(presented=[trouble(1, "t0"), turn(2, "t0", "t1")]), RULES).logout is None


def test_a_fresh_access_token_that_is_refused_twice_breaks_p3() -> None:
    shut_out = a_history(
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2")],
        called=[call(1.1, "t1", accepted=False), call(2.1, "t2", accepted=False)],
    )
    assert broken(shut_out) == ["P3"]
    expired = a_history(
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2")],
        called=[call(1.1, "t1", accepted=False), call(2.1, "t2")],
    )
    assert broken(expired) == []


# --- P4 --------------------------------------------------------------------------------------------------------------


def test_a_thief_who_is_not_found_breaks_p4() -> None:
    history = a_history(
        Kind.LATE,
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", THIEF), turn(4, "t2", "t3")],
    )
    assert broken(history) == ["P4"]
    assert (
        judge(history, RULES)
        .breaches[0]
        .what.endswith("the thief came second with generation 0 when 2 was handed out, and the session went on")
    )


def test_a_thief_who_is_found_is_timed_to_the_others_refusal() -> None:
    history = a_history(
        Kind.LATE,
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", THIEF), refusal(3.2, "t2")],
    )
    verdict = judge(history, RULES)
    assert verdict.breaches == []
    assert verdict.theft is not None
    assert verdict.theft.seconds == pytest.approx(0.21)
    assert verdict.logout is None  # the victim was signed out, and rightly


def test_a_thief_whom_nobody_promised_to_find_breaks_nothing() -> None:
    history = a_history(Kind.CLOSE_MIRROR, presented=[turn(1, "t0", "t1"), turn(2, "t0", "t1", THIEF, expires_in=999)])
    verdict = judge(history, RULES)
    assert verdict.theft is not None
    assert (verdict.breaches, verdict.observed["P4"]) == ([], 0)


# --- P5, P6, P7 ------------------------------------------------------------------------------------------------------


def test_two_successors_of_one_token_break_p5() -> None:
    assert broken(a_history(presented=[turn(1, "t0", "t1"), turn(2, "t0", "u1")])) == ["P5"]


def test_a_repeat_that_prolongs_a_tokens_life_breaks_p5() -> None:
    prolonged = a_history(presented=[turn(1, "t0", "t1"), turn(5, "t0", "t1", expires_in=1000)])
    assert broken(prolonged) == ["P5"]
    kept = a_history(presented=[turn(1, "t0", "t1"), turn(5, "t0", "t1", expires_in=996)])
    assert broken(kept) == []


def test_the_same_token_again_must_not_live_longer_either() -> None:
    assert broken(a_history(transport="cookie", presented=[turn(5, "t0", "t0", expires_in=1000)])) == ["P5"]
    assert broken(a_history(transport="cookie", presented=[turn(5, "t0", "t0", expires_in=995)])) == []


def test_a_server_that_tells_no_life_prolongs_none() -> None:
    assert broken(a_history(presented=[turn(1, "t0", "t1"), turn(5, "t0", "t1", expires_in=None)])) == []


def test_an_absolute_end_that_moves_breaks_p6() -> None:
    assert broken(a_history(listed=[listing(1, "noon"), listing(2, "one past noon")])) == ["P6"]


def test_a_token_spent_in_the_same_second_that_works_breaks_p7() -> None:
    turns = [turn(0.1, "t0", "t1"), turn(0.2, "t1", "t2"), turn(0.3, "t2", "t3")]
    replayed = a_history(Kind.REPLAY, presented=[*turns, turn(0.4, "t0", "t1", THIEF)])
    assert broken(replayed) == ["P1", "P7"]
    refused = a_history(Kind.REPLAY, presented=[*turns, refusal(0.4, "t0", THIEF)])
    assert broken(refused) == []
    assert judge(refused, RULES).observed["P7"] == 1


def test_a_turn_that_is_refused_because_it_came_quickly_breaks_p7() -> None:
    history = a_history(
        Kind.REPLAY,
        presented=[turn(0.1, "t0", "t1"), refusal(0.2, "t1"), refusal(0.3, "t1"), refusal(0.4, "t0", THIEF)],
    )
    assert broken(history) == ["P7"]


def test_a_slow_second_says_nothing_about_p7() -> None:
    turns = [turn(0.1, "t0", "t1"), turn(0.7, "t1", "t2"), turn(1.3, "t2", "t3")]
    verdict = judge(a_history(Kind.REPLAY, presented=[*turns, refusal(1.4, "t0", THIEF)]), RULES)
    assert verdict.observed["P7"] == 0


def test_what_a_breach_says_names_no_token() -> None:
    history = a_history(
        presented=[turn(1, "t0", "t1"), turn(2, "t0", "u1"), turn(3, "t1", "t2"), turn(4, "u1", "u2"), refusal(4, "t2"),
                   turn(9, "t2", "t3", PROBE)],
        ends=[end(8)], listed=[listing(1, "a"), listing(2, "b")],
    )  # fmt: skip
    said = " ".join(breach.what for breach in judge(history, RULES).breaches)
    assert [mark for mark in ("t0", "t1", "t2", "t3", "u1", "u2") if mark in said] == []
