"""Records in the session store's SQLite file; the standard library and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from ..._colour import Colour
from ...stores._rows import micros
from ...stores._sqlite_life import WriterOnDemand
from ...stores._sqlite_reader import ReaderOnDemand
from ...stores._sqlite_schema import Synchronous
from ...stores._sqlite_writer import Call
from ...stores._values import is_text
from . import Account, ClientRecord, TakenError, _sqlite_file as file
from ._rows import (
    ACCOUNT_COLUMNS,
    CLIENT_COLUMNS,
    Row,
    account_of,
    account_or_key,
    account_row,
    client_of,
    client_row,
    keys_of,
    refuse_limit,
    refuse_unstorable,
    refuse_unstorable_client,
    refuse_unstorable_reset,
)

T = TypeVar("T")

_ACCOUNT: Final = f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account WHERE subject = ?"  # noqa: S608 - constants
_FOUND: Final = (
    f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account"  # noqa: S608 - constants
    " WHERE subject = (SELECT subject FROM keyturn_account_key WHERE name = ?)"
)
# A damaged key, a blob, would come behind every text for ever.
_ACCOUNTS: Final = (
    f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account"  # noqa: S608 - constants
    " WHERE name_key > ? AND name_key < x'' ORDER BY name_key LIMIT ?"
)
_ADD: Final = f"INSERT OR IGNORE INTO keyturn_account ({ACCOUNT_COLUMNS}) VALUES ({', '.join('?' * 11)})"  # noqa: S608 - constants
_REPLACE: Final = (
    f"UPDATE keyturn_account SET ({ACCOUNT_COLUMNS}) = ({', '.join('?' * 11)})"  # noqa: S608 - constants
    " WHERE subject = ? AND version = ?"
)
_VERSION: Final = "SELECT 1 FROM keyturn_account WHERE subject = ? AND version = ?"
_OWNER: Final = "SELECT subject FROM keyturn_account_key WHERE name = ?"
_FORGET_KEYS: Final = "DELETE FROM keyturn_account_key WHERE subject = ?"
_ADD_KEY: Final = "INSERT INTO keyturn_account_key (name, subject) VALUES (?, ?)"
_ADD_CLIENT: Final = f"INSERT OR IGNORE INTO keyturn_client ({CLIENT_COLUMNS}) VALUES (?, ?, ?, ?)"  # noqa: S608 - constants
_CLIENTS: Final = f"SELECT {CLIENT_COLUMNS} FROM keyturn_client ORDER BY id"  # noqa: S608 - constants
_REMOVE_CLIENT: Final = "DELETE FROM keyturn_client WHERE id = ?"
_ADD_RESET: Final = "INSERT OR REPLACE INTO keyturn_reset (subject, digest, expires_at) VALUES (?, ?, ?)"
_FIND_RESET: Final = "SELECT subject FROM keyturn_reset WHERE digest = ? AND expires_at > ?"
_TAKE_RESET: Final = "DELETE FROM keyturn_reset WHERE digest = ? AND expires_at > ? RETURNING subject"


class SqliteRecords:
    """Keeps accounts, clients and resets in the session store's file, which the first call makes (mode 0600).

    One thread writes, as the store's does. One account is read where the caller stands, event loop or not: that takes
    some microseconds, less than the way to a thread, and in WAL mode it waits for no writer. `close` may be followed by
    further calls, which open the file again.

    Args:
        path: where the file is; relative to the current folder at this moment.
        synchronous: as the session store's.
        busy_timeout: how long a call waits for another process that holds the file; then it raises StoreError.
    """

    colour: Colour = "both"

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout: timedelta = timedelta(seconds=5),  # as the store's
    ) -> None:
        self.path = Path(path).absolute()
        opening = partial(file.open_to_write, str(self.path), synchronous=synchronous, busy_timeout=busy_timeout)
        self._writer = WriterOnDemand(opening)
        self._reader = ReaderOnDemand(partial(file.open_to_read, str(self.path)))
        self._is_made = False

    def close(self) -> None:
        """Finish what waits and close the file; blocks until that is done. A later call opens it again."""
        self._reader.close()
        self._writer.close()

    async def add_account(self, account: Account) -> None:
        """Keep a new account; TakenError where the subject or one of its keys is another's."""
        refuse_unstorable(account)
        row, keys = account_row(account), keys_of(account)
        if not await self._ask(lambda connection: _add(connection, row, keys), writes=True):
            raise TakenError

    async def account(self, subject: str) -> Account | None:
        """Give the account of that id."""
        return await self._one(_ACCOUNT, subject)

    async def find_account(self, key: str) -> Account | None:
        """Give the account whose name key or e-mail key this is."""
        return await self._one(_FOUND, key)

    async def accounts(self, *, after: str | None = None, limit: int) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`; a row that cannot be understood is its name key alone."""
        refuse_limit(limit)
        start = after or ""
        if not is_text(start):
            return []
        rows = await self._ask(lambda connection: connection.execute(_ACCOUNTS, (start, limit)).fetchall())
        return list(map(account_or_key, rows))

    async def replace_account(self, account: Account) -> bool:
        """Write an account whose row still has `account.version`, as the next version; False where it has not."""
        refuse_unstorable(account)
        row, keys = account_row(account), keys_of(account)
        replaced = await self._ask(lambda connection: _replace(connection, row, keys), writes=True)
        if replaced is None:
            raise TakenError
        return replaced

    async def add_client(self, client: ClientRecord) -> None:
        """Keep a new client; TakenError where the id is taken."""
        refuse_unstorable_client(client)
        row = client_row(client)
        if not await self._ask(lambda connection: connection.execute(_ADD_CLIENT, row).rowcount, writes=True):
            raise TakenError("This client id is taken.")

    async def clients(self) -> Sequence[ClientRecord]:
        """Give all clients by id."""
        return list(map(client_of, await self._ask(lambda connection: connection.execute(_CLIENTS).fetchall())))

    async def remove_client(self, id: str) -> bool:  # noqa: A002 - the protocol's own word
        """Remove a client; False where there is none of that id."""
        if not is_text(id):
            return False
        removed = await self._ask(lambda connection: connection.execute(_REMOVE_CLIENT, (id,)).rowcount, writes=True)
        return removed == 1

    async def add_reset(self, digest: bytes, *, subject: str, expires_at: datetime) -> None:
        """Keep the digest of a one-time reset token, in place of any other of that account."""
        refuse_unstorable_reset(digest, subject)
        row = subject, digest, micros(expires_at)
        await self._ask(lambda connection: connection.execute(_ADD_RESET, row).rowcount, writes=True)

    async def find_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Give the subject of a reset token that has not expired, and leave it."""
        at = micros(now)
        row = await self._read(lambda connection: connection.execute(_FIND_RESET, (digest, at)).fetchone())
        return None if row is None else row[0]

    async def take_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Remove a reset token that has not expired and give its subject; one of many wins."""
        at = micros(now)
        rows = await self._ask(lambda connection: connection.execute(_TAKE_RESET, (digest, at)).fetchall(), writes=True)
        return rows[0][0] if rows else None

    async def now(self) -> datetime:
        """Give this machine's clock."""
        return datetime.now(UTC)

    async def _one(self, statement: str, value: str) -> Account | None:
        if not is_text(value):
            return None
        row = await self._read(lambda connection: connection.execute(statement, (value,)).fetchone())
        return None if row is None else account_of(row)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._is_made:
            try:
                return self._reader.read(work)
            except sqlite3.Error:
                pass  # the writer is patient, and tells what is wrong
        return await self._ask(work)

    async def _ask(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        call = Call(work, writes=writes)
        self._writer.submit(call)
        answer = await call.answer()
        self._is_made = True
        return answer


# One transaction writes to a file at a time, and it was asked for before these begin: what they look at stands still.


def _add(connection: sqlite3.Connection, row: Row, keys: Sequence[str]) -> bool:
    if _is_taken(connection, keys, row[0]) or connection.execute(_ADD, row).rowcount == 0:
        return False
    _add_keys(connection, keys, row[0])
    return True


def _replace(connection: sqlite3.Connection, row: Row, keys: Sequence[str]) -> bool | None:
    """Say whether the account was replaced; None where a key is another's."""
    *values, version = row
    subject: Any = row[0]
    if connection.execute(_VERSION, (subject, version)).fetchone() is None:
        return False
    if _is_taken(connection, keys, subject):
        return None
    connection.execute(_REPLACE, (*values, version + 1, subject, version))
    connection.execute(_FORGET_KEYS, (subject,))
    _add_keys(connection, keys, subject)
    return True


def _is_taken(connection: sqlite3.Connection, keys: Sequence[str], subject: str) -> bool:
    owners = (connection.execute(_OWNER, (key,)).fetchone() for key in keys)
    return any(owner is not None and owner[0] != subject for owner in owners)


def _add_keys(connection: sqlite3.Connection, keys: Sequence[str], subject: str) -> None:
    connection.executemany(_ADD_KEY, [(key, subject) for key in keys])
