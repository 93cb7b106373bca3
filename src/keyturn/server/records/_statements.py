"""What every SQL database is told in the same words; values are parameters, by the names of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from . import Account, ClientRecord
from ._rows import ACCOUNT_COLUMNS, CLIENT_COLUMNS, account_row, client_row

ACCOUNT: Final = f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account WHERE subject = :value"  # noqa: S608 - constants
FOUND: Final = (
    f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account"  # noqa: S608 - constants
    " WHERE subject = (SELECT subject FROM keyturn_account_key WHERE name = :value)"
)
IS_CURRENT: Final = "SELECT 1 FROM keyturn_account WHERE subject = :subject AND version = :version"
ACCOUNTS: Final = (
    f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account"  # noqa: S608 - constants
    " WHERE name_key > :after ORDER BY name_key LIMIT :limit"
)
CLIENTS: Final = f"SELECT {CLIENT_COLUMNS} FROM keyturn_client ORDER BY id"  # noqa: S608 - constants

ADD_KEY: Final = "INSERT INTO keyturn_account_key (name, subject) VALUES (:name, :subject)"
FORGET_KEY: Final = "DELETE FROM keyturn_account_key WHERE name = :name AND subject = :subject"
#: What an account that still has this version is found by.
KEYS_HELD: Final = "SELECT name_key, email_key FROM keyturn_account WHERE subject = :subject AND version = :version"
REMOVE_CLIENT: Final = "DELETE FROM keyturn_client WHERE id = :id"
FIND_RESET: Final = "SELECT subject FROM keyturn_reset WHERE digest = :digest AND expires_at > :now"
TAKE_RESET: Final = "DELETE FROM keyturn_reset WHERE digest = :digest AND expires_at > :now RETURNING subject"


def _insert(table: str, columns: str) -> str:
    places = ", ".join(f":{name}" for name in columns.split(", "))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants


ADD: Final = _insert("keyturn_account", ACCOUNT_COLUMNS)
ADD_CLIENT: Final = _insert("keyturn_client", CLIENT_COLUMNS)
ADD_RESET: Final = _insert("keyturn_reset", "subject, digest, expires_at")
REPLACE: Final = (
    "UPDATE keyturn_account SET "  # noqa: S608 - constants
    + ", ".join(f"{name} = :{name}" for name in ACCOUNT_COLUMNS.split(", ") if name not in {"subject", "version"})
    + ", version = :version + 1 WHERE subject = :subject AND version = :version"
)


def account_values(account: Account) -> Mapping[str, Any]:
    """Give an account's values by their columns."""
    return dict(zip(ACCOUNT_COLUMNS.split(", "), account_row(account), strict=True))


def client_values(client: ClientRecord) -> Mapping[str, Any]:
    """Give a client's values by their columns."""
    return dict(zip(CLIENT_COLUMNS.split(", "), client_row(client), strict=True))
