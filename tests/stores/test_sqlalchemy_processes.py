"""PostgreSQL among processes: racing, killed, and forked."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from keyturn import stores
from keyturn._colour import drive
from keyturn.stores import ENDED
from keyturn.stores.sqlalchemy import SqlAlchemyStore, upgrade
from keyturn.testing._store_stage import NOW, REALM, Stage, turn_of

CHILDREN = Path(__file__).with_name("sqlalchemy_children.py")


@contextmanager
def child(*arguments):
    command = [sys.executable, "-W", "error", str(CHILDREN), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def url(postgresql):
    return postgresql.new_database(upgrade)


@pytest.mark.ids("M01", "RT-05")
@pytest.mark.parametrize("address", ["postgresql", "postgresql+psycopg"])
def test_of_64_equal_turns_in_four_processes_one_wins_and_no_end_is_told_twice_or_lost(url, address):
    url = url.replace("postgresql", address, 1)
    with ExitStack() as stack:
        processes = [stack.enter_context(child("race", url, number)) for number in range(4)]
        assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 4
        with stores.open(url) as store:
            stage = Stage(store, "sync")
            shared, *others = [drive(stage.add()) for _ in range(21)]
        line = " ".join(session.id for session in [shared, *others]) + "\n"
        for process in processes:
            process.stdin.write(line.encode())
            process.stdin.flush()
        told = [process.stdout.readline().split() for process in processes]
        assert [process.stderr.read() for process in processes] == [b""] * 4
    assert sum(int(turned) for turned, _ in told) == 1
    assert sum(int(ended) for _, ended in told) == 20
    with stores.open(url) as store:
        assert drive(store.get(shared.id)).generation == 1
        log = drive(store.revocations(None))
    assert sorted(entry.session_id for entry in log.entries) == sorted(session.id for session in others)
    assert {entry.floor for entry in log.entries} == {ENDED}
    assert log.position.split(".")[1] == "20"


def test_after_kill_9_in_a_storm_every_answered_turn_is_there(url):
    answered = {}
    with child("storm", url) as process:
        for _ in range(2000):
            id_, generation = process.stdout.readline().split()
            answered[id_.decode()] = int(generation)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:  # what it had still said
            id_, generation = line.split()
            answered[id_.decode()] = int(generation)
    with stores.open(url) as store:
        for id_, generation in answered.items():
            assert drive(store.get(id_)).generation in {generation, generation + 1}
        session = drive(store.get(id_))  # nobody holds its row
        assert drive(store.advance(turn_of(session))) is not None


@pytest.mark.parametrize("address", ["postgresql", "postgresql+psycopg"])
def test_a_program_that_never_closes_its_stores_ends_in_order(url, address):
    with child("leave", url.replace("postgresql", address, 1)) as process:
        assert process.communicate(timeout=60) == (b"left sync\n", b"")
        assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("owner", ["store", "application"])
def test_a_blocking_store_that_was_used_before_a_fork_works_on_both_sides_of_it(url, in_child, owner):
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"))
    store = stores.open(url) if owner == "store" else SqlAlchemyStore(engine)
    stage = Stage(store, "sync")
    sessions = [drive(stage.add(subject="before")) for _ in range(2)]

    def turn(session):
        for generation in range(50):
            turned = turn_of(session, generation=generation, to=generation + 1)
            assert drive(store.advance(turned)).id == session.id

    ended_well = in_child(lambda: turn(sessions[0]))
    turn(sessions[1])  # at the same time: on one connection the answers would be mixed up
    assert ended_well() == 0
    assert [row.generation for row in drive(store.find(REALM, "before", now=NOW))] == [50, 50]
    store.close()
    engine.dispose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_awaiting_store_that_was_used_before_a_fork_works_on_both_sides_of_it(url, in_child, driver):
    store = stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async")
    stage = Stage(store, "async")

    async def turn(session):
        for generation in range(50):
            turned = turn_of(session, generation=generation, to=generation + 1)
            assert (await store.advance(turned)).id == session.id

    def forked(session):
        asyncio._set_running_loop(None)  # as a server does that forks within a loop
        asyncio.run(turn(session))

    async def main():
        sessions = [await stage.add(subject="before") for _ in range(2)]
        await store.advance(turn_of(sessions[0], generation=9, to=10))  # in vain, but its connection is kept
        ended_well = in_child(lambda: forked(sessions[0]))
        await turn(sessions[1])
        assert await asyncio.to_thread(ended_well) == 0
        assert [row.generation for row in await store.find(REALM, "before", now=NOW)] == [50, 50]
        await store.aclose()

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_end_of_a_child_closes_no_connection_of_its_parent(url, in_child):
    with closing(stores.open(url)) as store:
        session = drive(Stage(store, "sync").add())
        for _ in range(3):
            assert in_child(lambda: sys.exit if drive(store.get(session.id)) else None)() == 0
            with pytest.MonkeyPatch.context() as patch:  # a broken connection would be noticed, not mended
                patch.setattr("keyturn.stores.sqlalchemy._blocking.is_said_again", lambda *_: False)
                assert drive(store.get(session.id)) == session
