"""Work on a connection of an application's engine, whatever its colour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection, Engine, Pool
from sqlalchemy.ext.asyncio import AsyncEngine

from ..._colour import CALLER_BLOCKS
from ...errors import StoreError
from .errors import is_said_again, is_trouble, leads_nowhere
from .forks import leave_to_parent, tell_after_fork

T = TypeVar("T")


class Asking:
    """Puts work to an engine, again where that is worth it, and tells trouble as StoreError.

    Args:
        engine: it is left in the mode that it is in.
        timeout: seconds that an AsyncEngine may take; an Engine has its driver's own.
        told: gives the error for an exception of the database.
        tries: how often work is done that the database takes back.
        hops: whether work goes to a worker thread where an Engine is asked in an event loop.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        timeout: float,
        told: Callable[[BaseException], StoreError],
        tries: int = 5,  # what is taken back more often meets more than bad luck
        hops: bool = False,
    ) -> None:
        self.engine = engine
        self._timeout = timeout
        self._told = told
        self._tries = tries
        self._hops = hops
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None
        tell_after_fork(self)

    async def ask(self, work: Callable[[Connection], T], *, alone: bool, is_harmless: bool = False) -> T:
        """Do work on a connection and commit it.

        Args:
            work: what to do; it may be done more than once.
            alone: whether it is one statement, which needs no turns for its beginning and its end.
            is_harmless: whether it may be said again where nobody knows whether it was heard.

        Raises:
            StoreError: the database cannot be asked; not chained, for a driver's exception may hold what was sent.
        """
        tries = 0
        while True:
            try:
                return await self._once(work, alone=alone)
            except Exception as error:
                tries += 1
                if is_said_again(error, tries, is_harmless=is_harmless, most=self._tries):
                    continue
                if is_trouble(error):
                    raise self._told(error) from None
                raise

    def close(self) -> None:
        """Let go of connections; those of an event loop that is not this thread's are closed there."""
        if isinstance(self.engine, Engine):
            self.engine.dispose()
            return
        here, loop = _running_loop(), self._loop
        if here is not None:
            self._closing = here.create_task(self.engine.dispose())  # cannot be waited for here
        elif loop is not None and loop.is_running():
            with suppress(TimeoutError):  # a database that does not answer keeps no program from ending
                asyncio.run_coroutine_threadsafe(self.engine.dispose(), loop).result(self._timeout)

    async def aclose(self) -> None:
        """Let go of connections, and wait for it."""
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()
        else:
            self.engine.dispose()

    def after_fork(self) -> Pool:
        """Leave all connections to the parent."""
        return leave_to_parent(self.engine.sync_engine if isinstance(self.engine, AsyncEngine) else self.engine)

    async def _once(self, work: Callable[[Connection], T], *, alone: bool) -> T:
        if isinstance(self.engine, AsyncEngine):
            self._loop = asyncio.get_running_loop()
            return await self._awaited(self.engine, work, _LEVELS[alone])
        if self._hops and not CALLER_BLOCKS.get() and _running_loop() is not None:
            return await asyncio.to_thread(_blocking, self.engine, work, _LEVELS[alone])
        return _blocking(self.engine, work, _LEVELS[alone])

    async def _awaited(self, engine: AsyncEngine, work: Callable[[Connection], T], level: str) -> T:
        async with asyncio.timeout(self._timeout), engine.connect() as connection:
            await connection.execution_options(isolation_level=level)
            try:
                async with connection.begin():
                    return await connection.run_sync(work)
            except Exception as error:
                if leads_nowhere(error):
                    await connection.invalidate()
                raise


_LEVELS = {True: "AUTOCOMMIT", False: "READ COMMITTED"}


def _blocking(engine: Engine, work: Callable[[Connection], T], level: str) -> T:
    with engine.connect() as connection:
        connection.execution_options(isolation_level=level)
        try:
            with connection.begin():
                return work(connection)
        except Exception as error:
            if leads_nowhere(error):
                connection.invalidate()
            raise


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
