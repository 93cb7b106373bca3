"""MariaDB as applications have it: other settings, locks that others hold, lines that break, processes that race."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from inspect import signature
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError

from keyturn import stores
from keyturn._colour import drive
from keyturn.errors import ConfigurationError, StoreError
from keyturn.session import EndReason, session_id_bytes, session_id_text
from keyturn.stores import Changes
from keyturn.stores.sqlalchemy import SqlAlchemyStore, _errors as errors, upgrade
from keyturn.stores.sqlalchemy._errors import DirectError
from keyturn.stores.sqlalchemy._statements import turn_row
from keyturn.testing._store_stage import NOW, REALM, SEED_DIGEST, SUBJECT, UNTIL, Stage, turn_of
from tests.support.mariadb_engines import databases_of, engine_for
from tests.support.servers import Proxy

ROOT = Path(__file__).parents[2]
#: SQLAlchemy before 2.0.43 rolls back where there is nothing to roll back.
QUIET = {"skip_autocommit_rollback": True} if "skip_autocommit_rollback" in signature(DefaultDialect).parameters else {}
HOW = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}


@pytest.fixture(scope="module")
def databases(mariadb):
    with databases_of(mariadb) as databases:
        yield databases


@pytest.fixture
def url(databases):
    url = databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture
def store_on(url):
    """Give a store over an application's engine with these settings."""
    with ExitStack() as stack:

        def make(address=url, **settings):
            engine = engine_for(address, **settings)
            stack.callback(engine.dispose)
            return SqlAlchemyStore(engine)

        yield make


@contextmanager
def connected(url):
    """A connection of somebody else's."""
    there = make_url(url)
    connection = pymysql.connect(
        host=there.host, port=there.port, user="root", database=there.database, ssl_disabled=True
    )
    try:
        yield connection.cursor()
    finally:
        connection.close()


# Octets that end a text or begin an escape in one sql_mode or another, and such as look like UTF-8 and are none.
AWKWARD = b"'\\\"`%\x00\x1a\n\xff\xc3\x28;"


@pytest.mark.ids("ST-02")
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI", "TRADITIONAL", "PIPES_AS_CONCAT", "ORACLE"])
def test_any_sql_mode_and_any_time_zone_of_the_application_will_do(store_on, mode):
    store = store_on(sql_mode=mode, time_zone="+05:45", collation_connection="utf8mb4_general_ci")
    stage = Stage(store, "sync")
    id_ = stage.session(expires_at=NOW + timedelta(days=90)).id
    session = stage.session(
        id=stores_id(id_, AWKWARD + b"\\'"), subject="O'Hara \\ %s \U0001f511", seed_digest=AWKWARD + bytes(20),
        binding=AWKWARD[::-1] + b"\\" * 20, claims={"text": "it's \\ \U0001f511"}, user_agent="a\\'b",
    )  # fmt: skip
    drive(store.add(session))
    assert drive(store.get(session.id)) == session
    changes = Changes(floor=1, access_floor=1, until=UNTIL, binding=AWKWARD + b"\\" * 20, claims={"a": "'\\"})
    stepped = drive(store.advance(turn_of(session, changes=changes)))
    assert (stepped.binding, stepped.claims, stepped.generation) == (changes.binding, {"a": "'\\"}, 1)
    turned = drive(store.advance(turn_of(stepped, now=NOW + timedelta(seconds=1))))
    assert turned == replace(stepped, generation=2, rotated_at=NOW + timedelta(seconds=1))
    drive(store.acknowledge({session.id: 2}))
    drive(store.require({session.id: 5}, until=UNTIL))
    assert drive(store.recover(session.id, generation=2, now=NOW)).access_floor == 5
    (found,) = drive(store.find(REALM, session.subject, now=NOW))
    assert (found.delivered, found.rotated_at) == (2, NOW + timedelta(seconds=1))
    (told,) = drive(store.end([session.id], **HOW))
    assert told.user_agent == "a\\'b"
    assert [entry.session_id for entry in drive(store.revocations(None)).entries] == [session.id] * 3
    assert drive(store.purge(UNTIL, limit=10)).count == 1


def stores_id(like, octets):
    """Give an id of the same month with these 14 octets."""
    return session_id_text(session_id_bytes(like)[:2] + octets)


@pytest.mark.parametrize("mode", ["", "TRADITIONAL"])
def test_what_is_too_long_is_refused_and_never_cut_short(store_on, mode):
    store = store_on(sql_mode=mode)
    stage = Stage(store, "sync")
    for field in ({"realm": "r" * 33}, {"subject": "s" * 256}, {"user_agent": "\U0001f511" * 20_000}):
        session = stage.session(**field)
        with pytest.raises(ValueError, match=next(iter(field))):
            drive(store.add(session))
        assert drive(store.get(session.id)) is None
    session = drive(stage.add(subject="s" * 255))
    assert drive(store.find(REALM, "s" * 256, now=NOW)) == []
    changes = Changes(floor=0, access_floor=0, until=UNTIL, scope="x" * 70_000)
    with pytest.raises(ValueError, match="scope"):
        drive(store.advance(turn_of(session, changes=changes)))
    assert drive(store.get(session.id)) == session


