"""Records in the sessions' SQLite file: two that open one file, several processes, and reads that wait for nobody."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.server.records import _sqlite_file as file, _statements as said
from keyturn.server.records.sqlite import _ACCOUNTS, SqliteRecords
from keyturn.stores import _sqlite_schema
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import Stage
from tests.server.records.conftest import TABLES, an_account

CHILD = Path(__file__).with_name("opening_child.py")
SESSIONS = {"keyturn_session", "keyturn_log", "keyturn_revocation"}
RECORDS = {*TABLES, "keyturn_records"}
ANA = an_account("ana", email="a@b", email_key="a@b", password_hash="$argon2id$S3kr3t")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyturn.db"


@pytest.fixture
def records(path):
    records = SqliteRecords(path, synchronous="NORMAL", busy_timeout=timedelta(milliseconds=50))
    yield records
    records.close()


@contextmanager
def raw(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def names(path):
    with raw(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# --- one file for two -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["store", "records"])
def test_whichever_opens_the_file_first_both_work_in_it(path, records, first):
    with SqliteStore(path) as store:
        stage = Stage(store, "sync")
        if first == "store":
            session = drive(stage.add())
            assert names(path) == SESSIONS
        drive(records.add_account(ANA))
        if first == "records":
            session = drive(stage.add())
        assert names(path) == SESSIONS | RECORDS
        assert drive(store.get(session.id)) == session
        assert drive(records.account(ANA.subject)) == ANA


def test_the_file_of_an_application_without_accounts_stays_as_it_was(path):
    with SqliteStore(path) as store:
        drive(Stage(store, "sync").add())
    assert names(path) == SESSIONS
    with raw(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,) == (_sqlite_schema.VERSION,)


def test_the_sessions_version_is_not_the_accounts(path, records):
    drive(records.add_account(ANA))
    with raw(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (_sqlite_schema.VERSION,)
        assert connection.execute("PRAGMA application_id").fetchone() == (_sqlite_schema.APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_file_is_its_owners_alone(path, records):
    drive(records.clients())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_four_processes_that_open_one_new_file_at_once_lose_nothing_and_name_nobody_twice(path):
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(CHILD), str(path), "store" if n % 2 else "records", str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        for n in range(4)
    ]
    try:
        for process in children:
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60) for process in children]
    finally:
        for process in children:
            process.kill()
    assert [error for _, error in told] == [""] * 4
    counts = [tuple(map(int, out.split())) for out, _ in told]
    assert [own for own, _ in counts] == [5] * 4
    assert sum(shared for _, shared in counts) == 5
    with closing(SqliteRecords(path)) as opened:
        accounts = drive(opened.accounts(limit=99))
        assert len(accounts) == 25
        for account in accounts:
            assert drive(opened.find_account(account.name_key)) == account


def test_who_finds_the_tables_made_when_its_turn_comes_makes_them_no_second_time(path, monkeypatch):
    look, looked = file._is_ready, []

    def is_ready(connection):
        looked.append(look(connection))
        if len(looked) == 1:
            with closing(SqliteRecords(path)) as other:
                drive(other.add_account(ANA))
            return False
        return looked[-1]

    monkeypatch.setattr(file, "_is_ready", is_ready)
    with closing(SqliteRecords(path)) as records:
        assert drive(records.account(ANA.subject)) == ANA
    assert looked == [False, False, False, True]  # the other looked twice meanwhile


# --- files that are none --------------------------------------------------------------------------------------------


def cause(verb):
    with pytest.raises(StoreError) as told:
        drive(verb)
    return told.value.cause


def test_accounts_of_a_newer_program_are_refused_and_sessions_go_on(path, records):
    drive(records.add_account(ANA))
    records.close()
    with raw(path) as connection:
        connection.execute("UPDATE keyturn_records SET version = 2")
    for verb in (lambda: records.account(ANA.subject), lambda: records.add_account(an_account("bob")), records.clients):
        assert cause(verb()) == "the file's accounts have version 2; this program knows 1: update the program"
    with SqliteStore(path) as store:
        assert drive(Stage(store, "sync").add())


def test_sessions_of_a_newer_program_are_refused_too(path, records):
    drive(records.clients())
    records.close()
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "version 99" in cause(records.clients())


def test_a_file_that_is_something_elses_is_left_alone(path, records):
    with raw(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    assert "something else" in cause(records.clients())
    assert names(path) == {"theirs"}


def test_a_file_that_cannot_be_made_is_trouble(tmp_path):
    with closing(SqliteRecords(tmp_path / "missing" / "keyturn.db")) as opened:
        assert "No such file" in cause(opened.account("x"))


def test_a_text_that_is_no_unicode_is_not_quoted_and_does_not_hide_the_others(path, records):
    zoe = an_account("zoe")
    for account in (ANA, zoe):
        drive(records.add_account(account))
    with raw(path) as connection:
        connection.execute("UPDATE keyturn_account SET username = CAST(x'533372ff' AS TEXT) WHERE name_key = 'ana'")
    for _ in range(2):
        told = cause(records.account(ANA.subject))
        assert (ANA.subject in told, "username" in told, "S3" in told) == (True, True, False)
    assert drive(records.accounts(limit=9)) == ["ana", zoe]
    assert drive(records.account(zoe.subject)) == zoe


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, "x'ff'") for column in ("username", "email", "password_hash", "roles", "state", "version")),
        *((column, "1.5") for column in ("created_at", "password_changed_at", "version")),
        *((column, "'soon'") for column in ("created_at", "password_changed_at", "version")),
    ],
)
def test_a_value_of_another_kind_is_not_understood(path, records, column, value):
    drive(records.add_account(ANA))
    with raw(path) as connection:
        connection.execute(f"UPDATE keyturn_account SET {column} = {value}")
    assert column in cause(records.account(ANA.subject))


# --- reads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only_here(records, monkeypatch):
    """No call may go to the writer."""
    drive(records.add_account(ANA))

    def submit(call):
        raise AssertionError("a read went to the writer")

    monkeypatch.setattr(records._writer, "submit", submit)
    return records


def test_one_account_is_read_where_the_caller_stands_and_beside_a_writer(path, read_only_here):
    with raw(path) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE keyturn_account SET username = 'not yet'")
        assert drive(read_only_here.account(ANA.subject)) == ANA
        assert asyncio.run(read_only_here.find_account("a@b")) == ANA
        writer.execute("COMMIT")
    assert drive(read_only_here.account(ANA.subject)).username == "not yet"


def test_what_was_written_is_read_at_once(path, records):
    drive(records.add_account(ANA))
    for number in range(20):
        assert drive(records.replace_account(replace(ANA, username=f"n{number}", version=number + 1)))
        assert drive(records.account(ANA.subject)).username == f"n{number}"
    with closing(SqliteRecords(path)) as other:
        drive(other.replace_account(replace(ANA, username="of another", version=21)))
    assert drive(records.account(ANA.subject)).username == "of another"


def test_where_the_short_way_fails_the_patient_one_is_gone(records):
    drive(records.add_account(ANA))
    assert drive(records.account(ANA.subject)) == ANA
    records._reader._connection.close()
    assert drive(records.account(ANA.subject)) == ANA
    assert drive(records.account(ANA.subject)) == ANA
    assert records._reader._connection is not None


def test_a_file_that_is_closed_is_opened_by_the_next_call_and_made_again_where_it_is_gone(path, records):
    drive(records.add_account(ANA))
    assert drive(records.account(ANA.subject)) == ANA
    records.close()
    assert not list(path.parent.glob("*-wal"))
    assert drive(records.account(ANA.subject)) == ANA
    records.close()
    path.unlink()
    assert drive(records.account(ANA.subject)) is None
    assert names(path) == SESSIONS | RECORDS


def test_a_broken_table_is_told_and_no_value_with_it(path, records):
    drive(records.add_account(ANA))
    with raw(path) as connection:
        connection.execute("DROP TABLE keyturn_account")
    told = cause(records.account("S3kr3t"))
    assert "keyturn_account" in told
    assert "S3kr3t" not in told


def test_no_connection_is_open_while_the_process_forks(path, records):
    """SQLite's locks are its process's: a child that inherits a connection loses what it writes."""
    drive(records.add_account(ANA))
    drive(records.account(ANA.subject))
    assert records._reader._connection is not None
    program = f"""
