"""Make and change the tables: `upgrade`, `downgrade`, `current` and `sql`, one call each.

    from keyturn.stores.sqlalchemy.migrations import upgrade

    upgrade(engine)                   # an Engine, or an address
    await upgrade(async_engine)       # an AsyncEngine

They are Alembic's migrations with a table of versions of their own (``keyturn_version``), so that they live beside an
application's. Two processes may upgrade one database at once: the second waits, and finds nothing left to do. A
program's release runs ``python -m keyturn.stores.sqlalchemy upgrade URL`` before its servers start.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import overload

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ._opening import Target, with_connection
from ._running import (
    MigrationRefusedError as MigrationRefusedError,
    current_revision,
    include_name as include_name,
    migrate_down,
    migrate_up,
    offline_sql,
)

__all__ = ["MigrationRefusedError", "current", "downgrade", "include_name", "sql", "upgrade"]


@overload
def upgrade(target: str | URL | Engine, revision: str = "head") -> None: ...
@overload
def upgrade(target: AsyncEngine, revision: str = "head") -> Awaitable[None]: ...


def upgrade(target: Target, revision: str = "head") -> None | Awaitable[None]:
    """Make the tables, or bring them up to date; does nothing where they are.

    Args:
        target: the database: an engine, or an address such as ``postgresql://user@host/name``. For an AsyncEngine the
            result is awaited.
        revision: how far; the newest by default.

    Raises:
        MigrationRefusedError: the server is none that is known here, another process has been migrating for a minute,
            or the database was migrated by a newer program.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or said no.
    """

    def work(connection: Connection) -> None:
        migrate_up(connection, revision)

    return with_connection(target, work)


@overload
def downgrade(target: str | URL | Engine, revision: str, *, yes: bool = False) -> None: ...
@overload
def downgrade(target: AsyncEngine, revision: str, *, yes: bool = False) -> Awaitable[None]: ...


def downgrade(target: Target, revision: str, *, yes: bool = False) -> None | Awaitable[None]:
    """Go back to an earlier shape of the tables; ``"base"`` removes them.

    Args:
        target: as in `upgrade`.
        revision: how far back: a revision, ``"-1"`` for one step, ``"base"`` for all of them.
        yes: drop tables though there are sessions, accounts or clients in them.

    Raises:
        MigrationRefusedError: as in `upgrade`; or rows would be lost, and `yes` was not said. Nothing was changed.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or said no.
    """

    def work(connection: Connection) -> None:
        migrate_down(connection, revision, yes=yes)

    return with_connection(target, work)


@overload
def current(target: str | URL | Engine) -> str | None: ...
@overload
def current(target: AsyncEngine) -> Awaitable[str | None]: ...


def current(target: Target) -> str | None | Awaitable[str | None]:
    """Tell the revision that a database is at; None where it has no tables of ours. Changes nothing.

    Args:
        target: as in `upgrade`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or said no.
    """
    return with_connection(target, current_revision)


def sql(url: str | URL, revision: str = "head", *, since: str | None = None) -> str:
    """Give what `upgrade` would do as a script, for those who run such things themselves. Connects to nothing.

    Args:
        url: an address; only the kind of database in it matters.
        revision: how far; the newest by default.
        since: the revision that the database is at; None for one without tables of ours.

    Raises:
        MigrationRefusedError: there is no such revision, or the database is none that is known here.
    """
    return offline_sql(url, revision, since)
