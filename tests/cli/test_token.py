"""`keyturn token`: a token for trying something out, and what one is worth, with nothing told of what is not genuine."""

import json
import os
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn import Principal, Sessions, TokenPair
from keyturn._build import Chance
from keyturn._seals import SealedRing
from keyturn.errors import SessionEndedError
from keyturn.keyrings.static import StaticKeys
from keyturn.keys import new_ring
from keyturn.settings import Settings
from keyturn.stores.memory import MemoryStore
from tests.support.command_home import ISSUER, KEYTURN, PATIENCE, Everybody, Home

PASSWORD = "correct horse battery"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def subject(home: Home) -> str:
    """The subject of an account that may sign in."""
    roles = ("--role", "read", "--role", "write")
    return home.run("users", "create", "ada", *roles, typed=PASSWORD).stdout.strip()


def inspect(home: Home, token: str, code: int) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(home.run("token", "inspect", "--json", typed=token + "\n", code=code).stdout)
    return said


def issued(home: Home, *words: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(home.run("token", "issue", "ada", "--json", *words).stdout)
    return said


def claims_in(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    said: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return said


@contextmanager
def sessions_at(home: Home, now: datetime, **settings: Any) -> Iterator[Sessions]:
    """The sessions of the installation at another time."""
    with home.opened() as opened:
        settings = Settings(issuer=ISSUER, **settings)
        yield Sessions(settings, opened.store, opened.keys, users=Everybody(), chance=Chance(clock=lambda: now))


# --- issue --------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("L36")
@pytest.mark.parametrize("name", ["ada", "ADA", None])
def test_the_access_token_alone_is_printed_and_it_is_good(home: Home, subject: str, name: str | None) -> None:
    done = home.run("token", "issue", name or subject)
    token = done.stdout.removesuffix("\n")
    said = inspect(home, token, 0)
    assert (said["kind"], said["good"], said["claims"]["sub"]) == ("access", True, subject)
    assert said["claims"]["scope"] == "read write"
    assert said["session"]["state"] == "live"
    assert f"keyturn sessions end {said['claims']['sid']}" in done.stderr
    assert token not in done.stderr


@pytest.mark.ids("L36")
def test_the_whole_answer_has_a_refresh_token_that_works(home: Home, subject: str) -> None:
    answer = issued(home)
    with home.door() as door:
        assert door.refresh(answer["refresh_token"]).session_id == answer["session_id"]
    assert (answer["token_type"], answer["expires_in"], answer["refresh_expires_in"]) == ("Bearer", 300, 86400)


def test_it_is_a_session_like_any_other_and_can_be_ended(home: Home, subject: str) -> None:
    answer = issued(home)
    (row,) = home.rows("sessions", "list", "ada")
    assert (row["id"], row["device_name"]) == (answer["session_id"], "keyturn token issue")
    home.run("sessions", "end", answer["session_id"])
    with home.door() as door, pytest.raises(SessionEndedError):
        door.refresh(answer["refresh_token"])


def test_less_can_be_granted_and_no_more(home: Home, subject: str) -> None:
    assert claims_in(issued(home, "--scope", "read")["access_token"])["scope"] == "read"
    home.run("token", "issue", "ada", "--scope", "admin", code=1)


def test_a_registered_client_can_be_named_and_no_other(home: Home, subject: str) -> None:
    home.file.write_text(f'{home.file.read_text()}\n[[clients]]\nid = "shop"\n')
    assert claims_in(issued(home, "--client", "shop")["access_token"])["client_id"] == "shop"
    assert "no client 'till'" in home.run("token", "issue", "ada", "--client", "till", code=1).stderr


@pytest.mark.parametrize("state", ["nobody", "suspended", "unverified"])
def test_who_may_not_sign_in_gets_none(home: Home, subject: str, state: str) -> None:
    if state == "suspended":
        home.run("users", "suspend", "ada")
    if state == "unverified":
        home.run("users", "create", "bob", "--unverified", typed=PASSWORD)
    name = {"nobody": "eve", "suspended": "ada", "unverified": "bob"}[state]
    done = home.run("token", "issue", name, code=1)
    assert (done.stdout, name in done.stderr) == ("", True)
    assert home.rows("sessions", "list", "ada") == []


@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_where_the_token_cannot_be_printed_no_session_is_left(home: Home, subject: str, output: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {output}', "sh", *KEYTURN, "token", "issue", "ada"],
        env=home.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert home.rows("sessions", "list", "ada") == []


def test_without_a_database_there_is_nobody_to_issue_for_and_none_is_made(home: Home) -> None:
    home.run("token", "issue", "ada", code=1)
    home.run("token", "inspect", typed="x.y.z", code=1)
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


def test_with_keys_alone_none_is_made_either(home: Home) -> None:
    home.run("keys", "generate")
    assert "There is no database yet" in home.run("token", "inspect", typed="x.y.z", code=1).stderr
    assert sorted(path.name for path in home.folder.iterdir()) == ["keys", "keyturn.toml"]


# --- inspect: access tokens ---------------------------------------------------------------------------------------------


def altered(token: str) -> str:
    """The same claims for another subject, under the old signature."""
    header, _, signature = token.split(".")
    claims = {**claims_in(token), "sub": "mallory", "scope": "admin"}
    payload = urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


def unsigned(token: str) -> str:
    header = urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def forged_and_expired(token: str) -> str:
    """By a key of somebody else's, for a time that is over."""
    return somebody_elses(datetime.now(UTC) - timedelta(days=2)).access_token


def of_another_installation(token: str) -> str:
    return somebody_elses(datetime.now(UTC)).access_token


def somebody_elses(now: datetime) -> TokenPair:
    keys = StaticKeys(new_ring(now=now, entropy=os.urandom))
    sessions = Sessions(Settings(issuer=ISSUER), MemoryStore(), keys, chance=Chance(clock=lambda: now))
    return sessions.start(Principal(subject="mallory"))


@pytest.mark.ids("W-T4", "L36")
@pytest.mark.parametrize("forge", [altered, unsigned, forged_and_expired, of_another_installation])
def test_of_a_forged_token_nothing_is_told_but_that(home: Home, subject: str, forge) -> None:
    token = forge(issued(home)["access_token"])
    said = inspect(home, token, 1)
    assert (said["good"], said["claims"], said["session"]) == (False, {}, {})
    assert "It is no token of this installation" in said["verdict"]
    text = home.run("token", "inspect", typed=token, code=1).output
    assert [word for word in ("mallory", "admin", subject, "expired", "time is over", token) if word in text] == []


@pytest.mark.ids("W-T4")
def test_of_an_expired_token_no_claim_is_told(home: Home, subject: str) -> None:
    with sessions_at(home, datetime.now(UTC) - timedelta(hours=2)) as sessions:
        token = sessions.start(Principal(subject=subject)).access_token
    said = inspect(home, token, 1)
    assert (said["verdict"], said["claims"], said["session"]) == ("It is ours, and its time is over.", {}, {})


def test_a_token_of_an_ended_session_is_not_good(home: Home, subject: str) -> None:
    answer = issued(home)
    home.run("sessions", "end", answer["session_id"])
    said = inspect(home, answer["access_token"], 1)
    assert (said["verdict"], said["claims"]) == ("It is ours, and its session ended.", {})


def test_a_token_that_was_overtaken_is_not_good(home: Home, subject: str) -> None:
    answer = issued(home)
    home.run("users", "demote", "ada", "write")
    assert "overtaken" in inspect(home, answer["access_token"], 1)["verdict"]


def test_a_bound_token_says_so(home: Home, subject: str) -> None:
    with home.door() as door:
        pair = door.start(Principal(subject=subject), transport="cookie")
    assert pair.binding is not None
    said = inspect(home, pair.access_token, 0)
    assert (said["claims"]["bound"], "only along with its binding cookie" in said["verdict"]) == (True, True)


def test_a_token_of_another_realm_is_not_ours(home: Home, subject: str) -> None:
    with sessions_at(home, datetime.now(UTC), realm="staff") as sessions:
        pair = sessions.start(Principal(subject=subject))
    for token in (pair.access_token, pair.refresh_token):
        assert "It is no token of this installation" in inspect(home, token, 1)["verdict"]


# --- inspect: refresh tokens --------------------------------------------------------------------------------------------


def test_a_current_refresh_token_is_good_and_is_not_used_up(home: Home, subject: str) -> None:
    answer = issued(home)
    for _ in range(2):
        said = inspect(home, answer["refresh_token"], 0)
        assert (said["kind"], said["claims"]["gen"], said["session"]["generation"]) == ("refresh", 0, 0)
    with home.door() as door:
        assert door.refresh(answer["refresh_token"]).session_id == answer["session_id"]


@pytest.mark.parametrize(
    ("turns", "since", "good", "verdict"),
    [
        (1, timedelta(0), True, "a retry"),
        (1, timedelta(hours=1), True, "a retry"),  # its successor was never used
        (2, timedelta(0), False, "It was used before, 2 turns ago"),
    ],
)
def test_an_older_refresh_token_is_judged_as_the_server_would(
    home: Home, subject: str, turns: int, since: timedelta, good: bool, verdict: str
) -> None:
    start = datetime.now(UTC) - since - timedelta(minutes=1)
    with sessions_at(home, start) as sessions:
        first = pair = sessions.start(Principal(subject=subject))
    for _ in range(turns):
        with sessions_at(home, start + timedelta(seconds=50)) as sessions:
            pair = sessions.refresh(pair.refresh_token)
    said = inspect(home, first.refresh_token, 0 if good else 1)
    assert (said["good"], verdict in said["verdict"]) == (good, True)
    assert (said["claims"] == {}) is not good
    # Nobody was signed out by asking.
    assert inspect(home, pair.refresh_token, 0)["session"]["state"] == "live"


def test_a_refresh_token_of_an_ended_session_says_how_it_ended(home: Home, subject: str) -> None:
    answer = issued(home)
    home.run("users", "suspend", "ada")
    said = inspect(home, answer["refresh_token"], 1)
    assert (said["verdict"], said["session"]["state"]) == ("It is ours, and its session is over.", "ended")
    assert said["session"]["end_reason"] == "user_disabled"


def test_a_forged_refresh_token_tells_nothing_of_the_session_that_it_names(home: Home, subject: str) -> None:
    token = issued(home)["refresh_token"]
    raw = bytearray(urlsafe_b64decode(token.removeprefix("kt1.") + "=="))
    raw[-1] ^= 1
    forged = "kt1." + urlsafe_b64encode(raw).rstrip(b"=").decode()
    said = inspect(home, forged, 1)
    assert (said["claims"], said["session"]) == ({}, {})
    assert "It is no token of this installation" in said["verdict"]


def test_a_sealed_token_with_another_seed_tells_nothing_of_the_session(home: Home, subject: str) -> None:
    answer = issued(home)
    with home.opened() as opened:
        seals = SealedRing(opened.keys, opened.config.settings.realm)
        token = seals.seal(answer["session_id"], 0, os.urandom(16), datetime.now(UTC))
    said = inspect(home, token, 1)
    assert (said["verdict"], said["session"]) == ("It is ours, and the store has no session for it.", {})


def test_a_refresh_token_whose_session_was_purged_is_not_good(home: Home, subject: str) -> None:
    token = somebody_elses(datetime.now(UTC)).refresh_token
    assert inspect(home, token, 1)["good"] is False
    with home.opened() as opened:
        lone = Sessions(opened.config.settings, MemoryStore(), opened.keys).start(Principal(subject=subject))
    assert inspect(home, lone.refresh_token, 1)["verdict"] == "It is ours, and the store has no session for it."


# --- inspect: manners ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("-",)])
def test_a_token_is_read_from_standard_input(home: Home, subject: str, words: tuple[str, ...]) -> None:
    token = issued(home)["access_token"]
    assert "It is good." in home.run("token", "inspect", *words, typed=f"  {token} \n").stdout


def test_or_it_is_an_argument_and_the_help_says_what_that_costs(home: Home, subject: str) -> None:
    assert "It is good." in home.run("token", "inspect", issued(home)["access_token"]).stdout
    assert "seen by all users of the machine" in " ".join(home.run("token", "inspect", "--help").stdout.split())


@pytest.mark.ids("W-R17", "KEY-06")
def test_no_token_is_ever_repeated(home: Home, subject: str) -> None:
    answer = issued(home)
    for name in ("access_token", "refresh_token"):
        for words in ((), ("--json",)):
            for token, code in ((answer[name], 0), (answer[name] + "A", 1)):
                done = home.run("token", "inspect", *words, typed=token, code=code)
                assert [part for part in (token, token[-20:]) if part in done.output] == []


@pytest.mark.parametrize("typed", ["\n", "", "hunter2", "\x1b[2J", "a.b.c", "kt1.", "é" * 50, "x" * 100_000])
def test_what_is_no_token_is_refused_quietly(home: Home, subject: str, typed: str) -> None:
    done = home.run("token", "inspect", typed=typed, code=1)
    assert "Traceback" not in done.output
    assert [part for part in ("\x1b", "hunter2", "xxxx") if part in done.output] == []


@pytest.mark.ids("KEY-08")
def test_keys_that_others_may_read_are_not_used(home: Home, subject: str) -> None:
    token = issued(home)["access_token"]
    (path,) = (home.folder / "keys").glob("access-*.json")
    path.chmod(0o644)
    assert f"chmod 600 {path}" in home.run("token", "inspect", typed=token, code=1).stderr
    assert f"chmod 600 {path}" in home.run("token", "issue", "ada", code=1).stderr


def test_a_removed_key_is_felt(home: Home, subject: str) -> None:
    answer = issued(home)
    for key in home.rows("keys", "list"):
        home.run("keys", "remove", key["id"], "--yes")
    for name in ("access_token", "refresh_token"):
        assert "It is no token of this installation" in inspect(home, answer[name], 1)["verdict"]


def test_what_was_typed_is_spelled_out_once(home: Home) -> None:
    home.run("users", "create", "eve", "--no-password")
    assert "There is no user '\\x1b[31m'." in home.run("token", "issue", "\x1b[31m", code=1).stderr
