"""A password that somebody chose: judged, then hashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from .._colour import resolve
from ..errors import KeyturnError, StoreError
from .hashing import Gone, Hashing
from .names import AccountError
from .password_rules import password_faults
from .records import Account


class NewPasswords:
    """Judges new passwords and hashes those that are taken.

    Args:
        hashing: makes the hashes.
        issuer: this server's address, whose host is refused.
        breached: says of a password whether it is known to be stolen; plain or ``async``. None asks nobody.
    """

    def __init__(self, hashing: Hashing, *, issuer: str = "", breached: Callable[[str], Any] | None = None) -> None:
        self._hashing = hashing
        self._host = urlsplit(issuer).hostname or ""
        self._breached = breached

    async def hashed(self, password: str, account: Account, gone: Gone | None = None) -> str:
        """Give the hash of a password that an account shall have.

        Args:
            account: its own name and address are refused.
            gone: ends when the client that waits has gone.

        Raises:
            AccountError: ``password_refused``.
            BusyError: too many wait for their passwords to be hashed.
            StoreError: the breach check cannot tell.
        """
        local = (account.email_key or "").partition("@")[0]
        names = (account.username, account.name_key, account.email, account.email_key, local, self._host)
        own = [name for name in names if name]
        faults = password_faults(password, own) or await self._breach(password)
        if faults:
            raise AccountError(faults, code="password_refused")
        return await self._hashing.make(password, gone=gone)

    async def _breach(self, password: str) -> Sequence[str]:
        if self._breached is None:
            return ()
        try:
            known = await resolve(self._breached(password))
        except KeyturnError:
            raise
        except Exception as error:  # noqa: BLE001 - by its type alone: its message may repeat the password
            raise StoreError(cause=f"the breach check raised {type(error).__name__}") from None
        return ("The password is known from a theft elsewhere.",) if known else ()