def test_connections_that_lose_characters_are_refused_with_the_remedy(url):
    engine = create_engine(url.replace("mysql:", "mysql+pymysql:") + "?charset=latin1&ssl_disabled=true")
    with pytest.raises(ConfigurationError, match=r"charset=utf8mb4"):
        drive(SqlAlchemyStore(engine).get("A" * 22))
    engine.dispose()


def test_a_database_without_our_tables_is_told_of_with_the_remedy(mariadb):
    url = mariadb.new_database()
    with stores.open(url + "?ssl_disabled=true") as store, pytest.raises(StoreError) as told:
        drive(store.get("A" * 22))
    assert "python -m keyturn.stores.sqlalchemy upgrade" in told.value.cause
    mariadb.drop_database(url)


@pytest.mark.ids("ST-05")
def test_a_log_whose_head_row_goes_away_later_is_trouble_with_the_database(mariadb):
    url = mariadb.new_database(upgrade)
    with stores.open(url + "?ssl_disabled=true") as store:
        drive(store.revocations(None))
        mariadb.execute("DELETE FROM keyturn_log", database=urlsplit(url).path[1:])
        with pytest.raises(StoreError) as told:
            drive(store.revocations(None))
    assert "keyturn_log is missing" in told.value.cause
    mariadb.drop_database(url)


@pytest.mark.parametrize(
    ("number", "sqlstate", "what"),
    [
        (1020, "HY000", errors.was_taken_back),
        (1213, "40001", errors.was_taken_back),
        (1205, "HY000", errors.has_waited),
        (1290, "HY000", errors.leads_nowhere),
        (1792, "25006", errors.leads_nowhere),
        (1146, "42S02", lambda error: "upgrade" in errors.store_error(error).cause),
        (1054, "42S22", lambda error: "upgrade" in errors.store_error(error).cause),
    ],
)
@pytest.mark.parametrize("directly", [False, True])
def test_the_servers_number_says_more_than_its_sqlstate(number, sqlstate, what, directly):
    """Drivers give both, and the SQLSTATE is mostly that of any error."""
    said = pymysql.err.OperationalError(number, "words")
    said.sqlstate = sqlstate
    told = DirectError(is_lost=False) if directly else DBAPIError("SELECT 1", {}, said)
    told.__cause__ = said
    assert what(told)
    assert f"{number}" in errors.store_error(told).cause


def test_a_packet_that_is_too_large_harms_nobody_else(mariadb, store_on):
    (size,) = mariadb.execute("SELECT @@global.max_allowed_packet")[0]
    mariadb.execute("SET GLOBAL max_allowed_packet = 65536")
    try:
        store = store_on()
        stage = Stage(store, "sync")
        session = drive(stage.add())
        large = stage.session(claims={"text": "x" * 200_000})
        with pytest.raises(StoreError):
            drive(store.add(large))
        assert drive(store.get(large.id)) is None
        assert drive(store.get(session.id)) == session
    finally:
        mariadb.execute(f"SET GLOBAL max_allowed_packet = {size}")


# --- locks ----------------------------------------------------------------------------------------------------------


def test_a_row_that_somebody_holds_for_a_while_is_waited_for(url, store_on):
    store = store_on(innodb_lock_wait_timeout=1)
    session = drive(Stage(store, "sync").add())
    with connected(url) as holder:
        holder.execute("SELECT 1 FROM keyturn_session FOR UPDATE")
        letting_go = threading.Timer(1.5, holder.connection.rollback)  # the first try has been given up by then
        letting_go.start()
        row = drive(store.advance(turn_of(session)))
        letting_go.join()
    assert row.generation == 1


def test_a_row_that_somebody_never_lets_go_is_an_error_and_the_connection_is_good(url, store_on):
    store = store_on(innodb_lock_wait_timeout=1, pool_size=1)
    stage = Stage(store, "sync")
    held, other = drive(stage.add()), drive(stage.add())
    with connected(url) as holder:
        holder.execute(f"SELECT 1 FROM keyturn_session WHERE {is_row_of(held)} FOR UPDATE")
        with pytest.raises(StoreError) as told:
            drive(store.advance(turn_of(held)))
        assert "1205" in told.value.cause
        assert drive(store.advance(turn_of(other))).generation == 1
    assert drive(store.get(held.id)) == held


