"""The database at start: made where there is none, brought up to date where it is older, refused where it is newer."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ..errors import ConfigurationError, KeyturnError, StoreError
from .config import ServerConfig

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from ..stores.sqlalchemy._urls import Address

#: How long a start waits for a database that cannot be reached: one that is started beside it needs some seconds, and
#: a wrong address should not look like a program that hangs.
PATIENCE: Final = timedelta(seconds=10)
_PAUSE_SECONDS: Final = 0.5
#: Connecting takes milliseconds; a host that swallows packets would hold us for minutes.
_CONNECT_SECONDS: Final = 5
#: A statement of the server's may take so long; of a migration as long as it needs.
_TIMEOUT: Final = timedelta(seconds=10)
_SCHEMES: Final = frozenset({"postgresql", "postgres", "mysql", "mariadb"})
#: What only asyncpg understands in an address.
_ASYNCPG_ONLY: Final = ("statement_cache_size", "prepared_statement_cache_size")
#: How the drivers tell of a server that is not there, or not yet.
_ABSENT: Final = ("refused", "timeout", "timed out", "starting up", "shutting down", "resolve host", "not known",
    "no such file", "closed the connection", "lost connection")  # fmt: skip
_UPGRADE: Final = "run `python -m keyturn.stores.sqlalchemy upgrade URL`, or write migrate = true in the table [server]"
_log: Final = logging.getLogger("keyturn.server")


def is_sql(url: str) -> bool:
    """Say whether an address is PostgreSQL's or MariaDB's."""
    return url.partition(":")[0].partition("+")[0] in _SCHEMES


def sqlite_path(url: str) -> Path | None:
    """Give the file of an address of SQLite; None for any other."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def engine(url: str, colour: Literal["sync", "async"]) -> Engine | AsyncEngine | None:
    """Give an engine of SQLAlchemy's for an address, connected to nothing yet; None where it is none of its.

    Raises:
        ConfigurationError: the address cannot be read, or its driver is not installed.
    """
    if not is_sql(url):
        return None
    parsed = _parser()
    if colour == "sync":
        return parsed(_for_blocking(url), "sync").engine(_TIMEOUT)
    address = parsed(url, "async")
    return address.async_engine(_TIMEOUT) if address.awaits else address.engine(_TIMEOUT)


def prepare(url: str, *, migrate: bool, waiting: Callable[[str], None] = lambda _: None) -> None:
    """Make the database's tables, or bring them up to date; several processes may do so at once.

    Args:
        url: where it is.
        migrate: False only looks whether they are up to date.
        waiting: told, once, why the database cannot be reached, while it is waited for.

    Raises:
        ConfigurationError: it cannot be reached, is a newer program's or not ours, or is not up to date.
    """
    if is_sql(url):
        _prepare_sql(url, migrate=migrate, waiting=waiting)
    elif (path := sqlite_path(url)) is not None:
        _prepare_sqlite(path)


def refuse_lost_keys(config: ServerConfig, *, now: datetime) -> None:
    """Refuse to make fresh keys beside a database that has live sessions: everybody would be signed out.

    Raises:
        ConfigurationError: there are such sessions.
    """
    path = sqlite_path(config.store)
    at = round(now.timestamp() * 1_000_000)
    if path is not None and path.exists():
        found = _sqlite_has_live(path, at)
    else:
        found = is_sql(config.store) and _sql_has_live(config.store, at)
    if found:
        fault = (
            f"there are no keys in {config.keys}, but the database has sessions that live: with fresh keys everybody "
            "would be signed out. Restore the folder from a copy; or, if it is lost for good, run "
            "`keyturn keys generate`"
        )
        raise ConfigurationError([fault])


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _prepare_sqlite(path: Path) -> None:
    from .records._sqlite_file import open_to_write

    # Opened here and not through a store, which would not block where an event loop runs.
    why: str | None = None
    try:
        open_to_write(str(path), synchronous="FULL", busy_timeout=_TIMEOUT).close()
    except StoreError as error:
        why = error.cause
    except OSError as error:
        why = error.strerror
    except sqlite3.Error as error:
        why = str(error)
    if why is not None:
        raise ConfigurationError([f"the database {path} cannot be used: {why}"])


