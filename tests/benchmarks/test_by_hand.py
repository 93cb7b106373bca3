"""What is measured by hand: growth with the table, and the torture of all products."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale, torture_table
from benchmarks.report import as_markdown
from tests.support.programs import find_program

README = Path(__file__).parent.parent.parent / "benchmarks" / "README.md"


def span(value: float | None) -> dict[str, float | None]:
    return {"p50": value, "p99": value, "max": value}


def report(**changed: Any) -> dict[str, Any]:
    held = {"state": "held", "observed": 40, "broken": 0, "examples": []}
    return {
        "refreshes": 1234, "false_logouts": 0, "false_logouts_unlocked": 0, "thefts": 3, "thefts_detected": 3,
        "time_to_detection_ms": span(28.3), "resurrected": 0, "revocation_latency_ms": span(70.0),
        "revocation_latency_across_ms": span(2100.0), "revocations": {"within": 9, "across": 9, "not_felt": 0},
        "latency_ms": span(10.4), "5xx": 0, "properties": {name: dict(held) for name in ("P1", "P2", "P3")}, **changed,
    }  # fmt: skip


def broken(state: str, observed: int, count: int) -> dict[str, Any]:
    return {"state": state, "observed": observed, "broken": count, "examples": []}


def test_a_table_of_the_torture_has_a_line_and_the_settings_of_each_product() -> None:
    shown = torture_table.as_markdown({name: report() for name in torture_table.SIDES}, {"machine": "quiet"})
    for side in torture_table.SIDES.values():
        assert f"| {side.label} | 1,234 | 0 of 40 |" in shown
        assert f"* {side.label}: {side.settings}." in shown
    assert "* machine: quiet" in shown


def test_a_broken_promise_and_what_could_not_be_seen_stand_out_from_those_that_held() -> None:
    properties = {"P2": broken("broken", 50, 8), "P3": broken("broken", 41, 12), "P5": broken("not observable", 0, 0)}
    shown = torture_table.as_markdown({"simplejwt": report(false_logouts=12, properties=properties)}, {})
    assert "| simplejwt | 8 of 50 | 12 of 41 | - |" in shown
    assert "| simplejwt | 1,234 | 12 of 41 |" in shown


def test_an_end_that_was_never_felt_is_not_shown_as_a_quick_one() -> None:
    never = report(revocation_latency_ms=span(None), revocations={"within": 0, "across": 0, "not_felt": 43})
    figures = torture_table._figures(never)
    assert figures[6:9] == ["-", "-", "43"]


def test_the_page_of_the_documentation_has_a_place_for_the_tables() -> None:
    page = torture_table.PAGE.read_text(encoding="utf-8")
    shown = torture_table.as_markdown({"keyturn": report()}, {"machine": "quiet"})
    once = torture_table.with_tables(page, shown)
    assert "* machine: quiet" in once
    assert "# Torture of" not in once
    assert torture_table.with_tables(once, shown) == once


@pytest.mark.parametrize("command", ["make bench-scale", "make torture-table"])
def test_the_page_about_benchmarks_names_those_that_are_run_by_hand(command: str) -> None:
    assert command in README.read_text(encoding="utf-8")


def test_growth_is_measured_for_every_size_that_is_asked_for() -> None:
    find_program("initdb")
    sizes = (64, 128)
    found = scale.measured(sizes, 0.02, 1)
    shown = as_markdown(scale.tables(found, "a note"), {})
    for size in sizes:
        assert f"| {scale.OURS}, {size} sessions |" in shown
        assert f"| keyturn_session, {size} sessions |" in shown
        assert f"{size} sessions: no table but the sessions' grows" in shown
