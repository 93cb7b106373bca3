"""`keyturn sessions`: who is signed in where, and ending that, with ids in the open and tokens nowhere."""

import json
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from keyturn import TokenPair
from keyturn.errors import SessionEndedError
from keyturn.server.logs import session_mark
from tests.support.command_home import Home
from tests.support.many_sessions import fill
from tests.support.terminal import on_a_terminal

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202etxt\r\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def is_over(home: Home, pair: TokenPair) -> bool:
    with home.door() as door:
        try:
            door.refresh(pair.refresh_token)
        except SessionEndedError:
            return True
    return False


def write(home: Home, **texts: str) -> None:
    """Write into every row what a sign-in through Keyturn would have refused or cut."""
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        for name, text in texts.items():
            connection.execute(f"UPDATE keyturn_session SET {name} = ?", [text])


def turned(home: Home, pair: TokenPair) -> TokenPair:
    with home.door() as door:
        return door.refresh(pair.refresh_token)


# --- list -------------------------------------------------------------------------------------------------------------


def test_a_list_names_the_devices_oldest_first(home: Home) -> None:
    first = home.sign_in("user-1", device_name="Ada's laptop", ip="192.0.2.1", user_agent="Firefox/149")
    second = home.sign_in("user-1", ip="2001:db8::1")
    home.sign_in("user-2")
    head, one, two = home.run("sessions", "list", "user-1").stdout.splitlines()
    assert head.split() == ["ID", "CREATED", "REFRESHED", "EXPIRES", "DEVICE", "ADDRESS", "BROWSER"]
    assert one.startswith(first.session_id)
    assert one.endswith("Ada's laptop  192.0.2.1    Firefox/149")
    assert two.startswith(second.session_id)
    assert two.endswith("-             2001:db8::1  -")


def test_as_json_it_has_the_names_of_the_route(home: Home) -> None:
    pair = home.sign_in("user-1", device_name="phone", ip="192.0.2.1", user_agent="UA")
    (row,) = home.rows("sessions", "list", "user-1")
    times = {name: row.pop(name) for name in ("created_at", "refreshed_at", "expires_at", "idle_expires_at")}
    assert row == {
        "id": pair.session_id, "client_id": "default", "device_name": "phone", "ip": "192.0.2.1", "user_agent": "UA",
        "log_mark": session_mark(pair.session_id),
    }  # fmt: skip
    assert [value for value in times.values() if not value.endswith("Z")] == []
    assert times["created_at"] == times["refreshed_at"] < times["idle_expires_at"] < times["expires_at"]


def test_what_a_client_calls_itself_cannot_write_on_the_terminal(home: Home) -> None:
    home.sign_in("user-1")
    write(home, device_name=ESCAPES, user_agent=ESCAPES + "x" * 100)
    told = home.run("sessions", "list", "user-1").stdout
    assert told.count("\n") == 2
    assert [sign for sign in told if not (sign.isprintable() or sign == "\n")] == []
    assert "\\x1b[2J" in told
    assert max(map(len, told.splitlines())) < 300
    (row,) = json.loads(home.run("sessions", "list", "user-1", "--json").stdout)
    assert row["device_name"].startswith("\x1b"), "a program gets what was said"


def test_somebody_unknown_is_told_from_somebody_who_is_not_signed_in(home: Home) -> None:
    pair = home.sign_in("user-1")
    assert "There is no user nobody\\x1b" in home.run("sessions", "list", "nobody\x1b", code=1).stderr
    home.run("sessions", "end", pair.session_id)
    assert home.run("sessions", "list", "user-1", code=1).stdout == ""


def test_without_a_database_nothing_is_made(home: Home) -> None:
    for words in (["list", "ada"], ["end", "A" * 22], ["end-user", "ada"], ["end-all", "--yes"]):
        assert "There is no database yet" in home.run("sessions", *words, code=1).stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


# --- end --------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("R77")
def test_a_session_is_ended_by_its_id_and_no_other_is(home: Home) -> None:
    one, other = home.sign_in("user-1"), home.sign_in("user-1")
    assert home.run("sessions", "end", one.session_id).stdout == f"Session {one.session_id} ended.\n"
    assert (is_over(home, one), is_over(home, other)) == (True, False)


