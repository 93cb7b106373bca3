"""SQLite among processes: killed, forked, side by side, and at their end."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keyturn._colour import drive
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import NOW, REALM, SUBJECT, Stage

CHILDREN = Path(__file__).with_name("sqlite_children.py")


@contextmanager
def child(*arguments):
    command = [sys.executable, "-W", "error", str(CHILDREN), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def integrity(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]


def test_after_kill_9_in_a_storm_every_answered_turn_is_there(tmp_path):
    path = tmp_path / "storm.db"
    for _ in range(3):
        answered = {}
        with child("storm", path) as process:
            for _ in range(1000):
                id_, generation = process.stdout.readline().split()
                answered[id_.decode()] = int(generation)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:  # what it had still said
                id_, generation = line.split()
                answered[id_.decode()] = int(generation)
        with SqliteStore(path) as store:
            for id_, generation in answered.items():
                assert drive(store.get(id_)).generation in {generation, generation + 1}
        assert integrity(path) == "ok"
        path.unlink()


@pytest.mark.ids("M01", "RT-05")
def test_of_64_equal_turns_in_four_processes_one_wins_and_no_write_is_lost(tmp_path):
    path = tmp_path / "race.db"
    with (
        child("race", path, 0) as a,
        child("race", path, 1) as b,
        child("race", path, 2) as c,
        child("race", path, 3) as d,
    ):
        processes = (a, b, c, d)  # all four make the file at once
        assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 4
        with SqliteStore(path) as store:
            stage = Stage(store, "sync")
            shared = stage.session(subject="shared", id="CCCCCCCCCCCCCCCCCCCCCA")
            drive(store.add(shared))
        for process in processes:
            process.stdin.write(shared.id.encode() + b"\n")
            process.stdin.flush()
        winners = [process.stdout.readline() for process in processes]
        assert [process.stderr.read() for process in processes] == [b""] * 4
    assert sum(map(int, winners)) == 1
    with SqliteStore(path) as store:
        assert drive(store.get(shared.id)).generation == 1
        log = drive(store.revocations(None))
        assert len({entry.session_id for entry in log.entries}) == 40
        assert log.position.split(".")[1] == "40"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_store_that_was_used_before_a_fork_works_on_both_sides_of_it(tmp_path, in_child):
    path = tmp_path / "fork.db"
    store = SqliteStore(path)
    stage = Stage(store, "sync")
    drive(stage.add(subject="before"))
    wrote, go_on = os.pipe(), os.pipe()

    def act():
        drive(stage.add(subject="child"))
        os.write(wrote[1], b"x")
        os.read(go_on[0], 1)
        drive(stage.add(subject="child"))
        store.close()

    ended_well = in_child(act)
    stage._numbers = iter(range(100, 200))
    drive(stage.add(subject="parent"))
    os.read(wrote[0], 1)
    drive(stage.add(subject="parent"))
    store.close()  # a last one to close a file clears its log away: the child must count as another
    os.write(go_on[1], b"x")
    assert ended_well() == 0
    with closing(store):
        found = {subject: drive(store.find(REALM, subject, now=NOW)) for subject in ("before", "parent", "child")}
    assert {subject: len(rows) for subject, rows in found.items()} == {"before": 1, "parent": 2, "child": 2}
    assert integrity(path) == "ok"
    for end in (*wrote, *go_on):
        os.close(end)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_writing_harms_neither_side(tmp_path, in_child):
    store = SqliteStore(tmp_path / "fork.db")
    stage = Stage(store, "sync")
    stop = threading.Event()
    added = []

    def write():
        while not stop.is_set():
            added.append(drive(stage.add()).id)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            child_stage = Stage(store, "sync", iter(range(10**9 + number, 10**10)))
            ended_well = in_child(lambda stage=child_stage: drive(stage.add(subject="child")))
            assert ended_well() == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    with closing(store):
        assert len(drive(store.find(REALM, "child", now=NOW))) == 5
        assert {row.id for row in drive(store.find(REALM, SUBJECT, now=NOW))} == set(added)


def test_a_program_that_never_closes_its_store_ends_in_order(tmp_path):
    path = tmp_path / "left.db"
    with child("leave", path) as process:
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == 0
    for file in (path, tmp_path / "left.db.forgotten"):
        assert not file.with_name(file.name + "-wal").exists()  # it goes when the connection is closed
        with SqliteStore(file) as store:
            assert len(drive(store.find(REALM, SUBJECT, now=NOW))) == 1
