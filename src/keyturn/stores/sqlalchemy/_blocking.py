"""The blocking side: an Engine, from whose pool every verb takes a connection for as long as it speaks."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, Pool

from .._sql.forks import leave_to_parent, tell_after_fork
from . import _errors as errors
from ._engines import Verb, is_said_again, statements_for
from .tables import VERSION

T = TypeVar("T")


class Blocking:
    """Puts verbs to an Engine.

    Args:
        engine: connects to nothing before the first verb.
        owned: whether `close` disposes of it.
    """

    colour: Final = "sync"

    def __init__(self, engine: Engine, *, owned: bool) -> None:
        self.statements = statements_for(engine.dialect)
        self._engine = engine
        self._owned = owned
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        level = self.statements.isolation
        self._together = engine if level is None else engine.execution_options(isolation_level=level)
        self._is_known = False
        tell_after_fork(self)
        if owned:  # a store that is forgotten, or left open when the program ends, says goodbye to its database
            weakref.finalize(self, engine.dispose)

    def ask(self, verb: Verb, work: Callable[[Connection], T], again: Callable[[Connection], T] | None = None) -> T:
        """Put a verb to the database; `again` is what is said after a connection broke, for `work` may have been heard.

        Raises:
            StoreError: the database cannot be asked.
        """
        if not self._is_known:
            version = self._ask("version", self.statements.version)
            if version != VERSION:
                raise errors.wrong_version(version, VERSION)
            self._is_known = True
        return self._ask(verb, work, again)

    def close(self) -> None:
        """Close the pool's connections if the engine was made here; a later verb opens others."""
        if self._owned:
            self._engine.dispose()

    def after_fork(self) -> Pool:
        """Leave all connections to the parent."""
        return leave_to_parent(self._engine)

    def _ask(self, verb: Verb, work: Callable[[Connection], T], again: Callable[[Connection], T] | None = None) -> T:
        tries = 0
        while True:
            try:
                return self._once(work, alone=verb in self.statements.single and tries == 0)
            except Exception as error:
                tries += 1
                if is_said_again(verb, error, tries):
                    work = again if again and errors.was_lost(error) else work
                    continue
                if errors.is_trouble(error):
                    raise errors.store_error(error) from error
                raise

    def _once(self, work: Callable[[Connection], T], *, alone: bool) -> T:
        if alone:
            with self._alone.connect() as connection:
                return _heeding(connection, work)
        with self._together.begin() as connection:
            return _heeding(connection, work)


def _heeding(connection: Connection, work: Callable[[Connection], T]) -> T:
    try:
        return work(connection)
    except Exception as error:
        if errors.leads_nowhere(error):
            connection.invalidate()
        raise
