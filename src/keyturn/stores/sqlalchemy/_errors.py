"""A driver's exceptions and timeouts as StoreError: in one place, in words of ours, with nothing secret in them."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError, TimeoutError as PoolTimeoutError

from ...errors import StoreError

#: Drivers raise some of their own exceptions past SQLAlchemy, while they connect.
_DRIVERS: Final = frozenset({"asyncpg", "psycopg", "psycopg2", "pymysql", "aiomysql", "asyncmy", "MySQLdb"})

#: The database took a whole transaction back and says: try again (SQLSTATE and MariaDB's numbers).
_TAKEN_BACK: Final = frozenset({
    "40001",  # serialization failure
    "40P01",  # deadlock
    "1213",  # deadlock
    "1020",  # the record has changed since last read (innodb_snapshot_isolation)
})  # fmt: skip
#: A lock did not come in time (MariaDB; of a transaction's statements only this one was taken back, and we the rest).
_WAITED: Final = "1205"
_MISSING: Final = frozenset({"42P01", "42703", "1146", "1054"})  # a table or a column
#: The connection is over, though a driver may not have noticed yet: it does not exist, it failed, the server shuts down.
_LOST: Final = frozenset({"08003", "08006", "57P01", "57P02"})
_READ_ONLY: Final = frozenset({"25006", "1290", "1792"})

_UPGRADE: Final = "python -m keyturn.stores.sqlalchemy upgrade URL"
#: The database's sentence, but not a book.
_LONGEST: Final = 300


class DirectError(Exception):
    """The driver's exception, its cause, where SQLAlchemy did not stand between.

    Args:
        is_lost: whether the connection broke.
    """

    def __init__(self, *, is_lost: bool) -> None:
        self.is_lost = is_lost
        super().__init__()


def is_trouble(error: BaseException) -> bool:
    """Say whether an exception comes from the database, its driver or the way to it."""
    return (
        isinstance(error, SQLAlchemyError | OSError | TimeoutError | DirectError)
        or type(error).__module__.partition(".")[0] in _DRIVERS
    )


def was_taken_back(error: BaseException) -> bool:
    """Say whether the database took the whole transaction back and it may be tried again."""
    return _code(error) in _TAKEN_BACK


def has_waited(error: BaseException) -> bool:
    """Say whether somebody else held a row for too long."""
    return _code(error) == _WAITED


def was_lost(error: BaseException) -> bool:
    """Say whether the connection broke: nobody knows what became of the statement."""
    if isinstance(error, DirectError):
        return error.is_lost or _code(error) in _LOST
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _code(error) in _LOST
    # What asyncpg says past SQLAlchemy 2.0 of a connection that was cut while a statement was made ready.
    return type(error).__name__ == "InternalClientError"


def is_of_the_statement(error: BaseException | None) -> bool:
    """Say whether the database refused this one statement, and may not refuse another."""
    return isinstance(error, DBAPIError | DirectError) and bool(_code(error)) and not was_lost(error)


def leads_nowhere(error: BaseException) -> bool:
    """Say whether the connection is to be given up: it broke, or leads to a server that was made read-only."""
    return was_lost(error) or _code(error) in _READ_ONLY


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
    code = _code(error)
    if code in _MISSING:
        return f"the tables are missing or not this program's ({code}): make them with {_UPGRADE}"
    if isinstance(error, PoolTimeoutError):
        return "the pool has no connection free: every one of them is in use"
    original = _original(error)
    kind = type(original).__name__ + (f" {code}" if code else "")
    return f"{kind}: {_sentence(original)}" if isinstance(original, Exception) else kind


def _original(error: BaseException) -> BaseException:
    """Give the driver's own exception: SQLAlchemy's repeats the statement."""
    while True:
        inner = getattr(error, "orig", None) or (
            error.__cause__ if type(error).__module__.startswith(("sqlalchemy.", __name__)) else None
        )
        if inner is None:
            return error
        error = inner


def _code(error: BaseException) -> str:
    seen: BaseException | None = error
    while seen is not None:
        # MariaDB's numbers first: its SQLSTATE is mostly that of a general error.
        if type(seen).__module__.partition(".")[0] in _DRIVERS and seen.args and isinstance(seen.args[0], int):
            return str(seen.args[0])
        for name in ("sqlstate", "pgcode"):
            if code := getattr(seen, name, None):
                return str(code)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return ""


def _sentence(error: BaseException) -> str:
    """Give the first line of what an exception says; the lines after it may quote values of a row."""
    return " ".join(str(error).partition("\n")[0].split())[:_LONGEST]
