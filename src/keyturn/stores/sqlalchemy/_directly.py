"""A statement said on the driver's own cursor, for connections that are kept.

SQLAlchemy's result is a good half of what one small statement costs in Python. Its connection, its pool and its
adapters of drivers that await remain; what listens to the engine's statements does not hear of this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, TextClause

from ._errors import DirectError


class Direct:
    """A statement in the words of one driver.

    Args:
        statement: with types for its parameters.
        dialect: of the engine that it is said to.
    """

    def __init__(self, statement: TextClause, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._words = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Say it, and give all rows.

        Raises:
            DirectError: the database or its driver said no.
        """
        spoken = values if self._order is None else tuple(values[name] for name in self._order)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._words, spoken)
            return cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            is_lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
            raise DirectError(is_lost=is_lost) from error
        finally:
            cursor.close()
