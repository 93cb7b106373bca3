"""Records in PostgreSQL and MariaDB: what they cost, what they do in trouble, and whose thread they block."""

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn import stores
from keyturn._colour import CALLER_BLOCKS, drive
from keyturn.errors import ConfigurationError, StoreError
from keyturn.server import records
from keyturn.server.records import ClientRecord, sqlalchemy as under_test
from keyturn.server.records.memory import MemoryRecords
from keyturn.server.records.sqlalchemy import SqlAlchemyRecords
from keyturn.server.records.sqlite import SqliteRecords
from keyturn.stores.sqlalchemy.migrations import upgrade
from keyturn.stores.sqlalchemy.migrations._opening import address
from keyturn.testing._store_stage import Stage
from tests.server.records.conftest import NOW, an_account
from tests.support.all_stores import WAYS, with_driver
from tests.support.servers.proxy import Proxy

ANA = an_account("ana", email="a@b", email_key="a@b", password_hash="$argon2id$S3kr3t")
DIGEST = b"\x01" * 32
READS = {
    "account": lambda opened: opened.account(ANA.subject),
    "find_account": lambda opened: opened.find_account("a@b"),
    "accounts": lambda opened: opened.accounts(limit=5),
    "clients": lambda opened: opened.clients(),
    "find_reset": lambda opened: opened.find_reset(DIGEST, now=NOW),
    "now": lambda opened: opened.now(),
}
WRITES = {
    "add_account": lambda opened: opened.add_account(an_account("bob")),
    "replace_account": lambda opened: opened.replace_account(ANA),
    "add_client": lambda opened: opened.add_client(ClientRecord(id="a", created_at=NOW)),
    "remove_client": lambda opened: opened.remove_client("a"),
    "add_reset": lambda opened: opened.add_reset(DIGEST, subject="x", expires_at=NOW),
    "take_reset": lambda opened: opened.take_reset(DIGEST, now=NOW),
}


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(server):
    url = server.new_database(upgrade)
    yield url
    server.drop_database(url)


def cause(verb):
    with pytest.raises(StoreError) as told:
        drive(verb)
    return told.value.cause


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "door", "driver", "colour"),
    [
        ("postgresql", "sync", "postgresql+psycopg", "both"),
        ("postgresql", "async", "postgresql+asyncpg", "async"),
        ("postgres", "sync", "postgresql+psycopg", "both"),
        ("postgresql+psycopg", "async", "postgresql+psycopg", "async"),
        ("mysql", "sync", "mysql+pymysql", "both"),
        ("mysql", "async", "mysql+pymysql", "both"),
        ("mariadb", "sync", "mariadb+pymysql", "both"),
        ("mysql+aiomysql", "async", "mysql+aiomysql", "async"),
    ],
)
def test_an_address_means_the_driver_that_the_sessions_would_have(scheme, door, driver, colour):
    opened = records.open(f"{scheme}://user@127.0.0.1/db", colour=door)
    dialect = opened._asking.engine.dialect
    assert (f"{dialect.name}+{dialect.driver}", opened.colour) == (driver, colour)


def test_the_other_addresses_are_those_of_the_sessions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(records.open("memory:"), MemoryRecords)
    relative, absolute = records.open("sqlite:///a.db"), records.open(f"sqlite:///{tmp_path}/b.db")
    assert isinstance(relative, SqliteRecords)
    assert (relative.path, absolute.path) == (tmp_path / "a.db", tmp_path / "b.db")
    for url in ("", "redis://host", "sqlite://", "postgresq://host/db", "nonsense S3kr3t"):
        with pytest.raises(ConfigurationError) as refused:
            records.open(url)
        with pytest.raises(ConfigurationError) as theirs:
            stores.open(url)
        assert str(refused.value) == str(theirs.value)


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_database_that_is_not_there_is_trouble_and_shows_no_password(scheme):
    with closing(records.open(f"{scheme}://user:S3kr3t@127.0.0.1:1/db")) as opened:
        for verb in (*READS.values(), *WRITES.values()):
            assert "S3kr3t" not in cause(verb(opened))
        assert "S3kr3t" not in repr(opened)


