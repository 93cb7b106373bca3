"""`keyturn doctor`: every check is provoked once, nothing is ever changed, and what is well is said to be well."""

import json
import os
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from keyturn._algorithms import ES256, Ed25519, SigningMaterial, to_base64url
from keyturn._key_json import files_of
from keyturn.keyrings.directory import DirectoryKeys
from keyturn.keys import KeyRing, SpentId, new_access_key, new_refresh_key, new_ring, rotate_refresh
from keyturn.server.config import ServerConfig, load
from keyturn.server.doctor import Facts, Finding, gather, judge, worst
from keyturn.server.doctor.about_keys import gaps
from keyturn.server.doctor.facts import AccountFacts, ClientFacts, DatabaseFacts, FileFacts, KeyFacts, SessionFacts
from keyturn.server.doctor.finding import note, ok, weak
from keyturn.server.doctor.reading import is_weak_hash, summed
from keyturn.server.doctor.trial import failed_keys
from keyturn.session import session_id_bytes
from keyturn.settings import Settings
from keyturn.stores.sqlalchemy import upgrade
from tests.support.command_home import Home
from tests.support.serve_process import served
from tests.support.servers import MariadbServer, PostgresqlServer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PUBLIC = 'issuer = "https://id.keyturn-users.net"'
BEHIND = '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
PASSWORD = "correct horse battery"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], ServerConfig]:
    """Give the configuration of a text."""

    def read(text: str) -> ServerConfig:
        (tmp_path / "keyturn.toml").write_text(text)
        return load(tmp_path / "keyturn.toml", environment={})

    return read


def facts_of(config: ServerConfig, **others: Any) -> Facts:
    return Facts(config=config, now=NOW, **others)


def told(facts: Facts, level: str = "", topic: str = "") -> list[Finding]:
    return [each for each in judge(facts) if level in {"", each.level} and topic in {"", each.topic}]


def says(findings: list[Finding], *parts: str) -> bool:
    return any(all(part in each.what + each.remedy for part in parts) for each in findings)


def ring(**changes: Any) -> KeyRing:
    return replace(new_ring(now=NOW, entropy=os.urandom), **changes)


