"""The records' tables in the session store's SQLite file: made beside its own, by whoever comes first."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Final

from ...errors import StoreError
from ...stores._sqlite_schema import Synchronous, open_database

#: Counted up with every change of these tables; the sessions' version stands in the file's head and is another.
VERSION: Final = 1

# A name key and an e-mail key are of one kind: what one account is found by, no other is. So they share a primary key.
_TABLES: Final = (
    """
    CREATE TABLE keyturn_account (
        subject TEXT PRIMARY KEY NOT NULL,
        username TEXT NOT NULL,
        name_key TEXT NOT NULL,
        email TEXT,
        email_key TEXT,
        password_hash TEXT,
        state TEXT NOT NULL,
        roles TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        password_changed_at INTEGER,
        version INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX keyturn_account_name_key ON keyturn_account (name_key)",
    "CREATE TABLE keyturn_account_key (name TEXT PRIMARY KEY NOT NULL, subject TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE keyturn_client (
        id TEXT PRIMARY KEY NOT NULL,
        secret_digest TEXT,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE keyturn_reset (
        subject TEXT PRIMARY KEY NOT NULL,
        digest TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX keyturn_reset_digest ON keyturn_reset (digest)",
    "CREATE TABLE keyturn_records (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)",
    f"INSERT INTO keyturn_records VALUES (1, {VERSION})",  # noqa: S608 - a constant
)


def open_to_write(path: str, *, synchronous: Synchronous, busy_timeout: timedelta) -> sqlite3.Connection:
    """Open the file, making it and all its tables where they are missing.

    Raises:
        StoreError: the file belongs to something else, or its tables to a newer program.
        OSError: it cannot be made.
        sqlite3.Error: it cannot be opened or read.
    """
    connection = open_database(path, synchronous=synchronous, busy_timeout=busy_timeout)
    try:
        _make(connection)
    except BaseException:
        connection.close()
        raise
    connection.text_factory = _text
    return connection


def open_to_read(path: str) -> sqlite3.Connection:
    """Open a file that is there, for any thread, waiting for nobody.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    # Not "ro": the last connection that closes a file tidies up beside it, and that may be this one.
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = 1")
    connection.text_factory = _text
    return connection


def _make(connection: sqlite3.Connection) -> None:
    if _is_ready(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _is_ready(connection):  # another process may have been first
        for statement in _TABLES:
            connection.execute(statement)
    connection.execute("COMMIT")


def _is_ready(connection: sqlite3.Connection) -> bool:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'keyturn_records'").fetchone() is None:
        return False
    (version,) = connection.execute("SELECT version FROM keyturn_records").fetchone() or (None,)
    if version != VERSION:
        raise StoreError(
            cause=f"the file's accounts have version {version}; this program knows {VERSION}: update the program"
        )
    return True


def _text(raw: bytes) -> str:
    """Read a damaged text, too: SQLite's own refusal would quote it."""
    return raw.decode(errors="surrogateescape")
