"""The migrations: up, down, up with rows; what they make is what the metadata says; beside an application's own."""

import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, event, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn import stores
from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.server import records
from keyturn.server.records import Account, ClientRecord
from keyturn.session import EndReason
from keyturn.stores.sqlalchemy.__main__ import main
from keyturn.stores.sqlalchemy.migrations import MigrationRefusedError, current, downgrade, include_name, sql, upgrade
from keyturn.stores.sqlalchemy.migrations._opening import address
from keyturn.stores.sqlalchemy.migrations._running import _LOCK, VERSION_TABLE, newest_revision
from keyturn.stores.sqlalchemy.tables import VERSION, metadata
from keyturn.testing._store_stage import NOW, UNTIL, Stage

OURS = {*metadata.tables, VERSION_TABLE}
AWAITING = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+aiomysql"}


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(server):
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def engine(url):
    engine = create_engine(address(url))
    yield engine
    engine.dispose()


def tables(engine):
    return set(inspect(engine).get_table_names())


def test_up_and_down_leave_nothing_behind_and_may_be_said_twice(engine):
    for _ in range(2):
        upgrade(engine)
        assert current(engine) == newest_revision()
        assert tables(engine) == OURS
    for _ in range(2):
        downgrade(engine, "base")
        assert current(engine) is None
        assert tables(engine) == set()
    upgrade(engine)
    assert tables(engine) == OURS


@pytest.mark.anyio
async def test_an_engine_that_awaits_is_awaited(url):
    parsed = address(url)
    engine = create_async_engine(parsed.set(drivername=AWAITING[parsed.get_backend_name()]))
    try:
        await upgrade(engine)
        assert await current(engine) == newest_revision()
        await downgrade(engine, "-1")
        assert await current(engine) == "0001"
        await downgrade(engine, "base")
        assert await current(engine) is None
    finally:
        await engine.dispose()


def test_an_address_with_a_driver_that_awaits_will_do(url):
    parsed = address(url)
    awaiting = parsed.set(drivername=AWAITING[parsed.get_backend_name()])
    upgrade(awaiting)
    assert current(awaiting) == newest_revision() == current(url)


@pytest.mark.parametrize("mode", ["AUTOCOMMIT", "READ COMMITTED"])
def test_an_engine_is_left_in_the_mode_that_it_was_in(url, mode):
    engine = create_engine(address(url), isolation_level=mode)
    upgrade(engine)
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("INSERT INTO keyturn_revocation VALUES (1, 'abcdefghijklmnop', 1, 1)"))
        seen = 0 if mode == "READ COMMITTED" else 1
        assert other.scalar(text("SELECT count(*) FROM keyturn_revocation")) == seen
    assert tables(engine) == OURS
    engine.dispose()


def test_the_database_is_what_the_metadata_says(engine):
    upgrade(engine)
    options = {"compare_type": True, "compare_server_default": True, "include_name": only_ours}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def only_ours(name, type_, _):
    return type_ != "table" or name in metadata.tables


COLUMNS = """
    SELECT table_name, column_name, data_type, column_default, is_nullable, character_maximum_length, collation_name
    FROM information_schema.columns WHERE table_name LIKE 'keyturn_%' AND table_name <> 'keyturn_version'
    AND table_schema IN ('public', database_name) ORDER BY table_name, ordinal_position
"""
INDEXES = {
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'keyturn_%' AND tablename <> 'keyturn_version'",
    "mysql": "SELECT table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics"
    " WHERE table_schema = database() AND table_name LIKE 'keyturn_%' AND table_name <> 'keyturn_version'",
}
OPTIONS = {
    "postgresql": "SELECT relname, reloptions FROM pg_class WHERE relname LIKE 'keyturn_%' AND relname NOT LIKE"
    " 'keyturn_version%' AND relkind = 'r'",
    "mysql": "SELECT table_name, engine, table_collation FROM information_schema.tables"
    " WHERE table_schema = database() AND table_name LIKE 'keyturn_%' AND table_name <> 'keyturn_version'",
}


def test_the_migrations_and_the_metadata_make_the_same_tables(server, url, engine):
    """To the last collation and option, which Alembic does not compare."""
    upgrade(engine)
    other = server.new_database()
    by_metadata = create_engine(address(other))
    metadata.create_all(by_metadata)
    assert shape(engine) == shape(by_metadata)
    by_metadata.dispose()
    server.drop_database(other)


def shape(engine):
    name = engine.dialect.name
    columns = COLUMNS.replace("database_name", "database()" if name == "mysql" else "''")
    with engine.connect() as connection:
        return [
            sorted(map(repr, connection.execute(text(query)).all()))
            for query in (columns, INDEXES[name], OPTIONS[name])
        ]