# --- settings and server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level", "parts"),
    [
        ('[keyturn]\nissuer = "https://id.example.org"', "weak", ("https://id.example.org", "stands for nobody")),
        ("", "note", ("this machine only",)),
        ('[keyturn]\nprofile = "development"', "note", ("development", "without Secure")),
        (f'[keyturn]\n{PUBLIC}\nprofile = "testing"', "weak", ("testing",)),
        (f"[keyturn]\n{PUBLIC}\ndocs_login = true", "weak", ("docs_login",)),
        (f'[keyturn]\n{PUBLIC}\nbinding = "none"', "weak", ("binding is none", "no binding")),
        (f'[keyturn]\n{PUBLIC}\naccess_token_lifetime = "1h"', "note", ("Access tokens live for 1h",)),
        (f"[keyturn]\n{PUBLIC}", "note", ("Sessions live for 90d", "NIST")),
        (f'[keyturn]\n{PUBLIC}\nleeway = "0s"\nrecovery_window = "0s"', "note", ("leeway is 0",)),
        (f'[keyturn]\n{PUBLIC}\nrecovery_window = "0s"', "note", ("recovery_window is 0",)),
        (f"[keyturn]\n{PUBLIC}\n[keyturn.cookie]\naccess_in_cookie = true", "note", ("in a cookie too",)),
        (f'[keyturn]\n{PUBLIC}\n[keyturn.cookie]\nsame_site = "Lax"', "note", ("SameSite=Lax",)),
        (f'[keyturn]\n{PUBLIC}\n[keyturn.cookie]\nsame_site = "None"\npartitioned = true', "note", ("SameSite=None",)),
        (f'[keyturn]\n{PUBLIC}\norigins = ["http://localhost:3000"]', "weak", ("http://localhost:3000", "origins")),
        (f"[keyturn]\n{PUBLIC}", "weak", ("trusted_proxies names none",)),
        ('[server]\ntrusted_proxies = ["0.0.0.0/0"]', "weak", ("0.0.0.0/0", "claim to be anybody")),
        ('[server]\ntrusted_proxies = ["10.0.0.0/8"]', "weak", ("10.0.0.0/8",)),
        ('[server]\nhost = "0.0.0.0"', "weak", ("0.0.0.0", "for other machines")),
        (f'[keyturn]\n{PUBLIC}\n[server]\nhost = "0.0.0.0"', "note", ("without TLS",)),
        (f'[keyturn]\n{PUBLIC}\n[server]\nhost = "0.0.0.0"', "note", ("/metrics",)),
        ('[throttle]\nlogin_per_user_and_address = ""\nlogin_per_user = ""\nlogin_per_address = ""', "weak", ("full speed",)),
        ('[throttle]\nlogin_per_user = ""', "weak", ("Turned off: login_per_user.",)),
        ('[throttle]\nrefresh_per_session = ""', "note", ("not counted",)),
        ('[server]\ncounters = "memory:"\nworkers = 4', "weak", ("each of 4 workers",)),
        ('[server]\ncounters = "memory:"', "note", ("forgotten at a restart",)),
        ('[server]\nstore = "memory:"', "weak", ("forgets all users",)),
        ('[server]\nstore = "postgresql://kt@db.keyturn-users.net/kt"', "weak", ("db.keyturn-users.net", "TLS")),
        ('[server]\nstore = "postgresql+psycopg://kt@10.1.2.3/kt?sslmode=prefer"', "weak", ("10.1.2.3", "TLS")),
    ],
)  # fmt: skip
def test_what_the_configuration_leaves_weak_is_told(
    configured: Callable[[str], ServerConfig], text: str, level: str, parts: tuple[str, ...]
) -> None:
    assert says(told(facts_of(configured(text)), level), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"[keyturn]\n{PUBLIC}\n{BEHIND}", ("trusted_proxies",)),
        ('[keyturn]\nprofile = "strict"', ("NIST",)),
        ('[keyturn]\norigins = ["http://localhost:3000"]', ("http://localhost:3000",)),
        ('[server]\ntrusted_proxies = ["192.168.0.0/16", "127.0.0.0/8", "::1"]', ("claim to be anybody",)),
        ('[server]\nhost = "0.0.0.0"\nmetrics = false', ("/metrics",)),
        ('[server]\nstore = "postgresql://kt@db.keyturn-users.net/kt?sslmode=verify-full"', ("TLS",)),
        ('[server]\nstore = "mysql://kt@db.keyturn-users.net/kt?ssl_ca=/etc/ca.pem"', ("TLS",)),
        ('[server]\nstore = "postgresql://kt@localhost/kt"', ("TLS",)),
        ('[keyturn]\nbinding = "none"\ntransports = ["body"]', ("binding",)),
    ],
)
def test_what_is_meant_so_is_not_complained_about(
    configured: Callable[[str], ServerConfig], text: str, parts: tuple[str, ...]
) -> None:
    assert not says(told(facts_of(configured(text)), "weak") + told(facts_of(configured(text)), "note"), *parts)


def test_a_good_installation_has_nothing_weak(configured: Callable[[str], ServerConfig]) -> None:
    config = configured(f"[keyturn]\n{PUBLIC}\n{BEHIND}")
    database = DatabaseFacts(
        at="0002", newest="0002", clock_off=timedelta(milliseconds=20), sessions=SessionFacts(live=3),
        accounts=AccountFacts(count=2, active=2),
    )  # fmt: skip
    facts = facts_of(
        config, keys=KeyFacts(ring=ring()), database=database, clients=[ClientFacts(id="shop", digest="ab" * 32)]
    )
    assert [each for each in judge(facts) if each.level in {"weak", "broken"}] == []
    assert {each.topic for each in told(facts, "ok")} >= {
        "keys",
        "database",
        "clock",
        "settings",
        "throttle",
        "accounts",
    }


# --- keys ---------------------------------------------------------------------------------------------------------------


