"""SQLite's one writer: what is grouped, who is woken, what is kept where."""

import asyncio
import gc
import hashlib
import os
import re
import sqlite3
import threading
from contextlib import closing

import pytest

from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.stores import _sqlite_statements as statements
from keyturn.stores._sqlite_writer import Call
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import NOW, REALM, UNTIL, Stage, turn_of
from tests.stores.sqlite_gate import Gate, submitted

#: What a whole statement begins with. The beginning of two others, without its end, is none.
VERB = re.compile(r"(SELECT|INSERT|DELETE|UPDATE)\b(?!.*idle_expires_at\)$)", re.DOTALL)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path):
    with SqliteStore(path) as store:
        yield store


def traced(store):
    seen = []
    connect = store._writer._connect

    def connect_traced():
        connection = connect()
        connection.set_trace_callback(seen.append)
        return connection

    store._writer._connect = connect_traced
    return seen


def test_what_waits_is_written_in_one_commit_and_the_loop_is_woken_once(store):
    seen = traced(store)

    async def main():
        stage = Stage(store, "async")
        sessions = [await stage.add() for _ in range(64)]
        gate = Gate(store)
        held = await submitted(gate.hold())
        await asyncio.to_thread(gate.reached.wait, 60)
        loop = asyncio.get_running_loop()
        wakes, wake = [], loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *arguments: wakes.append(arguments) or wake(*arguments)
        seen.clear()
        turns = await submitted(*(store.advance(turn_of(session)) for session in sessions))
        gate.open()
        rows = await asyncio.gather(*held, *turns)
        assert [row.generation for row in rows[1:]] == [1] * 64
        assert len(wakes) == 2  # the gate's and the group's

    asyncio.run(main())
    assert seen.count("BEGIN IMMEDIATE") == 1
    assert seen.count("COMMIT") == 2


def test_a_group_has_64_calls_at_most(store):
    seen = traced(store)

    async def main():
        stage, gate = Stage(store, "async"), Gate(store)
        await store.get(stage.session().id)
        held = await submitted(gate.hold())
        await asyncio.to_thread(gate.reached.wait, 60)
        seen.clear()
        adds = await submitted(*(stage.add() for _ in range(65)))
        gate.open()
        await asyncio.gather(*held, *adds)

    asyncio.run(main())
    assert seen.count("BEGIN IMMEDIATE") == 2


def test_reading_takes_no_write_lock_and_writes_nothing(store):
    stage = Stage(store, "sync")
    session = drive(stage.add())
    seen = traced(store)
    store.close()
    drive(store.get(session.id))
    drive(store.find(REALM, session.subject, now=NOW))
    drive(store.revocations(None))
    assert "BEGIN IMMEDIATE" not in seen
    assert seen.count("BEGIN") == 3


def test_a_refresh_is_one_statement(store):
    stage = Stage(store, "sync")
    session = drive(stage.add())
    seen = traced(store)
    store.close()
    drive(store.advance(turn_of(session)))
    assert [statement.split()[0] for statement in seen[-3:]] == ["BEGIN", "UPDATE", "COMMIT"]


@pytest.mark.ids("M20")
def test_ending_a_users_sessions_reads_once_and_takes_one_transaction(store):
    stage = Stage(store, "sync")
    for _ in range(20):
        drive(stage.add())
    seen = traced(store)
    store.close()
    assert len(drive(store.end_all(REALM, "ana", at=NOW, reason=EndReason.LOGOUT_ALL, until=UNTIL))) == 20
    verbs = [statement.split()[0] for statement in seen]
    assert (verbs.count("SELECT"), verbs.count("COMMIT")) == (1, 1)


def test_a_caller_that_is_cancelled_harms_nobody_and_its_write_may_happen(store):
    async def main():
        stage, gate = Stage(store, "async"), Gate(store)
        lost, kept = await stage.add(), await stage.add()
        held = await submitted(gate.hold())
        lost_turn, kept_turn = await submitted(store.advance(turn_of(lost)), store.advance(turn_of(kept)))
        lost_turn.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await lost_turn
        await asyncio.gather(*held)
        assert (await asyncio.wait_for(kept_turn, 60)).generation == 1
        assert (await store.get(lost.id)).generation == 1

    asyncio.run(main())


def test_a_loop_that_is_gone_before_its_answer_harms_nobody(store):
    stage, gate = Stage(store, "sync"), Gate(store)
    session = drive(stage.add())

    async def leave():
        tasks = await submitted(gate.hold(), store.advance(turn_of(session)))
        for task in tasks:
            task.cancel()

    asyncio.run(leave())
    gate.open()
    assert drive(store.get(session.id)).generation == 1


