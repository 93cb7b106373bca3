"""Records in this process's memory, for tests and demonstrations: they end with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ..._colour import Colour
from ...stores._values import is_text
from . import Account, ClientRecord, TakenError
from ._rows import keys_of, refuse_limit, refuse_unstorable, refuse_unstorable_client, refuse_unstorable_reset


class MemoryRecords:
    """Keeps accounts, clients and resets in dictionaries; every verb does its work under one lock, never suspending."""

    colour: Colour = "both"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, str] = {}
        self._clients: dict[str, ClientRecord] = {}
        self._resets: dict[str, tuple[bytes, datetime]] = {}

    async def add_account(self, account: Account) -> None:
        """Keep a new account; TakenError where the subject or one of its keys is another's."""
        refuse_unstorable(account)
        with self._lock:
            if account.subject in self._accounts or any(key in self._keys for key in keys_of(account)):
                raise TakenError
            self._put(account)

    async def account(self, subject: str) -> Account | None:
        """Give the account of that id."""
        with self._lock:
            return self._accounts.get(subject)

    async def find_account(self, key: str) -> Account | None:
        """Give the account whose name key or e-mail key this is."""
        with self._lock:
            subject = self._keys.get(key)
            return None if subject is None else self._accounts[subject]

    async def is_current(self, account: Account) -> bool:
        """Say whether an account is as it was read."""
        with self._lock:
            now = self._accounts.get(account.subject)
            return now is not None and now.version == account.version

    async def accounts(self, *, after: str | None = None, limit: int) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`."""
        refuse_limit(limit)
        if not is_text(after or ""):
            return []
        with self._lock:
            later = [account for account in self._accounts.values() if after is None or account.name_key > after]
        return sorted(later, key=lambda account: account.name_key)[:limit]

    async def replace_account(self, account: Account) -> bool:
        """Write an account whose row still has `account.version`, as the next version; False where it has not."""
        refuse_unstorable(account)
        with self._lock:
            before = self._accounts.get(account.subject)
            if before is None or before.version != account.version:
                return False
            if any(self._keys.get(key, account.subject) != account.subject for key in keys_of(account)):
                raise TakenError
            for key in keys_of(before):
                del self._keys[key]
            self._put(replace(account, version=account.version + 1))
        return True

    async def add_client(self, client: ClientRecord) -> None:
        """Keep a new client; TakenError where the id is taken."""
        refuse_unstorable_client(client)
        with self._lock:
            if client.id in self._clients:
                raise TakenError("This client id is taken.")
            self._clients[client.id] = client

    async def clients(self) -> Sequence[ClientRecord | str]:
        """Give all clients by id."""
        with self._lock:
            return [self._clients[id_] for id_ in sorted(self._clients)]

    async def remove_client(self, id: str) -> bool:  # noqa: A002 - the protocol's own word
        """Remove a client; False where there is none of that id."""
        with self._lock:
            return self._clients.pop(id, None) is not None

    async def add_reset(self, digest: bytes, *, subject: str, expires_at: datetime) -> None:
        """Keep the digest of a one-time reset token, in place of any other of that account."""
        refuse_unstorable_reset(digest, subject, expires_at)
        with self._lock:
            self._resets[subject] = digest, expires_at

    async def find_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Give the subject of a reset token that has not expired, and leave it."""
        with self._lock:
            held = (subject for subject, (kept, until) in self._resets.items() if kept == digest and now < until)
            return next(held, None)

    async def take_reset(self, digest: bytes, *, now: datetime) -> str | None:
        """Remove a reset token that has not expired and give its subject; one of many wins."""
        with self._lock:
            for subject, (kept, expires_at) in self._resets.items():
                if kept == digest and now < expires_at:
                    del self._resets[subject]
                    return subject
        return None

    async def now(self) -> datetime:
        """Give this machine's clock."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _put(self, account: Account) -> None:
        self._accounts[account.subject] = account
        self._keys |= dict.fromkeys(keys_of(account), account.subject)
