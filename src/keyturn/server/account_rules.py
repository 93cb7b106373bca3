"""What an account may become: pure functions from one account to the next; no clock, no storage, no hashing.

A state is changed by an operator's act and by nothing else: a new password never activates anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from .names import AccountError, email_key_of, key_of
from .records import Account, AccountState

#: A scope token of RFC 6749 section 3.3: printable ASCII without blank, quotation mark and backslash.
_ROLE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
#: All of them are in every access token, which has a few KiB of room.
MAX_ROLES: Final = 64


def new_account(
    subject: str, username: str, *, now: datetime, email: str | None = None, roles: Iterable[str] = (),
    state: AccountState = "active",
) -> Account:  # fmt: skip
    """Give a new account without a password.

    Args:
        username: for people to read; an e-mail address only if it is the account's own.
        email: where `username` is an address, that one if left out.
        roles: the scopes that the account may be granted.

    Raises:
        AccountError: with every fault.
    """
    faults: list[str] = []
    username, email = username.strip(), email.strip() if email else None
    name_key = _key_or_fault(username, faults)
    if email is None and "@" in name_key:
        email = username
    email_key = None if email is None else _email_or_fault(email, faults)
    if "@" in name_key and name_key != email_key:
        faults.append('A user name with an "@" must be the account\'s own e-mail address.')
    held = _roles_or_faults(roles, faults)
    if faults:
        raise AccountError(dict.fromkeys(faults))
    return Account(
        subject=subject, username=username, name_key=name_key, email=email, email_key=email_key, state=state,
        roles=held, created_at=now,
    )  # fmt: skip


def _key_or_fault(username: str, faults: list[str]) -> str:
    try:
        return key_of(username)
    except AccountError as error:
        faults += error.faults
        return ""


def _email_or_fault(email: str, faults: list[str]) -> str | None:
    try:
        return email_key_of(email)
    except AccountError as error:
        faults += error.faults
        return None


def _roles_or_faults(roles: Iterable[str], faults: list[str]) -> frozenset[str]:
    held = frozenset(roles)
    if not all(_ROLE.fullmatch(role) for role in held):
        faults.append('A role is 1 to 100 printable ASCII characters, with no blank, no " and no \\ in it.')
    if len(held) > MAX_ROLES:
        faults.append(f"An account has at most {MAX_ROLES} roles.")
    return held


# --- states ----------------------------------------------------------------------------------------------------------


def activated(account: Account) -> Account:
    """Let an account sign in, whether it was unverified or suspended: an operator's explicit act."""
    return replace(account, state="active")


def suspended(account: Account) -> Account:
    """Keep an account from signing in until it is activated again."""
    return replace(account, state="suspended")


# --- roles and passwords ---------------------------------------------------------------------------------------------


def promoted(account: Account, roles: Iterable[str]) -> Account:
    """Add roles; those that are held already change nothing.

    Raises:
        AccountError: one is no scope token (RFC 6749 section 3.3), or there would be too many.
    """
    faults: list[str] = []
    held = _roles_or_faults([*account.roles, *roles], faults)
    if faults:
        raise AccountError(faults)
    return replace(account, roles=held)


def demoted(account: Account, roles: Iterable[str]) -> Account:
    """Take roles away; those that are not held change nothing."""
    return replace(account, roles=account.roles - frozenset(roles))


def with_password(account: Account, password_hash: str, now: datetime) -> Account:
    """Give an account another password; its state stays what it was."""
    return replace(account, password_hash=password_hash, password_changed_at=now)


def may_sign_in(account: Account) -> bool:
    """Say whether an account may be signed in and stay so."""
    return account.state == "active"
