"""The throttle's SQLite file, made by several workers at once."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from keyturn.stores import _sqlite_file
from keyturn.throttle import sqlite as throttle


@pytest.mark.ids("ST-05")
def test_a_file_that_another_worker_is_making_at_that_moment_is_waited_for(tmp_path, monkeypatch):
    path = str(tmp_path / "throttle.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for statement in throttle._TABLES:
            other.execute(statement)
        other.execute("BEGIN IMMEDIATE")
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if other.in_transaction:
                other.execute("COMMIT")

        monkeypatch.setattr(_sqlite_file.time, "sleep", pause)
        with closing(throttle._open(path, timedelta(seconds=60))) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert pauses