def of_keys(configured: Callable[[str], ServerConfig], found: KeyRing | None = None, **others: Any) -> list[Finding]:
    sessions = others.pop("sessions", SessionFacts())
    facts = facts_of(configured(""), keys=KeyFacts(ring=found, **others), database=DatabaseFacts(sessions=sessions))
    return told(facts, topic="keys")


def test_no_keys_are_a_note_until_sessions_live(configured) -> None:
    assert [each.level for each in of_keys(configured, KeyRing(keys=()))] == ["note"]
    (finding,) = of_keys(configured, KeyRing(keys=()), sessions=SessionFacts(live=7))
    assert (finding.level, "7 sessions live" in finding.what) == ("broken", True)
    assert "Restore" in finding.remedy


@pytest.mark.ids("KEY-08")
def test_every_fault_of_the_files_is_told(configured) -> None:
    found = of_keys(configured, None, faults=("Others may read a.json.", "b.json: it is not a key."))
    assert [(each.level, each.what) for each in found] == [
        ("broken", "Others may read a.json."), ("broken", "b.json: it is not a key."),
    ]  # fmt: skip


def test_a_ring_without_one_of_its_halves_is_told(configured) -> None:
    access, refresh = sorted(ring().keys, key=lambda key: key.purpose)
    assert says(
        [each for each in of_keys(configured, KeyRing(keys=(access,))) if each.level == "broken"], "refresh-*.json"
    )
    assert says(
        [each for each in of_keys(configured, KeyRing(keys=(refresh,))) if each.level == "weak"], "no key for access"
    )


@pytest.mark.ids("L37")
def test_a_key_that_failed_its_trial_is_broken_and_nothing_is_called_well(configured) -> None:
    found = of_keys(configured, ring(), failed=[("0", "it does not open what it sealed")])
    assert says([each for each in found if each.level == "broken"], "Key 0 does not work", "keyturn keys remove 0")
    assert [each for each in found if each.level == "ok"] == []


def test_a_hole_between_refresh_keys_is_a_lost_file_unless_it_was_removed(configured) -> None:
    now, made = NOW, ring()
    for _ in range(2):
        now += DAY
        made = rotate_refresh(made, now=now, entropy=os.urandom)
    lost = KeyRing(keys=tuple(key for key in made.keys if key.id != "1"))
    assert says([each for each in of_keys(configured, lost) if each.level == "weak"], "Refresh key 1 is missing")
    removed = KeyRing(keys=lost.keys, spent=(SpentId(id="1", until=NOW + 400 * DAY),))
    assert not says(of_keys(configured, removed), "is missing")


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [([], []), ([5], []), ([254, 255, 0, 1], []), ([254, 1], [255, 0]), ([0, 1, 3, 4, 7], [2, 5, 6])],
)
def test_holes_are_found_also_where_numbers_begin_anew(numbers: list[int], missing: list[int]) -> None:
    keys = [
        new_refresh_key(number, now=NOW + n * DAY, signs_from=NOW + n * DAY, entropy=os.urandom)
        for n, number in enumerate(numbers)
    ]
    assert gaps(KeyRing(keys=tuple(keys))) == missing


def test_sessions_older_than_every_refresh_key_say_that_theirs_is_missing(configured) -> None:
    found = of_keys(configured, ring(), sessions=SessionFacts(live=9, orphans=4))
    assert says([each for each in found if each.level == "broken"], "4 sessions live that were sealed before")
    removed = ring(spent=(SpentId(id="9", until=NOW + DAY),))
    found = of_keys(configured, removed, sessions=SessionFacts(live=9, orphans=4))
    assert says([each for each in found if each.level == "note"], "removed on purpose")


def test_a_key_from_the_future_says_that_a_clock_is_wrong(configured) -> None:
    found = of_keys(configured, new_ring(now=NOW + timedelta(hours=1), entropy=os.urandom))
    assert len([each for each in found if each.level == "broken" and "made in the future" in each.what]) == 2


def test_a_key_that_signs_for_years_should_be_rotated(configured) -> None:
    found = of_keys(configured, new_ring(now=NOW - 400 * DAY, entropy=os.urandom))
    assert says(found, "has signed for 400 days", "keyturn keys rotate --purpose access")


