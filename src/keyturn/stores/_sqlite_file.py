"""How a SQLite file of ours is opened: made where it is new, by several processes at once if need be."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from ..errors import StoreError

#: Seconds between two tries to open a file that another process is making; that takes it some milliseconds.
_PAUSE: Final = 0.01
#: The part of an extended error code that says the kind.
_PRIMARY: Final = 0xFF

# Closing a file drops every lock that this process holds on it, so a new file is made by one thread at a time.
_creating = threading.Lock()


def open_file(
    path: str,
    *,
    tables: Sequence[str],
    is_ready: Callable[[sqlite3.Connection], bool],
    pragmas: Sequence[str],
    busy_timeout: timedelta,
) -> sqlite3.Connection:
    """Open a file in WAL mode, making it (mode 0600) and its tables where it is new.

    Args:
        path: where it is.
        tables: the statements that make a new file ready.
        is_ready: says whether that was done; raises for a file that is not ours.
        pragmas: said to the connection.
        busy_timeout: how long to wait for another process that holds the file.

    Raises:
        OSError: it cannot be made.
        sqlite3.Error: it cannot be opened or read.
    """
    _create(path)
    patience = busy_timeout.total_seconds()
    last = time.monotonic() + patience
    while True:
        connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            _make(connection, tables, is_ready)
            for pragma in ("journal_mode = WAL", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException as error:
            connection.close()
            if not _is_busy(error) or time.monotonic() >= last:
                raise
        else:
            return connection
        # Another process makes the file, too: SQLite does not wait for it where it changes the journal's mode.
        time.sleep(_PAUSE)


def _create(path: str) -> None:
    with _creating, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _make(
    connection: sqlite3.Connection, tables: Sequence[str], is_ready: Callable[[sqlite3.Connection], bool]
) -> None:
    if _is_ready(connection, is_ready):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not is_ready(connection):  # another process may have been first
        for statement in tables:
            connection.execute(statement)
    connection.execute("COMMIT")


def _is_ready(connection: sqlite3.Connection, is_ready: Callable[[sqlite3.Connection], bool]) -> bool:
    try:
        return is_ready(connection)
    except StoreError:
        # Perhaps another process made the file between two of its questions: all of them again, of one moment.
        connection.execute("BEGIN")
        try:
            return is_ready(connection)
        finally:
            connection.execute("COMMIT")


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