@pytest.mark.ids("R77")
def test_one_that_is_not_there_ends_with_1(home: Home) -> None:
    over = home.sign_in("user-1")
    home.run("sessions", "end", over.session_id)
    for session_id in (over.session_id, "A" * 22, "nonsense", "é" * 22, ""):
        done = home.run("sessions", "end", session_id, code=1)
        assert done.stdout == ""
        assert "There is no session to end" in done.stderr


def the_first(_home: Home, pair: TokenPair) -> TokenPair:
    return pair


@pytest.mark.ids("R77", "W-R17")
@pytest.mark.parametrize("which", [the_first, turned], ids=["a spent one", "the current one"])
def test_a_refresh_token_on_standard_input_ends_its_session_and_is_not_shown(
    home: Home, which: Callable[[Home, TokenPair], TokenPair]
) -> None:
    started, other = home.sign_in("user-1"), home.sign_in("user-1")
    now = turned(home, started)
    token = (started if which is the_first else now).refresh_token
    done = home.run("sessions", "end", "-", typed=f"{token}\n")
    assert done.stdout == f"Session {started.session_id} of user-1 ended.\n"
    assert token[8:24] not in done.output
    assert (is_over(home, now), is_over(home, other)) == (True, False)
    again = home.run("sessions", "end", "-", typed=token, code=1)
    assert "ended before" in again.stderr
    assert token[8:24] not in again.output


@pytest.mark.ids("R77")
def test_an_id_may_come_on_standard_input_too(home: Home) -> None:
    pair = home.sign_in("user-1")
    home.run("sessions", "end", "-", typed=f"  {pair.session_id}\r\n")
    assert is_over(home, pair)


@pytest.mark.ids("R77", "W-R17")
def test_a_token_on_the_command_line_is_wrong_usage_and_not_repeated(home: Home) -> None:
    pair = home.sign_in("user-1")
    for word in (pair.refresh_token, f" {pair.refresh_token}"):
        done = home.run("sessions", "end", word, code=2)
        assert "standard input" in done.stderr
        assert pair.refresh_token[8:24] not in done.output
    assert not is_over(home, pair)


@pytest.mark.ids("R77", "W-R17")
@pytest.mark.parametrize("typed", ["kt1.", "kt1.{forged}", "kt1.\x1b[2J", "\xff\xfe", "kt1." + "A" * 10_000])
def test_a_forged_token_ends_nothing_and_is_not_repeated(home: Home, typed: str) -> None:
    pair = home.sign_in("user-1")
    forged = pair.refresh_token[4:-1] + ("A" if pair.refresh_token[-1] != "A" else "Q")
    done = home.run("sessions", "end", "-", typed=typed.format(forged=forged).encode("latin-1"), code=1)
    assert forged[4:20] not in done.output
    assert "\x1b" not in done.output
    assert not is_over(home, pair)


def test_an_empty_standard_input_is_told_as_such(home: Home) -> None:
    home.sign_in("user-1")
    for typed in ("", "\n", "  \n"):
        assert "standard input was empty" in home.run("sessions", "end", "-", typed=typed, code=1).stderr


# --- end-user and end-all ---------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-02")
def test_a_user_is_signed_out_everywhere_and_nobody_else_is(home: Home) -> None:
    one, two, other = home.sign_in("user-1"), home.sign_in("user-1"), home.sign_in("user-2")
    assert home.run("sessions", "end-user", "user-1").stdout == "user-1: 2 sessions ended.\n"
    assert [is_over(home, pair) for pair in (one, two, other)] == [True, True, False]
    assert "There is no user user-1" in home.run("sessions", "end-user", "user-1", code=1).stderr


def test_everybody_is_signed_out_only_when_it_is_confirmed(home: Home) -> None:
    pairs = [home.sign_in("user-1"), home.sign_in("user-2")]
    refused = home.run("sessions", "end-all", code=1)
    assert "https://id.example.org" in refused.stderr
    assert "--yes" in refused.stderr
    assert [is_over(home, pair) for pair in pairs] == [False, False]
    assert home.run("sessions", "end-all", "--yes").stdout == "2 sessions ended.\n"
    assert [is_over(home, pair) for pair in pairs] == [True, True]
    assert home.run("sessions", "end-all", "--yes").stdout == "0 sessions ended.\n"


