"""A driver's exceptions and timeouts as StoreError: in one place, in words of ours, with nothing secret in them."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import StatementError, TimeoutError as PoolTimeoutError

from ...errors import StoreError
from .._sql.errors import (
    DirectError,
    code_of,
    has_waited,
    is_missing,
    is_of_the_statement,
    is_said_again,
    is_trouble,
    kind_of,
    leads_nowhere,
    original_of,
    sentence_of,
    was_lost,
    was_taken_back,
)

__all__ = [
    "DirectError",
    "has_waited",
    "is_of_the_statement",
    "is_said_again",
    "is_trouble",
    "leads_nowhere",
    "store_error",
    "was_lost",
    "was_taken_back",
    "wrong_version",
]

_UPGRADE: Final = "python -m keyturn.stores.sqlalchemy upgrade URL"


def store_error(error: BaseException) -> StoreError:
    """Give the StoreError for an exception of the database."""
    if isinstance(error, StatementError):
        error.hide_parameters = True  # they are digests and where a user signed in from, and no log's business
    return StoreError(cause=_cause(error))


def wrong_version(version: int | None, known: int) -> StoreError:
    """Give the StoreError for tables of another version than this program's."""
    if version is None:
        return StoreError(cause=f"the row of keyturn_log is missing: make the tables with {_UPGRADE}")
    if version > known:
        return StoreError(cause=f"the tables have version {version}; this program knows {known}: update the program")
    return StoreError(cause=f"the tables have version {version}; this program needs {known}: {_UPGRADE}")


def _cause(error: BaseException) -> str:
    if is_missing(error):
        return f"the tables are missing or not this program's ({code_of(error)}): make them with {_UPGRADE}"
    if isinstance(error, PoolTimeoutError):
        return "the pool has no connection free: every one of them is in use"
    original = original_of(error)
    return f"{kind_of(error)}: {sentence_of(original)}" if isinstance(original, Exception) else kind_of(error)