def _sqlite_has_live(path: Path, at: int) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as found:
        return found.execute(_LIVE.replace(":at", "?"), (at,)).fetchone() is not None
    return False  # no such table yet; what is wrong with the file, `prepare` says


_LIVE: Final = "SELECT 1 FROM keyturn_session WHERE ended_at IS NULL AND expires_at > :at LIMIT 1"


# --- PostgreSQL and MariaDB --------------------------------------------------------------------------------------------


def _parser() -> Callable[[str, Literal["sync", "async"]], Address]:
    try:
        from ..stores.sqlalchemy._urls import parsed
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            [f"this database needs {error.name}: pip install 'keyturn[postgresql]' or 'keyturn[mariadb]'"]
        ) from None
    return parsed


def _for_blocking(url: str) -> str:
    """Give an address without a driver that awaits, and without what only that one understands."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, _, rest = url.partition(":")
    if "asyncpg" not in scheme:
        return url
    with suppress(ArgumentError, ValueError):
        stripped = make_url(f"{scheme.partition('+')[0]}:{rest}").difference_update_query(_ASYNCPG_ONLY)
        return stripped.render_as_string(hide_password=False)
    return url


def migrating_engine(url: str) -> Engine:
    """Give an engine that blocks, keeps no connection and sets no time limits: for migrations and for a single look."""
    from sqlalchemy import NullPool, create_engine

    address: URL = _parser()(_for_blocking(url), "sync").url
    told = {} if "connect_timeout" in address.query else {"connect_timeout": _CONNECT_SECONDS}
    return create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=told)


def _prepare_sql(url: str, *, migrate: bool, waiting: Callable[[str], None]) -> None:
    made = migrating_engine(url)
    try:
        at = _reached(made, waiting)
        _bring_up_to_date(made, at, migrate=migrate)
    finally:
        made.dispose()


def _bring_up_to_date(made: Engine, at: str | None, *, migrate: bool) -> None:
    from ..stores.sqlalchemy import _errors, upgrade
    from ..stores.sqlalchemy.migrations._running import newest_revision

    newest = newest_revision() or ""
    if at is not None and at > newest:
        raise ConfigurationError(
            [f"the database was brought up to date by a newer Keyturn ({at}; this one knows {newest}): update this one"]
        )
    if at == newest:
        return
    if not migrate:
        state = "has no tables of ours" if at is None else f"is at {at}, and this program needs {newest}"
        raise ConfigurationError([f"the database {state}, and migrate is off: {_UPGRADE}"])
    _log.info("bringing the tables up to date: from %s to %s", at or "nothing", newest)
    try:
        upgrade(made)
    except KeyturnError as error:
        raise ConfigurationError([error.message]) from None
    except Exception as error:
        if not _errors.is_trouble(error):
            raise
        raise ConfigurationError([f"the tables cannot be made: {_errors.store_error(error).cause}"]) from None


def _reached(made: Engine, waiting: Callable[[str], None]) -> str | None:
    """Give the revision that a database is at; wait a while for one that is not there."""
    from ..stores.sqlalchemy import _errors
    from ..stores.sqlalchemy.migrations import current

    last = time.monotonic() + PATIENCE.total_seconds()
    told = False
    while True:
        try:
            return current(made)
        except Exception as error:
            if not _errors.is_trouble(error):
                raise
            why = _errors.store_error(error).cause or type(error).__name__
            if time.monotonic() >= last or not _is_absent(why):
                where = made.url.render_as_string(hide_password=True)
                raise ConfigurationError([f"the database {where} cannot be used: {why}"]) from None
            if not told:
                told = True
                waiting(why)
        time.sleep(_PAUSE_SECONDS)


def _is_absent(why: str) -> bool:
    return any(word in why.lower() for word in _ABSENT)


def _sql_has_live(url: str, at: int) -> bool:
    from sqlalchemy import text

    from ..stores.sqlalchemy import _errors

    made = migrating_engine(url)
    try:
        with made.connect() as connection:
            return connection.execute(text(_LIVE), {"at": at}).first() is not None
    except Exception as error:
        if not _errors.is_trouble(error):
            raise
        return False  # no such table yet; whether it can be reached, `prepare` says
    finally:
        made.dispose()
