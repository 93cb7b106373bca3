"""`keyturn keys`: the ring is looked at and changed, no secret is shown, and no kill or haste harms it."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn import Settings, Verifier
from keyturn._algorithms import P256_ORDER, from_base64url
from keyturn.cli import keys as command
from keyturn.keyrings.directory import look
from keyturn.keyrings.static import StaticKeys
from keyturn.tokens import UNCHECKED
from tests.support.command_home import ISSUER, KEYTURN, PATIENCE, Home
from tests.support.terminal import on_a_terminal

ROOT = Path(__file__).parent.parent.parent
#: base64url of 32 bytes: a private half, or a refresh key's secret.
SECRET = re.compile(r'"(?:d|k|p|q|dp|dq|qi)"')


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def filled(home: Home) -> Home:
    home.run("keys", "generate")
    return home


def by_purpose(home: Home, purpose: str) -> list[dict[str, Any]]:
    return [row for row in home.rows("keys", "list") if row["purpose"] == purpose]


def secrets_of(home: Home) -> list[str]:
    """Every secret member of every key file."""
    jwks = [json.loads(path.read_text()) for path in (home.folder / "keys").glob("*.json")]
    return [jwk[name] for jwk in jwks for name in ("d", "k") if name in jwk]


def at(home: Home, monkeypatch: pytest.MonkeyPatch, later: timedelta) -> None:
    """Let the commands run later."""
    now = datetime.now(UTC) + later
    monkeypatch.setattr(command, "utc_now", lambda: now)


def wait_until_it_reads(pid: int) -> None:
    """Python misses a Ctrl-C between a prompt and the reading of its answer, where no person is fast enough to press it."""
    while not subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, check=True).stdout.startswith(
        b"S"
    ):
        pass


# --- generate -----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("L35", "W-L4", "KEY-02")
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_the_first_keys_are_of_the_curve_that_the_standard_names_and_nobody_elses(home: Home, algorithm: str) -> None:
    done = home.run("keys", "generate", "--algorithm", algorithm.lower())
    files = {path.name: json.loads(path.read_text()) for path in (home.folder / "keys").glob("*.json")}
    (access,) = [jwk for name, jwk in files.items() if name.startswith("access-")]
    assert access["alg"] == algorithm
    assert access.get("crv") == {"ES256": "P-256", "Ed25519": "Ed25519", "RS256": None}[algorithm]
    assert algorithm != "ES256" or 0 < int.from_bytes(from_base64url(access["d"]), "big") < P256_ORDER
    (refresh,) = [jwk for name, jwk in files.items() if name.startswith("refresh-")]
    assert len(from_base64url(refresh["k"])) == 32
    assert {path.stat().st_mode & 0o777 for path in (home.folder / "keys").iterdir()} == {0o600}
    assert (home.folder / "keys").stat().st_mode & 0o777 == 0o700
    assert [secret for secret in secrets_of(home) if secret in done.output] == []


@pytest.mark.ids("L35")
def test_where_there_are_keys_nothing_is_changed_and_all_is_well(filled: Home) -> None:
    before = filled.rows("keys", "list")
    done = filled.run("keys", "generate", "--algorithm", "RS256")
    assert "already; nothing was changed" in done.stderr
    assert "keyturn keys rotate --algorithm RS256" in done.stderr
    assert filled.rows("keys", "list") == before


@pytest.mark.ids("L35", "W-L14")
def test_a_dry_run_makes_nothing_and_prints_no_key(home: Home) -> None:
    done = home.run("keys", "generate", "--dry-run")
    assert str(home.folder / "keys") in done.stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


def test_fresh_keys_beside_live_sessions_need_a_yes(filled: Home) -> None:
    filled.sign_in("user-1")
    for path in (filled.folder / "keys").glob("*.json"):
        path.unlink()
    refused = filled.run("keys", "generate", code=1)
    assert "everybody has to sign in again" in refused.stderr
    assert list((filled.folder / "keys").glob("*.json")) == []
    filled.run("keys", "generate", "--yes")
    assert len(filled.rows("keys", "list")) == 2


def test_two_that_generate_at_once_make_one_ring(home: Home) -> None:
    both = [home.process("keys", "generate") for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sorted(row["purpose"] for row in home.rows("keys", "list")) == ["access", "refresh"]


# --- list, jwks ---------------------------------------------------------------------------------------------------------


def test_a_list_says_what_each_key_does_and_until_when(filled: Home) -> None:
    filled.run("keys", "rotate")
    rows = by_purpose(filled, "access")
    assert [row["state"] for row in rows] == ["current", "next"]
    assert [row["good_until"] is None for row in rows] == [False, True]
    text = filled.run("keys", "list").stdout
    assert text.splitlines()[0].split()[:4] == ["ID", "PURPOSE", "ALGORITHM", "STATE"]
    assert rows[0]["id"] in text


@pytest.mark.ids("KEY-06", "W-L14")
def test_neither_a_list_nor_the_public_set_shows_a_secret(filled: Home) -> None:
    filled.run("keys", "rotate", "--purpose", "both")
    shown = filled.run("keys", "list").output + filled.run("keys", "list", "--json").output
    shown += filled.run("keys", "jwks").output
    assert len(secrets_of(filled)) == 4
    assert [secret for secret in secrets_of(filled) if secret in shown] == []


@pytest.mark.ids("KEY-01", "KEY-02")
def test_the_public_set_is_what_others_verify_with(filled: Home) -> None:
    printed = json.loads(filled.run("keys", "jwks").stdout)
    assert SECRET.search(json.dumps(printed)) is None
    assert {(jwk["kty"], jwk["use"], jwk["alg"]) for jwk in printed["keys"]} == {("EC", "sig", "ES256")}
    assert [jwk["kid"] for jwk in printed["keys"]] == [row["id"] for row in by_purpose(filled, "access")]


def test_without_keys_there_is_nothing_to_show_and_nothing_is_made(home: Home) -> None:
    for words in (["list"], ["jwks"], ["rotate"], ["remove", "0"]):
        assert "keyturn keys generate" in home.run("keys", *words, code=1).stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


@pytest.mark.ids("KEY-08")
@pytest.mark.parametrize("words", [["list"], ["jwks"], ["rotate"], ["generate"], ["remove", "0", "--yes"]])
def test_keys_that_others_may_read_are_refused_with_the_remedy_for_each(filled: Home, words: list[str]) -> None:
    files = sorted((filled.folder / "keys").glob("*.json"))
    for path in files:
        path.chmod(0o644)
    lines = filled.run("keys", *words, code=1).stderr.splitlines()
    assert [f"chmod 600 {path}" in line for path, line in zip(files, lines, strict=True)] == [True, True]


# --- rotate -------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-03")
def test_a_rotation_says_when_the_new_key_takes_over_and_then_it_does(
    filled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = filled.sign_in("user-1").access_token
    (old,) = by_purpose(filled, "access")
    said = filled.run("keys", "rotate").stderr
    (new,) = (row for row in by_purpose(filled, "access") if row["id"] != old["id"])
    assert f"access key {new['id']} (ES256) signs from {new['signs_from'][:10]}" in said
    assert "in 7 minutes" in said
    assert f"Until then {old['id']} signs" in said
    at(filled, monkeypatch, timedelta(minutes=8))
    assert {row["id"]: row["state"] for row in by_purpose(filled, "access")} == {
        old["id"]: "retiring",
        new["id"]: "current",
    }
    keys = StaticKeys(look(filled.folder / "keys"))
    assert Verifier(Settings(issuer=ISSUER), keys).verify(token, binding=UNCHECKED).subject == "user-1"


@pytest.mark.parametrize(
    ("purpose", "added"), [("access", ["access"]), ("refresh", ["refresh"]), ("both", ["access", "refresh"])]
)
def test_a_rotation_adds_a_key_of_each_purpose_that_was_asked_for(filled: Home, purpose: str, added: list[str]) -> None:
    filled.run("keys", "rotate", "--purpose", purpose)
    assert sorted(row["purpose"] for row in filled.rows("keys", "list") if row["state"] == "next") == added


def test_a_rotation_changes_over_to_another_algorithm(filled: Home) -> None:
    filled.run("keys", "rotate", "--algorithm", "Ed25519")
    assert [row["algorithm"] for row in by_purpose(filled, "access")] == ["ES256", "Ed25519"]
    filled.run("keys", "rotate", "--purpose", "refresh", "--algorithm", "Ed25519", code=2)


def test_two_rotations_at_once_lose_no_key(filled: Home) -> None:
    both = [filled.process("keys", "rotate", "--purpose", "both") for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert len(by_purpose(filled, "access")) == 3
    assert [row["id"] for row in by_purpose(filled, "refresh")] == ["0", "1", "2"]
    announced = [line.split()[2] for _, said in ended for line in said.splitlines() if " signs from " in line]
    assert sorted(announced) == sorted(row["id"] for row in filled.rows("keys", "list") if row["state"] == "next")


def test_a_kill_at_any_moment_of_a_rotation_leaves_a_ring_that_works_and_rotates(tmp_path: Path) -> None:
    (tmp_path / "template").mkdir()
    Home(tmp_path / "template").run("keys", "generate")
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.killed_rotation", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 10  # as many calls as two keys need
    for each in found:
        assert set(each["before"]) <= set(each["after"]), "a key was lost"
        assert set(each["signs"]) == set(each["before"]), "a key took over before its time"
        assert each["next"] == 0, each["said"]
        assert len(each["later"]) == len(each["after"]) + 2
        assert each["left"] == []
    assert sorted({len(each["after"]) for each in found}) == [2, 3, 4]


# --- remove -------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-04")
@pytest.mark.parametrize(
    ("purpose", "consequence"), [("access", "clients refresh and go on"), ("refresh", "has to sign in again")]
)
def test_to_remove_a_key_in_use_needs_a_yes_and_then_another_signs(
    filled: Home, purpose: str, consequence: str
) -> None:
    (old,) = by_purpose(filled, purpose)
    refused = filled.run("keys", "remove", old["id"], code=1)
    assert consequence in refused.stderr
    assert [row["id"] for row in by_purpose(filled, purpose)] == [old["id"]]
    said = filled.run("keys", "remove", old["id"], "--yes").stderr
    (new,) = by_purpose(filled, purpose)
    assert (new["id"] != old["id"], new["state"]) == (True, "current")
    assert f"{purpose} key {new['id']} signs from now on" in said


def test_a_key_that_nobody_used_goes_without_a_question(filled: Home) -> None:
    filled.run("keys", "rotate", "--purpose", "refresh")
    filled.run("keys", "remove", "1")
    assert [row["id"] for row in by_purpose(filled, "refresh")] == ["0"]
    assert "Refresh key 1 was removed; its number is free again on" in filled.run("keys", "list").stderr


def test_a_retiring_key_goes_with_a_question_only(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.run("keys", "rotate", "--purpose", "refresh")
    at(filled, monkeypatch, timedelta(minutes=3))
    assert [row["state"] for row in by_purpose(filled, "refresh")] == ["retiring", "current"]
    filled.run("keys", "remove", "0", code=1)
    filled.run("keys", "remove", "0", "--yes")


def test_a_key_that_is_not_there_is_told(filled: Home) -> None:
    before = filled.rows("keys", "list")
    assert "`keyturn keys list` tells the ids" in filled.run("keys", "remove", "9", "--yes", code=1).stderr
    assert filled.rows("keys", "list") == before


@pytest.mark.parametrize("id_", ["-abc", "--abc", "-h0", "-y"])
def test_an_id_that_looks_like_an_option_is_an_id(filled: Home, id_: str) -> None:
    assert f"There is no key {id_!r}" in filled.run("keys", "remove", id_, code=1).stderr


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y", 0, "1"), ("n", 1, "0"), ("\x03", 130, "0"), ("\x04", 1, "0")]
)
def test_a_person_is_asked_and_what_they_say_counts(filled: Home, answer: str, code: int, left: str) -> None:
    with on_a_terminal(("keys", "remove", "0"), filled.environment, filled.folder) as terminal:
        terminal.read_until("[y/N]: ")
        wait_until_it_reads(terminal.process.pid)
        terminal.type(answer if len(answer.encode()) == 1 and ord(answer) < 32 else answer + "\n")
        assert terminal.exit_code() == code
        assert "Traceback" not in terminal.said
    assert [row["id"] for row in by_purpose(filled, "refresh")] == [left]


def test_a_terminal_that_closes_during_the_question_changes_nothing(filled: Home) -> None:
    before = filled.rows("keys", "list")
    with on_a_terminal(("keys", "remove", "0"), filled.environment, filled.folder) as terminal:
        terminal.read_until("[y/N]: ")
        terminal.hang_up()
        assert terminal.exit_code() != 0
    assert filled.rows("keys", "list") == before


def test_a_reader_who_leaves_after_a_rotation_has_begun_leaves_it_whole(filled: Home) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&1 | true', "sh", *KEYTURN, "keys", "rotate"],
        env=filled.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(by_purpose(filled, "access")) == 2
