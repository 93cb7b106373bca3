"""SQLite in trouble: every cause comes out as StoreError, and the store works again once it is gone."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn._colour import drive
from keyturn.errors import ConfigurationError, StoreError
from keyturn.session import EndReason
from keyturn.stores import _sqlite_file, _sqlite_schema, open as open_store
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import NOW, REALM, SUBJECT, UNTIL, Stage, turn_of
from tests.stores.sqlite_gate import Gate, being_made, submitted

pytestmark = pytest.mark.ids("ST-05")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path):
    with SqliteStore(path, busy_timeout=timedelta(0)) as store:
        yield store


@pytest.fixture
def stage(store):
    return Stage(store, "sync")


def on_connect(store, action):
    connect = store._writer._connect

    def connect_and_act():
        connection = connect()
        action(connection)
        return connection

    store._writer._connect = connect_and_act


def refused(stage):
    """The cause of what a read and a write are refused with."""
    with pytest.raises(StoreError) as writing:
        drive(stage.add())
    with pytest.raises(StoreError) as reading:
        drive(stage.store.get(stage.session().id))
    assert writing.value.status == 503
    assert writing.value.cause == reading.value.cause
    return writing.value.cause


def works(stage):
    session = drive(stage.add())
    return drive(stage.store.get(session.id)) == session


def test_a_store_opens_nothing_until_it_is_used(path):
    SqliteStore(path)
    assert not path.exists()
    assert not list(path.parent.iterdir())


def test_a_store_is_opened_by_its_address(path):
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    assert store.path == path
    with pytest.raises(ConfigurationError, match="oracle"):
        open_store("oracle://localhost/x")


def test_a_python_whose_sqlite_is_too_old_is_told_so_at_once(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"3\.35"):
        SqliteStore(path)


def test_a_missing_folder_is_named_and_the_store_works_once_it_is_there(tmp_path):
    path = tmp_path / "missing" / "sessions.db"
    with SqliteStore(path) as store:
        stage = Stage(store, "sync")
        assert str(path) in refused(stage)
        path.parent.mkdir()
        assert works(stage)


def test_a_folder_in_the_files_place_is_refused(stage, path):
    path.mkdir()
    assert "SQLITE_CANTOPEN" in refused(stage)
    path.rmdir()
    assert works(stage)


def test_a_file_that_is_no_database_is_refused_and_left_alone(stage, path):
    path.write_bytes(b"precious" * 1000)
    assert "SQLITE_NOTADB" in refused(stage)
    assert path.read_bytes() == b"precious" * 1000
    path.unlink()
    assert works(stage)


@pytest.mark.parametrize("version", [0, 1, 7])
def test_another_programs_database_is_refused_and_left_alone(stage, path, version):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id)")
        other.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    assert "something else" in refused(stage)
    assert path.read_bytes() == before


def test_a_file_that_another_process_makes_in_the_same_instant_is_shared(stage, path, monkeypatch):
    look = _sqlite_schema._is_ready

    def look_and_be_overtaken(connection):
        was_ready = look(connection)
        if _sqlite_schema._is_ready is look_and_be_overtaken:  # once
            monkeypatch.setattr(_sqlite_schema, "_is_ready", look)
            with SqliteStore(path) as other:
                drive(other.add(stage.session()))
        return was_ready

    monkeypatch.setattr(_sqlite_schema, "_is_ready", look_and_be_overtaken)
    assert works(stage)
    assert len(drive(stage.store.find(REALM, SUBJECT, now=NOW))) == 2


def test_a_newer_programs_file_is_refused_until_it_is_this_programs_again(stage, store, path):
    assert works(stage)
    store.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")
        assert "schema version 2" in refused(stage)
        other.execute("PRAGMA user_version = 1")
    assert works(stage)


def test_a_log_whose_head_row_goes_away_is_trouble_with_the_database(stage, store, path):
    session = drive(stage.add())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM keyturn_log")
    asked = (store.revocations(None), store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
    for verb in asked:
        with pytest.raises(StoreError) as told:
            drive(verb)
        assert "keyturn_log is missing" in told.value.cause
    assert drive(store.get(session.id)) == session  # an end that cannot be announced does not happen


def test_a_file_locked_by_another_writer_can_be_read_and_written_once_it_is_free(stage, store, path):
    session = drive(stage.add())
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError) as error:
            drive(stage.add())
        assert "SQLITE_BUSY" in error.value.cause
        assert drive(store.get(session.id)) == session
        other.execute("ROLLBACK")
    assert works(stage)


def test_many_callers_of_a_locked_file_wait_for_one_timeout_not_for_one_each(store, path):
    statements = []
    on_connect(store, lambda connection: connection.set_trace_callback(statements.append))

    async def main():
        stage = Stage(store, "async")
        session = await stage.add()
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            gate = Gate(store)
            await submitted(gate.hold())
            await asyncio.to_thread(gate.reached.wait, 60)
            statements.clear()
            calls = [stage.add() if number % 2 else store.get(session.id) for number in range(300)]
            waiting = await submitted(*calls)
            gate.open()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert answers[::2] == [session] * 150
        assert [type(answer) for answer in answers[1::2]] == [StoreError] * 150
        assert len({id(answer) for answer in answers[1::2]}) == 150  # everyone has an error of one's own

    asyncio.run(main())
    assert statements.count("BEGIN IMMEDIATE") == 2  # the first 64, then all the others


def test_a_full_disk_refuses_writes_serves_reads_and_heals(stage, store):
    session = drive(stage.add())
    drive(store.get(session.id))
    store.close()
    full = True

    def limit(connection):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages if full else 10**6}")

    on_connect(store, limit)
    kept, cause = _add_until_refused(stage)
    assert "SQLITE_FULL" in cause
    for _ in range(3):
        with pytest.raises(StoreError):
            drive(stage.add(user_agent="x" * 100_000))
    assert [drive(store.get(row.id)) for row in [session, *kept]] == [session, *kept]
    assert drive(store.advance(turn_of(session))) is not None  # it needs no new page
    full = False
    store.close()
    assert works(stage)


def _add_until_refused(stage):
    kept = []
    for _ in range(200):
        try:
            kept.append(drive(stage.add(user_agent="x" * 1000)))
        except StoreError as error:
            return kept, error.cause
    raise AssertionError("the disk is never full")


def test_a_disk_that_fails_at_the_commit_makes_no_promise(stage, store):
    session = drive(stage.add())
    store.close()
    failing = True

    class Failing:
        def __init__(self, connection):
            self._connection = connection

        def execute(self, statement, *parameters):
            if failing and statement == "COMMIT" and self._connection.total_changes:
                raise sqlite3.OperationalError("disk I/O error")
            return self._connection.execute(statement, *parameters)

        def __getattr__(self, name):
            return getattr(self._connection, name)

    connect = store._writer._connect
    store._writer._connect = lambda: Failing(connect())
    with pytest.raises(StoreError) as error:
        drive(store.advance(turn_of(session)))
    assert "disk I/O error" in error.value.cause
    assert drive(store.get(session.id)) == session
    failing = False
    assert works(stage)


def test_a_write_that_fails_half_way_leaves_nothing_and_harms_no_other(stage, store, path):
    session, other = drive(stage.add()), drive(stage.add())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON keyturn_revocation BEGIN SELECT RAISE(ABORT, 'no log'); END"
        )

    async def main():
        end = store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL)
        return await asyncio.gather(end, store.advance(turn_of(other)), return_exceptions=True)

    ended, advanced = asyncio.run(main())
    assert isinstance(ended, StoreError)
    assert "no log" in ended.cause
    assert advanced.generation == 1
    assert drive(store.get(session.id)) == session
    assert drive(store.get(other.id)) == advanced


def test_a_call_that_no_database_could_serve_fails_alone(stage, store):
    session = drive(stage.add())

    async def main():
        return await asyncio.gather(
            store.require({session.id: 2**70}, until=UNTIL), store.advance(turn_of(session)), return_exceptions=True
        )

    required, advanced = asyncio.run(main())
    assert isinstance(required, OverflowError)
    assert advanced.generation == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="permissions are a matter of POSIX here")
def test_a_file_that_may_only_be_read_is_refused_and_works_once_it_may_be_written():
    folder = Path(tempfile.mkdtemp())  # not pytest's, which other users may not enter
    process = os.fork()
    if process == 0:
        try:
            _read_only(folder)
        except BaseException as error:  # noqa: BLE001 - pytest belongs to the parent
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    finally:
        shutil.rmtree(folder)


def _read_only(folder):
    path = folder / "sessions.db"
    store = SqliteStore(path)
    stage = Stage(store, "sync")
    assert works(stage)
    store.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # root may write everywhere
    cause = refused_write(stage)
    assert "SQLITE_READONLY" in cause or "SQLITE_CANTOPEN" in cause, cause
    os.seteuid(was)
    folder.chmod(0o700)
    path.chmod(0o600)
    assert works(stage)
    store.close()


def refused_write(stage):
    try:
        drive(stage.add())
    except StoreError as error:
        return error.cause
    raise AssertionError("it was written")


def test_a_file_that_another_process_is_making_at_that_moment_is_waited_for(path, monkeypatch):
    """SQLite waits for no lock where it changes the journal's mode; it says at once that the file is busy."""
    with (
        being_made(path, _sqlite_schema._TABLES, monkeypatch),
        SqliteStore(path, busy_timeout=timedelta(seconds=60)) as store,
    ):
        assert drive(store.find(REALM, SUBJECT, now=NOW)) == []


def test_a_file_that_another_process_makes_between_two_questions_is_no_strangers(tmp_path):
    path = str(tmp_path / "k.db")
    tables = ["CREATE TABLE ours (id)", "PRAGMA application_id = 7"]
    overtaken: list[bool] = []

    def is_ready(connection: sqlite3.Connection) -> bool:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        if not overtaken:
            overtaken.append(True)
            with closing(sqlite3.connect(path)) as other:
                for statement in ("BEGIN IMMEDIATE", *tables, "COMMIT"):
                    other.execute(statement)
        if not owner and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(cause="the file holds something else")
        return bool(owner)

    patience = timedelta(seconds=5)
    with closing(_sqlite_file.open_file(path, tables=tables, is_ready=is_ready, pragmas=(), busy_timeout=patience)):
        assert overtaken
