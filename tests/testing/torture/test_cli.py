"""The command line refuses what cannot be meant, and asks for passwords where nobody can read them."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing.torture import _cli
from keyturn.testing.torture._facts import Kind
from keyturn.testing.torture._figures import Figures
from keyturn.testing.torture._run import CannotRunError, Plan
from tests.testing.torture.histories import a_history, refusal, turn


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would have been run; one honest session lived meanwhile."""
    seen: list[Plan] = []

    async def run(plan: Plan, adapter: Any, tell: Any) -> Figures:
        seen.append(plan)
        figures = Figures(draw=lambda: 0.5, rules=plan.rules)
        figures.settle(a_history(presented=[turn(1, "t0", "t1")]))
        if plan.seed == "bad":
            figures.settle(a_history(Kind.SINGLE, presented=[turn(1, "t0", "t1"), refusal(2, "t1")]))
        if plan.seed == "nothing":
            raise CannotRunError("no server answers at http://h")
        return figures

    monkeypatch.setattr(_cli, "run", run)
    monkeypatch.setattr(sys, "stdin", io.StringIO("open sesame\nsecond word\n"))
    return seen


def asked(tmp_path: Path, *arguments: str) -> list[str]:
    return ["http://127.0.0.1:1", "--user", "ada", "--report", str(tmp_path / "r.json"), *arguments]


def test_a_promise_that_held_is_exit_code_0(plans: list[Plan], tmp_path: Path) -> None:
    assert _cli.main(asked(tmp_path)) == 0
    assert (tmp_path / "r.json").read_text().startswith('{\n  "format": 1,\n  "held": true')


def test_a_broken_promise_is_exit_code_1(plans: list[Plan], tmp_path: Path) -> None:
    assert _cli.main(asked(tmp_path, "--seed", "bad")) == 1


def test_a_run_that_could_not_be_leaves_no_empty_report(plans: list[Plan], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        _cli.main(asked(tmp_path, "--seed", "nothing"))
    assert not (tmp_path / "r.json").exists()


def test_nothing_measured_is_exit_code_2_and_leaves_an_old_report_alone(plans: list[Plan], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    with pytest.raises(SystemExit) as stopped:
        _cli.main(asked(tmp_path, "--seed", "nothing"))
    assert stopped.value.code == 2
    assert (tmp_path / "r.json").read_text() == "old"


def test_passwords_are_lines_of_standard_input_in_the_order_of_the_users(plans: list[Plan], tmp_path: Path) -> None:
    _cli.main(asked(tmp_path, "--user", "bob"))
    assert [(user.name, user.password) for user in plans[0].users] == [("ada", "open sesame"), ("bob", "second word")]
    assert "sesame" not in repr(plans[0]) + (tmp_path / "r.json").read_text()


def test_on_a_terminal_passwords_are_asked_for_unseen(
    plans: list[Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(_cli.getpass, "getpass", lambda prompt: prompts.append(prompt) or "typed")
    _cli.main(asked(tmp_path))
    assert prompts == ["Password of ada: "]
    assert plans[0].users[0].password == "typed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--user", "bob", "--user", "eve"], "standard input has 2 of 3 passwords: one line for each --user"),
        (["--user", "ada"], "a user was given twice"),
        (["--clients", "1"], "--clients takes from one more than there are users to 1000"),
        (["--clients", "1001"], "--clients takes"),
        (["--seconds", "0.5"], "--seconds takes from 1 to 86400"),
        (["--slack", "-1"], "--slack takes from 0 to 60"),
        (["--also", "127.0.0.1:2"], "'127.0.0.1:2' is no URL"),
        (["--faults", "rain=1"], "there is no fault 'rain'"),
        (["--adapter", "nobody"], "there is no adapter 'nobody'; shipped: "),
        (["--adapter", "no.such.module:Class"], "the adapter 'no.such.module:Class' could not be made"),
        (["--option", "bound"], "--option takes NAME=VALUE"),
        (["--option", "bond=1"], "unknown option 'bond'"),
        (["--report", "/nowhere/at/all/r.json"], "'/nowhere/at/all/r.json' is no file that can be written"),
    ],
)
def test_what_cannot_be_meant_is_said(
    plans: list[Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _cli.main(asked(tmp_path, *arguments))
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert plans == []


def test_the_settings_of_the_run_stand_in_the_report_and_reach_the_plan(plans: list[Plan], tmp_path: Path) -> None:
    import json

    more = [
        "--also",
        "http://127.0.0.1:2",
        "--clients",
        "7",
        "--seconds",
        "3",
        "--faults",
        "copy=0",
        "--option",
        "bound=2",
    ]
    _cli.main(asked(tmp_path, *more, "--slack", "0.5", "--seed", "x"))
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert (settings["url"], settings["also"]) == ("http://127.0.0.1:1", ["http://127.0.0.1:2"])
    assert (settings["clients"], settings["seconds"], settings["seed"], settings["users"]) == (7, 3.0, "x", 1)
    assert (settings["bound_seconds"], settings["slack_seconds"], settings["faults"]["copy"]) == (2.0, 0.5, 0.0)
    plan = plans[0]
    assert (plan.targets, plan.clients, plan.seconds, plan.mix.copy) == (
        ["http://127.0.0.1:1", "http://127.0.0.1:2"], 7, 3.0, 0.0,
    )  # fmt: skip
    assert (plan.rules.bound, plan.rules.slack, plan.rules.leeway) == (2.0, 0.5, 10.0)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _cli.main(["--help"])
    said = capsys.readouterr().out
    for word in ("--user ada", "< passwords", "exit codes: 0", "simplejwt", "module:Class", "--seed"):
        assert word in said