def test_sessions_outlive_an_upgrade_and_stop_a_downgrade(url, engine):
    upgrade(engine)
    with stores.open(url) as store:
        stage = Stage(store, "sync")
        session = drive(stage.add(claims={"a": 1}))
        ended = drive(stage.add())
        drive(store.end([ended.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
        upgrade(engine)
        for back in ("base", "-2", "-2"):
            with pytest.raises(MigrationRefusedError, match=r"all of them would be lost.*--yes"):
                downgrade(engine, back)
        assert current(engine) == newest_revision()
        assert drive(store.get(session.id)) == session
        assert len(drive(store.revocations(None)).entries) == 1
    downgrade(engine, "base", yes=True)
    assert tables(engine) == set()


@pytest.fixture
def at_one(url, engine):
    """A database as the release before made it, with rows."""
    upgrade(engine, "0001")
    with stores.open(url) as store:
        stage = Stage(store, "sync")
        session = drive(stage.add(claims={"a": 1}))
        yield store, session


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT * FROM {table}")).all()


def test_sessions_work_before_while_and_after_the_accounts_tables_are_made_and_dropped(url, engine, at_one):
    store, session = at_one
    before = {table: rows(engine, table) for table in ("keyturn_session", "keyturn_log")}
    assert "keyturn_account" not in tables(engine)
    for change in (lambda: upgrade(engine), lambda: downgrade(engine, "0001"), lambda: upgrade(engine)):
        change()
        assert drive(store.get(session.id)) == session
        assert {table: rows(engine, table) for table in before} == before
        with stores.open(url) as fresh:  # a program that starts now
            assert drive(fresh.get(session.id)) == session
    assert tables(engine) == OURS
    drive(store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
    assert len(drive(store.revocations(None)).entries) == 1


def test_a_session_is_turned_while_the_accounts_tables_are_made(engine, at_one):
    """None of its locks is the sessions'."""
    store, session = at_one
    seen = []

    @event.listens_for(engine, "before_cursor_execute")
    def turn(connection, cursor, statement, parameters, context, executemany):
        if "CREATE TABLE" in statement:
            seen.append(drive(store.get(session.id)))
            drive(store.acknowledge({session.id: 0}))

    upgrade(engine)
    assert len(seen) == 5
    assert all(row == session for row in seen)


def test_an_application_without_accounts_goes_on_with_the_tables_of_the_release_before(url, engine, at_one):
    _, session = at_one
    assert current(engine) == "0001" < newest_revision()
    with stores.open(url) as fresh:
        assert drive(fresh.get(session.id)) == session
    with pytest.raises(StoreError) as told, closing(records.open(url)) as opened:
        drive(opened.account("x"))
    assert "python -m keyturn.stores.sqlalchemy upgrade" in told.value.cause


def test_accounts_and_clients_stop_a_downgrade_and_sessions_do_not_lose_by_it(url, engine, at_one):
    store, session = at_one
    upgrade(engine)
    ana = Account(subject="x", username="Ana", name_key="ana", created_at=NOW)
    with closing(records.open(url)) as opened:
        drive(opened.add_account(ana))
        for back in ("-1", "0001"):
            with pytest.raises(MigrationRefusedError, match=r"There are accounts in the tables.*--yes") as told:
                downgrade(engine, back)
            assert "signed out" not in str(told.value.message)
        with pytest.raises(MigrationRefusedError, match=r"There are sessions and accounts .*signed out"):
            downgrade(engine, "base")
        assert drive(opened.account("x")) == ana
        drive(opened.add_client(ClientRecord(id="a", created_at=NOW)))
        with pytest.raises(MigrationRefusedError, match=r"accounts and clients in"):
            downgrade(engine, "0001")
        assert current(engine) == newest_revision()
        downgrade(engine, "0001", yes=True)
    assert tables(engine) == OURS - {name for name in OURS if "account" in name} - {
        "keyturn_client", "keyturn_reset", "keyturn_records",
    }  # fmt: skip
    assert drive(store.get(session.id)) == session


def test_tables_of_a_newer_program_are_refused_with_a_sentence(url, engine):
    upgrade(engine)
    for version, said in ((2, "update the program"), (0, "upgrade")):
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE keyturn_records SET version = {version}"))
        with pytest.raises(StoreError) as told, closing(records.open(url)) as opened:
            drive(opened.clients())
        assert f"version {version}" in told.value.cause
        assert said in told.value.cause


def test_the_second_half_that_was_killed_half_way_is_done_again_where_each_statement_commits_itself(mariadb):
    url = mariadb.new_database()
    engine = create_engine(address(url))
    upgrade(engine, "0001")
    statements = [part for part in sql(url, since="0001").split(";") if part.strip()]
    for number in range(1, len(statements)):
        with engine.begin() as connection:
            for statement in statements[:number]:
                if "keyturn_version" not in statement:
                    connection.execute(text(statement))
        upgrade(engine)
        assert tables(engine) == OURS
        assert rows(engine, "keyturn_records") == [(1, 1)]
        downgrade(engine, "0001")
    engine.dispose()
    mariadb.drop_database(url)


def test_a_database_that_was_emptied_is_taken_down_without_a_word(url, engine):
    upgrade(engine)
    with stores.open(url) as store:
        drive(Stage(store, "sync").add())
        drive(store.purge(NOW + timedelta(days=400), limit=10))
    downgrade(engine, "base")
    assert tables(engine) == set()


def test_the_log_begins_at_another_epoch_each_time_and_names_the_tables_version(engine):
    epochs = set()
    for _ in range(3):
        upgrade(engine)
        with engine.connect() as connection:
            version, epoch = connection.execute(text("SELECT version, epoch FROM keyturn_log")).one()
        assert version == VERSION
        assert len(epoch) == 16
        epochs.add(epoch)
        downgrade(engine, "base")
    assert len(epochs) == 3


def test_a_database_of_a_newer_program_is_left_alone(engine):
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for work in (lambda: upgrade(engine), lambda: downgrade(engine, "base", yes=True)):
        with pytest.raises(MigrationRefusedError, match="9999"):
            work()
    assert tables(engine) == OURS


def test_what_a_database_is_at_is_told_beside_what_this_program_wants(url, engine, capsys):
    upgrade(engine, "0001")
    for at, told in (
        ("0001", 'this program wants 0002: run "upgrade"'),
        ("9999", "of a newer program; this one knows"),
    ):
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{at}'"))
        assert main(["current", url]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{at}, ")
        assert told in out


def test_a_revision_that_nobody_knows_is_refused(engine):
    with pytest.raises(MigrationRefusedError, match="nonsense"):
        upgrade(engine, "nonsense")
    assert tables(engine) <= {VERSION_TABLE}


# --- at once --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["AUTOCOMMIT", "READ COMMITTED"])
def test_eight_that_upgrade_at_once_do_not_meet(url, mode):
    engine = create_engine(address(url), isolation_level=mode, pool_size=8)
    errors = []
    start = threading.Barrier(8)

    def act():
        try:
            start.wait()
            upgrade(engine)
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM keyturn_log")) == 1
        assert connection.scalar(text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 1
    engine.dispose()


def test_who_comes_next_on_mariadb_sees_how_far_the_one_before_came(mariadb):
    url = address(mariadb.new_database())
    engine, other = create_engine(url), create_engine(url)
    seen = []

    @event.listens_for(engine, "before_cursor_execute")
    def look(connection, cursor, statement, parameters, context, executemany):
        if "RELEASE_LOCK" in statement:
            seen.append(current(other))

    upgrade(engine)
    assert seen == [newest_revision()]
    engine.dispose()
    other.dispose()


LOCKS = {
    "postgresql": f"SELECT pg_advisory_lock({_LOCK})",
    "mysql": "SELECT GET_LOCK(md5(concat('keyturn migrations ', database())), 0)",
}


def test_who_finds_another_at_work_waits_and_in_the_end_says_so(engine, monkeypatch):
    monkeypatch.setattr("keyturn.stores.sqlalchemy.migrations._running._PATIENCE_SECONDS", 1)
    with engine.connect() as other:
        other.execute(text(LOCKS[engine.dialect.name]))
        with pytest.raises(MigrationRefusedError, match="Another process is migrating"):
            upgrade(engine)
        assert tables(engine) == set()
        waiting = threading.Thread(target=lambda: upgrade(engine))
        monkeypatch.setattr("keyturn.stores.sqlalchemy.migrations._running._PATIENCE_SECONDS", 30)
        waiting.start()
        time.sleep(0.1)
        assert tables(engine) == set()
        other.invalidate()
    waiting.join()
    assert tables(engine) == OURS


def test_a_migration_that_was_killed_half_way_is_done_again_where_each_statement_commits_itself(mariadb):
    """MariaDB's do; PostgreSQL takes back all of it."""
    url = mariadb.new_database()
    engine = create_engine(address(url))
    with engine.begin() as connection:
        for statement in sql(url).split(";")[1:3]:
            connection.execute(text(statement))
    assert tables(engine) == {"keyturn_session"}
    upgrade(engine)
    assert tables(engine) == OURS
    with engine.connect() as connection:
        assert (
            compare_metadata(MigrationContext.configure(connection, opts={"include_name": only_ours}), metadata) == []
        )
    engine.dispose()
    mariadb.drop_database(url)


# --- beside an application's Alembic --------------------------------------------------------------------------------


def test_an_applications_autogenerate_leaves_our_tables_alone(engine):
    upgrade(engine)
    theirs = MetaData()
    Table("orders", theirs, Column("id", Integer, primary_key=True))
    theirs.create_all(engine)
    with engine.connect() as connection:

        def wanted(**options):
            return compare_metadata(MigrationContext.configure(connection, opts=options), theirs)

        assert {step[1].name for step in wanted() if step[0] == "remove_table"} == OURS
        assert wanted(include_name=include_name) == []


def test_an_application_may_take_our_metadata_into_its_own(engine):
    upgrade(engine)
    theirs = MetaData()
    Table("orders", theirs, Column("id", Integer, primary_key=True))
    theirs.create_all(engine)
    options = {"include_name": lambda name, type_, _: not (type_ == "table" and name == VERSION_TABLE)}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), [theirs, metadata]) == []


def test_our_migrations_leave_an_applications_versions_alone(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('abc123')"))
    upgrade(engine)
    downgrade(engine, "base")
    assert tables(engine) == {"alembic_version"}
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "abc123"


# --- as text --------------------------------------------------------------------------------------------------------


def test_the_script_makes_what_upgrade_makes(server, url, engine):
    with raw_cursor(engine) as cursor:
        for statement in filter(None, map(str.strip, sql(url).split(";"))):
            cursor.execute(statement)
    assert current(engine) == newest_revision()
    other = server.new_database()
    by_upgrade = create_engine(address(other))
    upgrade(by_upgrade)
    assert shape(engine) == shape(by_upgrade)
    upgrade(engine)
    by_upgrade.dispose()
    server.drop_database(other)


@contextmanager
def raw_cursor(engine):
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        yield cursor
        cursor.close()
        connection.commit()
    finally:
        connection.close()


def test_the_script_from_the_newest_revision_on_is_empty():
    assert "TABLE" not in sql("postgresql://", since=newest_revision())


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_commands_tell_what_they_did(url, capsys):
    def run(*arguments):
        status = main(arguments)
        told = capsys.readouterr()
        return status, told.out, told.err

    newest = newest_revision()
    assert run("current", url) == (0, 'nothing: there are no tables of ours; "upgrade" makes them\n', "")
    assert run("upgrade", url) == (0, f"upgraded from nothing to {newest}\n", "")
    assert run("upgrade", url) == (0, f"at {newest} already\n", "")
    assert run("current", url) == (0, f"{newest}\n", "")
    with stores.open(url) as store:
        drive(Stage(store, "sync").add())
    status, out, err = run("downgrade", url, "--to", "base")
    assert (status, out) == (1, "")
    assert "signed out" in err
    assert run("downgrade", url, "--to", "base", "--yes") == (0, f"downgraded from {newest} to nothing\n", "")
    assert run("sql", url)[1] == sql(url)


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("command", ["upgrade", "downgrade", "current"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "mysql", "mysql+aiomysql"])
def test_a_password_is_never_printed(command, scheme, capsys):
    assert main([command, f"{scheme}://user:S3kr3t%2Fx@127.0.0.1:1/db"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert command in told.err
    assert "S3kr3t" not in told.err
    assert "Traceback" not in told.err


@pytest.mark.ids("ST-01")
def test_the_wrong_password_is_refused_without_showing_it(mariadb, capsys):
    url = mariadb.url.replace("root@", "root:S3kr3t@")
    assert main(["current", url]) == 1
    assert "S3kr3t" not in "".join(capsys.readouterr())


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("nonsense", ["S3kr3t", "oracle+nothing://u:S3kr3t@h/d", ""])
def test_what_is_no_address_is_a_usage_error_that_does_not_repeat_it(nonsense, capsys):
    with pytest.raises(SystemExit) as left:
        main(["current", nonsense])
    told = capsys.readouterr()
    assert left.value.code == 2
    assert "postgresql://USER@HOST/DATABASE" in told.err
    assert "S3kr3t" not in told.err


@pytest.mark.parametrize("scheme", ["sqlite://", "mssql+pyodbc://host/db"])
def test_other_databases_are_refused_with_the_way_out(scheme, capsys):
    assert main(["sql", scheme]) == 1
    assert "PostgreSQL nor MariaDB" in capsys.readouterr().err


def test_the_address_may_come_from_elsewhere_than_the_arguments(url, monkeypatch, capsys):
    monkeypatch.setenv("KEYTURN_DATABASE_URL", url)
    assert main(["upgrade", "-"]) == 0
    monkeypatch.delenv("KEYTURN_DATABASE_URL")
    program = [sys.executable, "-W", "error", "-m", "keyturn.stores.sqlalchemy", "current", "-"]
    done = subprocess.run(program, input=url + "\n", capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{newest_revision()}\n", "")


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    for word in ("upgrade postgresql://", "downgrade", "current", "sql", "KEYTURN_DATABASE_URL", "keyturn_version"):
        assert word in told