def raw(session):
    return session_id_bytes(session.id)


def is_row_of(session):
    return f"bucket = {int.from_bytes(raw(session)[:2], 'big')} AND id = x'{raw(session).hex()}'"


@pytest.mark.ids("P2")
@pytest.mark.parametrize("settings", [{}, {"isolation_level": "AUTOCOMMIT", **QUIET}])
def test_an_end_that_cannot_be_announced_does_not_happen(url, store_on, settings):
    store = store_on(innodb_lock_wait_timeout=1, **settings)
    session = drive(Stage(store, "sync").add())
    with connected(url) as holder:
        holder.execute("SELECT 1 FROM keyturn_log FOR UPDATE")
        with pytest.raises(StoreError):
            drive(store.end([session.id], **HOW))
    assert drive(store.get(session.id)) == session
    assert drive(store.end([session.id], **HOW))


@pytest.mark.ids("ST-04")
def test_a_purge_waits_for_nobody_who_is_alive(url, store_on):
    store = store_on(innodb_lock_wait_timeout=1, tx_isolation="REPEATABLE-READ")
    stage = Stage(store, "sync")
    over = [drive(stage.add(expires_at=NOW)) for _ in range(3)]
    live = [drive(stage.add()) for _ in range(200)]  # of a handful the server would read all
    with connected(url) as holder:
        holder.execute(f"SELECT 1 FROM keyturn_session WHERE {is_row_of(live[7])} FOR UPDATE")
        assert drive(store.purge(UNTIL, limit=1000)).count == len(over)


def test_a_purge_spares_who_refreshes_in_its_midst(url):
    engine = engine_for(url)
    store = SqlAlchemyStore(engine)
    idle = drive(Stage(store, "sync").add(idle_expires_at=UNTIL))
    turn = turn_of(idle, idle_remember=UNTIL + timedelta(days=1))

    @event.listens_for(engine, "before_cursor_execute")
    def refresh(_, __, statement, *___):
        if statement.startswith("DELETE FROM keyturn_session"):
            with stores.open(url + "?ssl_disabled=true") as other:
                assert drive(other.advance(turn)) is not None

    drive(store.purge(UNTIL + timedelta(seconds=1), limit=100))
    assert drive(store.get(idle.id)).generation == 1
    engine.dispose()


@pytest.mark.ids("M22")
def test_turns_that_travel_together_are_judged_each_to_the_letter(url, store_on):
    store = store_on()
    stage = Stage(store, "sync")
    like = {"realm": "SHOP"}, {"realm": "shop "}, {"client_id": "DEFAULT"}, {"client_id": "default "}, {"generation": 1}
    changes = *like, {}, {"client_id": None}, {"seed_digest": bytes(32)}, {"binding": bytes(32)}, {"to": 9}
    turns = {}
    for change in changes:
        session = drive(stage.add())
        turns[raw(session)] = turn_of(session, **change)
    wanted = {
        one for one, turn in turns.items() if turn.to == 9 or turn.client_id is None or turn == turn_of_the_plain(turn)
    }
    engine = engine_for(url)
    with engine.begin() as connection:
        rows = store._said.advance(connection, [turn_row(turns[one], one) for one in sorted(turns)])
    engine.dispose()
    assert {row[0] for row in rows} == wanted
    assert {row[0]: row[8] for row in rows} == {one: turns[one].to for one in wanted}
    assert len(wanted) == 3


def turn_of_the_plain(turn):
    return replace(turn, realm=REALM, client_id="default", generation=0, to=1, binding=None, seed_digest=SEED_DIGEST)


@pytest.mark.parametrize("level", ["REPEATABLE-READ", "READ-COMMITTED", "SERIALIZABLE"])
def test_who_loses_a_deadlock_tries_again(mariadb, url, store_on, level):
    store = store_on(tx_isolation=level)
    stage = Stage(store, "sync")
    first, second = sorted([drive(stage.add()), drive(stage.add())], key=raw)
    for _ in range(50):
        drive(stage.add(subject="ballast"))
    with connected(url) as other:
        other.execute(f"UPDATE keyturn_session FORCE INDEX (keyturn_session_subject) {BALLAST}")  # it has more to lose
        other.execute(f"SELECT 1 FROM keyturn_session WHERE {is_row_of(second)} FOR UPDATE")
        before = deadlocks(mariadb)
        told = []
        ending = threading.Thread(target=lambda: told.extend(drive(store.end([first.id, second.id], **HOW))))
        ending.start()
        wait_for(lambda: waiting_for_locks(mariadb) or not ending.is_alive())
        other.execute(f"UPDATE keyturn_session SET recoveries = 2 WHERE {is_row_of(first)}")
        other.connection.commit()
        ending.join()
    assert deadlocks(mariadb) > before
    assert {session.id for session in told} == {first.id, second.id}
    assert len(drive(store.revocations(None)).entries) == 2


