"""A SQLite connection for reads of one row, which cost less than the way to another thread and back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ._sqlite_life import ends_before_fork

T = TypeVar("T")


class ReaderOnDemand:
    """Reads in the caller's own thread; after `close` or a fork the next read connects again.

    In WAL mode no writer holds up a reader, so an event loop may read a row here: it waits for no lock but that of
    another thread's read, which takes some microseconds.

    Args:
        connect: opens a connection that any thread may use, and that waits for nobody.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        ends_before_fork(self)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do what reads one statement's rows.

        Raises:
            sqlite3.Error: it could not be done; the next read connects anew.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return work(self._connection)
            except sqlite3.Error:
                self._disconnect()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def hold(self) -> None:
        """Close, and let nobody read before `release`."""
        self._lock.acquire()
        self._disconnect()

    def release(self) -> None:
        """Let reads go on."""
        self._lock.release()

    def __del__(self) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