@pytest.mark.parametrize("engine", [create_engine("sqlite://"), "postgresql://host/db", None])
def test_what_is_no_engine_of_ours_is_refused(engine):
    with pytest.raises(ConfigurationError, match="SqlAlchemyRecords"):
        SqlAlchemyRecords(engine)


# --- what is said ---------------------------------------------------------------------------------------------------


@pytest.mark.ids("M20")
@pytest.mark.parametrize("verb", READS)
def test_a_read_is_one_statement_and_one_turn_on_the_network(url, verb):
    with Proxy(url) as proxy, closing(records.open(_plain(proxy.through(url)))) as opened:
        drive(opened.add_account(ANA))
        for _ in range(7):  # psycopg prepares what it has said five times
            drive(READS[verb](opened))
        said = []
        event.listen(opened._asking.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
        with proxy.counting() as turns:
            drive(READS[verb](opened))
        assert (len(said), turns.count) == (1, 1)


def _plain(url):
    # A connection that is not encrypted can be counted on.
    return f"{url}?ssl_disabled=true" if url.startswith("mysql") else url


@pytest.mark.ids("ST-02")
def test_no_value_stands_in_a_statement(url):
    marked = "S3kr3t'\"%:x"
    account = an_account(marked, subject=marked, email=marked, email_key="S3kr3t", password_hash=marked)
    engine = create_engine(address(url))
    said = []
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    opened = SqlAlchemyRecords(engine)
    drive(opened.add_account(account))
    assert drive(opened.replace_account(replace(account, email_key="S3kr3t new")))
    assert drive(opened.account(marked)).email_key == "S3kr3t new"
    drive(opened.find_account(marked))
    drive(opened.accounts(after="S3kr3", limit=5))
    drive(opened.add_client(ClientRecord(id=marked, name=marked, created_at=NOW)))
    drive(opened.remove_client(marked))
    drive(opened.add_reset(DIGEST, subject=marked, expires_at=NOW))
    drive(opened.take_reset(DIGEST, now=NOW))
    engine.dispose()
    assert len(said) > 12
    assert not [statement for statement in said if "S3kr3t" in statement or DIGEST.hex() in statement]


STATEMENTS = [name for name, value in vars(under_test).items() if name.startswith("_") and hasattr(value, "bindparams")]


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def full(request):
    """An engine of a database with some hundred of each."""
    engine = create_engine(address(request.getfixturevalue(request.param).new_database(upgrade)))
    opened = SqlAlchemyRecords(engine)
    for number in range(300):
        drive(opened.add_account(an_account(f"{number:03}")))
        drive(opened.add_client(ClientRecord(id=f"{number:03}", created_at=NOW)))
        drive(opened.add_reset(number.to_bytes(32, "big"), subject=f"{number:03}", expires_at=NOW))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name not in {"_ADD", "_ADD_KEY", "_ADD_CLIENT"}])
def test_every_statement_goes_by_an_index(full, name):
    engine = full
    statement = getattr(under_test, name)
    values = {
        "value": "150", "after": "295", "subject": "id-of-150", "name": "150", "id": "150", "limit": 3, "version": 1,
        "digest": (150).to_bytes(32, "big").hex(), "now": 0, "state": "active", "roles": "[]", "created_at": 0,
        "username": "x", "name_key": "150", "email": None, "email_key": None, "password_hash": None,
        "password_changed_at": None,
    }  # fmt: skip
    wanted = {key: value for key, value in values.items() if f":{key}" in statement.text}
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
            connection.execute(text("SET enable_seqscan = off"))
            plan = [row[0] for row in connection.execute(text(f"EXPLAIN {statement.text}"), wanted)]
            walks = [line for line in plan if "Seq Scan" in line or "Sort" in line]
        else:
            connection.execute(
                text("ANALYZE TABLE keyturn_account, keyturn_account_key, keyturn_client, keyturn_reset")
            )
            explained = text(f"EXPLAIN {statement.text}")
            plan = [row._asdict() for row in connection.execute(explained, wanted)]
            walks = [row for row in plan if row["type"] == "ALL" or "filesort" in (row["Extra"] or "")]
        connection.rollback()
    if name != "_VERSION":
        assert not walks


