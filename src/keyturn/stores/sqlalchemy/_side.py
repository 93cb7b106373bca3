"""All that belongs to one event loop: its engine, the tasks that speak to the database, the connections of flights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, QueuePool, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from . import _errors as errors
from ._statements import Row, Statements, TurnRow

T = TypeVar("T")

#: Seconds for which a flight without passengers keeps its connection: longer than a single client pauses, and short
#: beside the time for which somebody else would wait for the pool.
_REST: Final = 1.0
#: Seconds after which it is given back although there are passengers: others may be waiting for the pool.
_KEPT: Final = 0.25
#: Seconds in which those that waited for the pool take what was given back: the queue lets a newcomer in before them.
_BREATH: Final = 0.001


class Side:
    """The connections to one engine, in the event loop that runs now.

    Args:
        engine: connects to nothing before the first verb.
        owned: whether `close` disposes of it.
        statements: what its database is told.
        timeout: seconds that connecting and speaking may take.
    """

    def __init__(self, engine: AsyncEngine, *, owned: bool, statements: Statements, timeout: float) -> None:
        self.engine = engine
        self._owned = owned
        self._statements = statements
        self._timeout = timeout
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        level = statements.isolation
        self._together = engine if level is None else engine.execution_options(isolation_level=level)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._kept: list[KeptConnection] = []
        self._guardian: AsyncGenerator[None, None] | None = None
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[str, Callable[..., None]] = {
            "engine_disposed": self._on_disposed,
            "checkout": self._on_checkout,
        }

    async def begin(self, at_end: Callable[[], object]) -> None:
        """See to it that connections are closed with their event loop, or with their engine.

        An event loop that ends closes the generators that were begun in it, and waits for what they do at their end.
        """
        for name, listener in self._listeners.items():
            event.listen(self.engine.sync_engine, name, listener)
        self._guardian = self._until_the_loop_ends(at_end)
        await anext(self._guardian)

    async def _until_the_loop_ends(self, at_end: Callable[[], object]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            at_end()
            await self.close()
            for name, listener in self._listeners.items():
                event.remove(self.engine.sync_engine, name, listener)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine to its end, whatever becomes of who waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def once(self, work: Callable[[Connection], T], *, alone: bool) -> T:
        """Put a verb to the database on a connection from the pool."""
        if alone:
            async with self._alone.connect() as connection:
                return await _heeding(connection, work)
        async with self._together.begin() as connection:
            return await _heeding(connection, work)

    def kept(self) -> KeptConnection:
        """Make a connection that is kept while there is traffic."""
        line = KeptConnection(self)
        self._kept.append(line)
        return line

    async def connect(self) -> AsyncConnection:
        """Take a connection from the pool to be kept."""
        alone = "advance" in self._statements.single
        async with asyncio.timeout(self._timeout):
            return await (self._alone if alone else self._together).connect()

    async def advance(self, connection: AsyncConnection, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Send turns on a kept connection."""
        async with asyncio.timeout(self._timeout):
            if "advance" in self._statements.single:
                return await connection.run_sync(self._statements.fly, turns)
            async with connection.begin():
                return await connection.run_sync(self._statements.fly, turns)

    async def close(self) -> None:
        """Wait for what is under way, then let go of all connections; a later verb opens others."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for line in self._kept:
            await line.release()
        if self._owned:
            await self.engine.dispose()

    def after_fork(self) -> None:
        """Leave all connections to the parent, which goes on speaking on them: neither use nor close them here."""
        self._kept = []
        self.engine.sync_engine.dispose(close=False)

    def has_none_to_spare(self) -> bool:
        """Say whether who asks the pool now may have to wait. What it may open beyond its size is not counted on."""
        pool = self.engine.sync_engine.pool
        return isinstance(pool, QueuePool) and 0 < pool.size() <= pool.checkedout()

    def _on_checkout(self, *_: object) -> None:
        if _running_loop() is self._loop and self.has_none_to_spare():
            for line in self._kept:
                line.make_room()

    def _on_disposed(self, engine: object) -> None:
        for line in self._kept:
            line.on_disposed()


class KeptConnection:
    """A connection of a flight.

    Args:
        side: where it belongs.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        self._connection: AsyncConnection | None = None
        self._is_resting = True
        self._is_disposed = False
        self._alarm: asyncio.TimerHandle | None = None
        self._since = 0.0

    async def connect(self) -> None:
        """Be connected; waits for the pool. Traffic that never stops lets others have the connection now and then."""
        self._is_resting = False
        self._calm()
        now = asyncio.get_running_loop().time
        if self._connection is not None and now() - self._since > _KEPT:
            await self.release()
            await asyncio.sleep(_BREATH)
        if self._connection is None:
            self._connection = await self._side.connect()
            self._since = now()

    async def advance(self, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Send turns of different sessions, sorted by id; give the rows of those that turned."""
        assert self._connection is not None  # noqa: S101 - a flight connects first
        return await self._side.advance(self._connection, turns)

    async def give_up(self) -> None:
        """Let go of a connection that may be broken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
            await _closed(connection)

    async def release(self) -> None:
        """Give the connection back to its pool."""
        self._calm()
        connection, self._connection = self._connection, None
        if connection is not None:
            await _closed(connection)

    def rest(self) -> None:
        """Give the connection back to its pool after a while; at once where others need it, or that pool is gone."""
        self._is_resting = True
        self._calm()
        if self._is_disposed:
            self._is_disposed = False
            self._side.start(self.give_up())
        elif self._side.has_none_to_spare():
            self._release_soon()
        elif self._connection is not None:
            self._alarm = asyncio.get_running_loop().call_later(_REST, self._release_soon)

    def make_room(self) -> None:
        """Give back a connection that rests."""
        if self._is_resting:
            self._calm()
            self._release_soon()

    def on_disposed(self) -> None:
        """Close the connection with its engine: the pool that it would go back to is gone."""
        if not self._is_resting:
            self._is_disposed = True
            return
        connection, self._connection = self._connection, None
        if connection is not None and connection.sync_connection is not None:
            connection.sync_connection.invalidate()
            connection.sync_connection.close()

    def _release_soon(self) -> None:
        # Taken here and now: before the task runs, a flight may want to connect.
        connection, self._connection = self._connection, None
        if connection is not None:
            self._side.start(_closed(connection))

    def _calm(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


async def _closed(connection: AsyncConnection) -> None:
    with suppress(Exception):
        await connection.close()


async def _heeding(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    try:
        return await connection.run_sync(work)
    except Exception as error:
        if errors.leads_nowhere(error):
            await connection.invalidate()
        raise