def test_another_algorithm_than_configured_is_a_note(configured) -> None:
    assert says(of_keys(configured, new_ring(now=NOW, entropy=os.urandom, algorithm="Ed25519")), "--algorithm ES256")


def test_few_numbers_left_are_told(configured) -> None:
    spent = tuple(SpentId(id=str(number), until=NOW + DAY) for number in range(1, 245))
    assert says([each for each in of_keys(configured, ring(spent=spent)) if each.level == "weak"], "245 of 256 numbers")


def test_keys_of_another_user_are_a_note(configured) -> None:
    assert says(of_keys(configured, ring(), owners=["keyturn"]), "belong to keyturn", "run as their owner")


# --- the trial ----------------------------------------------------------------------------------------------------------


def failures(made: KeyRing) -> list[str]:
    return [why for _, why in failed_keys(made, Settings(issuer="https://id.test"), now=NOW, entropy=os.urandom)]


@pytest.mark.ids("L37")
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_keys_that_work_pass_their_trial_in_every_state(algorithm: str) -> None:
    made = new_ring(now=NOW - DAY, entropy=os.urandom, algorithm=algorithm)
    coming = new_access_key(algorithm, now=NOW, signs_from=NOW + DAY, entropy=os.urandom)
    assert failures(KeyRing(keys=(*made.keys, coming))) == []


@pytest.mark.ids("L37", "W-L14")
@pytest.mark.parametrize(
    ("name", "wrong", "why"),
    [
        ("sign", lambda self, data, *, deterministic=False: b"\x01" * 64, "not accepted by its own public half"),
        ("verify", lambda self, data, signature: True, "accepts what it did not sign"),
    ],
)
def test_a_key_that_signs_or_verifies_wrongly_fails_it(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong, why: str
) -> None:
    monkeypatch.setattr(ES256, name, wrong)
    assert any(why in each for each in failures(ring()))


def test_a_public_half_of_another_key_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other = new_ring(now=NOW, entropy=os.urandom).signing(NOW).material
    assert isinstance(other, SigningMaterial)
    mine = ring()
    jwk = {**other.members, "kid": "x", "alg": "ES256", "use": "sig"}
    monkeypatch.setattr(type(mine.signing(NOW)), "public_jwk", lambda self: jwk)
    assert any("public half that is published is not its own" in each for each in failures(mine))


def test_a_seal_that_does_not_open_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(range(10**6))
    monkeypatch.setattr("keyturn._refresh_token._tag", lambda key, body: next(drawn).to_bytes(16, "big"))
    assert any("does not open what it sealed" in each for each in failures(ring()))


# --- database, accounts, clients, files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database", "text", "level", "parts"),
    [
        (DatabaseFacts(exists=False), "", "note", ("no database yet",)),
        (DatabaseFacts(trouble="connection refused."), "", "broken", ("connection refused",)),
        (DatabaseFacts(newest="0002"), "", "note", ("no tables of ours",)),
        (DatabaseFacts(at="0003", newest="0002"), "", "broken", ("A newer Keyturn", "Update this program")),
        (DatabaseFacts(at="0001", newest="0002"), "", "note", ("next start updates",)),
        (DatabaseFacts(at="0001", newest="0002"), "[server]\nmigrate = false", "broken", ("upgrade",)),
        (DatabaseFacts(at="1", newest="1", lacking=["DELETE in keyturn_session"]), "", "broken", ("DELETE in",)),
        (DatabaseFacts(at="1", newest="1", all_powerful=True), "", "weak", ("anything",)),
        (DatabaseFacts(at="1", newest="1", clock_off=timedelta(seconds=5.2)), "", "broken", ("5.2 s ahead", "NTP")),
        (DatabaseFacts(at="1", newest="1", clock_off=timedelta(seconds=-6)), "", "broken", ("6.0 s behind",)),
        (DatabaseFacts(at="1", newest="1", clock_off=timedelta(seconds=1.5)), '[keyturn]\nleeway = "0s"\nrecovery_window = "0s"', "broken", ("1 s are allowed",)),
        (DatabaseFacts(at="1", newest="1", sessions=SessionFacts(over=10_000)), "", "note", ("10000 sessions have been over", "keyturn purge")),
        (DatabaseFacts(at="1", newest="1", sessions=SessionFacts(announcements=10_000)), "", "note", ("announcements", "purge")),
    ],
)  # fmt: skip
def test_what_the_database_lacks_is_told(
    configured: Callable[[str], ServerConfig], database: DatabaseFacts, text: str, level: str, parts: tuple[str, ...]
) -> None:
    found = told(facts_of(configured(text), database=database), level)
    assert says([each for each in found if each.topic in {"database", "clock"}], *parts)


