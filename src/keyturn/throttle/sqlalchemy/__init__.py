"""Counters in PostgreSQL or MariaDB, shared by all workers, through SQLAlchemy's Core.

``SqlAlchemyThrottle(engine)`` takes the application's Engine or AsyncEngine; ``keyturn.throttle.open("postgresql://…")``
makes an engine of its own. The table is made by the migrations of ``keyturn.stores.sqlalchemy``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final, TypeVar

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..._colour import Colour
from ...errors import StoreError
from ...limits import Limits
from ...stores._sql.asking import Asking
from .._shared import Rows, SharedThrottle
from ._statements import RowStatements, cause_of, statements_for

T = TypeVar("T")

#: Every so many changes old rows are deleted, some hundred of them: more than were made meanwhile.
_SWEEP_EVERY: Final = 32
#: A change that the database takes back so often in a row meets more than bad luck.
_TRIES: Final = 8


class SqlAlchemyThrottle(SharedThrottle):
    """Counts in a table of PostgreSQL or MariaDB. Its colour is the engine's; refreshes mostly ask nobody.

    Args:
        engine: an Engine or an AsyncEngine; it is the caller's to dispose of. Isolation is set by each call.
        limits: those of docs/reference/settings.md where left out.
        timeout: how long an AsyncEngine may take; then StoreError. An Engine has its driver's own timeouts.
        secret: keys the digests under which users and addresses are counted, at most 64 bytes, the same in all workers.

    Raises:
        ConfigurationError: the engine's database is none that is known here.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        limits: Limits | None = None,
        *,
        timeout: timedelta = timedelta(seconds=5),  # a sign-in that waited longer is repeated by its user
        secret: bytes = b"",
    ) -> None:
        self._engine = engine
        self.colour: Colour = "async" if isinstance(engine, AsyncEngine) else "sync"
        super().__init__(_Rows(engine, timeout.total_seconds()), limits, secret=secret)

    def close(self) -> None:
        """Let go of the connections of an Engine; a later call opens others. An AsyncEngine is disposed of by its owner."""
        if isinstance(self._engine, Engine):
            self._engine.dispose()


class _Rows:
    """The rows, whatever the engine's colour.

    Args:
        timeout: seconds.
    """

    def __init__(self, engine: Engine | AsyncEngine, timeout: float) -> None:
        self._asking = Asking(engine, timeout=timeout, told=_told, tries=_TRIES)
        self._statements: RowStatements = statements_for(engine.dialect)
        self._changes = count(1)

    async def read(self, ids: Sequence[bytes]) -> Rows:
        return await self._asking.ask(partial(self._statements.read, ids=ids), alone=True, is_harmless=True)

    async def change(self, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]], now: int) -> T:
        result = await self._asking.ask(partial(self._statements.change, ids=ids, decide=decide), alone=False)
        if next(self._changes) % _SWEEP_EVERY == 0:
            with suppress(StoreError):  # the next one does it; what was decided stands
                await self._asking.ask(partial(self._statements.sweep, now=now), alone=True)
        return result


def _told(error: BaseException) -> StoreError:
    return StoreError(cause=f"the throttle's database: {cause_of(error)}")