# --- whose thread ---------------------------------------------------------------------------------------------------


def test_an_engine_that_blocks_blocks_no_event_loop_and_is_asked_where_the_caller_blocks(url):
    engine = create_engine(address(url))
    opened = SqlAlchemyRecords(engine)
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *_: asked.append(threading.get_ident()))
    here = threading.get_ident()
    drive(opened.account("x"))
    assert set(asked) == {here}
    asked.clear()
    asyncio.run(opened.account("x"))
    assert asked
    assert here not in asked
    asked.clear()

    async def blocked():
        before = CALLER_BLOCKS.set(True)
        try:
            return await opened.account("x")
        finally:
            CALLER_BLOCKS.reset(before)

    asyncio.run(blocked())
    assert set(asked) == {here}
    engine.dispose()


@pytest.mark.parametrize("driver", [way.driver for way in WAYS.values() if way.awaits])
def test_records_of_their_own_that_await_say_goodbye(driver, postgresql, mariadb):
    server = postgresql if driver.startswith("postgresql") else mariadb
    url = with_driver(server.new_database(upgrade), driver)

    async def play(goodbye):
        opened = records.open(url, colour="async")
        await opened.add_account(an_account(goodbye))
        if goodbye == "aclose":
            await opened.aclose()
        elif goodbye == "close":
            opened.close()
            await opened._asking._closing
        else:
            await asyncio.to_thread(opened.close)
        assert opened._asking.engine.pool.checkedin() == 0
        assert (await opened.account(f"id-of-{goodbye}")) is not None  # a later call connects again
        await opened.aclose()

    for goodbye in ("aclose", "close", "thread"):
        asyncio.run(play(goodbye))


def test_an_engine_of_the_applications_stays_open(url):
    engine = create_engine(address(url))
    opened = SqlAlchemyRecords(engine)
    drive(opened.clients())
    opened.close()
    asyncio.run(opened.aclose())
    assert engine.pool.checkedin() == 1
    engine.dispose()


def test_one_engine_serves_sessions_and_records(url):
    engine = create_engine(address(url))
    store, opened = stores.sqlalchemy.SqlAlchemyStore(engine), SqlAlchemyRecords(engine)
    session = drive(Stage(store, "sync").add())
    drive(opened.add_account(ANA))
    assert drive(store.get(session.id)) == session
    assert drive(opened.account(ANA.subject)) == ANA
    assert engine.pool.checkedout() == 0
    engine.dispose()


# --- trouble --------------------------------------------------------------------------------------------------------


def kick(server, url):
    """End every connection to the database, as a restart does."""
    if url.startswith("postgresql"):
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()",
            database=url.rpartition("/")[2],
        )
        return
    name = url.rpartition("/")[2]
    for (number,) in server.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
        server.execute(f"KILL {number}")


@pytest.mark.ids("ST-05")
def test_a_read_after_the_database_was_restarted_is_said_again(server, url):
    with closing(records.open(url)) as opened:
        drive(opened.add_account(ANA))
        for verb in READS.values():
            kick(server, url)
            drive(verb(opened))
        assert drive(opened.account(ANA.subject)) == ANA


@pytest.mark.ids("ST-05")
def test_a_write_after_the_database_was_restarted_is_said_again_where_it_was_surely_not_done(server, url):
    with closing(records.open(url)) as opened:
        drive(opened.add_account(ANA))
        for verb in (
            opened.add_account(an_account("bob")),
            opened.replace_account(ANA),
            opened.add_reset(DIGEST, subject="x", expires_at=NOW + timedelta(days=1)),
        ):
            kick(server, url)
            assert drive(verb) in {None, True}
        assert drive(opened.account(ANA.subject)).version == 2
        assert drive(opened.find_account("bob")) == an_account("bob")


