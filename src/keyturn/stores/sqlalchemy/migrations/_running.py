"""Alembic, without its command line and its global state: what runs on one connection, one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Final

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from ....errors import KeyturnError
from ..tables import metadata
from ._opening import address

#: Alembic's own is called alembic_version, and an application's migrations keep theirs there.
VERSION_TABLE: Final = "keyturn_version"
#: How long a process waits for another that migrates: a migration of large tables takes its time, but a deployment that
#: hangs should say so.
_PATIENCE_SECONDS: Final = 60
#: The number that PostgreSQL knows our lock by, "ktrn" twice; drawn once, it never changes.
_LOCK: Final = 0x6B74726E6B74726E
_HERE: Final = str(Path(__file__).parent)

Steps = Callable[[str], Iterable[RevisionStep]]


class MigrationRefusedError(KeyturnError):
    """A migration would do harm or does not fit, and nothing was changed."""

    default_code = "migration_refused"
    default_message = "The migration was refused, and nothing was changed."


def include_name(name: str | None, type_: str, parent_names: object = None) -> bool:  # noqa: ARG001 - Alembic gives it
    """Tell an application's Alembic which tables are not its own, so that ``autogenerate`` does not drop them.

    For ``context.configure(include_name=…)`` in an application's ``env.py``.

    Args:
        name: what was found in the database.
        type_: what kind of thing it is: ``table``, ``column``, ``index`` and so on.
        parent_names: what it belongs to; not looked at.
    """
    return not (type_ == "table" and (name == VERSION_TABLE or name in metadata.tables))


def migrate_up(connection: Connection, revision: str) -> None:
    """Run the migrations between where the database is and a revision."""
    script = _script()
    with _alone(connection):
        _run(connection, lambda at: script._upgrade_revs(revision, at))  # noqa: SLF001 - as Alembic's own commands do


def migrate_down(connection: Connection, revision: str, *, yes: bool) -> None:
    """Run the migrations back to a revision; without `yes`, none that would lose sessions or accounts."""
    script = _script()

    def steps(at: str) -> Iterable[RevisionStep]:
        back = script._downgrade_revs(revision, at or None)  # noqa: SLF001 - as Alembic's own commands do
        if not yes:
            _refuse_to_lose(connection, [step.revision.revision for step in back if step.is_downgrade])
        return back

    with _alone(connection):
        _run(connection, steps)
        if current_revision(connection) is None:
            connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))


def current_revision(connection: Connection) -> str | None:
    """Give the revision that a database is at."""
    return _context(connection).get_current_revision()


def newest_revision() -> str | None:
    """Give the newest revision that this program knows."""
    return _script().get_current_head()


def offline_sql(url: str | URL, revision: str, since: str | None) -> str:
    """Give the statements of an upgrade as text."""
    written, script = StringIO(), _script()
    options = {
        "as_sql": True,
        "output_buffer": written,
        "starting_rev": since,
        "fn": lambda at, _: script._upgrade_revs(revision, at),  # noqa: SLF001 - as Alembic's own commands do
        "version_table": VERSION_TABLE,
    }
    dialect = address(url).get_dialect()()
    _refuse_unknown(dialect.name)
    context = MigrationContext.configure(dialect=dialect, opts=options)
    with _told(), context.begin_transaction():
        context.run_migrations(op=Operations(context))
    return written.getvalue()


def _script() -> ScriptDirectory:
    return ScriptDirectory(_HERE)


def _context(connection: Connection, **options: Any) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, **options})


def _run(connection: Connection, steps: Steps) -> None:
    def fn(heads: tuple[str, ...], _: MigrationContext) -> Iterable[RevisionStep]:
        return steps(heads)  # type: ignore[arg-type]  # what Alembic's own commands pass on

    context = _context(connection, fn=fn)
    with _told():
        context.run_migrations(op=Operations(context))


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except CommandError as error:
        raise MigrationRefusedError(f"{error} (known here: up to {newest_revision()})") from error


@contextmanager
def _alone(connection: Connection) -> Generator[None]:
    """Let one process at a time migrate a database; what it does is committed at the end."""
    # An engine may be set to commit every statement: the lock of PostgreSQL would be gone with the first.
    connection.execution_options(isolation_level="READ COMMITTED")
    _refuse_unknown(connection.dialect.name, is_mariadb=getattr(connection.dialect, "is_mariadb", True))
    lock = _postgresql_lock if connection.dialect.name == "postgresql" else _mariadb_lock
    with lock(connection):
        yield


def _refuse_unknown(engine: str, *, is_mariadb: bool = True) -> None:
    if engine not in {"postgresql", "mysql", "mariadb"} or not is_mariadb:
        raise MigrationRefusedError(
            "This database is neither PostgreSQL nor MariaDB; for SQLite there is keyturn.stores.sqlite, "
            "and MySQL itself lacks what the tables need."
        )


@contextmanager
def _postgresql_lock(connection: Connection) -> Generator[None]:
    """Wait for PostgreSQL's lock; it is held until the transaction is over."""
    with connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE_SECONDS}s'"))
        try:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
                raise _busy() from error
            raise
        yield


@contextmanager
def _mariadb_lock(connection: Connection) -> Generator[None]:
    """Wait for MariaDB's lock, which is the server's: its name holds the database's."""
    name = "md5(concat('keyturn migrations ', database()))"
    with connection.begin():
        if connection.scalar(text(f"SELECT GET_LOCK({name}, {_PATIENCE_SECONDS})")) != 1:
            raise _busy()
    try:
        with connection.begin():
            yield
    finally:
        # After the commit: whoever comes next would not see otherwise how far this one came.
        with connection.begin():
            connection.execute(text(f"DO RELEASE_LOCK({name})"))


def _busy() -> MigrationRefusedError:
    return MigrationRefusedError("Another process is migrating this database and has not finished; try again later.")


def _refuse_to_lose(connection: Connection, revisions: Sequence[str]) -> None:
    tables = [table for table, revision in _PRECIOUS.items() if revision in revisions]
    if lost := [table for table in tables if _has_rows(connection, table)]:
        kinds = " and ".join(f"{table.removeprefix('keyturn_')}s" for table in lost)
        out = ": everybody would be signed out" if "keyturn_session" in lost else ""
        raise MigrationRefusedError(
            f"There are {kinds} in the tables, and all of them would be lost{out}. "
            "Say yes to it (yes=True, or --yes) if that is meant."
        )


#: Tables whose rows nobody can make again, and the revision that made them.
_PRECIOUS: Final = {"keyturn_session": "0001", "keyturn_account": "0002", "keyturn_client": "0002"}


def _has_rows(connection: Connection, table: str) -> bool:
    if not inspect(connection).has_table(table):
        return False
    return connection.scalar(text(f"SELECT 1 FROM {table} LIMIT 1")) is not None  # noqa: S608 - a constant
