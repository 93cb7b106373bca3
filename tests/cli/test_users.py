"""`keyturn users`: accounts from the command line, passwords from a terminal or standard input, never as arguments."""

import json
import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from keyturn._colour import drive
from keyturn.errors import SessionEndedError
from keyturn.server.records import Account
from keyturn.server.users import ServerUsers
from tests.support.command_home import KEYTURN, Home
from tests.support.many_sessions import fill_accounts
from tests.support.terminal import on_a_terminal

PASSWORD = "correct horse battery"
OTHER = "staple correct horse"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def ada(home: Home) -> str:
    """The subject of an account."""
    return create(home, "ada", "--email", "Ada@example.org", "--role", "editor")


def create(home: Home, *words: str, typed: str = PASSWORD + "\n") -> str:
    return home.run("users", "create", *words, typed=typed).stdout.strip()


def account(home: Home, name: str = "ada") -> Account:
    with home.opened() as opened:
        found: Account = opened.accounts.find(name)
        return found


def names(home: Home) -> list[str]:
    return [row["username"] for row in home.rows("users", "list")]


def signs_in(home: Home, password: str, name: str = "ada") -> bool:
    with home.opened() as opened:
        users: ServerUsers = opened.users
        principal = drive(users.authenticate(name, password, None))
        return principal is not None and not principal.disabled


# --- create -----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("F03")
def test_an_account_is_active_at_once_and_its_subject_is_what_is_printed(home: Home) -> None:
    done = home.run(
        "users", "create", "Ada", "--email", "ada@example.org", "--role", "editor", "--role", "billing:read",
        typed=PASSWORD + "\n",
    )  # fmt: skip
    found = account(home)
    assert done.stdout == f"{found.subject}\n"
    assert (found.username, found.email, found.state) == ("Ada", "ada@example.org", "active")
    assert found.roles == {"editor", "billing:read"}
    assert "Ada may sign in" in done.stderr
    assert signs_in(home, PASSWORD)


@pytest.mark.ids("F03")
def test_one_that_is_to_be_verified_first_does_not_sign_in(home: Home) -> None:
    done = home.run("users", "create", "ada", "--unverified", typed=PASSWORD)
    assert "unverified" in done.stderr
    assert not signs_in(home, PASSWORD)
    assert home.run("users", "activate", "ada").stdout == "ada is active.\n"
    assert signs_in(home, PASSWORD)


@pytest.mark.ids("W-F8")
def test_a_password_is_never_an_argument(home: Home) -> None:
    home.run("users", "create", "ada", PASSWORD, code=2)
    home.run("users", "create", "ada", "--password", PASSWORD, code=2)
    home.run("users", "create", "bob", typed=PASSWORD)
    home.run("users", "set-password", "bob", OTHER, code=2)
    assert names(home) == ["bob"]


@pytest.mark.ids("W-F8")
@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "fewer than 8"), ("password123", "everybody tries"), ("ada@example.org", "own name"), ("x" * 1025, "1024")],
)  # fmt: skip
def test_a_weak_password_is_refused_with_the_reason_and_nothing_is_made(home: Home, password: str, why: str) -> None:
    done = home.run("users", "create", "ada", "--email", "ada@example.org", typed=password + "\n", code=1)
    assert why in done.stderr
    assert done.stdout == ""
    assert password not in done.output
    assert names(home) == []


@pytest.mark.ids("W-F8")
@pytest.mark.parametrize("typed", ["", "\n", "\r\n", b"\xff\xfe\n"])
def test_without_a_password_on_standard_input_nothing_is_made(home: Home, typed: str | bytes) -> None:
    done = home.run("users", "create", "ada", typed=typed, code=1)
    assert "standard input as one line of UTF-8, and none came" in done.stderr
    assert names(home) == []


@pytest.mark.ids("F03")
@pytest.mark.parametrize("taken", ["ada", "ADA", "ada@example.org"])
def test_a_name_that_is_taken_is_refused_before_a_password_is_asked_for(home: Home, ada: str, taken: str) -> None:
    done = home.run("users", "create", taken, typed="", code=1)
    assert "already" in done.stderr
    assert "already" in home.run("users", "create", "bob", "--email", "ADA@example.org", typed="", code=1).stderr
    assert names(home) == ["ada"]


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "usr_me", "\x1b[2J", "x" * 200, "a@"])
def test_a_name_that_cannot_be_one_is_refused(home: Home, name: str) -> None:
    done = home.run("users", "create", "--", name, typed=PASSWORD, code=1)
    assert "\x1b" not in done.output
    assert names(home) == []