@pytest.mark.ids("ST-05")
def test_a_write_of_one_statement_whose_connection_broke_is_trouble_and_the_next_one_is_not(server, url):
    with closing(records.open(url)) as opened:
        drive(opened.add_client(ClientRecord(id="a", created_at=NOW)))
        drive(opened.add_reset(DIGEST, subject="x", expires_at=NOW + timedelta(days=1)))
        for name in ("remove_client", "take_reset"):
            kick(server, url)
            cause(WRITES[name](opened))
            assert drive(WRITES[name](opened))


def test_a_write_of_one_statement_whose_answer_was_lost_is_not_said_again(url):
    """It would find its own name taken."""
    with Proxy(url) as proxy, closing(records.open(_plain(proxy.through(url)))) as opened:
        drive(opened.clients())
        with proxy.cutting("INSERT INTO keyturn_client", "after") as trap:
            cause(WRITES["add_client"](opened))
        assert trap.sprung == 1
        assert len(drive(opened.clients())) == 1


def test_a_transaction_that_broke_while_it_was_committed_is_not_said_again(server, url):
    """It would find the account at its next version."""
    with closing(records.open(url)) as opened:
        drive(opened.add_account(ANA))
        committed = []

        @event.listens_for(opened._asking.engine, "commit")
        def break_(connection):
            committed.append(connection)
            kick(server, url)

        cause(opened.replace_account(ANA))
        assert len(committed) == 1


@pytest.mark.ids("ST-05")
def test_without_tables_every_verb_says_how_to_make_them(server):
    url = server.new_database()
    with closing(records.open(url)) as opened:
        for verb in (*READS.values(), *WRITES.values()):
            assert "python -m keyturn.stores.sqlalchemy upgrade URL" in cause(verb(opened))
        upgrade(url)
        for verb in (*READS.values(), *WRITES.values()):
            drive(verb(opened))


def test_a_table_that_went_away_is_told_without_a_value(server, url):
    with closing(records.open(url)) as opened:
        drive(opened.add_account(ANA))
        server.execute("DROP TABLE keyturn_account", database=url.rpartition("/")[2])
        with pytest.raises(StoreError) as told:
            drive(opened.replace_account(ANA))
    assert "upgrade" in told.value.cause
    seen = [told.value, told.value.__cause__]
    assert "S3kr3t" not in " ".join(map(repr, seen)) + told.value.cause


def test_a_database_that_loses_characters_is_refused(postgresql, mariadb):
    postgresql.execute("CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    for url, said in (
        (postgresql.url.rpartition("/")[0] + "/narrow", "UTF8"),
        (mariadb.new_database(upgrade) + "?charset=latin1", "utf8mb4"),
    ):
        if "narrow" in url:
            upgrade(url)
        with closing(records.open(url)) as opened, pytest.raises(ConfigurationError, match=said):
            drive(opened.account("x"))


@pytest.mark.anyio
async def test_a_database_that_does_not_answer_is_given_up(postgresql):
    url = with_driver(postgresql.new_database(upgrade), "postgresql+asyncpg")
    engine = create_async_engine(url)
    opened = SqlAlchemyRecords(engine, timeout=timedelta(seconds=0.2))
    await opened.add_account(ANA)
    async with engine.connect() as other:
        await other.execute(text("LOCK TABLE keyturn_account IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreError):
            await opened.account(ANA.subject)
        await other.rollback()
    assert await opened.account(ANA.subject) == ANA
    await engine.dispose()


def test_a_forked_child_leaves_its_parents_connections_alone(url):
    program = f"""
import os
from keyturn._colour import drive
from keyturn.server import records
from tests.server.records.conftest import an_account
opened = records.open({url!r})
drive(opened.add_account(an_account("ana")))
pool = opened._asking.engine.pool
child = os.fork()
if child == 0:
    is_new = opened._asking.engine.pool is not pool
    os._exit(0 if is_new and all(drive(opened.account("id-of-ana")) for _ in range(5)) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert drive(opened.account("id-of-ana"))
"""
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=env)
