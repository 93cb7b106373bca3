"""Records in PostgreSQL or MariaDB, through SQLAlchemy's Core; migration 0002 makes the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, Self, TypeVar

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ..._colour import Colour
from ...errors import ConfigurationError, StoreError
from ...stores._rows import micros, time_of
from ...stores._sql.asking import Asking
from ...stores._sql.errors import is_duplicate
from ...stores._values import is_text
from ...stores.sqlalchemy._common import refuse_encoding
from ...stores.sqlalchemy._errors import store_error
from ...stores.sqlalchemy._mariadb_values import refuse_unfit
from ...stores.sqlalchemy._urls import parsed
from ...stores.sqlalchemy.tables import RECORDS_VERSION
from . import Account, ClientRecord, TakenError, _statements as said
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

#: A client waits longer; as the session store's.
_TIMEOUT: Final = timedelta(seconds=10)

_VERSION: Final = text("SELECT version FROM keyturn_records")
_UPGRADE: Final = "python -m keyturn.stores.sqlalchemy upgrade URL"
_NOW: Final = {
    "postgresql": text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"),
    "mysql": text("SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6))"),
}
_ADD_RESET: Final = {
    "postgresql": text(
        f"{said.ADD_RESET} ON CONFLICT (subject) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at"
    ),
    "mysql": text(f"{said.ADD_RESET} ON DUPLICATE KEY UPDATE digest = VALUES(digest), expires_at = VALUES(expires_at)"),
}
_ACCOUNT, _FOUND, _ACCOUNTS, _CLIENTS = map(text, (said.ACCOUNT, said.FOUND, said.ACCOUNTS, said.CLIENTS))
_IS_CURRENT: Final = text(said.IS_CURRENT)
_ADD, _ADD_KEY, _ADD_CLIENT = map(text, (said.ADD, said.ADD_KEY, said.ADD_CLIENT))
_HELD, _REPLACE, _FORGET_KEY = map(text, (f"{said.KEYS_HELD} FOR UPDATE", said.REPLACE, said.FORGET_KEY))
_REMOVE_CLIENT, _FIND_RESET, _TAKE_RESET = map(text, (said.REMOVE_CLIENT, said.FIND_RESET, said.TAKE_RESET))


class SqlAlchemyRecords:
    """Keeps accounts, clients and resets in PostgreSQL or MariaDB. Nothing is connected before the first call.

    Args:
        engine: an Engine or an AsyncEngine, which may be the session store's; it remains its owner's to dispose of.
            Records on an Engine block where the caller blocks, and take a worker thread where it awaits.
        timeout: how long a call on an AsyncEngine may take before it raises StoreError. A blocking engine keeps its
            own times.

    Raises:
        ConfigurationError: the engine is none, or its database is neither PostgreSQL nor MariaDB.
    """

    def __init__(self, engine: Engine | AsyncEngine, *, timeout: timedelta = _TIMEOUT) -> None:
        if not isinstance(engine, Engine | AsyncEngine):
            raise ConfigurationError(["SqlAlchemyRecords takes an Engine or an AsyncEngine, not a session or a URL"])
        self._name = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
        if self._name not in _NOW:
            raise ConfigurationError([f"SqlAlchemyRecords knows PostgreSQL and MariaDB, not {engine.dialect.name}"])
        self.colour: Colour = "async" if isinstance(engine, AsyncEngine) else "both"
        self._asking = Asking(engine, timeout=timeout.total_seconds(), told=store_error, hops=True)
        self._is_owned = False
        self._is_known = False

    @classmethod
    def at(cls, url: str, *, colour: Literal["sync", "async"] = "sync", timeout: timedelta = _TIMEOUT) -> Self:
        """Give records at an address, with an engine of their own that `close` disposes of.

        Raises:
            ConfigurationError: the address cannot be read, or its driver is missing or of the wrong colour.
        """
        address = parsed(url, colour)
        records = cls(address.async_engine(timeout) if address.awaits else address.engine(timeout), timeout=timeout)
        records._is_owned = True
        return records

    def close(self) -> None:
        """Let go of connections, if the engine was made here; of one that awaits, as soon as its event loop can."""
        if self._is_owned:
            self._asking.close()

    async def aclose(self) -> None:
        """Do as `close`, and wait for it in the event loop that runs now."""
        if self._is_owned:
            await self._asking.aclose()

    async def add_account(self, account: Account) -> None:
        """Keep a new account; TakenError where the subject or one of its keys is another's."""
        refuse_unstorable(account)
        values, keys = said.account_values(account), keys_of(account)
        await self._ask(partial(_add, values=values, keys=keys), alone=False)

    async def account(self, subject: str) -> Account | None:
        """Give the account of that id."""
        return await self._one(_ACCOUNT, subject)

    async def find_account(self, key: str) -> Account | None:
        """Give the account whose name key or e-mail key this is."""
        return await self._one(_FOUND, key)

    async def is_current(self, account: Account) -> bool:
        """Say whether an account is as it was read."""
        return bool(await self._rows(_IS_CURRENT, subject=account.subject, version=account.version))

    async def accounts(self, *, after: str | None = None, limit: int) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`; a row that cannot be understood is its name key alone."""
        refuse_limit(limit)
        start = after or ""
        if not is_text(start):
            return []
        return list(map(account_or_key, await self._rows(_ACCOUNTS, after=start, limit=limit)))

    async def replace_account(self, account: Account) -> bool:
        """Write an account whose row still has `account.version`, as the next version; False where it has not."""
        refuse_unstorable(account)
        values, keys = said.account_values(account), keys_of(account)
        return await self._ask(partial(_replace, values=values, keys=keys), alone=False)

    async def add_client(self, client: ClientRecord) -> None:
        """Keep a new client; TakenError where the id is taken."""
        refuse_unstorable_client(client)
        taken = TakenError("This client id is taken.")
        await self._ask(partial(_insert, statement=_ADD_CLIENT, values=said.client_values(client), taken=taken))

    async def clients(self) -> Sequence[ClientRecord | str]:
        """Give all clients by id; of a row that cannot be understood its id alone."""
        return list(map(client_or_id, await self._rows(_CLIENTS)))

    async def remove_client(self, id: str) -> bool:  # noqa: A002 - the protocol's own word
        """Remove a client; False where there is none of that id."""
        return is_text(id) and await self._ask(partial(_write, statement=_REMOVE_CLIENT, values={"id": id})) == 1

    async def add_reset(self, digest: bytes, *, subject: str, expires_at: datetime) -> None:
        """Keep the digest of a one-time reset token, in place of any other of that account."""
        refuse_unstorable_reset(digest, subject, expires_at)
        values = {"subject": subject, "digest": digest.hex(), "expires_at": micros(expires_at)}
        await self._ask(partial(_write, statement=_ADD_RESET[self._name], values=values), is_harmless=True)

    async def find_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Give the subject of a reset token that has not expired, and leave it."""
        rows = await self._rows(_FIND_RESET, digest=digest.hex(), now=micros(now))
        return rows[0][0] if rows else None

    async def take_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Remove a reset token that has not expired and give its subject; one of many wins."""
        values = {"digest": digest.hex(), "now": micros(now)}
        rows = await self._ask(partial(_read, statement=_TAKE_RESET, values=values))
        return rows[0][0] if rows else None

    async def now(self) -> datetime:
        """Give the database's clock."""
        return time_of((await self._rows(_NOW[self._name]))[0][0])

    async def _one(self, statement: TextClause, value: str) -> Account | None:
        if not is_text(value):
            return None
        rows = await self._rows(statement, value=value)
        return account_of(rows[0]) if rows else None

    async def _rows(self, statement: TextClause, **values: Any) -> Sequence[Sequence[Any]]:
        return await self._ask(partial(_read, statement=statement, values=values), is_harmless=True)

    async def _ask(self, work: Callable[[Connection], T], *, alone: bool = True, is_harmless: bool = False) -> T:
        if not self._is_known:
            await self._asking.ask(_refuse_unknown, alone=True, is_harmless=True)
            self._is_known = True
        return await self._asking.ask(work, alone=alone, is_harmless=is_harmless)


def _refuse_unknown(connection: Connection) -> None:
    refuse_unfit_for = refuse_encoding if connection.dialect.name == "postgresql" else refuse_unfit
    refuse_unfit_for(connection)
    version = connection.execute(_VERSION).scalar_one_or_none()
    if version is None or version < RECORDS_VERSION:
        raise StoreError(cause=f"the accounts' tables have version {version or 0}; bring them up to date: {_UPGRADE}")
    if version > RECORDS_VERSION:
        raise StoreError(
            cause=f"the accounts' tables have version {version}; this program knows {RECORDS_VERSION}: update the program"
        )


def _read(connection: Connection, *, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    return connection.execute(statement, values).all()


def _write(connection: Connection, *, statement: TextClause, values: Mapping[str, Any]) -> int:
    return connection.execute(statement, values).rowcount


def _insert(connection: Connection, *, statement: TextClause, values: Mapping[str, Any], taken: TakenError) -> None:
    try:
        connection.execute(statement, values)
    except IntegrityError as error:
        if is_duplicate(error):
            raise taken from None
        raise


def _add(connection: Connection, *, values: Mapping[str, Any], keys: Sequence[str]) -> None:
    # Keys first: whoever wants the same waits there, before it holds anything else.
    _add_keys(connection, keys, values["subject"])
    _insert(connection, statement=_ADD, values=values, taken=TakenError())


def _replace(connection: Connection, *, values: Mapping[str, Any], keys: Sequence[str]) -> bool:
    subject = values["subject"]
    held = connection.execute(_HELD, {"subject": subject, "version": values["version"]}).one_or_none()
    if held is None:
        return False
    for key in sorted({key for key in held if key is not None} - set(keys)):
        connection.execute(_FORGET_KEY, {"name": key, "subject": subject})
    _add_keys(connection, [key for key in keys if key not in held], subject)
    connection.execute(_REPLACE, values)
    return True


def _add_keys(connection: Connection, keys: Sequence[str], subject: str) -> None:
    for key in keys:
        _insert(connection, statement=_ADD_KEY, values={"name": key, "subject": subject}, taken=TakenError())
