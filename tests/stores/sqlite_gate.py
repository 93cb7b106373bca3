"""How a test holds SQLite up, so that it knows what waits."""

import asyncio
import sqlite3
import threading
from contextlib import closing, contextmanager

from keyturn.stores import _sqlite_file


class Gate:
    """Holds the writer up until it is opened."""

    def __init__(self, store):
        self._store, self._opened, self.reached = store, threading.Event(), threading.Event()

    def _wait(self, connection):
        self.reached.set()
        assert self._opened.wait(60)

    async def hold(self):
        await self._store._read(self._wait)

    def open(self):
        self._opened.set()


async def submitted(*coroutines):
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)  # each runs to its first wait
    return tasks


@contextmanager
def being_made(path, tables, monkeypatch):
    """A file that another process is making; it is through at the first pause of who waits for it, and there is one."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        for statement in (*tables, "BEGIN IMMEDIATE"):
            other.execute(statement)
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if other.in_transaction:
                other.execute("COMMIT")

        monkeypatch.setattr(_sqlite_file.time, "sleep", pause)
        yield
        assert pauses