@pytest.mark.parametrize(("answer", "over"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_is_asked_for(home: Home, answer: str, over: bool) -> None:
    pair = home.sign_in("user-1")
    with on_a_terminal(("sessions", "end-all"), home.environment, home.folder) as shown:
        shown.read_until("[y/N]")
        shown.type(answer)
        assert (shown.exit_code() == 0) == over
    assert "Traceback" not in shown.said
    assert is_over(home, pair) == over


def test_control_c_instead_of_an_answer_ends_nothing(home: Home) -> None:
    pair = home.sign_in("user-1")
    with on_a_terminal(("sessions", "end-all"), home.environment, home.folder) as shown:
        shown.read_until("[y/N]")
        assert shown.interrupt() == 130
    assert "Traceback" not in shown.said
    assert not is_over(home, pair)


@pytest.mark.parametrize("deaf", [False, True], ids=["it hears", "under nohup"])
def test_a_terminal_that_closes_instead_of_an_answer_ends_nothing(home: Home, deaf: bool) -> None:
    pair, errors = home.sign_in("user-1"), home.folder / "errors"
    with on_a_terminal(("sessions", "end-all"), home.environment, home.folder, deaf=deaf, errors=errors) as shown:
        waited = time.monotonic() + 60
        while "[y/N]" not in errors.read_text():  # the question is asked on standard error
            assert time.monotonic() < waited
            time.sleep(0.02)
        shown.hang_up()
        assert shown.process.wait(60) != 0
    assert "Traceback" not in errors.read_text()
    assert not is_over(home, pair)


def test_a_token_may_be_pasted_at_a_terminal(home: Home) -> None:
    pair = home.sign_in("user-1")
    with on_a_terminal(("sessions", "end", "-"), home.environment, home.folder) as shown:
        shown.read_until("(it is not shown): ")
        shown.type(pair.refresh_token + "\n")
        assert shown.exit_code() == 0
    assert pair.refresh_token[8:24] not in shown.said
    assert is_over(home, pair)


# --- end-all with many sessions ----------------------------------------------------------------------------------------


def living(home: Home) -> int:
    with closing(sqlite3.connect(home.folder / "keyturn.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM keyturn_session WHERE ended_at IS NULL").fetchone()
        return int(count)


def filled(folder: Path, count: int) -> Home:
    folder.mkdir(exist_ok=True)
    home = Home(folder)
    with home.opened():
        pass
    fill(folder / "keyturn.db", over=0, living=count)
    return home


@pytest.mark.ids("B07")
def test_ending_all_that_is_stopped_in_its_midst_says_what_it_did_and_goes_on_later(tmp_path: Path) -> None:
    home = filled(tmp_path, 40_000)
    process = home.process("sessions", "end-all", "--yes")
    while living(home) > 38_000:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    left = living(home)
    assert 0 < left < 39_000
    said = re.search(r"Stopped: ([\d,]+) sessions or a few more ended", told)
    assert said is not None, told
    assert 0 <= 40_000 - left - int(said[1].replace(",", "")) <= 2000
    assert home.run("sessions", "end-all", "--yes").stdout == f"{left:,} sessions ended.\n"


@pytest.mark.ids("B07")
def test_ending_all_shows_on_a_terminal_how_far_it_is(tmp_path: Path) -> None:
    home = filled(tmp_path, 40_000)
    with on_a_terminal(("sessions", "end-all", "--yes"), home.environment, home.folder) as shown:
        assert shown.exit_code() == 0
    found = re.findall(r"Ending sessions.*?([\d,]+) (?:\x1b\[\S+)?\d:\d\d:\d\d", shown.said)
    counts = [int(each.replace(",", "")) for each in found]
    assert "Traceback" not in shown.said
    assert counts == sorted(counts), shown.said
    assert any(0 < count < 40_000 for count in counts), shown.said
    assert "40,000 sessions ended." in shown.said


@pytest.mark.ids("B07")
def test_ending_all_takes_no_more_memory_for_more_sessions(tmp_path: Path) -> None:
    peaks = []
    for rows in (20_000, 100_000):
        home = filled(tmp_path / str(rows), rows)
        peaks.append(home.peak("sessions", "end-all", "--yes")[1])
        assert living(home) == 0
    # A row that was held would cost 1 KiB at least, its entry in a map of floors 100 bytes: twice as much, or a tenth.
    assert peaks[1] / peaks[0] < 1.06


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["list"], ["end"], ["list", "a", "b"], ["lst"], ["end", "--jsn", "x"]], ids=" ".join)
def test_wrong_usage_is_told_from_a_refusal(home: Home, words: list[str]) -> None:
    assert home.run("sessions", *words, code=2).stdout == ""
