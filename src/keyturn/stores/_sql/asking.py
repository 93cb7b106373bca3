"""Work on a connection of an application's engine, whatever its colour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
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
            attempt = _Attempt()
            try:
                return await self._once(work, alone, attempt)
            except Exception as error:
                tries += 1
                may_again = is_harmless or not attempt.may_be_done
                if is_said_again(error, tries, is_harmless=may_again, most=self._tries):
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

    async def _once(self, work: Callable[[Connection], T], alone: bool, attempt: _Attempt) -> T:  # noqa: FBT001 - private
        if isinstance(self.engine, AsyncEngine):
            self._loop = asyncio.get_running_loop()
            return await self._awaited(self.engine, partial(_done, work=work, alone=alone, attempt=attempt))
        done = partial(_blocking, self.engine, partial(_done, work=work, alone=alone, attempt=attempt))
        if self._hops and not CALLER_BLOCKS.get() and _running_loop() is not None:
            return await asyncio.to_thread(done)
        return done()

    async def _awaited(self, engine: AsyncEngine, done: Callable[[Connection], T]) -> T:
        async with asyncio.timeout(self._timeout), engine.connect() as connection:
            return await connection.run_sync(done)


@dataclass
class _Attempt:
    """One try to do work; where the connection breaks before it may be done, it surely was not."""

    may_be_done: bool = False


def _blocking(engine: Engine, done: Callable[[Connection], T]) -> T:
    with engine.connect() as connection:
        return done(connection)


def _done(connection: Connection, *, work: Callable[[Connection], T], alone: bool, attempt: _Attempt) -> T:
    try:
        connection.execution_options(isolation_level="AUTOCOMMIT" if alone else "READ COMMITTED")
        if alone:
            attempt.may_be_done = True
            return work(connection)
        return _together(connection, work, attempt)
    except Exception as error:
        if leads_nowhere(error):
            connection.invalidate()
        raise


def _together(connection: Connection, work: Callable[[Connection], T], attempt: _Attempt) -> T:
    with connection.begin():
        result = work(connection)
        attempt.may_be_done = True
    return result


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
