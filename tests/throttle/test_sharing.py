"""What workers share: counters in SQL, seen by all processes, and how little that costs."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, inspect, text

from keyturn import ConfigurationError, Limits, StoreError, throttle
from keyturn._colour import drive
from keyturn.stores.sqlalchemy.migrations import downgrade, upgrade
from keyturn.testing import ManualClock
from keyturn.throttle import Attempt
from keyturn.throttle.memory import MemoryThrottle
from keyturn.throttle.sqlalchemy import SqlAlchemyThrottle
from keyturn.throttle.sqlalchemy._statements import _SWEPT
from keyturn.throttle.sqlite import SqliteThrottle
from tests.support.front import PAGE, PASSWORD, a_front
from tests.throttle.conftest import SHARED, Counted

CHILD = Path(__file__).parent / "counting_child.py"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'counters.db'}"
    return request.getfixturevalue(request.param).new_database(upgrade)


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request):
    return request.getfixturevalue(request.param).new_database(upgrade)


def rows_of(address):
    if address.startswith("sqlite"):
        engine = create_engine(address)
    else:
        engine = create_engine(
            address.replace("://", "+psycopg://" if address.startswith("post") else "+pymysql://", 1)
        )
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM keyturn_throttle")).scalar_one()
    engine.dispose()
    return count


@pytest.mark.ids("AU-08")
def test_guesses_of_several_processes_are_no_more_than_the_limit(address):
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), address, "16"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    told = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(told) == 10


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("kind", SHARED, indirect=True)
def test_a_browser_that_one_worker_signed_in_is_known_to_the_other(make):
    one, other = make(), make()
    one.sign_in(gets="a" * 64)
    for _ in range(12):
        one.login()
    assert other.login().wait is not None
    assert other.login(browser="a" * 64).wait is None


@pytest.mark.ids("RT-16")
@pytest.mark.parametrize("kind", SHARED, indirect=True)
def test_two_workers_let_no_more_refreshes_through_than_the_limit_and_their_shares(make):
    one, other = make(Limits(refresh_per_session="30/minute")), make(Limits(refresh_per_session="30/minute"))
    assert sum(desk.refresh().wait is None for _ in range(60) for desk in (one, other)) == 30 + 3 + 3
    assert one.refresh().wait is not None
    assert other.refresh().wait is not None


@pytest.mark.ids("RT-16")
def test_an_honest_clients_refreshes_cost_no_statement_and_a_refused_ones_none_either(database):
    desk = Counted(throttle.open(database, Limits(refresh_per_session="30/minute")))
    told = []
    event.listen(desk.throttle._engine, "before_cursor_execute", lambda *args: told.append(args[2]))
    for _ in range(20):
        assert desk.refresh().wait is None
        desk.clock.advance(timedelta(minutes=5))
    for _ in range(3):  # and then some at once
        assert desk.refresh().wait is None
    assert told == []
    while desk.refresh().wait is None:
        pass
    asked = len(told)
    for _ in range(20):
        assert desk.refresh().wait is not None
    assert asked > 30
    assert len(told) == asked
    desk.throttle.close()


@pytest.mark.ids("AU-08")
def test_a_flood_that_is_refused_writes_nothing(database):
    desk = Counted(throttle.open(database))
    for _ in range(10):
        desk.login()
    told = []
    event.listen(desk.throttle._engine, "before_cursor_execute", lambda *args: told.append(args[2]))
    for _ in range(5):
        assert desk.login().wait is not None
    assert [statement.split()[0] for statement in told] == ["SELECT"] * 5
    desk.throttle.close()


@pytest.mark.ids("DS-02")
def test_rows_that_mean_nothing_any_more_are_deleted_by_and_by(address):
    desk = Counted(throttle.open(address))
    for number in range(200):
        desk.login(username=f"user {number}", address=f"10.0.0.{number}")
    before = rows_of(address)
    desk.clock.advance(3600)
    for number in range(64):
        desk.login(username=f"other {number}", address=f"10.0.1.{number}")
    desk.throttle.close()
    assert before > 500
    assert rows_of(address) <= 3 * 64
    assert before <= 2 * _SWEPT  # so two sweeps can do it


@pytest.mark.parametrize("kind", ["psycopg"], indirect=True)
def test_a_sweep_that_fails_changes_no_answer(make, monkeypatch):
    desk = make()

    def fail(connection, now):
        raise TimeoutError

    monkeypatch.setattr(desk.throttle._counters._statements, "sweep", fail)
    for number in range(64):
        assert desk.login(username=f"user {number}", address=f"10.0.0.{number}").wait is None


@pytest.mark.ids("AU-08")
def test_a_flood_of_names_leaves_no_more_rows_than_its_attempts_of_the_last_period(address):
    desk = Counted(throttle.open(address))
    for number in range(600):
        desk.login(username=f"user {number}", address=f"10.0.{number >> 8}.{number & 255}")
        desk.clock.advance(1)
    desk.throttle.close()
    # a single failure is forgotten after 36 seconds; a sweep comes every 32 changes
    assert rows_of(address) < 3 * (36 + 32 + 32)


@pytest.mark.ids("AU-08", "ST-01")
def test_no_name_and_no_address_stands_in_a_file(tmp_path):
    desk = Counted(SqliteThrottle(tmp_path / "counters.db"))
    desk.sign_in(username="very-secret-name", address="192.0.2.77", gets="a" * 64)
    desk.login(username="very-secret-name", address="192.0.2.77")
    desk.throttle.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"keyturn_throttle" in written
    assert b"very-secret" not in written
    assert b"192.0.2" not in written
    assert (tmp_path / "counters.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.ids("ST-05")
def test_a_file_that_is_somebody_elses_is_refused(tmp_path):
    (tmp_path / "notes.db").write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    for name in ("notes.db", "missing/counters.db"):
        desk = Counted(SqliteThrottle(tmp_path / name))
        with pytest.raises(StoreError):
            desk.login()
        desk.throttle.close()


@pytest.mark.ids("ST-05")
def test_a_session_stores_file_is_refused_and_the_other_way_round(tmp_path):
    from keyturn.stores.sqlite import SqliteStore

    counters, sessions = tmp_path / "counters.db", tmp_path / "sessions.db"
    with SqliteStore(sessions) as store:
        drive(store.get("AAAAAAAAAAAAAAAAAAAAAA"))
    desk = Counted(SqliteThrottle(sessions))
    with pytest.raises(StoreError) as caught:
        desk.login()
    assert "something else" in caught.value.cause
    desk.throttle.close()
    other = Counted(SqliteThrottle(counters))
    other.login()
    other.throttle.close()
    with SqliteStore(counters) as store, pytest.raises(StoreError):
        drive(store.get("AAAAAAAAAAAAAAAAAAAAAA"))


@pytest.mark.ids("ST-05")
def test_missing_tables_are_trouble_that_says_what_to_do(database):
    downgrade(database, "base", yes=True)
    desk = Counted(throttle.open(database))
    with pytest.raises(StoreError) as caught:
        desk.login()
    assert "upgrade the tables" in caught.value.cause
    desk.throttle.close()


@pytest.mark.ids("ST-05")
def test_a_database_that_is_not_there_is_trouble_and_no_admission():
    desk = Counted(throttle.open("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(StoreError) as caught:
        desk.login()
    assert caught.value.__cause__ is None
    assert "alice" not in str(caught.value.cause)
    assert desk.refresh().wait is None  # within the worker's own share nobody is asked
    desk.throttle.close()


def test_the_migrations_make_the_table_that_the_statements_know(database):
    engine = create_engine(database.replace("://", "+psycopg://" if database.startswith("post") else "+pymysql://", 1))
    assert {column["name"] for column in inspect(engine).get_columns("keyturn_throttle")} == {"id", "until", "browsers"}
    assert inspect(engine).get_indexes("keyturn_throttle")[0]["column_names"] == ["until"]
    engine.dispose()


def test_an_address_opens_what_it_names(tmp_path):
    assert isinstance(throttle.open("memory:"), MemoryThrottle)
    assert isinstance(throttle.open(f"sqlite:///{tmp_path / 'c.db'}"), SqliteThrottle)
    for address in ("postgresql://u@h/d", "postgresql+asyncpg://u@h/d", "mysql://u@h/d", "mariadb://u@h/d"):
        opened = throttle.open(address, Limits(login_per_user=""))
        assert isinstance(opened, SqlAlchemyThrottle)
        assert (opened.colour, opened.limits.login_per_user) == ("sync", None)
    with pytest.raises(ConfigurationError, match="no throttle is known for 'redis'"):
        throttle.open("redis://localhost")
    with pytest.raises(ConfigurationError, match="for SQLite use"):
        SqlAlchemyThrottle(create_engine("sqlite://"))


def test_a_closed_throttle_opens_again(address):
    desk = Counted(throttle.open(address))
    for _ in range(10):
        desk.login()
    desk.throttle.close()
    assert desk.login().wait is not None
    desk.throttle.close()


def test_a_secret_separates_counts(tmp_path):
    clock = ManualClock()
    one, other = (Counted(SqliteThrottle(tmp_path / "c.db", secret=secret), clock) for secret in (b"one", b"two"))
    for _ in range(10):
        one.login()
    assert one.login().wait is not None
    assert other.login().wait is None
    one.throttle.close()
    other.throttle.close()


def test_the_local_share_of_a_small_limit_is_one():
    desk = Counted(throttle.open("postgresql://nobody@127.0.0.1:1/none", Limits(refresh_per_session="5/minute")))
    assert desk.refresh().wait is None
    with pytest.raises(StoreError):
        desk.run(desk.throttle.admit(Attempt("refresh", desk.clock(), session_id="session")))
    desk.throttle.close()


@pytest.mark.ids("RT-16")
def test_a_refresh_that_was_refused_for_long_asks_nobody_again(tmp_path):
    limits = Limits(refresh_per_session="30/minute", refresh_per_address="1/hour")
    desk = Counted(SqliteThrottle(tmp_path / "c.db", limits))
    while desk.refresh().wait is None:
        pass
    attempt = Attempt("refresh", desk.clock(), "default", "192.0.2.7", session_id="session")
    assert desk.throttle.at_once(attempt).wait == timedelta(hours=1)
    # nor does another binding that is not the session's own
    assert desk.throttle.at_once(attempt._replace(browser="f" * 64)).wait == timedelta(hours=1)
    desk.throttle.close()


@pytest.mark.ids("AU-08")
def test_a_flood_is_refused_while_another_process_writes(tmp_path):
    path = tmp_path / "c.db"
    desk = Counted(SqliteThrottle(path, busy_timeout=timedelta(milliseconds=1)))
    for _ in range(10):
        desk.login()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert desk.login().wait is not None
        with pytest.raises(StoreError):  # what has to be counted waits for the lock
            desk.login(username="bob", address="192.0.2.8")
    desk.throttle.close()


@pytest.mark.parametrize("kind", ["psycopg", "pymysql"], indirect=True)
def test_a_forked_child_leaves_its_parents_connections_alone(make):
    desk = make()
    for _ in range(5):
        desk.login()
    child = os.fork()
    if child == 0:  # pragma: no cover - counted in the parent
        code = 1
        try:
            code = 0 if all(desk.login().wait is None for _ in range(5)) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert desk.login().wait is not None


@pytest.mark.ids("ST-05", "AU-08")
def test_a_service_whose_counters_are_away_signs_nobody_in_and_nobody_out():
    front = a_front(throttle=None)
    device = front.device()
    away = a_front(throttle="postgresql://nobody@127.0.0.1:1/none", store=front.store, clock=front.clock)
    device.front = away
    asked = len(front.store.calls)
    answer = away.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE)
    assert (answer.seen, answer.cookies) == ((503, "store_unavailable"), {})
    assert (len(front.store.calls), away.members.hashed) == (asked, 0)
    assert device.refresh().status == 200
    away.service.close()
