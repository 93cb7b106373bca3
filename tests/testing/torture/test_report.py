"""The report says what was seen, and grows no longer with the run."""

import json
from random import Random

import pytest

from keyturn.testing.torture._facts import Kind, Party
from keyturn.testing.torture._figures import Durations, Figures, percentile
from keyturn.testing.torture._report import lines_of, promises_held, report_of, state_of
from tests.testing.torture.histories import RULES, a_history, call, end, refusal, turn


def figures() -> Figures:
    return Figures(draw=Random(1).random, rules=RULES)


def test_an_empty_run_holds_nothing_and_breaks_nothing() -> None:
    sums = figures()
    assert promises_held(sums)
    assert {state_of(sums, f"P{number}") for number in range(1, 8)} == {"not observable"}


def test_the_report_has_every_figure_that_is_promised() -> None:
    report = report_of(figures(), {"clients": 50}, {"python": "3"})
    promised = {
        "refreshes", "false_logouts", "false_logouts_unlocked", "thefts", "thefts_detected", "time_to_detection_ms",
        "thefts_not_promised", "resurrected", "revocation_latency_ms", "latency_ms", "5xx", "properties", "settings",
        "versions",
    }  # fmt: skip
    assert promised <= report.keys()
    assert set(report["revocation_latency_ms"]) == {"p50", "p99", "max"}
    assert json.loads(json.dumps(report)) == report


def test_the_sums_are_those_of_the_verdicts() -> None:
    sums = figures()
    sums.settle(a_history(presented=[turn(1, "t0", "t1"), refusal(2, "t1")]))
    sums.settle(a_history(Kind.TABS_UNLOCKED, presented=[refusal(2, "t0")]))
    late = refusal(30, "t0", copy=True, answered=False)
    sums.settle(a_history(presented=[turn(1, "t0", "t1"), late, refusal(31, "t1")]))
    found = [turn(1, "t0", "t1"), turn(2, "t1", "t2"), refusal(3, "t0", Party.THIEF), refusal(3.09, "t2")]
    sums.settle(a_history(Kind.LATE, presented=found))
    sums.settle(a_history(Kind.LATE, presented=[*found[:3], turn(4, "t2", "t3")]))
    sums.settle(a_history(Kind.CLOSE_MIRROR, presented=[turn(1, "t0", "t1"), turn(2, "t0", "t1", Party.THIEF)]))
    ended = [call(5.02, "t0", accepted=False), call(5.02, "t0", place=1), call(6, "t0", accepted=False, place=1)]
    sums.settle(a_history(presented=[turn(7, "t0", "t1", Party.PROBE)], called=ended, ends=[end(5)]))
    report = report_of(sums, {}, {})
    assert report["false_logouts"] == 1
    assert report["false_logouts_unlocked"] == 1
    assert report["excused_logouts"] == {"a copy arrived later than a leeway after its turn": 1}
    assert (report["thefts"], report["thefts_detected"]) == (2, 1)
    assert (report["thefts_not_promised"], report["thefts_not_promised_detected"]) == (1, 0)
    assert report["time_to_detection_ms"]["p50"] == pytest.approx(100)
    assert report["resurrected"] == 1
    assert report["revocation_latency_ms"]["p50"] == pytest.approx(10)
    assert report["revocation_latency_across_ms"]["p50"] == pytest.approx(990)
    assert report["held"] is False
    states = {promise: told["state"] for promise, told in report["properties"].items()}
    assert (states["P2"], states["P3"], states["P4"], states["P6"]) == ("broken", "broken", "broken", "not observable")


def test_a_person_reads_what_was_broken() -> None:
    sums = figures()
    sums.settle(a_history(presented=[turn(1, "t0", "t1"), refusal(2, "t1")]))
    lines = lines_of(report_of(sums, {}, {}))
    assert "P3 broken (1 chances)" in lines
    assert "   session 1 (single, body): refused 2.0 s after the sign-in" in lines


def test_examples_are_few_and_the_count_is_whole() -> None:
    sums = figures()
    for _ in range(50):
        sums.settle(a_history(presented=[turn(1, "t0", "t1"), refusal(2, "t1")]))
    told = report_of(sums, {}, {})["properties"]["P3"]
    assert (told["broken"], len(told["examples"])) == (50, 5)


def test_durations_keep_an_even_sample_of_bounded_size() -> None:
    durations = Durations(Random(1).random)
    for number in range(250_000):
        durations.add(number / 250_000)
    assert (durations.seen, len(durations.kept)) == (250_000, 100_000)
    half = durations.milliseconds()["p50"]
    assert half is not None
    assert 490 < half < 510


@pytest.mark.parametrize(
    ("values", "share", "told"),
    [
        ([], 50, None),
        ([3], 99, 3),
        ([1, 2], 50, 1),
        ([2, 1, 3], 50, 2),
        (range(1, 101), 99, 99),
        (range(1, 102), 99, 100),
    ],
)
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(values: list[float], share: int, told: float) -> None:
    assert percentile(list(values), share) == told