def test_one_without_a_password_chooses_it_by_a_reset(home: Home) -> None:
    assert "no password yet" in home.run("users", "create", "ada", "--no-password").stderr
    token = home.run("users", "reset", "ada").stdout.strip()
    with home.opened() as opened:
        opened.accounts.use_reset(token, OTHER)
    assert signs_in(home, OTHER)


# --- list -------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("F03")
def test_a_list_is_read_by_people_and_by_programs(home: Home, ada: str) -> None:
    create(home, "bob", "--unverified")
    home.run("users", "suspend", "ada")
    head, one, two = home.run("users", "list").stdout.splitlines()
    assert head.split()[:5] == ["USERNAME", "EMAIL", "STATE", "ROLES", "SUBJECT"]
    assert one.split()[:5] == ["ada", "Ada@example.org", "suspended", "editor", ada]
    assert two.split()[:4] == ["bob", "-", "unverified", "-"]
    rows = home.rows("users", "list")
    created = rows[0].pop("created_at")
    assert rows[0] == {
        "username": "ada", "email": "Ada@example.org", "state": "suspended", "roles": ["editor"], "subject": ada,
        "password_changed_at": created,
    }  # fmt: skip


def test_no_accounts_are_an_empty_list(home: Home) -> None:
    with home.opened():
        pass
    done = home.run("users", "list")
    assert done.stdout == ""
    assert "keyturn users create" in done.stderr
    assert home.rows("users", "list") == []


