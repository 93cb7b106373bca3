"""The store's SQLite file: what its tables are, and which files are refused."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from ..errors import StoreError
from ._sqlite_file import open_file

#: FULL: what was acknowledged survives kill -9 and the loss of power. NORMAL: kill -9 only; losing power may take the
#: last moments back with it, which the protocol recognises and heals (docs/explanation/sessions.md, row 5).
Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

#: Counted up with every change of the tables; a file with a higher number was written by a newer program.
VERSION: Final = 1
#: "ktrn": tells our files from an application's own, whose user_version means something else.
APPLICATION_ID: Final = 0x6B74726E

# The id begins with its bucket, so the primary key is (bucket, id), and old months lie together at its beginning.
# Nothing that a refresh changes is indexed. Times are microseconds since 1970, UTC.
_TABLES = (
    """
    CREATE TABLE keyturn_session (
        id BLOB PRIMARY KEY NOT NULL,
        realm TEXT NOT NULL,
        subject TEXT NOT NULL,
        client_id TEXT NOT NULL,
        transport TEXT NOT NULL,
        remember INTEGER NOT NULL,
        seed_digest BLOB NOT NULL,
        binding BLOB,
        generation INTEGER NOT NULL,
        delivered INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        access_floor INTEGER NOT NULL,
        rotated_at INTEGER NOT NULL,
        recovered_at INTEGER,
        recoveries INTEGER NOT NULL,
        authenticated_at INTEGER NOT NULL,
        amr TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        idle_expires_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        ended_at INTEGER,
        end_reason TEXT,
        scope TEXT,
        claims TEXT NOT NULL,
        user_agent TEXT NOT NULL,
        ip TEXT NOT NULL,
        device_name TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX keyturn_session_subject ON keyturn_session (realm, subject)",
    # One transaction writes at a time, so numbers that are drawn from the head row inside of it are in commit order.
    """
    CREATE TABLE keyturn_log (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        epoch TEXT NOT NULL,
        head INTEGER NOT NULL,
        dropped INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE keyturn_revocation (
        number INTEGER PRIMARY KEY,
        session_id BLOB NOT NULL,
        floor INTEGER NOT NULL,
        until INTEGER NOT NULL
    )
    """,
    "CREATE INDEX keyturn_revocation_until ON keyturn_revocation (until)",
    "INSERT INTO keyturn_log VALUES (1, lower(hex(randomblob(8))), 0, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


def open_database(path: str, *, synchronous: Synchronous, busy_timeout: timedelta) -> sqlite3.Connection:
    """Open a store's file, making it (mode 0600) and its tables where it is new.

    Raises:
        StoreError: the file belongs to something else, or to a newer program.
        OSError: it cannot be made.
        sqlite3.Error: it cannot be opened or read.
    """
    return open_file(
        path,
        tables=_TABLES,
        is_ready=_is_ready,
        # macOS: fsync alone leaves the data in the drive's cache.
        pragmas=(f"synchronous = {synchronous}", "fullfsync = 1"),
        busy_timeout=busy_timeout,
    )


def _is_ready(connection: sqlite3.Connection) -> bool:
    owner, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if owner == APPLICATION_ID:
        if version > VERSION:
            raise StoreError(cause=f"the file has schema version {version}; this program knows {VERSION}: update it")
        return True
    if version or owner or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise StoreError(cause="the file holds something else than Keyturn's sessions: give the store its own file")
    return False