@pytest.mark.ids("M01")
def test_of_64_equal_turns_by_threads_and_by_tasks_of_several_loops_one_wins(store):
    session = drive(Stage(store, "sync").add())
    turn = turn_of(session)
    won = []

    def blocking():
        won.extend(drive(store.advance(turn)) for _ in range(8))

    def awaiting():
        async def main():
            won.extend(await asyncio.gather(*(store.advance(turn) for _ in range(8))))

        asyncio.run(main())

    threads = [threading.Thread(target=target) for target in (blocking, awaiting) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 64
    assert sum(row is not None for row in won) == 1


def test_a_closed_store_opens_again_and_closing_twice_is_no_trouble(store):
    stage = Stage(store, "sync")
    session = drive(stage.add())
    for _ in range(2):
        store.close()
        store.close()
        assert drive(store.get(session.id)) == session


def test_closing_finishes_what_waits(path):
    store = SqliteStore(path)

    async def main():
        stage, gate = Stage(store, "async"), Gate(store)
        held = await submitted(gate.hold())
        adds = await submitted(*(stage.add() for _ in range(200)))
        closing_store = asyncio.create_task(asyncio.to_thread(store.close))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(*held, *adds, closing_store)
        return [session.id for session in await asyncio.gather(*adds)]

    ids = asyncio.run(main())
    with closing(store):
        assert all(drive(store.get(id_)) for id_ in ids)


def test_a_forgotten_store_ends_its_thread(path):
    before = set(threading.enumerate())
    store = SqliteStore(path)
    drive(Stage(store, "sync").add())
    (thread,) = set(threading.enumerate()) - before
    del store
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_the_writer_holds_on_to_no_call_that_was_answered(store):
    drive(Stage(store, "sync").add())
    drive(store.get("x"))

    def calls(connection):
        gc.collect()
        return [thing for thing in gc.get_objects() if isinstance(thing, Call)]

    assert len(drive(store._read(calls))) == 1  # the one that looks


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_the_promise_about_power_is_what_was_asked_for(path, synchronous, level):
    with SqliteStore(path, synchronous=synchronous) as store:
        assert drive(store._read(lambda c: c.execute("PRAGMA synchronous").fetchone())) == (level,)
        assert drive(store._read(lambda c: c.execute("PRAGMA journal_mode").fetchone())) == ("wal",)
    with SqliteStore(path) as store:
        assert drive(store._read(lambda c: c.execute("PRAGMA synchronous").fetchone())) == (2,)


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_the_file_and_what_lies_beside_it_is_for_its_owner_alone(path, store):
    before = os.umask(0)
    try:
        drive(Stage(store, "sync").add())
    finally:
        os.umask(before)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["sessions.db", "sessions.db-shm", "sessions.db-wal"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


@pytest.mark.ids("M20")
@pytest.mark.parametrize(
    "name", [name for name, text in vars(statements).items() if isinstance(text, str) and VERB.match(text.strip())]
)
def test_every_statement_finds_its_rows_by_an_index(store, name):
    statement = getattr(statements, name).strip()
    numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    parameters = [None] * (max(numbers) if numbers else statement.count("?"))
    plan = drive(store._read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()))
    steps = [step[3] for step in plan]
    assert all(step.startswith("SEARCH") and ("INDEX" in step or "PRIMARY KEY" in step) for step in steps), steps
    assert steps or statement.startswith("INSERT")


@pytest.mark.ids("M34")
def test_many_passed_log_entries_are_dropped_in_bounded_transactions(store):
    stage = Stage(store, "sync")
    ids = [drive(stage.add()).id for _ in range(50)]
    for _ in range(50):
        drive(store.require(dict.fromkeys(ids, 1), until=NOW))
    seen = traced(store)
    store.close()
    drive(store.purge(NOW, limit=10))
    assert not drive(store.revocations(None)).entries
    drops = [statement for statement in seen if statement.startswith(("DELETE FROM keyturn_revocation", "COMMIT"))]
    assert len(drops) > 2500
    longest = max(map(len, " ".join(statement[0] for statement in drops).replace(" ", "").split("C")))
    assert longest <= 1000


def test_a_log_that_lost_writes_gives_its_readers_a_new_snapshot(path, store):
    stage = Stage(store, "sync")
    first, second, third = (drive(stage.add()).id for _ in range(3))

    def end(id_):
        drive(store.end([id_], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
        position = drive(store.revocations(None)).position
        store.close()
        return position

    before = end(first)
    backup = path.read_bytes()
    lost = end(second)
    path.write_bytes(backup)
    news = drive(store.revocations(lost))
    assert ([entry.session_id for entry in news.entries], news.complete) == ([first], False)
    end(third)
    news = drive(store.revocations(before))
    assert ([entry.session_id for entry in news.entries], news.complete) == ([third], True)


@pytest.mark.ids("RT-02")
def test_neither_seed_nor_binding_nor_an_ended_sessions_client_is_in_the_file(path, store):
    seed, cookie, stage = os.urandom(16), os.urandom(32), Stage(store, "sync")
    session = drive(
        stage.add(
            seed_digest=hashlib.sha256(seed).digest(), binding=hashlib.sha256(cookie).digest(), user_agent="UA of Ana"
        )
    )
    drive(store.advance(turn_of(session)))
    drive(store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        dump = "\n".join(connection.iterdump())
    assert hashlib.sha256(seed).hexdigest() in dump.lower()
    for secret in (seed.hex(), cookie.hex(), "UA of Ana"):
        assert secret not in dump.lower()
        assert secret not in dump