def test_a_list_of_many_is_read_page_by_page(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with home.opened() as opened:
        for number in range(7):
            opened.accounts.create(f"user{number}")
    monkeypatch.setattr("keyturn.cli.users._PAGE", 3)
    assert names(home) == [f"user{number}" for number in range(7)]


@pytest.mark.parametrize("words", [["list"], ["list", "--json"]], ids=" ".join)
def test_a_list_needs_no_more_memory_for_more_accounts(tmp_path: Path, words: list[str]) -> None:
    peaks = []
    for count in (1_000, 20_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        home = Home(folder)
        create(home, "zoe")
        fill_accounts(folder / "keyturn.db", like="zoe", count=count)
        lines, peak = home.peak("users", *words)
        assert lines > count
        peaks.append(peak)
    # In KiB. An account that was held would cost 1 KiB at least.
    assert peaks[1] - peaks[0] < 8_000


def test_a_row_that_cannot_be_read_is_shown_as_such_among_the_others(home: Home, ada: str) -> None:
    create(home, "bob")
    create(home, "zoe")
    spoil(home, "bob")
    done = home.run("users", "list", code=1)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["USERNAME", "ada", "bob", "zoe"]
    assert done.stdout.splitlines()[2].split()[:3] == ["bob", "-", "unreadable"]
    assert "1 account cannot be read" in done.stderr
    rows = json.loads(home.run("users", "list", "--json", code=1).stdout)
    assert [row["state"] for row in rows] == ["active", "unreadable", "active"]
    assert home.run("users", "suspend", "bob", code=1).stdout == ""


@pytest.mark.parametrize("verb", [["activate"], ["suspend"], ["set-password"], ["promote"], ["reset"]])
def test_of_a_row_that_cannot_be_read_it_is_said_what_helps(home: Home, ada: str, verb: list[str]) -> None:
    spoil(home, "ada")
    roles = ["x"] if verb == ["promote"] else []
    done = home.run("users", *verb, "ada", *roles, typed=PASSWORD + "\n", code=1)
    assert f"the row of account '{ada}' cannot be understood: its state" in done.stderr
    assert "sessions end-user" in done.stderr
    assert "try again" not in done.stderr


def test_the_sessions_of_an_account_that_cannot_be_read_are_ended_by_its_id(home: Home, ada: str) -> None:
    home.sign_in(ada)
    spoil(home, "ada")
    for verb in ("list", "end-user"):
        assert ada in home.run("sessions", verb, "ada", code=1).stderr
    assert len(home.rows("sessions", "list", ada)) == 1
    assert home.run("sessions", "end-user", ada).stdout == f"{ada}: 1 session ended.\n"
    assert home.rows("sessions", "list", ada) == []


def spoil(home: Home, name: str) -> None:
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute("UPDATE keyturn_account SET state = 'nonsense' WHERE name_key = ?", [name])


# --- streams that are not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["users", "create", "q"], ["sessions", "end-all"], ["sessions", "end", "-"], ["token", "inspect", "-"]]
)
def test_a_closed_standard_input_is_said_in_a_sentence(home: Home, ada: str, words: list[str]) -> None:
    line = shlex.join([*KEYTURN, *words])
    done = _shell(home, f"{line} <&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing was" in done.stderr or "Standard input is closed" in done.stderr
    assert "fault of its own" not in done.stderr
    assert names(home) == ["ada"]


@pytest.mark.parametrize("out", [">/dev/full", ">&-"])
def test_what_was_made_and_cannot_be_printed_is_said_to_be_there(home: Home, ada: str, out: str) -> None:
    for words, told in (
        (["users", "create", "zed", "--no-password"], "The account zed was made all the same"),
        (["users", "reset", "ada"], "The token is lost"),
        (["clients", "add", "shop"], "shop is registered all the same, but its secret is lost"),
    ):
        done = _shell(home, f"{shlex.join([*KEYTURN, *words])} {out}")
        assert done.returncode == 1
        assert told in done.stderr
    assert names(home) == ["ada", "zed"]


def _shell(home: Home, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line], env=home.environment, capture_output=True, text=True, timeout=60, check=False
    )


# --- states and roles -------------------------------------------------------------------------------------------------


@pytest.mark.ids("F03", "SE-08")
def test_suspending_ends_the_sessions_and_says_how_many(home: Home, ada: str) -> None:
    pair = home.sign_in(ada)
    home.sign_in(ada)
    assert home.run("users", "suspend", "ada").stdout == "ada is suspended; 2 sessions ended.\n"
    with home.door() as door, pytest.raises(SessionEndedError):
        door.refresh(pair.refresh_token)
    assert not signs_in(home, PASSWORD)
    assert home.run("users", "suspend", "ada").stdout == "ada was suspended already; 0 sessions ended.\n"
    assert home.run("users", "activate", "ada").stdout == "ada is active.\n"
    assert home.run("users", "activate", "ada").stdout == "ada was active already.\n"
    assert signs_in(home, PASSWORD)


@pytest.mark.ids("F03")
@pytest.mark.parametrize("name", ["ada", "ADA", "ada@EXAMPLE.org", "{subject}"])
def test_a_name_an_address_and_a_subject_mean_the_same_account(home: Home, ada: str, name: str) -> None:
    home.run("users", "suspend", name.format(subject=ada))
    assert account(home).state == "suspended"


@pytest.mark.ids("F03")
def test_roles_are_given_and_taken(home: Home, ada: str) -> None:
    home.sign_in(ada)
    told = home.run("users", "promote", "ada", "admin", "billing:read").stdout
    assert told == "ada has now the roles: admin billing:read editor; 1 session told to refresh.\n"
    told = home.run("users", "demote", "ada", "admin", "editor").stdout
    assert told == "ada has now the roles: billing:read; 1 session told to refresh.\n"
    assert home.run("users", "demote", "ada", "admin").stdout.startswith("ada has still the roles: billing:read;")
    assert account(home).roles == {"billing:read"}


@pytest.mark.parametrize("role", ["two words", 'quo"te', "", "ü", "\x1b"])
def test_what_is_no_role_is_refused(home: Home, ada: str, role: str) -> None:
    done = home.run("users", "promote", "ada", role, code=1)
    assert "\x1b" not in done.output
    assert account(home).roles == {"editor"}


VERBS = [["activate"], ["suspend"], ["promote", "-", "admin"], ["demote", "-", "admin"], ["set-password"], ["reset"]]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_an_account_that_is_not_there_ends_with_1_and_nothing_is_asked(home: Home, ada: str, verb: list[str]) -> None:
    for name in ("nobody", "usr_nobody", "\x1b[2J"):
        done = home.run("users", verb[0], name, *verb[2:], typed="", code=1)
        assert done.stdout == ""
        assert done.stderr.startswith("There is no account of that name.")
        assert "\x1b" not in done.output


@pytest.mark.parametrize(
    "words", [["list"], *([verb[0], "ada", *verb[2:]] for verb in VERBS)], ids=lambda words: words[0]
)
def test_without_a_database_there_are_no_accounts_and_none_is_made(home: Home, words: list[str]) -> None:
    assert "There is no database yet" in home.run("users", *words, code=1).stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


@pytest.mark.parametrize("words", [["create"], ["promote", "ada"], ["demote", "ada"], ["lst"]], ids=" ".join)
def test_wrong_usage_is_told_from_a_refusal(home: Home, words: list[str]) -> None:
    assert home.run("users", *words, code=2).stdout == ""


# --- passwords --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("F03", "W-F8", "SE-08")
def test_another_password_ends_the_sessions_and_the_old_one_is_dead(home: Home, ada: str) -> None:
    pair = home.sign_in(ada)
    done = home.run("users", "set-password", "ada", typed=OTHER + "\n")
    assert done.stdout == "ada has another password; 1 session ended.\n"
    assert OTHER not in done.output
    with home.door() as door, pytest.raises(SessionEndedError):
        door.refresh(pair.refresh_token)
    assert (signs_in(home, PASSWORD), signs_in(home, OTHER)) == (False, True)


@pytest.mark.ids("W-F8")
def test_a_weak_new_password_changes_nothing_and_ends_nothing(home: Home, ada: str) -> None:
    pair = home.sign_in(ada)
    home.run("users", "set-password", "ada", typed="ada\n", code=1)
    home.run("users", "set-password", "ada", typed="", code=1)
    with home.door() as door:
        door.refresh(pair.refresh_token)
    assert signs_in(home, PASSWORD)


def test_a_reset_is_printed_alone_and_works_once(home: Home, ada: str) -> None:
    done = home.run("users", "reset", "ada@example.org")
    token = done.stdout.strip()
    assert token not in done.stderr
    assert "until" in done.stderr
    with home.opened() as opened:
        opened.accounts.use_reset(token, OTHER)
    assert signs_in(home, OTHER)


# --- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("F03", "W-F8")
def test_a_terminal_is_asked_twice_and_shows_nothing_of_the_answer(home: Home) -> None:
    with on_a_terminal(("users", "create", "ada"), home.environment, home.folder) as shown:
        shown.read_until("Password: ")
        shown.type(PASSWORD + "\n")
        shown.read_until("once more: ")
        shown.type(PASSWORD + "\n")
        assert shown.exit_code() == 0
    assert PASSWORD[:8] not in shown.said
    assert "ada may sign in" in shown.said
    assert signs_in(home, PASSWORD)


@pytest.mark.ids("W-F8")
def test_two_that_differ_make_nothing(home: Home) -> None:
    with on_a_terminal(("users", "create", "ada"), home.environment, home.folder) as shown:
        shown.read_until("Password: ")
        shown.type(PASSWORD + "\n")
        shown.read_until("once more: ")
        shown.type(OTHER + "\n")
        assert shown.exit_code() == 1
    assert "differ" in shown.said
    assert names(home) == []


@pytest.mark.parametrize("key", ["Ctrl-C", "Ctrl-D"])
def test_a_prompt_that_is_left_makes_nothing(home: Home, key: str) -> None:
    with on_a_terminal(("users", "create", "ada"), home.environment, home.folder) as shown:
        shown.read_until("Password: ")
        if key == "Ctrl-C":
            assert shown.interrupt() == 130
        else:
            shown.type("\x04")
            assert shown.exit_code() == 1
    assert "Traceback" not in shown.said
    assert names(home) == []


@pytest.mark.parametrize("deaf", [False, True], ids=["it hears", "under nohup"])
@pytest.mark.parametrize("prompts", [1, 2])
def test_a_terminal_that_closes_during_the_prompt_makes_nothing(home: Home, deaf: bool, prompts: int) -> None:
    errors = home.folder / "errors"
    environment = {**home.environment, "PYTHONFAULTHANDLER": "1"}
    with on_a_terminal(("users", "create", "ada"), environment, home.folder, deaf=deaf, errors=errors) as shown:
        shown.read_until("Password: ")
        if prompts == 2:
            shown.type(PASSWORD + "\n")
            shown.read_until("once more: ")
        shown.hang_up()
        assert shown.process.wait(60) != 0
    assert "Traceback" not in errors.read_text()
    assert PASSWORD[:8] not in errors.read_text()
    assert names(home) == []
