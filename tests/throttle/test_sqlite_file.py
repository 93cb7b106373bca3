"""The throttle's SQLite file, made by several workers at once."""

from contextlib import closing
from datetime import timedelta

import pytest

from keyturn.throttle import sqlite as throttle
from tests.stores.sqlite_gate import being_made


@pytest.mark.ids("ST-05")
def test_a_file_that_another_worker_is_making_at_that_moment_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "throttle.db"
    with (
        being_made(path, throttle._TABLES, monkeypatch),
        closing(throttle._open(str(path), timedelta(seconds=60))) as connection,
    ):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
