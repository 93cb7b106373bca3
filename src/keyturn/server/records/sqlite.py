"""Records in the session store's SQLite file; the standard library and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
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
from . import Account, ClientRecord, TakenError, _sqlite_file as file, _statements as said
from ._rows import (
    account_of,
    account_or_key,
    client_or_id,
    keys_of,
    refuse_limit,
    refuse_unstorable,
    refuse_unstorable_client,
    refuse_unstorable_reset,
)

T = TypeVar("T")

# A damaged key, a blob, would come behind every text for ever.
_ACCOUNTS: Final = said.ACCOUNTS.replace("WHERE ", "WHERE name_key < x'' AND ")
_ADD: Final = said.ADD.replace("INSERT", "INSERT OR IGNORE")
_ADD_CLIENT: Final = said.ADD_CLIENT.replace("INSERT", "INSERT OR IGNORE")
_ADD_RESET: Final = said.ADD_RESET.replace("INSERT", "INSERT OR REPLACE")
_OWNER: Final = "SELECT subject FROM keyturn_account_key WHERE name = :name"


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
        self._is_made = False
        self._reader.close()
        self._writer.close()

    async def add_account(self, account: Account) -> None:
        """Keep a new account; TakenError where the subject or one of its keys is another's."""
        refuse_unstorable(account)
        values, keys = said.account_values(account), keys_of(account)
        if not await self._ask(lambda connection: _add(connection, values, keys), writes=True):
            raise TakenError

    async def account(self, subject: str) -> Account | None:
        """Give the account of that id."""
        return await self._one(said.ACCOUNT, subject)

    async def find_account(self, key: str) -> Account | None:
        """Give the account whose name key or e-mail key this is."""
        return await self._one(said.FOUND, key)

    async def is_current(self, account: Account) -> bool:
        """Say whether an account is as it was read."""
        values = {"subject": account.subject, "version": account.version}
        return await self._read(lambda connection: connection.execute(said.IS_CURRENT, values).fetchone()) is not None

    async def accounts(self, *, after: str | None = None, limit: int) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`; a row that cannot be understood is its name key alone."""
        refuse_limit(limit)
        start = after or ""
        if not is_text(start):
            return []
        page = {"after": start, "limit": limit}
        rows = await self._ask(lambda connection: connection.execute(_ACCOUNTS, page).fetchall())
        return list(map(account_or_key, rows))

    async def replace_account(self, account: Account) -> bool:
        """Write an account whose row still has `account.version`, as the next version; False where it has not."""
        refuse_unstorable(account)
        values, keys = said.account_values(account), keys_of(account)
        replaced = await self._ask(lambda connection: _replace(connection, values, keys), writes=True)
        if replaced is None:
            raise TakenError
        return replaced

    async def add_client(self, client: ClientRecord) -> None:
        """Keep a new client; TakenError where the id is taken."""
        refuse_unstorable_client(client)
        values = said.client_values(client)
        if not await self._ask(lambda connection: connection.execute(_ADD_CLIENT, values).rowcount, writes=True):
            raise TakenError("This client id is taken.")

    async def clients(self) -> Sequence[ClientRecord | str]:
        """Give all clients by id; of a row that cannot be understood its id alone."""
        return list(map(client_or_id, await self._ask(lambda connection: connection.execute(said.CLIENTS).fetchall())))

    async def remove_client(self, id: str) -> bool:  # noqa: A002 - the protocol's own word
        """Remove a client; False where there is none of that id."""
        if not is_text(id):
            return False
        values = {"id": id}
        return await self._ask(lambda c: c.execute(said.REMOVE_CLIENT, values).rowcount, writes=True) == 1

    async def add_reset(self, digest: bytes, *, subject: str, expires_at: datetime) -> None:
        """Keep the digest of a one-time reset token, in place of any other of that account."""
        refuse_unstorable_reset(digest, subject, expires_at)
        values = {"subject": subject, "digest": digest.hex(), "expires_at": micros(expires_at)}
        await self._ask(lambda connection: connection.execute(_ADD_RESET, values).rowcount, writes=True)

    async def find_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Give the subject of a reset token that has not expired, and leave it."""
        values = {"digest": digest.hex(), "now": micros(now)}
        row = await self._read(lambda connection: connection.execute(said.FIND_RESET, values).fetchone())
        return None if row is None else row[0]

    async def take_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Remove a reset token that has not expired and give its subject; one of many wins."""
        values = {"digest": digest.hex(), "now": micros(now)}
        rows = await self._ask(lambda c: c.execute(said.TAKE_RESET, values).fetchall(), writes=True)
        return rows[0][0] if rows else None

    async def now(self) -> datetime:
        """Give this machine's clock."""
        return datetime.now(UTC)

    async def _one(self, statement: str, value: str) -> Account | None:
        if not is_text(value):
            return None
        row = await self._read(lambda connection: connection.execute(statement, {"value": value}).fetchone())
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


def _add(connection: sqlite3.Connection, values: Mapping[str, Any], keys: Sequence[str]) -> bool:
    if _is_taken(connection, keys, "") or connection.execute(_ADD, values).rowcount == 0:
        return False
    _add_keys(connection, keys, values["subject"])
    return True


def _replace(connection: sqlite3.Connection, values: Mapping[str, Any], keys: Sequence[str]) -> bool | None:
    """Say whether the account was replaced; None where a key is another's."""
    subject = values["subject"]
    held = connection.execute(said.KEYS_HELD, {"subject": subject, "version": values["version"]}).fetchone()
    if held is None:
        return False
    if _is_taken(connection, keys, subject):
        return None
    gone = [{"name": key, "subject": subject} for key in held if key is not None and key not in keys]
    connection.executemany(said.FORGET_KEY, gone)
    _add_keys(connection, [key for key in keys if key not in held], subject)
    connection.execute(said.REPLACE, values)
    return True


def _is_taken(connection: sqlite3.Connection, keys: Sequence[str], subject: str) -> bool:
    """Say whether one of the keys is another's than this subject's."""
    owners = (connection.execute(_OWNER, {"name": key}).fetchone() for key in keys)
    return any(owner is not None and owner[0] != subject for owner in owners)


def _add_keys(connection: sqlite3.Connection, keys: Sequence[str], subject: str) -> None:
    connection.executemany(said.ADD_KEY, [{"name": key, "subject": subject} for key in keys])
