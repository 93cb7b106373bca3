"""The awaiting side: an AsyncEngine for each event loop, turns that travel in groups, callers that may be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, Pool
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import StoreError
from .._sql.forks import tell_after_fork
from . import _errors as errors
from ._engines import Verb, is_said_again, statements_for
from ._flights import Flights
from ._side import Side
from ._statements import Row, TurnRow
from .tables import VERSION

T = TypeVar("T")


class Awaiting:
    """Puts verbs to an AsyncEngine.

    Args:
        engine: gives the engine for an event loop.
        owned: whether engines are made here, one for each loop, and disposed of with it or at `close`.
        timeout: how long a verb may take altogether.
    """

    colour: Final = "async"

    def __init__(self, engine: Callable[[], AsyncEngine], *, owned: bool, timeout: timedelta) -> None:
        self.statements = statements_for(engine().dialect)
        self._engine = engine
        self._owned = owned
        self._timeout = timeout.total_seconds()
        self._sides: dict[asyncio.AbstractEventLoop, tuple[Side, Flights]] = {}
        self._is_known = False
        self._closing: asyncio.Task[None] | None = None
        tell_after_fork(self)

    async def ask(self, verb: Verb, work: Callable[[Connection], T]) -> T:
        """Put a verb to the database; it is carried out even if its caller is cancelled.

        Raises:
            StoreError: the database cannot be asked.
        """
        side, _ = await self._here()
        return await self._carried_out(side, verb, work)

    async def advance(self, turn: TurnRow) -> Row | None:
        """Turn one key, in one statement with others that wait to be turned."""
        here = self._sides.get(asyncio.get_running_loop())
        if here is None or not self._is_known:
            here = await self._here()
        return await here[1].turned(turn)

    def close(self) -> None:
        """Finish what is under way and let go of all connections; in an event loop of ours that happens soon after."""
        here = _running_loop()
        for loop, (side, _) in list(self._sides.items()):
            if loop is here:
                self._closing = loop.create_task(side.close())  # cannot be waited for here
            elif loop.is_running():
                with suppress(TimeoutError):  # a database that does not answer keeps no program from ending
                    asyncio.run_coroutine_threadsafe(side.close(), loop).result(self._timeout)

    async def aclose(self) -> None:
        """Finish what is under way in this event loop, and let go of its connections."""
        here = self._sides.get(asyncio.get_running_loop())
        if here is not None:
            await here[0].close()

    def after_fork(self) -> list[tuple[Side, Flights, Pool]]:
        """Leave all connections to the parent."""
        left = [(side, flights, side.engine.pool) for side, flights in self._sides.values()]
        for side, _ in self._sides.values():
            side.after_fork()
        self._sides = {}
        return left

    async def _here(self) -> tuple[Side, Flights]:
        """Give what belongs to the event loop that runs now."""
        loop = asyncio.get_running_loop()
        here = self._sides.get(loop)
        if here is None:
            here = await self._begun(loop)
        if not self._is_known:
            side, _ = here
            version = await self._carried_out(side, "version", self.statements.version)
            if version != VERSION:
                raise errors.wrong_version(version, VERSION)
            self._is_known = True
        return here

    async def _begun(self, loop: asyncio.AbstractEventLoop) -> tuple[Side, Flights]:
        for other in [other for other in list(self._sides) if other.is_closed()]:
            self._sides.pop(other, None)
        side = Side(self._engine(), owned=self._owned, statements=self.statements, timeout=self._timeout)

        async def alone(turn: TurnRow, *, was_heard: bool) -> Row | None:
            again = partial(self.statements.advance_again, turn=turn)
            once = again if was_heard else partial(self.statements.advance_one, turn=turn)
            return await self._ask(side, "advance", once, again)

        here = self._sides[loop] = side, Flights(side.kept, side.start, alone, self._told, self._timeout)
        await side.begin(lambda: self._sides.pop(loop, None))
        return here

    async def _carried_out(self, side: Side, verb: Verb, work: Callable[[Connection], T]) -> T:
        task = side.start(self._ask(side, verb, work))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(task)
        except TimeoutError as error:  # a driver may take its time to let go, and that is no time of the caller's
            raise self._told(error) from error

    async def _ask(
        self,
        side: Side,
        verb: Verb,
        work: Callable[[Connection], T],
        again: Callable[[Connection], T] | None = None,
    ) -> T:
        tries = 0
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    return await side.once(work, alone=verb in self.statements.single and tries == 0)
            except Exception as error:
                tries += 1
                if is_said_again(verb, error, tries):
                    work = again if again and errors.was_lost(error) else work
                    continue
                if errors.is_trouble(error):
                    raise self._told(error) from error
                raise

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, StoreError) or not errors.is_trouble(error):
            return error
        if type(error) is TimeoutError:
            seconds = f"{self._timeout:g} s"
            return StoreError(cause=f"no answer within {seconds}: the database is slow, or the pool has nothing free")
        return errors.store_error(error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
