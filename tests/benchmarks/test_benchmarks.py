"""Every benchmark runs and says something; what it says is for people to read."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, main
from benchmarks.measure import TOUCH, added, ratio, take_turns
from benchmarks.report import Goal, Table, as_markdown

README = Path(__file__).parent.parent.parent / "benchmarks" / "README.md"


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_runs_and_renders_its_tables(name: str) -> None:
    tables = import_module(f"benchmarks.{name}").run(TOUCH)
    shown = as_markdown(tables, {})
    for table in tables:
        assert table.rows
        assert all(f"| {side} |" in shown for side in table.rows)
        assert all(goal.aim in shown for goal in table.goals)


def test_the_page_about_benchmarks_names_each_of_them() -> None:
    page = README.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []


def test_a_part_of_the_benchmarks_is_printed_and_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.__main__.RESULTS", tmp_path)
    assert main(["floors", "--touch"]) == 0
    assert "The map of ended sessions" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_what_was_found_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    main(["floors", "--touch", "--output", str(tmp_path / "new")])
    written = json.loads((tmp_path / "new" / "latest.json").read_text(encoding="utf-8"))
    title = written["tables"][0]["title"]
    assert title in (tmp_path / "new" / "latest.md").read_text(encoding="utf-8")


def test_sides_take_turns_and_each_begins_as_often_as_the_others() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return 1.0

    take_turns({name: lambda name=name: side(name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abcbcacab"


def test_sides_are_compared_within_a_round() -> None:
    rounds = {"slow": [2.0, 20.0, 200.0], "quick": [1.0, 10.0, 100.0]}  # the machine slowed down meanwhile
    assert ratio(rounds, "slow", "quick") == 2
    assert added(rounds, "slow", "quick") == 10


def test_a_goal_that_was_missed_stands_out() -> None:
    goals = [Goal(aim="fast", found="slow", met=False), Goal(aim="small", found="small", met=True)]
    shown = as_markdown([Table(title="a", rows={"x": {"µs": 1.0}}, goals=goals)], {})
    assert "| fast | slow | **no** |" in shown
    assert "| small | small | yes |" in shown