BALLAST = "SET recoveries = 1 WHERE realm = 'shop' AND subject = 'ballast'"


def waiting_for_locks(mariadb):
    """How many statements wait; who asks information_schema's tables of locks this often is told what once was."""
    return int(mariadb.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1])


def deadlocks(mariadb):
    return int(mariadb.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])


def wait_for(condition):
    patience = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


# --- lines ----------------------------------------------------------------------------------------------------------

KINDS = {
    "as it comes": {},
    "AUTOCOMMIT": {"isolation_level": "AUTOCOMMIT"},
    "autocommit behind SQLAlchemy's back": {"autocommit": 1},
}


@pytest.mark.ids("P2")
@pytest.mark.parametrize("kind", KINDS)
def test_an_end_and_its_announcement_happen_together_or_not_at_all(url, store_on, kind):
    settings = KINDS[kind]
    with Proxy(url) as proxy:
        store = store_on(proxy.url, **settings)
        stage = Stage(store, "sync")
        session = drive(stage.add())
        with proxy.cutting("INSERT INTO keyturn_revocation", "before", times=5) as trap, pytest.raises(StoreError):
            drive(store.end([session.id], **HOW))
        assert trap.sprung >= 1
        assert drive(store.get(session.id)) == session
        assert not drive(store.revocations(None)).entries
        assert len(drive(store.end([session.id], **HOW))) == 1


def test_a_turn_whose_answer_was_lost_is_there(url, store_on):
    with Proxy(url) as proxy:
        store = store_on(proxy.url, isolation_level="AUTOCOMMIT")
        session = drive(Stage(store, "sync").add())
        with proxy.cutting("ON DUPLICATE KEY", "after"):
            turned = drive(store.advance(turn_of(session)))  # said again, and found done
        assert turned == drive(store.get(session.id))
        assert turned.generation == 1


@pytest.fixture
def proxied(url):
    with Proxy(url) as proxy:
        yield proxy


def test_a_refresh_is_one_turn_on_the_network(proxied, store_on):
    """And three on a connection of an application's, where a COMMIT and the pool's ROLLBACK follow."""
    with stores.open(proxied.url + "?ssl_disabled=true") as own:
        assert turns_of_a_refresh(proxied, own) == (1 if QUIET else 2)
    assert turns_of_a_refresh(proxied, store_on(proxied.url), 10) == 3
    quiet = store_on(proxied.url, isolation_level="AUTOCOMMIT", **QUIET)
    assert turns_of_a_refresh(proxied, quiet, 20) == (1 if QUIET else 2)


def test_ending_a_users_sessions_takes_the_same_few_statements_however_many(mariadb, url, store_on):
    store = store_on()
    stage = Stage(store, "sync")
    said = {}
    for count in (1, 40):
        for _ in range(count):
            drive(stage.add())
        with mariadb.statement_log(url) as statements:
            assert len(drive(store.end_all(REALM, SUBJECT, **HOW))) == count
        said[count] = [statement.split()[0] for statement in statements]
    assert said[1] == said[40]
    assert said[1].count("UPDATE") == 2  # the sessions, and the log's head


def turns_of_a_refresh(proxy, store, first=0):
    stage = Stage(store, "sync", iter(range(first, 100)))
    session = drive(stage.add())
    drive(store.advance(turn_of(session)))
    with proxy.counting() as turns:
        drive(store.advance(turn_of(session, generation=1, to=2)))
    return turns.count


# --- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.ids("M01", "RT-05")
def test_of_64_equal_turns_in_four_processes_one_wins_and_no_end_is_missed(url, store_on):
    store = store_on()
    shared = drive(Stage(store, "sync").add())
    with ExitStack() as stack:
        processes = [
            stack.enter_context(child(colour, url, shared.id, number))
            for number, colour in enumerate(("sync", "async", "sync", "async"))
        ]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        winners = [int(process.stdout.readline()) for process in processes]
        assert [process.stderr.read() for process in processes] == [""] * 4
    assert sum(winners) == 1
    assert drive(store.get(shared.id)).generation == 1
    log = drive(store.revocations(None))
    assert len({entry.session_id for entry in log.entries}) == 40
    assert log.position.split(".")[1] == "40"


@contextmanager
def child(*arguments):
    command = [sys.executable, "-W", "error", "-m", "tests.stores.mariadb_children", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_upgrade_is_what_the_store_asks_for(mariadb):
    url = mariadb.new_database()
    upgrade(url)
    with stores.open(url + "?ssl_disabled=true") as store:
        assert drive(Stage(store, "sync").add())
    mariadb.drop_database(url)