def test_clocks_that_agree_within_half_the_leeway_are_well(configured: Callable[[str], ServerConfig]) -> None:
    database = DatabaseFacts(at="1", newest="1", clock_off=timedelta(seconds=4.9))
    assert [each.level for each in told(facts_of(configured(""), database=database), topic="clock")] == ["ok"]


@pytest.mark.parametrize(
    ("accounts", "level", "parts"),
    [
        (AccountFacts(), "note", ("none yet", "keyturn users create")),
        (AccountFacts(count=2), "note", ("nobody can sign in",)),
        (
            AccountFacts(count=9, active=1, corrupt=7, damaged=("ada", "bob")),
            "broken",
            ("7 rows", "ada, bob and 5 more"),
        ),
        (AccountFacts(count=1, active=1, without_password=1), "note", ("no password",)),
        (AccountFacts(count=1, active=1, hashed_weakly=1), "note", ("more weakly",)),
        (AccountFacts(count=1, active=1, subjects_like_clients=("shop",)), "broken", ("shop", "another id")),
    ],
)
def test_what_is_wrong_with_accounts_is_told(
    configured: Callable[[str], ServerConfig], accounts: AccountFacts, level: str, parts: tuple[str, ...]
) -> None:
    facts = facts_of(configured(""), database=DatabaseFacts(at="1", newest="1", accounts=accounts))
    assert says([each for each in told(facts, level) if each.topic in {"accounts", "clients"}], *parts)


@pytest.mark.parametrize("secret", ["", "secret", "changeme", "shop", "shop-secret"])
def test_a_client_with_a_secret_that_everybody_guesses_is_broken(
    configured: Callable[[str], ServerConfig], secret: str
) -> None:
    clients = [ClientFacts(id="shop", digest=sha256(secret.encode()).hexdigest().upper()), ClientFacts(id="spa")]
    found = told(facts_of(configured(""), clients=clients), "broken")
    assert [each.topic for each in found] == ["clients"]


@pytest.mark.parametrize(
    ("kind", "mode", "remedy"),
    [("database", 0o644, "go-rwx"), ("folder", 0o770, "go-w"), ("configuration", 0o640, "go-rwx")],
)
def test_a_file_that_is_too_open_is_told_with_a_line_to_paste(
    configured: Callable[[str], ServerConfig], kind: str, mode: int, remedy: str
) -> None:
    file = FileFacts(path=Path("/srv/a b"), mode=mode, kind=kind)
    (finding,) = told(facts_of(configured(""), files=[file]), topic="files")
    assert (finding.level, finding.remedy) == ("weak", f"chmod {remedy} '/srv/a b'")


@pytest.mark.parametrize(
    ("text", "is_weak"),
    [
        ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", False),
        ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", False),
        ("$argon2id$v=19$m=19455,t=2,p=1$c2FsdA$aGFzaA", True),
        ("$argon2id$v=19$m=65536,t=1,p=1$c2FsdA$aGFzaA", True),
        ("$argon2i$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA", True),
        ("$scrypt$ln=17,r=8,p=1$c2FsdA$aGFzaA", True),
    ],
)
def test_a_hash_is_weak_that_costs_less_than_todays(text: str, is_weak: bool) -> None:
    assert is_weak_hash(text) is is_weak


def test_a_million_damaged_rows_are_counted_and_five_named() -> None:
    found = summed((f"user{n}" for n in range(1000)), frozenset())
    assert (found.count, found.corrupt, found.damaged) == (1000, 1000, tuple(f"user{n}" for n in range(5)))