import os
from keyturn._colour import drive
from keyturn.server.records.sqlite import SqliteRecords
records = SqliteRecords({str(path)!r})
drive(records.clients())
assert drive(records.account({ANA.subject!r})) is not None
held = []
os.register_at_fork(after_in_child=lambda: held.append(records._reader._connection))
assert records._reader._connection is not None
child = os.fork()
if child == 0:
    read = drive(records.account({ANA.subject!r}))
    os._exit(0 if held == [None] and read is not None else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert drive(records.account({ANA.subject!r})) is not None
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_records_that_are_forgotten_or_left_open_end_quietly(path):
    program = f"""
from keyturn._colour import drive
from keyturn.server.records.sqlite import SqliteRecords
for _ in range(2):
    records = SqliteRecords({str(path)!r})
    drive(records.clients())
    drive(records.account("x"))
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program], check=True, timeout=60, capture_output=True
    )
    assert done.stderr == b""
    assert not list(path.parent.glob("*-wal"))


# --- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        said.ACCOUNT, said.FOUND, _ACCOUNTS, said.KEYS_HELD, said.REPLACE, said.FORGET_KEY, said.REMOVE_CLIENT,
        said.FIND_RESET, said.TAKE_RESET,
    ],
)  # fmt: skip
def test_every_statement_goes_by_an_index(path, records, statement):
    drive(records.clients())
    values = {
        "value": "", "after": "", "limit": 1, "subject": "", "version": 1, "name": "", "id": "", "digest": "", "now": 0,
        **said.account_values(ANA),
    }  # fmt: skip
    with raw(path) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(step.startswith("SEARCH") for step in plan)
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]
