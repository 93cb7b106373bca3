"""Which thefts P4 promises to find, and when they count as found."""

import pytest

from keyturn.testing.torture._facts import Called, History, Kind, Party, Presented
from keyturn.testing.torture._lineage import lineage_of
from keyturn.testing.torture._thefts import TheftSeen, theft_of
from tests.testing.torture.histories import RULES, a_history, call, end, refusal, trouble, turn

THIEF = Party.THIEF


def seen(history: History) -> TheftSeen | None:
    return theft_of(history, lineage_of(history), RULES)


def mirror(*, at: float, called: list[Called], kind: Kind = Kind.MIRROR, **more: Presented) -> TheftSeen:
    """The victim turns at 1 s; the thief comes with the same token."""
    presented = [turn(1, "t0", "t1"), refusal(at, "t0", THIEF), refusal(at + 0.1, "t1"), *more.values()]
    theft = seen(a_history(kind, presented=presented, called=called))
    assert theft is not None
    return theft


def test_delivered_and_outside_the_leeway_is_promised() -> None:
    assert mirror(at=11.1, called=[call(1.1, "t1")]).promised


def test_inside_the_leeway_is_not_promised() -> None:
    assert not mirror(at=10.9, called=[call(1.1, "t1")]).promised


def test_what_nobody_acknowledged_is_not_promised() -> None:
    assert not mirror(at=20, called=[]).promised
    assert not mirror(at=20, called=[call(1.1, "t0")]).promised
    assert not mirror(at=20, called=[call(1.1, "t1", accepted=False)]).promised
    assert not mirror(at=20, called=[call(15.1, "t1")]).promised  # a verifier may still be keeping it to itself


def test_the_leeway_begins_anew_where_the_victim_had_to_ask_again() -> None:
    assert not mirror(at=20, called=[call(1.1, "t1")], again=turn(12, "t0", "t1", expires_in=990)).promised


def test_two_generations_old_is_promised_at_once() -> None:
    presented = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(2.1, "t0", THIEF), refusal(2.2, "t2")]
    theft = seen(a_history(Kind.LATE, presented=presented))
    assert theft is not None
    assert theft.promised
    assert theft.seconds == pytest.approx(0.11)


def test_a_thief_who_is_let_in_is_not_found() -> None:
    presented = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), turn(2.1, "t0", "t1", THIEF, expires_in=999)]
    theft = seen(a_history(Kind.LATE, presented=presented))
    assert theft is not None
    assert theft.promised
    assert theft.seconds is None


def test_where_nobody_asked_the_other_nothing_is_known() -> None:
    presented = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(2.1, "t0", THIEF)]
    for more in ([], [trouble(2.2, "t2")]):
        theft = seen(a_history(Kind.LATE, presented=[*presented, *more]))
        assert theft is not None
        assert not theft.promised


def test_the_victim_may_be_the_second() -> None:
    history = a_history(
        Kind.FIRST,
        presented=[turn(1, "t0", "t1", THIEF), turn(2, "t1", "t2", THIEF), refusal(3, "t0"), refusal(3.1, "t2", THIEF)],
    )
    theft = seen(history)
    assert theft is not None
    assert theft.promised
    assert theft.seconds == pytest.approx(0.11)


def test_a_kind_that_is_not_promised_is_not_promised_by_chance() -> None:
    assert not mirror(at=20, called=[call(1.1, "t1")], kind=Kind.FRONT_RUNNER).promised


def test_a_thief_who_never_came_is_no_theft() -> None:
    assert seen(a_history(Kind.LATE, presented=[turn(1, "t0", "t1")])) is None


def test_a_thief_who_came_after_the_end_is_no_theft() -> None:
    presented = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(5, "t0", THIEF)]
    assert seen(a_history(Kind.LATE, presented=presented, ends=[end(4)])) is None


def test_an_honest_session_has_no_theft() -> None:
    assert seen(a_history(presented=[turn(1, "t0", "t1"), turn(2, "t0", "t1")])) is None


def test_a_copy_of_the_networks_is_no_second_party() -> None:
    turns = [turn(1, "t0", "t1", THIEF), turn(2, "t1", "t2", THIEF)]
    theft = seen(a_history(Kind.FIRST, presented=[*turns, refusal(3, "t0", copy=True), refusal(4, "t2", THIEF)]))
    assert theft is not None
    assert (theft.promised, theft.what) == (False, "nobody came second")


def test_a_refusal_that_does_not_end_the_session_finds_nobody() -> None:
    """What a server does that takes spent tokens for unknown ones."""
    history = a_history(
        Kind.LATE,
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", THIEF), turn(3.1, "t2", "t3"),
                   refusal(9, "t3")],
    )  # fmt: skip
    theft = seen(history)
    assert theft is not None
    assert theft.promised
    assert theft.seconds is None


def test_being_signed_out_later_on_purpose_is_not_being_found() -> None:
    history = a_history(
        Kind.LATE,
        presented=[turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", THIEF), refusal(5, "t2")],
        ends=[end(4)],
    )
    theft = seen(history)
    assert theft is not None
    assert (theft.promised, theft.seconds) == (False, None)