# --- gathering ----------------------------------------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def findings(home: Home, code: int = 0, *words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(home.run("doctor", "--json", *words, code=code).stdout)
    return found


def whats(home: Home, code: int, level: str) -> str:
    return "\n".join(each["what"] + each["remedy"] for each in findings(home, code) if each["level"] == level)


def test_in_an_empty_folder_it_says_what_is_missing_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home.at(tmp_path)
    (tmp_path / "keyturn.toml").write_text("")
    missing = [each for each in findings(home) if each["level"] == "note"]
    assert [each["topic"] for each in missing[:2]] == ["keys", "database"]
    assert [path.name for path in tmp_path.iterdir()] == ["keyturn.toml"]


@pytest.mark.ids("L37")
def test_it_looks_at_a_whole_installation_and_changes_no_byte(home: Home) -> None:
    home.run("users", "create", "ada", typed=PASSWORD)
    home.sign_in("user-1")
    for left in home.folder.glob("keyturn.db-*"):
        left.unlink()
    before = tree(home.folder)
    found = findings(home)
    assert tree(home.folder) == before
    well = "\n".join(each["what"] for each in found if each["level"] == "ok")
    assert "All 2 keys sign and verify" in well
    assert "1 session lives." in well
    assert "1 of 1 are active." in well


def test_only_sessions_that_live_in_this_realm_are_counted(home: Home) -> None:
    home.run("sessions", "end", home.sign_in("user-1").session_id)
    home.sign_in("user-2")
    other = home.sign_in("user-3").session_id
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        raw = session_id_bytes(other)
        connection.execute("UPDATE keyturn_session SET realm = 'staff' WHERE id = ?", (raw,))
    assert "1 session lives." in whats(home, 0, "ok")


@pytest.mark.ids("L37", "W-L14")
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "RS256"])
def test_a_pair_whose_halves_do_not_match_is_found(home: Home, algorithm: str) -> None:
    home.run("keys", "generate", "--algorithm", algorithm)
    (path,) = (home.folder / "keys").glob("access-*.json")
    other = new_access_key(algorithm, now=NOW, signs_from=NOW, entropy=os.urandom).material
    assert isinstance(other, SigningMaterial)
    secret = "d"
    path.write_text(json.dumps({**json.loads(path.read_text()), secret: other.private_members()[secret]}))
    said = whats(home, 1, "broken")
    assert str(path) in said
    assert other.private_members()[secret] not in said


@pytest.mark.ids("KEY-08")
def test_files_that_others_may_read_are_found(home: Home) -> None:
    home.run("users", "create", "ada", typed=PASSWORD)
    (home.folder / "keyturn.db").chmod(0o644)
    assert f"{home.folder / 'keyturn.db'} (mode 644)" in whats(home, 0, "weak")
    for path in (home.folder / "keys").glob("*.json"):
        path.chmod(0o640)
    assert whats(home, 1, "broken").count("chmod 600") == 2


def test_a_command_is_told_in_one_line_to_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / ("a long way " * 8)
    folder.mkdir()
    home = Home(folder)
    home.run("keys", "generate")
    (key, *_) = (home.folder / "keys").glob("access-*.json")
    key.chmod(0o644)
    home.file.chmod(0o644)
    lines = home.run("doctor", code=1).stdout.splitlines()
    assert any(f"`chmod 600 {shlex.quote(str(key))}`" in line for line in lines)


def test_a_configuration_with_a_password_that_others_may_read_is_found(tmp_path: Path) -> None:
    home = Home(tmp_path, store="postgresql://kt:hunter2hunter2@127.0.0.1:1/kt")
    home.file.chmod(0o644)
    done = home.run("doctor", "--json", code=1)
    assert f"{home.file} (mode 644)" in done.stdout
    assert "hunter2" not in done.output
    assert any(each["topic"] == "database" and each["level"] == "broken" for each in json.loads(done.stdout))


def test_one_without_a_password_may_be_read_by_all(home: Home) -> None:
    home.file.chmod(0o644)
    assert str(home.file) not in whats(home, 0, "weak")


