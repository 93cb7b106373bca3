"""What the stand-alone server keeps besides sessions: accounts, registered clients, one-time password resets.

`Records` is the port; `open` gives one by the same address as the session store's, in the same database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from ..._colour import Colour
from ...errors import ConfigurationError, KeyturnError, StoreError
from ...stores._sql import SCHEMES, needing_sqlalchemy

AccountState: TypeAlias = Literal["unverified", "active", "suspended"]


class TakenError(KeyturnError):
    """A name, an e-mail address or a client id belongs to another one; nothing was changed."""

    default_code = "taken"
    default_message = "This name or e-mail address is taken."


class UnreadableError(StoreError):
    """The row of an account cannot be understood: the store answers, and trying again helps nobody.

    Over HTTP it is the 503 of `StoreError`, so that clients keep their sessions while the row is mended.
    """

    default_message = "This account cannot be read: its row in the database is damaged."


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One user of the stand-alone server.

    Args:
        subject: the immutable opaque id that tokens bear; never given to another account.
        username: as it was given at creation, for people to read.
        name_key: the user name's canonical form; unique, also among the e-mail keys of all accounts.
        email: as it was given; None without one.
        email_key: the address's canonical form; unique, also among the name keys of all accounts.
        password_hash: a PHC string; None where no password was set yet.
        state: only ``active`` accounts sign in.
        roles: the scopes that the account may be granted.
        created_at: aware UTC.
        password_changed_at: aware UTC; None without a password.
        version: counted up with every change, for compare-and-set.
    """

    subject: str
    username: str
    name_key: str
    email: str | None = None
    email_key: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    state: AccountState = "active"
    roles: frozenset[str] = frozenset()
    created_at: datetime
    password_changed_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientRecord:
    """One registered client.

    Args:
        id: the client_id.
        secret_digest: SHA-256 of its secret in hexadecimal; None for a public client.
        name: for people to read.
        created_at: aware UTC.
    """

    id: str
    secret_digest: str | None = field(default=None, repr=False)
    name: str = ""
    created_at: datetime


class Records(Protocol):
    """Where accounts, clients and resets are kept. Each verb is one committed transaction.

    Errors of a driver come out as StoreError; an account whose row cannot be understood as UnreadableError, a client as
    StoreError; the cause names the row by its subject or id and shows no value of it.
    """

    @property
    def colour(self) -> Colour:
        """What the client does: block, await, or either."""
        ...

    async def add_account(self, account: Account) -> None:
        """Keep a new account; TakenError where the subject or one of its keys is another's name or e-mail key."""
        ...

    async def account(self, subject: str) -> Account | None:
        """Give the account of that id."""
        ...

    async def find_account(self, key: str) -> Account | None:
        """Give the account whose name key or e-mail key this is."""
        ...

    async def is_current(self, account: Account) -> bool:
        """Say whether an account is as it was read: its row has this version, which every change of it counts up."""
        ...

    async def accounts(self, *, after: str | None = None, limit: int) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`; a row that cannot be understood is its name key alone."""
        ...

    async def replace_account(self, account: Account) -> bool:
        """Write an account whose row still has `account.version`, as the next version; False where it has not.

        TakenError where a new e-mail key is another's.
        """
        ...

    async def add_client(self, client: ClientRecord) -> None:
        """Keep a new client; TakenError where the id is taken."""
        ...

    async def clients(self) -> Sequence[ClientRecord | str]:
        """Give all clients by id; of a row that cannot be understood its id alone, so that one hides no others."""
        ...

    async def remove_client(self, id: str) -> bool:  # noqa: A002 - the protocol's own word
        """Remove a client; False where there is none of that id."""
        ...

    async def add_reset(self, digest: bytes, *, subject: str, expires_at: datetime) -> None:
        """Keep the SHA-256 of a one-time reset token, in place of any other of that account."""
        ...

    async def find_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Give the subject of a reset token that has not expired, and leave it; None where there is none."""
        ...

    async def take_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Remove a reset token that has not expired and give its subject; None where there is none. Atomic: one wins."""
        ...

    async def now(self) -> datetime:
        """Give the database's clock, aware UTC; a SQLite file's is this machine's."""
        ...

    def close(self) -> None:
        """Let go of connections that were opened here."""
        ...


def open(url: str, *, colour: Literal["sync", "async"] = "sync") -> Records:  # noqa: A001 - reads as records.open(url)
    """Open the records of a database by its address; nothing is connected before the first call.

    Args:
        url: the session store's, as `keyturn.stores.open` takes it; ``memory:`` shares nothing with the store.
        colour: how the door that will use them waits; records opened for one that awaits never block its event loop.

    Raises:
        ConfigurationError: the address names no store that is known here, or its driver is not installed.
    """
    if url in ("memory:", "memory://"):
        from .memory import MemoryRecords

        return MemoryRecords()
    if url.startswith("sqlite:///"):
        from .sqlite import SqliteRecords

        return SqliteRecords(url.removeprefix("sqlite:///"))
    scheme = url.partition(":")[0]
    if scheme.partition("+")[0] not in SCHEMES:
        raise ConfigurationError(
            [f"no store is known for {scheme!r}: use postgresql://…, mysql://…, sqlite:///PATH or memory:"]
        )
    with needing_sqlalchemy(scheme):
        from .sqlalchemy import SqlAlchemyRecords
    return SqlAlchemyRecords.at(url, colour=colour)
