"""Reads a database without changing anything in it: SQLite, PostgreSQL and MariaDB alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...errors import ConfigurationError
from .. import database
from ..records._sqlite_file import open_to_read

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STEP: Final = 1000


class TroubleError(Exception):
    """The database does not answer, or has no such table; the message shows no value."""


class Asked(Protocol):
    """One database, opened for reading."""

    @property
    def kind(self) -> str:
        """``sqlite``, ``postgresql`` or ``mysql``."""
        ...

    def rows(self, statement: str, values: Mapping[str, Any] = {}) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a query whose parameters are written ``:name``; TroubleError where it fails."""
        ...


class _Sqlite:
    kind = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, Any] = {}) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise TroubleError(str(error)) from None


class _Sql:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.kind = connection.dialect.name.replace("mariadb", "mysql")

    def rows(self, statement: str, values: Mapping[str, Any] = {}) -> Iterator[tuple[Any, ...]]:
        from sqlalchemy import text

        from ...stores.sqlalchemy import _errors

        try:
            streamed = text(statement).execution_options(yield_per=_STEP)
            with self._connection.execute(streamed, values) as result:
                yield from map(tuple, result)
        except Exception as error:
            if not _errors.is_trouble(error):
                raise
            # A transaction in which something failed answers nothing more.
            self._connection.rollback()
            raise TroubleError(_errors.store_error(error).cause or type(error).__name__) from None


@contextmanager
def asked(url: str) -> Generator[Asked]:
    """Open a database for reading.

    Args:
        url: its address; a file of SQLite is there.

    Raises:
        TroubleError: it cannot be opened.
    """
    path = database.sqlite_path(url)
    try:
        if path is not None:
            with closing(_opened(path)) as file:
                yield _Sqlite(file)
        else:
            with _connected(url) as connection:
                yield _Sql(connection)
    except sqlite3.Error as error:
        raise TroubleError(str(error)) from None
    except ConfigurationError as error:
        raise TroubleError(" ".join(error.faults)) from None


def _opened(path: Path) -> sqlite3.Connection:
    if in_use(path):
        connection = open_to_read(str(path))
        # What a server writes at this moment is waited for.
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection
    # Else even a look would make two files (-wal, -shm) beside it, of whoever looks.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    return connection


def in_use(path: Path) -> bool:
    """Say whether some process has a file of SQLite open to write, as far as can be seen."""
    return path.with_name(f"{path.name}-wal").exists()


@contextmanager
def _connected(url: str) -> Generator[Connection]:
    from ...stores.sqlalchemy import _errors

    engine = database.migrating_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except Exception as error:
        if not _errors.is_trouble(error):
            raise
        raise TroubleError(_errors.store_error(error).cause or type(error).__name__) from None
    finally:
        engine.dispose()
