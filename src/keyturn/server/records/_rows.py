"""Accounts and clients as rows and back, and what no database could give back as it was."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias, get_args

from ...errors import StoreError
from ...stores._rows import micros, micros_or_none, time_of
from ...stores._values import is_text, json_text
from . import Account, AccountState, ClientRecord, UnreadableError

Row: TypeAlias = tuple[Any, ...]

#: A column of 255 characters exists on every engine, and can be indexed there.
LONGEST: Final = 255
#: A PHC string of argon2id with a salt and a hash of 64 bytes each takes 230; what is longer is none.
_LONGEST_HASH: Final = 1024
_DIGEST_BYTES: Final = 32
_MAX_VERSION: Final = 2**63 - 2
_STATES: Final = frozenset(get_args(AccountState))
_HEX: Final = frozenset(string.hexdigits)


# --- what is refused before anything is written ----------------------------------------------------------------------


def refuse_unstorable(account: Account) -> None:
    """Refuse an account that a database could not give back as it is, before anything is written.

    Raises:
        ValueError: a text is empty, too long, or has a lone surrogate or a NUL; the state is unknown; a number is none.
        TypeError: a time bears no zone.
    """
    _refuse_time(account.created_at, account.password_changed_at)
    _refuse_text(account.subject, account.username, account.name_key, *account.roles)
    _refuse_text(*(text for text in (account.email, account.email_key) if text is not None))
    if account.password_hash is not None:
        _refuse_text(account.password_hash, longest=_LONGEST_HASH)
    if account.state not in _STATES:
        raise ValueError("an account is unverified, active or suspended")
    if not 1 <= account.version <= _MAX_VERSION:
        raise ValueError("an account's version is counted from 1")
    if (account.email is None) != (account.email_key is None):
        raise ValueError("an account has an e-mail address and its key, or neither")


def refuse_unstorable_client(client: ClientRecord) -> None:
    """Refuse a client for the same reasons as `refuse_unstorable` does an account."""
    _refuse_time(client.created_at)
    _refuse_text(client.id)
    if client.name:
        _refuse_text(client.name)
    digest = client.secret_digest
    if digest is not None and not (len(digest) == 2 * _DIGEST_BYTES and _HEX.issuperset(digest)):
        raise ValueError("a secret's digest is 64 hexadecimal digits")


def refuse_unstorable_reset(digest: bytes, subject: str, expires_at: datetime) -> None:
    """Refuse a reset whose digest is none of SHA-256."""
    _refuse_time(expires_at)
    _refuse_text(subject)
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("a reset's digest has 32 bytes")


def refuse_limit(limit: int) -> None:
    """Refuse a step that would go nowhere."""
    if limit < 1:
        raise ValueError("a step through the accounts gives one at least")


def _refuse_time(*times: datetime | None) -> None:
    for at in times:
        micros_or_none(at)


def _refuse_text(*texts: str, longest: int = LONGEST) -> None:
    if not all(map(is_text, texts)):
        raise ValueError("a text with a lone surrogate or a NUL cannot be stored")
    if not all(1 <= len(text) <= longest for text in texts):
        raise ValueError(f"a name, an address or a role has 1 to {longest} characters")


# --- rows ------------------------------------------------------------------------------------------------------------


def account_row(account: Account) -> Row:
    """Give the row of an account."""
    return (
        account.subject,
        account.username,
        account.name_key,
        account.email,
        account.email_key,
        account.password_hash,
        account.state,
        json_text(sorted(account.roles)),
        micros(account.created_at),
        micros_or_none(account.password_changed_at),
        account.version,
    )


def client_row(client: ClientRecord) -> Row:
    """Give the row of a client."""
    return client.id, client.secret_digest, client.name, micros(client.created_at)


def keys_of(account: Account) -> list[str]:
    """Give what an account is found by, in order: locks are then taken in one order by everybody."""
    return sorted({account.name_key, account.email_key or account.name_key})


def account_of(row: Sequence[Any]) -> Account:
    """Give the account of a row.

    Raises:
        UnreadableError: the row cannot be understood; the cause names it by its subject, and shows no value of it.
    """
    return Account(**_read(row, _ACCOUNT, "account", UnreadableError))


def client_of(row: Sequence[Any]) -> ClientRecord:
    """Give the client of a row; StoreError where it cannot be understood, whose cause names it by its id."""
    return ClientRecord(**_read(row, _CLIENT, "client", StoreError))


def client_or_id(row: Sequence[Any]) -> ClientRecord | str:
    """Give the client of a row; its id alone where the row cannot be understood."""
    try:
        return client_of(row)
    except StoreError:
        return str(row[0])


def account_or_key(row: Sequence[Any]) -> Account | str:
    """Give the account of a row; its name key alone where the row cannot be understood."""
    try:
        return account_of(row)
    except StoreError:
        return str(row[_NAME_KEY_AT])


def _read(
    row: Sequence[Any], readers: Mapping[str, Callable[[Any], Any]], kind: str, error: type[StoreError]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for (name, read), value in zip(readers.items(), row, strict=True):
        try:
            values[name] = read(value)
        except (ValueError, TypeError, OverflowError, RecursionError):
            # Not chained: what a decoder says quotes the value.
            cause = f"the row of {kind} {_told(row[0])} cannot be understood: its {name}"
            raise error(cause=cause) from None
    return values


def _told(value: object) -> str:
    """Give what names a row, in ASCII and of one line."""
    return ascii(value)[: LONGEST + 2]


def _text(value: Any) -> str:
    if not (isinstance(value, str) and value and is_text(value)):
        raise ValueError
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _digest_or_none(value: Any) -> str | None:
    if value is not None and not (len(_text(value)) == 2 * _DIGEST_BYTES and _HEX.issuperset(value)):
        raise ValueError
    return None if value is None else str(value)


def _name(value: Any) -> str:
    return "" if value == "" else _text(value)


def _state(value: Any) -> str:
    if value not in _STATES:
        raise ValueError
    return str(value)


@lru_cache(maxsize=1024)  # accounts share their few roles, and every refresh reads one
def _roles_of(text: str) -> frozenset[str]:
    roles = json.loads(text)
    if not isinstance(roles, list):
        raise ValueError  # noqa: TRY004 - it is the text that is wrong
    return frozenset(map(_text, roles))


def _time(value: Any) -> datetime:
    return time_of(_number(value))


def _time_or_none(value: Any) -> datetime | None:
    return None if value is None else time_of(_number(value))


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _version(value: Any) -> int:
    if _number(value) < 1:
        raise ValueError
    return int(value)


#: How each column is read; in the order of the columns.
_ACCOUNT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "subject": _text,
    "username": _text,
    "name_key": _text,
    "email": _text_or_none,
    "email_key": _text_or_none,
    "password_hash": _text_or_none,
    "state": _state,
    "roles": _roles_of,
    "created_at": _time,
    "password_changed_at": _time_or_none,
    "version": _version,
}
_CLIENT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": _text,
    "secret_digest": _digest_or_none,
    "name": _name,
    "created_at": _time,
}
#: The tables' columns are named for the fields.
ACCOUNT_COLUMNS: Final = ", ".join(_ACCOUNT)
CLIENT_COLUMNS: Final = ", ".join(_CLIENT)
_NAME_KEY_AT: Final = list(_ACCOUNT).index("name_key")
