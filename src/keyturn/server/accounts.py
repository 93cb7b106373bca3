"""The door to accounts, in both colours: `AsyncAccounts` awaits, `Accounts` blocks; their promises are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from .._build import Chance
from .._colour import drive
from .account_values import LONGEST_RESET, Change, Reset, SessionsDoor
from .account_verbs import AsyncAccounts as AsyncAccounts  # noqa: PLC0414 - known by this place
from .hashing import Hashing
from .records import Account, AccountState, Records


class Accounts:
    """Accounts for code that blocks; the arguments and promises are those of `AsyncAccounts`."""

    def __init__(
        self, records: Records, hashing: Hashing, sessions: SessionsDoor, *, issuer: str = "",
        breached: Callable[[str], Any] | None = None,
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:  # fmt: skip
        self._do = AsyncAccounts(records, hashing, sessions, issuer=issuer, breached=breached, chance=chance)

    def find(self, name: str) -> Account:
        """Give an account; see `AsyncAccounts.find`."""
        return drive(self._do.find(name))

    def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[Account | str]:
        """Give accounts; see `AsyncAccounts.list`."""
        return drive(self._do.list(after=after, limit=limit))

    def create(
        self, username: str, *, password: str | None = None, email: str | None = None, roles: Iterable[str] = (),
        state: AccountState = "active",
    ) -> Account:  # fmt: skip
        """Make an account; see `AsyncAccounts.create`."""
        return drive(self._do.create(username, password=password, email=email, roles=roles, state=state))

    def activate(self, name: str) -> Change:
        """Let an account sign in; see `AsyncAccounts.activate`."""
        return drive(self._do.activate(name))

    def suspend(self, name: str) -> Change:
        """Keep an account from signing in; see `AsyncAccounts.suspend`."""
        return drive(self._do.suspend(name))

    def promote(self, name: str, *roles: str) -> Change:
        """Add roles; see `AsyncAccounts.promote`."""
        return drive(self._do.promote(name, *roles))

    def demote(self, name: str, *roles: str) -> Change:
        """Take roles away; see `AsyncAccounts.demote`."""
        return drive(self._do.demote(name, *roles))

    def set_password(self, name: str, password: str) -> Change:
        """Set another password; see `AsyncAccounts.set_password`."""
        return drive(self._do.set_password(name, password))

    def reset(self, name: str, *, lifetime: timedelta = LONGEST_RESET) -> Reset:
        """Let a user choose a password once; see `AsyncAccounts.reset`."""
        return drive(self._do.reset(name, lifetime=lifetime))

    def use_reset(self, token: str, password: str) -> Change:
        """Set a password by a reset token; see `AsyncAccounts.use_reset`."""
        return drive(self._do.use_reset(token, password))
