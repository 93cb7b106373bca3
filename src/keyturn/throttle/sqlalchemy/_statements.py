"""What the databases are told: read rows, change rows that are locked, delete old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Dialect, MetaData, delete, select, text
from sqlalchemy.dialects import postgresql

from ...errors import ConfigurationError
from ...stores._sql.errors import code_of, is_missing, kind_of
from .._shared import Rows, decided, rows_of
from .table import throttle_table

T = TypeVar("T")

_table: Final = throttle_table(MetaData())
_c: Final = _table.c
_SELECTED: Final = (_c.id, _c.until, _c.browsers)
#: Rows that one sweep deletes at most: some milliseconds of work.
_SWEPT: Final = 500


class RowStatements(Protocol):
    """What an engine's database is told."""

    def read(self, connection: Connection, ids: Sequence[bytes]) -> Rows:
        """Give rows as they are."""
        ...

    def change(self, connection: Connection, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]]) -> T:
        """Lock rows, made where they are missing, and keep what is decided of them."""
        ...

    def sweep(self, connection: Connection, now: int) -> None:
        """Delete some rows that mean nothing any more."""
        ...


def statements_for(dialect: Dialect) -> RowStatements:
    """Give what an engine's database is told.

    Raises:
        ConfigurationError: no such database is known here.
    """
    if dialect.name == "postgresql":
        return _Postgresql()
    if dialect.name in {"mysql", "mariadb"}:
        return _Mariadb()
    raise ConfigurationError(
        [f"SqlAlchemyThrottle knows PostgreSQL and MariaDB, not {dialect.name}: for SQLite use sqlite:///PATH"]
    )


class _Postgresql:
    def read(self, connection: Connection, ids: Sequence[bytes]) -> Rows:
        return rows_of(tuple(row) for row in connection.execute(select(*_SELECTED).where(_c.id.in_(ids))))

    def change(self, connection: Connection, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]]) -> T:
        # Written with what they hold, rows are locked and read by one statement, whether they were there or not.
        locking = (
            postgresql.insert(_table)
            .values(_values(ids))
            .on_conflict_do_update(index_elements=[_c.id], set_={"until": _c.until})
            .returning(*_SELECTED)
        )
        result, changed = decided(decide, (tuple(row) for row in connection.execute(locking)))
        if not changed:
            connection.rollback()
            return result
        keeping = postgresql.insert(_table).values(_changed(changed))
        new = keeping.excluded
        connection.execute(
            keeping.on_conflict_do_update(index_elements=[_c.id], set_={"until": new.until, "browsers": new.browsers})
        )
        return result

    def sweep(self, connection: Connection, now: int) -> None:
        old = select(_c.id).where(_c.until <= now).limit(_SWEPT).with_for_update(skip_locked=True)
        connection.execute(delete(_table).where(_c.id.in_(old.scalar_subquery()), _c.until <= now))


def _values(ids: Sequence[bytes]) -> list[dict[str, Any]]:
    # All lock in one order, so that two of them never wait for each other.
    return [{"id": id_, "until": 0} for id_ in sorted(set(ids))]


def _changed(rows: Rows) -> list[dict[str, Any]]:
    return [{"id": id_, "until": row.until, "browsers": row.browsers} for id_, row in sorted(rows.items())]


class _Mariadb:
    """In texts, and bytes as hexadecimal digits: not every driver for MariaDB can send bytes."""

    def read(self, connection: Connection, ids: Sequence[bytes]) -> Rows:
        return rows_of(self._selected(connection, ids, ""))

    def change(self, connection: Connection, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]]) -> T:
        locked = sorted(set(ids))
        places = ", ".join(f"(UNHEX(:id{number}), 0)" for number in range(len(locked)))
        connection.execute(
            text(f"INSERT INTO {_table.name} (id, until) VALUES {places} ON DUPLICATE KEY UPDATE until = until"),  # noqa: S608 - places
            _digits("id", locked),
        )
        result, changed = decided(decide, self._selected(connection, locked, " FOR UPDATE"))
        if changed:
            self._keep(connection, changed)
        else:
            connection.rollback()
        return result

    def sweep(self, connection: Connection, now: int) -> None:
        connection.execute(text(f"DELETE FROM {_table.name} WHERE until <= :now LIMIT {_SWEPT}"), {"now": now})  # noqa: S608 - constants

    def _selected(
        self, connection: Connection, ids: Sequence[bytes], lock: str
    ) -> list[tuple[bytes, int, bytes | None]]:
        places = ", ".join(f"UNHEX(:id{number})" for number in range(len(ids)))
        reading = text(f"SELECT id, until, browsers FROM {_table.name} WHERE id IN ({places}){lock}")  # noqa: S608 - places
        return [(id_, until, packed) for id_, until, packed in connection.execute(reading, _digits("id", ids))]

    def _keep(self, connection: Connection, rows: Rows) -> None:
        ordered = sorted(rows.items())
        places = ", ".join(f"(UNHEX(:id{n}), :until{n}, UNHEX(:browsers{n}))" for n in range(len(ordered)))
        keeping = text(
            f"INSERT INTO {_table.name} (id, until, browsers) VALUES {places}"  # noqa: S608 - places
            " ON DUPLICATE KEY UPDATE until = VALUES(until), browsers = VALUES(browsers)"
        )
        values: dict[str, Any] = {f"until{n}": row.until for n, (_, row) in enumerate(ordered)}
        values |= _digits("id", [id_ for id_, _ in ordered])
        values |= _digits("browsers", [row.browsers for _, row in ordered])
        connection.execute(keeping, values)


def _digits(name: str, values: Iterable[bytes | None]) -> dict[str, str | None]:
    return {f"{name}{number}": None if value is None else value.hex() for number, value in enumerate(values)}


def cause_of(error: BaseException) -> str:
    """Give what a log may know: the kind and the code; messages quote values."""
    if is_missing(error):
        return f"the table keyturn_throttle is missing or not this program's ({code_of(error)}): upgrade the tables"
    return kind_of(error)