def test_an_empty_file_with_the_version_of_something_else_is_not_ours(home: Home) -> None:
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 7")
    assert "something else" in whats(home, 1, "broken")


def test_every_fault_of_the_configuration_is_a_finding(home: Home) -> None:
    home.file.write_text("[server]\nprt = 1\nwrkers = 2\n")
    found = findings(home, 1)
    assert [(each["level"], each["topic"]) for each in found] == [("broken", "configuration")] * 2


def test_a_refresh_key_whose_file_is_lost_is_found_by_the_sessions_that_it_sealed(home: Home) -> None:
    sealed_by_the_key_before(home)
    assert "sealed before" not in whats(home, 0, "broken")
    (home.folder / "keys" / "refresh-0.json").unlink()
    assert "1 session lives that was sealed before" in whats(home, 1, "broken")


def sealed_by_the_key_before(home: Home) -> None:
    """Make a key two hours ago, a session half an hour ago, and another key now."""
    home.run("keys", "generate")
    first = home.folder / "keys" / "refresh-0.json"
    made = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    first.write_text(json.dumps({**json.loads(first.read_text()), "created_at": made, "signs_from": made}))
    home.sign_in("user-1")
    home.run("keys", "rotate", "--purpose", "refresh")
    half_an_hour = 1_800_000_000  # microseconds
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute(
            "UPDATE keyturn_session SET created_at = created_at - ?, rotated_at = rotated_at - ?", [half_an_hour] * 2
        )


def test_a_server_that_starts_says_so_too(home: Home) -> None:
    sealed_by_the_key_before(home)
    with served(home.folder) as well:
        pass
    (home.folder / "keys" / "refresh-0.json").unlink()
    with served(home.folder) as ill:
        pass
    warning = "1 session lives that was sealed before the oldest refresh key here began"
    assert [warning in each.output for each in (well, ill)] == [False, True]


def test_lost_keys_of_live_sessions_are_broken(home: Home) -> None:
    home.sign_in("user-1")
    for path in (home.folder / "keys").glob("*.json"):
        path.unlink()
    assert "1 session lives whose keys they were" in whats(home, 1, "broken")


def test_a_corrupt_user_row_is_named_and_its_values_are_not(home: Home) -> None:
    home.run("users", "create", "ada", typed=PASSWORD)
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute("UPDATE keyturn_account SET roles = 'no json, but s3cret', created_at = 'yesterday'")
    said = whats(home, 1, "broken")
    assert "1 row cannot be understood: ada" in said
    assert "s3cret" not in said


def test_a_corrupt_client_row_is_named_and_its_values_are_not(home: Home) -> None:
    home.run("clients", "add", "shop-api")
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute("UPDATE keyturn_client SET secret_digest = 's3cret'")
    said = whats(home, 1, "broken")
    assert "The row of client shop-api cannot be understood" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("statement", "level", "said"),
    [
        ("PRAGMA user_version = 99", "broken", "A newer Keyturn"),
        ("UPDATE keyturn_records SET version = 99", "broken", "newer Keyturn"),
        ("PRAGMA application_id = 7", "broken", "something else"),
    ],
)
def test_a_file_of_a_newer_program_or_of_another_is_broken(home: Home, statement: str, level: str, said: str) -> None:
    home.run("users", "create", "ada", typed=PASSWORD)
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        connection.execute(statement)
    assert said in whats(home, 1, level)


def test_what_is_no_database_at_all_is_broken(home: Home) -> None:
    (home.folder / "keyturn.db").write_text("these are no rows " * 100)
    assert "not a database" in whats(home, 1, "broken")


def test_clients_of_the_file_and_of_the_table_are_looked_at(home: Home) -> None:
    digest = sha256(b"secret").hexdigest()
    home.file.write_text(f'{home.file.read_text()}\n[[clients]]\nid = "shop"\nsecret_digest = "{digest}"\n')
    home.run("users", "create", "ada", typed=PASSWORD)
    with closing(sqlite3.connect(home.folder / "keyturn.db", isolation_level=None)) as connection:
        ((subject,),) = connection.execute("SELECT subject FROM keyturn_account")
        connection.execute("INSERT INTO keyturn_client VALUES ('till', ?, '', 0), (?, NULL, '', 0)", (digest, subject))
    said = whats(home, 1, "broken")
    assert ["secret of client shop" in said, "secret of client till" in said] == [True, True]
    assert f"Client {subject} has the id of a user" in said


