"""What a driver's exceptions mean, whichever driver it is."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

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
_DUPLICATE: Final = frozenset({"23505", "1062"})
#: The connection is over, though a driver may not have noticed yet: it does not exist, it failed, the server shuts down.
_LOST: Final = frozenset({"08003", "08006", "57P01", "57P02"})
#: The same in PyMySQL's own words, which SQLAlchemy does not see where it sets a connection's level.
_GONE: Final = frozenset({"0", "2006", "2013", "2055"})
_READ_ONLY: Final = frozenset({"25006", "1290", "1792"})

#: What the database takes back so often in a row meets more than bad luck, if not many change one and the same row.
_TRIES: Final = 5
#: After the second connection that was found broken the pool has none left from before.
_CONNECTIONS: Final = 3
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
    return code_of(error) in _TAKEN_BACK


def has_waited(error: BaseException) -> bool:
    """Say whether somebody else held a row for too long."""
    return code_of(error) == _WAITED


def is_duplicate(error: BaseException) -> bool:
    """Say whether a row with this key is there already."""
    return code_of(error) in _DUPLICATE


def is_missing(error: BaseException) -> bool:
    """Say whether the database knows no such table or column."""
    return code_of(error) in _MISSING


def was_lost(error: BaseException) -> bool:
    """Say whether the connection broke: nobody knows what became of the statement."""
    if isinstance(error, DirectError):
        return error.is_lost or code_of(error) in _LOST
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or code_of(error) in _LOST
    if type(error).__module__.partition(".")[0] in _DRIVERS and code_of(error) in _GONE:
        return True
    # What asyncpg says past SQLAlchemy 2.0 of a connection that was cut while a statement was made ready.
    return type(error).__name__ == "InternalClientError"


def is_of_the_statement(error: BaseException | None) -> bool:
    """Say whether the database refused this one statement, and may not refuse another."""
    return isinstance(error, DBAPIError | DirectError) and bool(code_of(error)) and not was_lost(error)


def leads_nowhere(error: BaseException) -> bool:
    """Say whether the connection is to be given up: it broke, or leads to a server that was made read-only."""
    return was_lost(error) or code_of(error) in _READ_ONLY


def is_said_again(error: BaseException, tries: int, *, is_harmless: bool, most: int = _TRIES) -> bool:
    """Say whether what was said so often, the last time with this error, is said once more.

    Args:
        error: how it ended.
        tries: how often it was said.
        is_harmless: whether it may be said again where nobody knows whether it was heard.
        most: how often something may be said that the database takes back.
    """
    if was_taken_back(error):
        return tries < most
    if has_waited(error):  # each time as long as the server lets a statement wait
        return tries == 1
    return was_lost(error) and tries < _CONNECTIONS and is_harmless


def original_of(error: BaseException) -> BaseException:
    """Give the driver's own exception: SQLAlchemy's repeats the statement."""
    while True:
        inner = getattr(error, "orig", None) or (
            error.__cause__ if type(error).__module__.startswith(("sqlalchemy.", __name__)) else None
        )
        if inner is None:
            return error
        error = inner


def code_of(error: BaseException) -> str:
    """Give the SQLSTATE of an exception, or MariaDB's number; nothing where it has none."""
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


def kind_of(error: BaseException) -> str:
    """Give the name and the code of the driver's own exception, which no value of a row is in."""
    return f"{type(original_of(error)).__name__} {code_of(error)}".rstrip()


def sentence_of(error: BaseException) -> str:
    """Give the first line of what an exception says; the lines after it may quote values of a row."""
    return " ".join(str(error).partition("\n")[0].split())[:_LONGEST]
