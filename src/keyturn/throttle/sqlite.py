"""Counters in a SQLite file, shared by all processes of one machine; the standard library and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from ..errors import StoreError
from ..limits import Limits
from ..stores._sqlite_file import open_file
from ..stores._sqlite_life import WriterOnDemand
from ..stores._sqlite_writer import Call
from ._shared import Rows, SharedThrottle, decided, rows_of

T = TypeVar("T")

#: "ktrt": the file is a throttle's, and no session store's.
_APPLICATION_ID: Final = 0x6B747274
_TABLES: Final = (
    "CREATE TABLE keyturn_throttle (id BLOB PRIMARY KEY NOT NULL, until INTEGER NOT NULL, browsers BLOB) WITHOUT ROWID",
    "CREATE INDEX keyturn_throttle_until ON keyturn_throttle (until)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)
#: Every so many changes old rows are deleted, at most so many of them: more than were made meanwhile.
_SWEEP_EVERY: Final = 32
_SWEPT: Final = 500


class SqliteThrottle(SharedThrottle):
    """Counts in a SQLite file of its own, which the first call makes (mode 0600).

    A loss of power may forget the last moments of it, nothing else does. One thread owns the connection; a caller in
    an asyncio loop awaits its answer, any other one blocks for it. `close` may be followed by further calls.

    Args:
        path: where the file is; relative to the current folder at this moment. Not the session store's file.
        limits: those of docs/reference/settings.md where left out.
        busy_timeout: how long a call waits for another process that holds the file; then it raises StoreError.
        secret: keys the digests under which users and addresses are counted, at most 64 bytes, the same in all workers.
    """

    def __init__(
        self,
        path: str | Path,
        limits: Limits | None = None,
        *,
        busy_timeout: timedelta = timedelta(seconds=5),  # as the store's
        secret: bytes = b"",
    ) -> None:
        self.path = Path(path).absolute()
        self._rows = _SqliteCounters(str(self.path), busy_timeout)
        super().__init__(self._rows, limits, secret=secret)

    def close(self) -> None:
        """Finish what waits and close the file; blocks until that is done. A later call opens it again."""
        self._rows.writer.close()


class _SqliteCounters:
    def __init__(self, path: str, busy_timeout: timedelta) -> None:
        self.writer = WriterOnDemand(partial(_open, path, busy_timeout))
        self._changes = count(1)

    async def read(self, ids: Sequence[bytes]) -> Rows:
        call = Call(lambda connection: rows_of(_select(connection, ids)), writes=False)
        self.writer.submit(call)
        return await call.answer()

    async def change(self, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]], now: int) -> T:
        sweeps = next(self._changes) % _SWEEP_EVERY == 0

        def work(connection: sqlite3.Connection) -> T:
            result, changed = decided(decide, _select(connection, ids))
            connection.executemany(
                "INSERT OR REPLACE INTO keyturn_throttle (id, until, browsers) VALUES (?, ?, ?)",
                [(id_, row.until, row.browsers) for id_, row in changed.items()],
            )
            if sweeps:
                connection.execute(
                    "DELETE FROM keyturn_throttle WHERE id IN"
                    " (SELECT id FROM keyturn_throttle WHERE until <= ? LIMIT ?)",
                    (now, _SWEPT),
                )
            return result

        call = Call(work, writes=True)
        self.writer.submit(call)
        return await call.answer()


def _select(connection: sqlite3.Connection, ids: Sequence[bytes]) -> list[tuple[bytes, int, bytes | None]]:
    places = ", ".join("?" * len(ids))
    return connection.execute(
        f"SELECT id, until, browsers FROM keyturn_throttle WHERE id IN ({places})",  # noqa: S608 - question marks
        ids,
    ).fetchall()


def _open(path: str, busy_timeout: timedelta) -> sqlite3.Connection:
    return open_file(
        path,
        tables=_TABLES,
        is_ready=_is_ready,
        # A commit need not wait for the disk: what the loss of power takes away is a moment of counting.
        pragmas=("synchronous = NORMAL",),
        busy_timeout=busy_timeout,
    )


def _is_ready(connection: sqlite3.Connection) -> bool:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner == _APPLICATION_ID:
        return True
    if owner or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise StoreError(cause="the file holds something else than a throttle's counters: give it its own file")
    return False
