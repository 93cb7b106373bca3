"""How a verb is put to an engine, whatever its colour: which statements, when again, and what a version is good for."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from sqlalchemy import Dialect

from ...errors import ConfigurationError
from . import _errors as errors
from ._postgresql import PostgresqlStatements
from ._statements import Statements

Verb: TypeAlias = Literal[
    "version", "add", "get", "advance", "step_up", "recover", "find", "end", "end_of_subject", "end_of_realm",
    "acknowledge", "require", "log", "drop_announcements", "purge", "purgeable",
]  # fmt: skip

#: Verbs that may be said again where nobody knows whether they were heard. A turn is a compare-and-set: if the first
#: was heard, the second is refused, and the row tells the rest (docs/explanation/sessions.md, row 9). Not so an end, which is
#: told to whom it ended for, nor a recovery, which is counted.
_HARMLESS: Final[frozenset[Verb]] = frozenset({"version", "get", "advance", "find", "acknowledge", "log", "purgeable"})


def statements_for(dialect: Dialect) -> Statements:
    """Give what an engine's database is told.

    Raises:
        ConfigurationError: no such database is known here.
    """
    if dialect.name == "postgresql":
        return PostgresqlStatements(dialect)
    if dialect.name in {"mysql", "mariadb"}:
        from ._mariadb import MariadbStatements

        return MariadbStatements(dialect)
    raise ConfigurationError(
        [f"SqlAlchemyStore knows PostgreSQL and MariaDB, not {dialect.name}: for SQLite use sqlite:///PATH"]
    )


def is_said_again(verb: Verb, error: BaseException, tries: int) -> bool:
    """Say whether a verb is tried once more after so many tries, the last of which ended with this error."""
    return errors.is_said_again(error, tries, is_harmless=verb in _HARMLESS)
