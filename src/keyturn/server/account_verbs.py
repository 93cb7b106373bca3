"""What operators do with accounts, and what users do with their passwords; written once, for both colours.

Every verb writes by compare-and-set and again where another was faster. A change of the state is written before the
sessions are ended: whatever is interrupted in between, the next refresh loads the account and ends the session. A
password is no such fact, so there the sessions are ended before *and* after it is written.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from .._build import Chance
from .._colour import resolve
from ..errors import ConfigurationError, CredentialsError, StoreError
from ..session import EndReason
from . import account_rules
from .account_values import (
    LONGEST_RESET,
    RESET_PREFIX,
    Change,
    NotFoundError,
    Prepared,
    Reset,
    ResetError,
    SessionsDoor,
    reset_digest,
    tell,
)
from .hashing import Gone, Hashing
from .names import SUBJECT_PREFIX, AccountError, key_of
from .new_passwords import NewPasswords
from .records import Account, AccountState, Records

#: An account is written by a handful of people at once, never by more.
_ATTEMPTS: Final = 8


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
        self._passwords = NewPasswords(hashing, issuer=issuer, breached=breached)
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
            account = account_rules.with_password(account, await self._passwords.hashed(password, account), now)
        await self._records.add_account(account)
        tell(account.subject, "created")
        return account

    def _new_subject(self) -> str:
        return SUBJECT_PREFIX + urlsafe_b64encode(self._chance.entropy(15)).decode("ascii")

    async def activate(self, name: str) -> Change:
        """Let an account sign in, be it unverified or suspended."""
        return await self._changed(await self.find(name), account_rules.activated, "activated")

    async def suspend(self, name: str) -> Change:
        """Keep an account from signing in and end its sessions; doing so again ends them again."""
        change = await self._changed(await self.find(name), account_rules.suspended, "suspended")
        return replace(change, sessions=await self._end(change.account, EndReason.USER_DISABLED))

    async def promote(self, name: str, *roles: str) -> Change:
        """Add roles; the user's clients refresh silently and hold them then."""
        return await self._refreshed(name, lambda account: account_rules.promoted(account, roles), "promoted")

    async def demote(self, name: str, *roles: str) -> Change:
        """Take roles away; the user's clients refresh silently and hold them no more."""
        return await self._refreshed(name, lambda account: account_rules.demoted(account, roles), "demoted")

    async def _refreshed(self, name: str, rule: Callable[[Account], Account], act: str) -> Change:
        change = await self._changed(await self.find(name), rule, act)
        # Also where nothing changed: so a second try mends what was interrupted.
        return replace(change, sessions=await resolve(self._sessions.require(change.account.subject)))

    async def set_password(self, name: str, password: str) -> Change:
        """Set another password and end all sessions of the account; its state stays what it was.

        Raises:
            AccountError: ``password_refused``.
        """
        account = await self.find(name)
        password_hash = await self._passwords.hashed(password, account)
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
        await self._records.add_reset(reset_digest(token), subject=account.subject, expires_at=expires_at)
        tell(account.subject, "reset made")
        return Reset(account=account, token=token, expires_at=expires_at)

    # --- what users do -----------------------------------------------------------------------------------------------

    async def use_reset(self, token: str, password: str, *, gone: Gone | None = None) -> Change:
        """Set the password of the account that a reset token belongs to, and end all its sessions.

        It signs nobody in and leaves the state as it was. A refused password does not use the token up.

        Raises:
            ResetError: the token is unknown, used or too old.
            AccountError: ``password_refused``.
        """
        digest = reset_digest(token)
        subject = await self._records.find_reset(digest, now=self._chance.clock())
        account = await self._records.account(subject) if subject is not None else None
        if account is None:
            raise ResetError
        password_hash = await self._passwords.hashed(password, account, gone)
        if await self._records.take_reset(digest, now=self._chance.clock()) != account.subject:
            raise ResetError  # another was faster
        return await self._with_password(account, password_hash, "password reset")

    async def prove(self, subject: str, password: str, *, gone: Gone | None = None) -> Account:
        """Give the account of a user who knows its password.

        Raises:
            CredentialsError: the password is not right, or the account may not sign in.
            BusyError: too many wait for their passwords to be hashed.
        """
        account = await self._records.account(subject)
        kept = account.password_hash if account is not None else None
        right = await self._hashing.is_right(kept, password, gone=gone)
        if account is None or not right or not account_rules.may_sign_in(account):
            raise CredentialsError("The current password is not right.")
        return account

    async def prepare_password(self, account: Account, password: str, *, gone: Gone | None = None) -> Prepared:
        """Judge and hash a user's new password; nothing is changed yet.

        Args:
            account: as `prove` gave it.

        Raises:
            AccountError: ``password_refused``.
        """
        return Prepared(account=account, password_hash=await self._passwords.hashed(password, account, gone))

    async def change_password(self, prepared: Prepared, *, keep: str) -> Change:
        """Write a prepared password change and end the user's other sessions.

        Args:
            keep: the id of the session that asked.

        Raises:
            CredentialsError: the password was changed in the meantime.
        """
        account = prepared.account
        return await self._with_password(
            account, prepared.password_hash, "password changed", keep=keep, over=account.password_hash
        )

    # --- passwords ---------------------------------------------------------------------------------------------------

    async def _with_password(
        self, account: Account, password_hash: str, act: str, *, keep: str | None = None, over: str | None = None
    ) -> Change:
        """Write a password, with the sessions ended before and after it.

        Args:
            keep: the id of a session that is left alone.
            over: the hash that it is to take the place of; None for whichever is there.
        """
        now = self._chance.clock()

        def rule(found: Account) -> Account:
            if over is not None and found.password_hash != over:
                raise CredentialsError("The current password is not right.")
            return account_rules.with_password(found, password_hash, now)

        # Whoever holds an earlier reset must not undo this.
        await self._void_resets(account)
        # Before: a crash in between leaves no session of the old password. After: nor does a sign-in in between; one whose
        # row comes later still is `late_sign_ins`'s.
        ended = await self._end(account, EndReason.CREDENTIALS_CHANGED, keep)
        change = await self._changed(account, rule, act)
        ended += await self._end(account, EndReason.CREDENTIALS_CHANGED, keep)
        return replace(change, sessions=ended)

    async def _void_resets(self, account: Account) -> None:
        nobodys = reset_digest(self._chance.entropy(33).hex())
        await self._records.add_reset(nobodys, subject=account.subject, expires_at=self._chance.clock())

    async def _end(self, account: Account, reason: EndReason, keep: str | None = None) -> int:
        ended: int = await resolve(self._sessions.end_user(account.subject, keep=keep, reason=reason))
        return ended

    # --- compare-and-set ---------------------------------------------------------------------------------------------

    async def _changed(self, account: Account, rule: Callable[[Account], Account], act: str) -> Change:
        for attempt in range(_ATTEMPTS):
            account = await self._again(account) if attempt else account
            after = rule(account)
            if after == account:
                return Change(account=account, changed=False)
            if await self._records.replace_account(after):
                tell(account.subject, act)
                return Change(account=replace(after, version=account.version + 1), changed=True)
        raise StoreError(cause="an account changed under every attempt to change it")

    async def _again(self, account: Account) -> Account:
        found = await self._records.account(account.subject)
        if found is None:
            raise NotFoundError
        return found
