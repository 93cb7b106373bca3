"""What operators do with accounts, and what a password change needs: `AsyncAccounts` awaits, `Accounts` blocks.

Every verb writes by compare-and-set and again where another was faster. A change of the state is written before the
sessions are ended: whatever is interrupted in between, the next refresh loads the account and ends the session. A
password is no such fact, so there the sessions are ended before *and* after it is written.
"""

from __future__ import annotations

import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from .._build import Chance
from .._colour import drive, resolve
from ..errors import ConfigurationError, CredentialsError, KeyturnError, StoreError
from ..session import EndReason
from . import account_rules
from .account_values import Change, NotFoundError, Prepared, Reset, ResetError, SessionsDoor
from .hashing import Hashing
from .names import SUBJECT_PREFIX, AccountError, key_of
from .password_rules import password_faults
from .records import Account, AccountState, Records

_log = logging.getLogger("keyturn.accounts")

#: An account is written by a handful of people at once, never by more.
_ATTEMPTS: Final = 8
#: How long a reset may be good for at most (ASVS 6.4.1), and how long it is where nobody says.
LONGEST_RESET: Final = timedelta(minutes=60)
#: Scanners for secrets and filters of logs find it by that.
RESET_PREFIX: Final = "ktreset1."


class AsyncAccounts:
    """Accounts for code that awaits.

    Args:
        records: where they are kept.
        hashing: makes and checks password hashes.
        sessions: the door to the users' sessions. In a server that of its own `Keyturn`, so that the process feels at
            once what was ended.
        issuer: this server's address, whose host is refused as a password.
        breached: says of a password whether it is known to be stolen; plain or ``async``. None asks nobody.
        chance: the clock and the entropy.
    """

    def __init__(
        self, records: Records, hashing: Hashing, sessions: SessionsDoor, *, issuer: str = "",
        breached: Callable[[str], Any] | None = None,
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:  # fmt: skip
        self._records = records
        self._hashing = hashing
        self._sessions = sessions
        self._host = urlsplit(issuer).hostname or ""
        self._breached = breached
        self._chance = chance

    # --- looking -----------------------------------------------------------------------------------------------------

    async def find(self, name: str) -> Account:
        """Give the account of a user name, an e-mail address or a subject.

        Raises:
            NotFoundError: there is none.
        """
        if name.startswith(SUBJECT_PREFIX):
            found = await self._records.account(name)
        else:
            try:
                found = await self._records.find_account(key_of(name))
            except AccountError:
                found = None
        if found is None:
            raise NotFoundError
        return found

    async def list(self, *, after: str | None = None, limit: int = 100) -> Sequence[Account | str]:
        """Give accounts by name key, those after `after`; one that cannot be understood is its name key alone."""
        return await self._records.accounts(after=after, limit=limit)

    # --- what operators do -------------------------------------------------------------------------------------------

    async def create(
        self, username: str, *, password: str | None = None, email: str | None = None, roles: Iterable[str] = (),
        state: AccountState = "active",
    ) -> Account:  # fmt: skip
        """Make an account.

        Args:
            username: for people to read; an e-mail address is the account's own.
            password: without one nobody signs in until a reset was used.

        Raises:
            AccountError: with every fault.
            TakenError: the name or the address is another's, whether as a name or as an address.
        """
        now = self._chance.clock()
        account = account_rules.new_account(
            self._new_subject(), username, now=now, email=email, roles=roles, state=state
        )
        if password is not None:
            account = account_rules.with_password(account, await self._hashed(password, account), now)
        await self._records.add_account(account)
        _tell(account.subject, "created")
        return account

    def _new_subject(self) -> str:
        return SUBJECT_PREFIX + urlsafe_b64encode(self._chance.entropy(15)).decode("ascii")

    async def activate(self, name: str) -> Change:
        """Let an account sign in, be it unverified or suspended."""
        return await self._changed(name, account_rules.activated, "activated")

    async def suspend(self, name: str) -> Change:
        """Keep an account from signing in and end its sessions; doing so again ends them again."""
        change = await self._changed(name, account_rules.suspended, "suspended")
        return replace(change, sessions=await self._end(change.account, EndReason.USER_DISABLED))

    async def promote(self, name: str, *roles: str) -> Change:
        """Add roles; the user's clients refresh silently and hold them then."""
        change = await self._changed(name, lambda account: account_rules.promoted(account, roles), "promoted")
        return await self._refreshed(change)

    async def demote(self, name: str, *roles: str) -> Change:
        """Take roles away; the user's clients refresh silently and hold them no more."""
        change = await self._changed(name, lambda account: account_rules.demoted(account, roles), "demoted")
        return await self._refreshed(change)

    async def _refreshed(self, change: Change) -> Change:
        # Also where nothing changed: so a second try mends what was interrupted.
        return replace(change, sessions=await resolve(self._sessions.require(change.account.subject)))

    async def set_password(self, name: str, password: str) -> Change:
        """Set another password and end all sessions of the account; its state stays what it was.

        Raises:
            AccountError: ``password_refused``.
        """
        account = await self.find(name)
        password_hash = await self._hashed(password, account)
        return await self._with_password(account, password_hash, "password set")

    async def reset(self, name: str, *, lifetime: timedelta = LONGEST_RESET) -> Reset:
        """Let the user choose a password once, without the old one; any earlier reset of the account is void.

        Args:
            lifetime: an hour at most.
        """
        if not timedelta(0) < lifetime <= LONGEST_RESET:
            raise ConfigurationError([f"a reset is good for at most {LONGEST_RESET}"])
        account = await self.find(name)
        token = RESET_PREFIX + urlsafe_b64encode(self._chance.entropy(33)).decode("ascii")
        expires_at = self._chance.clock() + lifetime
        await self._records.add_reset(_reset_digest(token), subject=account.subject, expires_at=expires_at)
        _tell(account.subject, "reset made")
        return Reset(account=account, token=token, expires_at=expires_at)

    # --- what users do -----------------------------------------------------------------------------------------------

    async def use_reset(self, token: str, password: str) -> Change:
        """Set the password of the account that a reset token belongs to, and end all its sessions.

        It signs nobody in and leaves the state as it was. A refused password does not use the token up.

        Raises:
            ResetError: the token is unknown, used or too old.
            AccountError: ``password_refused``.
        """
        digest = _reset_digest(token)
        subject = await self._records.find_reset(digest, now=self._chance.clock())
        account = await self._records.account(subject) if subject is not None else None
        if account is None:
            raise ResetError
        password_hash = await self._hashed(password, account)
        if await self._records.take_reset(digest, now=self._chance.clock()) != account.subject:
            raise ResetError  # another was faster
        return await self._with_password(account, password_hash, "password reset")

    async def prepare_password(self, subject: str, current: str, new: str, *, gone: Any = None) -> Prepared:
        """Check a user's own password change and hash the new password; nothing is changed yet.

        Raises:
            CredentialsError: the current password is not right.
            AccountError: ``password_refused``.
        """
        account = await self._records.account(subject)
        kept = account.password_hash if account is not None else None
        right = await self._hashing.is_right(kept, current, gone=gone)
        if account is None or not right or not account_rules.may_sign_in(account):
            raise CredentialsError("The current password is not right.")
        return Prepared(account=account, password_hash=await self._hashed(new, account))

    async def change_password(self, prepared: Prepared, *, keep: str) -> Change:
        """Write a prepared password change and end the user's other sessions.

        Args:
            keep: the id of the session that asked.

        Raises:
            CredentialsError: the password was changed in the meantime.
        """
        return await self._with_password(prepared.account, prepared.password_hash, "password changed", keep=keep)

    # --- passwords ---------------------------------------------------------------------------------------------------

    async def _hashed(self, password: str, account: Account) -> str:
        local = (account.email_key or "").partition("@")[0]
        own = {account.name_key, account.email_key or "", local, self._host} - {""}
        faults = password_faults(password, own) or await self._breach(password)
        if faults:
            raise AccountError(faults, code="password_refused")
        return await self._hashing.make(password)

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

    async def _with_password(
        self, account: Account, password_hash: str, act: str, *, keep: str | None = None
    ) -> Change:  # fmt: skip
        """Set a password, unless another was set since the account was read."""
        before = account.password_hash
        now = self._chance.clock()

        def rule(found: Account) -> Account:
            if found.password_hash != before:
                raise CredentialsError("The password was changed in the meantime.")
            return account_rules.with_password(found, password_hash, now)

        ended = await self._end(account, EndReason.CREDENTIALS_CHANGED, keep)
        change = await self._changed(account.subject, rule, act)
        ended += await self._end(account, EndReason.CREDENTIALS_CHANGED, keep)
        return replace(change, sessions=ended)

    async def _end(self, account: Account, reason: EndReason, keep: str | None = None) -> int:
        ended: int = await resolve(self._sessions.end_user(account.subject, keep=keep, reason=reason))
        return ended

    # --- compare-and-set ---------------------------------------------------------------------------------------------

    async def _changed(self, name: str, rule: Callable[[Account], Account], act: str) -> Change:
        for _ in range(_ATTEMPTS):
            account = await self.find(name)
            after = rule(account)
            if after == account:
                return Change(account=account, changed=False)
            if await self._records.replace_account(after):
                _tell(account.subject, act)
                return Change(account=replace(after, version=account.version + 1), changed=True)
        raise StoreError(cause="an account changed under every attempt to change it")


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


def _reset_digest(token: str) -> bytes:
    """Give what is kept of a reset token; of nothing else is it a digest, whatever else may be looked up by one."""
    return sha256(b"keyturn password reset v1\0" + token.encode("utf-8", "surrogatepass")).digest()


def _tell(subject: str, act: str) -> None:
    """Log who was changed, by the opaque id: names and addresses are personal, and the log is not their place."""
    _log.info("account %s: %s", subject, act, extra={"subject": subject, "act": act})
