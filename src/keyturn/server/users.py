"""The stand-alone server's users, as Keyturn asks for them: who signs in, who is still there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..users import Principal
from .account_rules import may_sign_in
from .hashing import BusyError, Gone, Hashing
from .names import AccountError, key_of
from .records import Account, Records, UnreadableError


class ServerUsers:
    """Keyturn's users over records of accounts.

    Args:
        records: where the accounts are.
        hashing: checks passwords.
    """

    def __init__(self, records: Records, hashing: Hashing) -> None:
        self._records = records
        self._hashing = hashing

    async def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        """Give the user whose name, or e-mail address, and password these are, else None.

        One password is hashed in any case, so that neither the answer nor its time tells why there is none.

        Raises:
            BusyError: too many sign in right now.
            StoreError: the accounts cannot be read.
            UnreadableError: this one cannot; a password was hashed nevertheless.
        """
        gone = client_gone(request)
        try:
            found = await self._find(username)
        except UnreadableError:
            await self._hashing.is_right(None, password, gone=gone)
            raise
        account = await self._proved(found, password, gone)
        return principal_of(account) if account is not None else None

    async def load(self, subject: str) -> Principal | None:
        """Give the user of that id, None where there is none: one row is read, at every refresh.

        Raises:
            StoreError: it cannot be read.
        """
        account = await self._records.account(subject)
        return principal_of(account) if account is not None else None

    async def reauthenticate(self, subject: str, password: str, request: Any) -> bool:
        """Say whether this is the password of a user who is signed in."""
        found = await self._records.account(subject)
        return await self._proved(found, password, client_gone(request)) is not None

    async def _find(self, username: str) -> Account | None:
        try:
            key = key_of(username)
        except AccountError:
            return None  # it cannot be anybody's
        return await self._records.find_account(key)

    async def _proved(self, found: Account | None, password: str, gone: Gone | None) -> Account | None:
        """Give the account if the password is right and it may sign in, as it is now."""
        kept = found.password_hash if found is not None else None
        right = await self._hashing.is_right(kept, password, gone=gone)
        if found is None or kept is None or not right or not may_sign_in(found):
            return None
        if self._hashing.is_old(kept) and (renewed := await self._hashed_anew(found, password)) is not None:
            return renewed
        # Looked at once more: while this one waited and was hashed, the password may have been changed, and whoever did
        # so has ended the sessions that were there.
        if await self._records.is_current(found):
            return found
        now = await self._records.account(found.subject)
        if now is not None and now.password_hash != kept:
            return await self._proved(now, password, gone)
        return now if now is not None and may_sign_in(now) else None

    async def _hashed_anew(self, account: Account, password: str) -> Account | None:
        try:
            renewed = replace(account, password_hash=await self._hashing.make(password))
        except BusyError:
            return None  # the next sign-in will do it
        return renewed if await self._records.replace_account(renewed) else None


def principal_of(account: Account) -> Principal:
    """Give an account as sessions see it: its roles are its scopes, and nothing personal goes into tokens."""
    return Principal(subject=account.subject, disabled=not may_sign_in(account), scopes=account.roles, source=account)


def client_gone(request: Any) -> Gone | None:
    """Give what ends when the client of a Starlette request goes away; None where there is none to ask."""
    receive: Callable[[], Any] | None = getattr(request, "receive", None)
    if receive is None:
        return None

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return gone
