"""Turns that travel together: what waits is taken along in one statement and one commit, and nobody waits for a timer.

While a flight is in the air, further turns gather; who lands takes the next ones. Two flights are enough to keep a
database busy, and each keeps its connection while there is traffic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, Protocol

from . import _errors as errors
from ._statements import Row, TurnRow

_FLIGHTS: Final = 2
#: A longer list makes PostgreSQL plan a hash join, which takes locks in no order.
_SEATS: Final = 64


class Line(Protocol):
    """The connection of a flight."""

    async def connect(self) -> None:
        """Be connected; waits for the pool."""
        ...

    async def advance(self, turns: Sequence[TurnRow]) -> Sequence[Row]:
        """Send turns of different sessions, sorted by id; give the rows of those that turned."""
        ...

    async def give_up(self) -> None:
        """Let go of a connection that may be broken."""
        ...

    def rest(self) -> None:
        """Take note that nothing waits; the connection goes back to its pool if that stays so."""
        ...


class Alone(Protocol):
    """Turns one key on a connection from the pool."""

    def __call__(self, turn: TurnRow, *, was_heard: bool) -> Awaitable[Row | None]:
        """Turn it; where it may have been heard before, what it did then counts."""
        ...


class _Passenger(NamedTuple):
    turn: TurnRow
    answer: asyncio.Future[Row | None]


class Flights:
    """Two flights at most, in one event loop.

    Args:
        line: makes a flight's connection.
        start: runs a coroutine as a task that nobody has to await.
        alone: turns one key on a connection from the pool, trying again where that is sensible.
        told: gives the error that callers get for one of the database.
        patience: seconds after which passengers hear of trouble, however long the driver takes to let go.
    """

    def __init__(
        self,
        line: Callable[[], Line],
        start: Callable[[Coroutine[Any, Any, None]], object],
        alone: Alone,
        told: Callable[[Exception], Exception],
        patience: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = start
        self._alone = alone
        self._told = told
        self._patience = patience
        self._waiting: list[_Passenger] = []
        self._on_the_ground = [line() for _ in range(_FLIGHTS)]
        self._is_boarding = False

    def turned(self, turn: TurnRow) -> asyncio.Future[Row | None]:
        """Give the row after a turn, None where it was refused. Cancelling it harms no other."""
        answer: asyncio.Future[Row | None] = self._loop.create_future()
        self._waiting.append(_Passenger(turn, answer))
        if self._on_the_ground and not self._is_boarding:
            self._is_boarding = True
            self._start(self._fly(self._on_the_ground.pop()))
        return answer

    async def _fly(self, line: Line) -> None:
        try:
            while self._waiting:
                await line.connect()
                self._is_boarding = False
                await self._carry(line, self._board())
        except Exception as error:  # noqa: BLE001 - callers get it
            if len(self._on_the_ground) == _FLIGHTS - 1:  # else the other flight takes those who wait
                _fail(self._leave(), self._told(error))
        finally:
            self._is_boarding = False
            self._on_the_ground.append(line)
            line.rest()

    def _leave(self) -> list[_Passenger]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _board(self) -> list[_Passenger]:
        """Take along whom there is a seat for; of one session one turn, for one statement changes a row once."""
        group: dict[bytes, _Passenger] = {}
        left: list[_Passenger] = []
        for passenger in self._waiting:
            if len(group) < _SEATS and passenger.turn.id not in group:
                group[passenger.turn.id] = passenger
            else:
                left.append(passenger)
        self._waiting = left
        return [group[raw] for raw in sorted(group)]

    async def _carry(self, line: Line, group: Sequence[_Passenger]) -> None:
        if not group:
            return
        alarm = self._loop.call_later(self._patience, self._give_up, group)
        try:
            rows = await line.advance([passenger.turn for passenger in group])
        except Exception as error:  # noqa: BLE001 - callers get it
            await line.give_up()
            await self._carry_each(group, error)
        except BaseException:
            for passenger in group:
                passenger.answer.cancel()
            raise
        else:
            by_id = {row[0]: row for row in rows}
            for turn, answer in group:
                if not answer.done():
                    answer.set_result(by_id.get(turn.id))
        finally:
            alarm.cancel()

    def _give_up(self, group: Sequence[_Passenger]) -> None:
        _fail(group, self._told(TimeoutError()))

    async def _carry_each(self, group: Sequence[_Passenger], error: Exception) -> None:
        """Try each alone where the trouble may be one turn's, or was the connection's; else tell all."""
        if not (errors.was_lost(error) or errors.is_of_the_statement(error)):
            _fail(group, self._told(error))
            return
        for number, (turn, answer) in enumerate(group):
            try:
                row = await self._alone(turn, was_heard=errors.was_lost(error))
            except Exception as own:  # noqa: BLE001 - callers get it
                _fail(group[number : number + 1], own)
                if not errors.is_of_the_statement(own.__cause__):
                    _fail(group[number + 1 :], own)  # the rest would meet the same
                    return
            else:
                if not answer.done():
                    answer.set_result(row)


def _fail(passengers: Sequence[_Passenger], error: Exception) -> None:
    for _, answer in passengers:
        if not answer.done():
            answer.set_exception(error)