@pytest.fixture(params=["postgresql", "mariadb"])
def server_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(request.param)
    url = server.new_database()
    yield Home(tmp_path, store=url)
    server.drop_database(url)


def test_a_database_server_is_looked_at_and_left_as_it_is(server_home: Home) -> None:
    assert "no tables of ours" in whats(server_home, 0, "note")
    server_home.run("users", "create", "ada", typed=PASSWORD)
    server_home.sign_in("user-1")
    well = whats(server_home, 0, "ok")
    assert "It answers" in well
    assert "1 session lives." in well
    assert "1 of 1 are active." in well
    assert "It agrees with the database's" in well
    assert "may do anything on that server" in whats(server_home, 0, "weak")


def test_tables_that_are_older_are_read_as_far_as_they_are_there(server_home: Home) -> None:
    upgrade(load(server_home.file).store, "0001")
    found = findings(server_home)
    assert "The next start updates them." in [each["remedy"] for each in found]
    assert "0 sessions live." in [each["what"] for each in found]
    assert [each for each in found if each["topic"] == "accounts"] == []


def test_rights_that_are_missing_are_named(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    url = postgresql.new_database()
    home = Home(tmp_path, store=url)
    home.run("users", "create", "ada", typed=PASSWORD)
    name = url.rpartition("/")[2].partition("?")[0]
    postgresql.execute(
        "CREATE ROLE doctored LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctored",
        "GRANT INSERT, UPDATE ON keyturn_session TO doctored",
        database=name,
    )
    try:
        limited = Home(tmp_path, store=_as_user(url, "doctored"))
        said = whats(limited, 1, "broken")
        assert "DELETE in keyturn_session" in said
        assert "INSERT in keyturn_account" in said
        assert "UPDATE in keyturn_session" not in said
        assert "may do anything" not in whats(limited, 1, "weak")
    finally:
        postgresql.drop_database(url)
        postgresql.execute("DROP ROLE doctored")


def _as_user(url: str, user: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}@{rest.rpartition('@')[2]}"


# --- the command --------------------------------------------------------------------------------------------------------


def test_strict_fails_what_is_weak(home: Home) -> None:
    assert worst(findings_of(home)) == "weak"
    home.run("doctor")
    home.run("doctor", "--strict", code=1)


def findings_of(home: Home) -> list[Finding]:
    return list(judge(gather(load(home.file, environment={}))))


@pytest.mark.parametrize(("levels", "level"), [([], "ok"), (["ok", "note"], "note"), (["weak", "note"], "weak")])
def test_the_worst_counts(levels: list[str], level: str) -> None:
    made = {"ok": ok("t", "x"), "note": note("t", "x"), "weak": weak("t", "x", "y")}
    assert worst(made[each] for each in levels) == level


def test_people_read_what_is_so_and_what_to_do_and_a_sum(home: Home) -> None:
    lines = home.run("doctor").stdout.splitlines()
    assert lines[0].startswith("note    keys: There are no keys in")
    assert "        -> The first start makes them." in lines
    assert lines[-1].startswith("0 broken, ")
    assert [line for line in lines if "\x1b" in line or line != line.rstrip()] == []


def test_no_finding_shows_a_key(home: Home) -> None:
    source = DirectoryKeys(home.folder / "keys")
    texts = [json.loads(text) for text in files_of(source.ring).values()]
    said = home.run("doctor").output + home.run("doctor", "--json").output
    assert [jwk[name] for jwk in texts for name in ("d", "k") if jwk.get(name, "-none-") in said] == []


def test_ed25519_material_is_compared_too() -> None:
    pair = Ed25519.generate(os.urandom)
    with pytest.raises(ValueError, match="do not belong together"):
        Ed25519.from_jwk({**pair.members, "d": to_base64url(os.urandom(32))})
