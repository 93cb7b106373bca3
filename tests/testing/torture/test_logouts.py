"""Who is excused when an honest client was signed out, and who is not."""

from typing import Any

from keyturn.testing.torture._facts import Kind, Presented
from keyturn.testing.torture._logouts import logout_of
from tests.testing.torture.histories import RULES, a_history, refusal, turn


def excuse(*presented: Presented, kind: Kind = Kind.SINGLE, **more: Any) -> str | None:
    seen = logout_of(a_history(kind, presented=list(presented), **more), RULES)
    assert seen is not None
    return seen.excuse


def test_a_lost_answer_is_no_excuse() -> None:
    assert excuse(turn(1, "t0", "t1", answered=False), refusal(20, "t0")) is None


def test_a_copy_inside_the_leeway_is_no_excuse() -> None:
    copy = refusal(10.4, "t0", copy=True, answered=False)
    assert excuse(turn(1, "t0", "t1"), copy, refusal(11, "t1")) is None


def test_a_copy_later_than_the_leeway_excuses() -> None:
    copy = refusal(11.1, "t0", copy=True, answered=False)
    assert excuse(turn(1, "t0", "t1"), copy, refusal(12, "t1")) == "a copy arrived later than a leeway after its turn"


def test_a_copy_that_is_the_first_to_arrive_excuses_nothing() -> None:
    copy = turn(30, "t0", "t1", copy=True, answered=False)
    assert excuse(copy, refusal(31, "t0")) is None


def test_a_copy_that_the_next_turn_overtook_excuses() -> None:
    copy = refusal(3, "t0", copy=True, answered=False)
    said = excuse(turn(1, "t0", "t1"), turn(2, "t1", "t2"), copy, refusal(4, "t2"))
    assert said == "a copy arrived after the next turn"


def test_a_copy_before_the_next_turn_excuses_nothing() -> None:
    copy = turn(1.5, "t0", "t1", copy=True, answered=False)
    assert excuse(turn(1, "t0", "t1"), copy, turn(2, "t1", "t2"), refusal(4, "t2")) is None


def test_a_copy_after_the_refusal_excuses_nothing() -> None:
    copy = refusal(40, "t0", copy=True, answered=False)
    assert excuse(turn(1, "t0", "t1"), refusal(4, "t1"), copy) is None


def test_two_refreshes_at_once_excuse_all_but_tabs_that_do_nothing_else() -> None:
    both = (turn(1, "t0", "t1"), turn(1.005, "t0", "t1"), refusal(2, "t1"))
    assert excuse(*both) == "two refreshes were under way at once"
    assert excuse(*both, kind=Kind.TABS_UNLOCKED) is None


def test_eight_lost_answers_in_a_row_excuse_and_seven_do_not() -> None:
    lost = [turn(at, "t0", "t1", answered=False) for at in range(1, 9)]
    assert excuse(*lost, refusal(9, "t0")) == "too many answers in a row were lost"
    assert excuse(*lost[:7], refusal(9, "t0")) is None
    between = turn(4.5, "t0", "t1")
    assert excuse(*lost[:4], between, *lost[4:], refusal(9, "t0")) is None
