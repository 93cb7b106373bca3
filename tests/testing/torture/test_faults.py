"""The network's faults are drawn as often as asked, and asked for in plain words."""

from collections import Counter
from dataclasses import asdict
from random import Random

import pytest

from keyturn.testing.torture._faults import NO_FAULTS, Mix, draw_faults, read_mix


def test_each_fault_is_drawn_as_often_as_its_share() -> None:
    draw = Random(7).random
    mix = Mix(drop_request=0.1, drop_answer=0.2, copy=0.3, delay=0.4, reorder=0.5)
    drawn = [draw_faults(mix, draw) for _ in range(20_000)]
    seen = Counter(name for faults in drawn for name, value in asdict(faults).items() if value)
    wanted = {
        "drop_request": 0.1,
        "drop_answer": 0.2,
        "copies": 0.3,
        "hold_request": 0.4,
        "hold_answer": 0.4,
        "reorder": 0.5,
    }
    assert {name: round(count / 20_000, 1) for name, count in seen.items()} == wanted


def test_nothing_is_held_longer_than_said() -> None:
    draw = Random(7).random
    drawn = [draw_faults(Mix(delay=1, copy=1, longest_delay=0.2, longest_copy=0.5), draw) for _ in range(1000)]
    assert 0.19 < max(faults.hold_request for faults in drawn) < 0.2
    assert 0.19 < max(faults.hold_answer for faults in drawn) < 0.2
    assert 0.49 < max(delay for faults in drawn for delay in faults.copies) < 0.5


def test_none_takes_all_faults_away() -> None:
    draw = Random(7).random
    assert {draw_faults(read_mix("none", Mix()), draw) for _ in range(1000)} == {NO_FAULTS}


def test_a_list_changes_what_it_names() -> None:
    mix = read_mix("drop-answer=0.25, longest-copy=3", Mix())
    assert (mix.drop_answer, mix.longest_copy) == (0.25, 3)
    assert (mix.copy, mix.delay) == (Mix().copy, Mix().delay)
    assert read_mix("", Mix()) == Mix()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drop=1", "there is no fault 'drop'; there are copy, delay, drop-answer, drop-request"),
        ("copy=2", "copy takes a number from 0 to 1, not '2'"),
        ("copy", "copy takes a number from 0 to 1, not ''"),
        ("copy=nan", "copy takes a number from 0 to 1, not 'nan'"),
        ("longest-copy=9", "longest-copy takes a number from 0 to 5, not '9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("'", "'")):
        read_mix(text, Mix())


def test_the_usual_network_keeps_copies_below_the_leeway() -> None:
    mix = Mix()
    assert mix.longest_copy + mix.longest_delay < 10 - 1
