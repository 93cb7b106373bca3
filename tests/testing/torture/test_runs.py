"""The torture as a user runs it, against real servers: ours holds, and what is broken is seen broken."""

import json
from pathlib import Path

import pytest

from tests.testing.torture.serving import PASSWORD, SETTINGS, serving, torture, tortured


@pytest.mark.ids("P1", "P2", "P3", "P4", "P5", "P6")
def test_a_short_run_against_ours_holds_and_finds_every_thief(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "30", "--seconds", "15", users=("ada", "bob"))
    report = run.report
    assert run.code == 0, run.said
    assert report["thefts"] >= 3
    assert report["thefts_detected"] == report["thefts"]
    assert (report["false_logouts"], report["resurrected"], report["5xx"]) == (0, 0, 0)
    states = {promise: told["state"] for promise, told in report["properties"].items()}
    # three turns within one second take a machine that is not too busy
    assert states.pop("P7") in {"held", "not observable"}
    assert states == {f"P{number}": "held" for number in range(1, 7)}
    assert report["revocations"]["within"] > 5
    assert report["refreshes"] > 50
    assert report["thefts_not_promised"] >= 1
    assert PASSWORD not in run.written + run.said
    assert [secret for secret in ("kt1.", "eyJ") if secret in run.written + run.said] == []


def test_without_leeway_and_recovery_honest_people_are_seen_signed_out(tmp_path: Path) -> None:
    strict = json.dumps({**SETTINGS, "leeway": 0, "recovery_window": 0})
    run = tortured(tmp_path, "--clients", "12", "--seconds", "5", "--faults", "drop-answer=0.4", APP_SETTINGS=strict)
    assert run.code == 1, run.said
    assert run.report["false_logouts"] >= 1
    assert run.report["properties"]["P3"]["state"] == "broken"
    assert run.report["settings"]["leeway_seconds"] == 10


def test_a_server_that_honours_two_generations_back_is_seen(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "12", "--seconds", "6", APP_BROKEN="patient")
    assert run.code == 1, run.said
    assert {name for name, told in run.report["properties"].items() if told["state"] == "broken"} >= {"P1", "P4"}
    assert run.report["thefts_detected"] < run.report["thefts"]


def test_a_server_whose_ends_are_words_is_seen(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "12", "--seconds", "4", APP_BROKEN="undead")
    assert run.code == 1, run.said
    assert run.report["properties"]["P2"]["state"] == "broken"
    assert run.report["resurrected"] >= 1


def test_a_second_process_that_never_hears_of_an_end_is_seen(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "8", "--seconds", "4", also={"APP_BROKEN": "deaf"})
    assert run.code == 1, run.said
    assert run.report["properties"]["P2"]["state"] == "broken"
    assert any("its access token was taken" in example for example in run.report["properties"]["P2"]["examples"])


def test_being_told_429_is_waited_out_and_signs_nobody_out(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "8", "--seconds", "5", "--faults", "none", APP_THROTTLE="3/second")
    assert run.code == 0, run.said
    assert run.report["429"] > 0
    assert run.report["false_logouts"] == 0


def test_a_wrong_password_is_told_and_nothing_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        run = torture(tmp_path / "report.json", url, "--seconds", "2", password="wrong horse")
    assert run.code == 2
    assert "torture: 'ada' cannot sign in: POST /auth/login answered 401 invalid_credentials" in run.said
    assert "wrong horse" not in run.said
    assert not (tmp_path / "report.json").exists()


def test_a_server_that_dies_in_the_middle_holds_nothing(tmp_path: Path) -> None:
    run = tortured(tmp_path, "--clients", "6", "--seconds", "6", APP_BROKEN="mortal", APP_LIFE="5")
    assert run.code == 2, run.said
    assert "torture: " in run.said
    assert run.report == {}


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = torture(tmp_path / "report.json", "http://127.0.0.1:9", "--seconds", "2")
    assert run.code == 2
    assert "torture: no server answers at http://127.0.0.1:9 (127.0.0.1:9: ConnectionRefusedError)" in run.said
