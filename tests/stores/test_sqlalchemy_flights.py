"""Turns that travel together: who flies with whom, and what becomes of them when a flight fails."""

import asyncio

import pytest

from keyturn.errors import StoreError
from keyturn.stores.sqlalchemy import _flights, _side
from keyturn.stores.sqlalchemy._errors import DirectError
from keyturn.stores.sqlalchemy._flights import Flights
from keyturn.stores.sqlalchemy._statements import TurnRow

PATIENCE = 30.0


class DatabaseError(Exception):
    def __init__(self, sqlstate):
        self.sqlstate = sqlstate


def said(sqlstate=None):
    """What a driver says; without an SQLSTATE, that its connection broke."""
    error = DirectError(is_lost=sqlstate is None)
    error.__cause__ = DatabaseError(sqlstate)
    return error


def turn(number, generation=0):
    raw = number.to_bytes(16, "big")
    return TurnRow(0, raw, "shop", "body", None, b"", None, generation, generation + 1, 0, None, None, None)


class Line:
    """A connection that flies when it is told to."""

    def __init__(self, airport):
        self.airport = airport
        self.given_up = 0

    async def connect(self):
        self.airport.connecting += 1
        if self.airport.trouble_connecting:
            raise self.airport.trouble_connecting.pop()

    async def advance(self, turns):
        self.airport.flown.append([turn.id for turn in turns])
        go = asyncio.get_running_loop().create_future()
        self.airport.in_the_air.append(go)
        await go
        return [(turn.id, turn.generation + 1) for turn in turns if turn.id not in self.airport.refused]

    async def give_up(self):
        self.given_up += 1

    def rest(self):
        self.airport.resting += 1


class Airport:
    def __init__(self, patience=PATIENCE):
        self.flown, self.in_the_air, self.alone, self.tasks = [], [], [], []
        self.connecting = self.resting = 0
        self.heard = set()
        self.trouble_connecting, self.trouble_alone, self.refused = [], {}, []
        self.flights = Flights(lambda: Line(self), self.start, self.go_alone, self.told, patience)

    def start(self, coroutine):
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def go_alone(self, turn, *, was_heard):
        self.alone.append(turn.id)
        self.heard.add(was_heard)
        if error := self.trouble_alone.get(turn.id):
            raise StoreError(cause="alone") from error
        return (turn.id, turn.generation + 1)

    def told(self, error):
        return StoreError(cause=type(error).__name__)

    async def land(self, error=None):
        """Let the longest flight land, or fail."""
        go = self.in_the_air.pop(0)
        if error is None:
            go.set_result(None)
        else:
            go.set_exception(error)
        await settle()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def ids(*numbers):
    return [number.to_bytes(16, "big") for number in numbers]


@pytest.mark.anyio
async def test_a_single_turn_flies_at_once_and_those_that_come_meanwhile_fly_together():
    airport = Airport()
    first = airport.flights.turned(turn(9))
    await settle()
    assert airport.flown == [ids(9)]
    second = airport.flights.turned(turn(8))  # the other flight is free
    await settle()
    assert airport.flown == [ids(9), ids(8)]
    others = [airport.flights.turned(turn(number)) for number in (5, 3, 4)]
    await settle()
    assert len(airport.flown) == 2  # both are in the air
    await airport.land()
    assert airport.flown[2] == ids(3, 4, 5)  # in the order of ids: so locks are taken in one order by everybody
    assert await first == (*ids(9), 1)
    assert not second.done()
    await airport.land()
    await airport.land()
    assert [await answer for answer in (second, *others)] == [(raw, 1) for raw in ids(8, 5, 3, 4)]
    assert airport.resting == 2


@pytest.mark.anyio
async def test_all_that_wait_before_the_loop_turns_fly_in_one_statement():
    airport = Airport()
    answers = [airport.flights.turned(turn(number)) for number in range(32)]
    await settle()
    assert airport.flown == [ids(*range(32))]
    await airport.land()
    assert all(answer.done() for answer in answers)


@pytest.mark.anyio
async def test_no_more_than_64_fly_together():
    airport = Airport()
    for number in range(100):
        airport.flights.turned(turn(number))
    await settle()
    await airport.land()
    assert [len(flown) for flown in airport.flown] == [64, 36]


@pytest.mark.ids("M01")
@pytest.mark.anyio
async def test_two_turns_of_one_session_never_share_a_flight():
    airport = Airport()
    answers = [airport.flights.turned(turn(1)), airport.flights.turned(turn(1)), airport.flights.turned(turn(2))]
    await settle()
    assert airport.flown == [ids(1, 2)]
    assert not answers[1].done()
    await airport.land()
    assert airport.flown == [ids(1, 2), ids(1)]
    await airport.land()
    assert all(answer.done() for answer in answers)


@pytest.mark.anyio
async def test_a_turn_that_was_refused_gets_none():
    airport = Airport()
    airport.refused = ids(1)
    answers = [airport.flights.turned(turn(number)) for number in (1, 2)]
    await settle()
    await airport.land()
    assert [await answer for answer in answers] == [None, (*ids(2), 1)]


@pytest.mark.parametrize("sqlstate", [None, "40P01", "40001", "55P03", "23514"])
@pytest.mark.anyio
async def test_when_the_database_refuses_a_flight_each_goes_alone(sqlstate):
    airport = Airport()
    airport.trouble_alone[ids(2)[0]] = said("55P03")
    answers = [airport.flights.turned(turn(number)) for number in (1, 2, 3)]
    await settle()
    await airport.land(said(sqlstate))
    assert airport.alone == ids(1, 2, 3)
    assert airport.heard == {sqlstate is None}  # what the database took back, or refused, it has not done
    assert await answers[0] == (*ids(1), 1)
    assert await answers[2] == (*ids(3), 1)
    with pytest.raises(StoreError) as caught:
        await answers[1]
    assert caught.value.cause == "alone"


@pytest.mark.anyio
async def test_trouble_that_the_rest_would_meet_too_is_told_to_all_at_once():
    airport = Airport()
    airport.trouble_alone[ids(2)[0]] = ConnectionRefusedError()
    answers = [airport.flights.turned(turn(number)) for number in (1, 2, 3, 4)]
    await settle()
    await airport.land(said())
    assert airport.alone == ids(1, 2)
    assert await answers[0] == (*ids(1), 1)
    for answer in answers[1:]:
        with pytest.raises(StoreError):
            await answer


@pytest.mark.parametrize("error", [TimeoutError(), OSError(), ValueError()])
@pytest.mark.anyio
async def test_trouble_that_is_not_of_the_statement_is_told_to_all(error):
    airport = Airport()
    answers = [airport.flights.turned(turn(number)) for number in (1, 2)]
    await settle()
    await airport.land(error)
    assert not airport.alone
    for answer in answers:
        with pytest.raises(StoreError) as caught:
            await answer
        assert caught.value.cause == type(error).__name__


@pytest.mark.anyio
async def test_who_waits_while_nobody_can_connect_hears_of_it_and_the_next_are_served():
    airport = Airport()
    airport.trouble_connecting = [OSError()]
    answers = [airport.flights.turned(turn(number)) for number in (1, 2)]
    await settle()
    for answer in answers:
        with pytest.raises(StoreError):
            await answer
    again = airport.flights.turned(turn(1))
    await settle()
    await airport.land()
    assert await again == (*ids(1), 1)


@pytest.mark.anyio
async def test_where_only_one_flight_can_connect_it_takes_everybody():
    airport = Airport()
    first = airport.flights.turned(turn(1))
    await settle()
    airport.trouble_connecting = [OSError()]
    second = airport.flights.turned(turn(2))
    await settle()
    assert not second.done()
    await airport.land()
    await airport.land()
    assert (await first, await second) == ((*ids(1), 1), (*ids(2), 1))


@pytest.mark.anyio
async def test_a_cancelled_passenger_harms_no_other():
    airport = Airport()
    answers = [airport.flights.turned(turn(number)) for number in (1, 2, 3)]
    answers[0].cancel()  # before the flight
    await settle()
    answers[1].cancel()  # in the air
    await airport.land()
    assert await answers[2] == (*ids(3), 1)
    again = [airport.flights.turned(turn(number)) for number in (1, 2)]
    await settle()
    again[0].cancel()
    await airport.land(said("40P01"))
    assert await again[1] == (*ids(2), 1)


@pytest.mark.anyio
async def test_passengers_hear_of_trouble_after_their_patience_though_the_flight_is_still_in_the_air():
    airport = Airport(patience=0.0)
    answer = airport.flights.turned(turn(1))
    with pytest.raises(StoreError) as caught:
        await answer
    assert caught.value.cause == "TimeoutError"
    assert len(airport.in_the_air) == 1
    await airport.land()


@pytest.mark.anyio
async def test_a_flight_that_is_cancelled_with_its_loop_leaves_nobody_waiting():
    airport = Airport()
    answer = airport.flights.turned(turn(1))
    await settle()
    airport.tasks[0].cancel()
    await settle()
    assert answer.cancelled()
    again = airport.flights.turned(turn(1))
    await settle()
    airport.in_the_air.pop(0)
    await airport.land()
    assert await again == (*ids(1), 1)


def test_there_are_two_flights_of_64():
    assert (_flights._FLIGHTS, _flights._SEATS) == (2, 64)


class Connection:
    def __init__(self):
        self.is_closed = False

    async def close(self):
        self.is_closed = True


class HomeBase:
    """What a kept connection knows of its event loop's side."""

    def __init__(self):
        self.made = []

    async def connect(self):
        self.made.append(Connection())
        return self.made[-1]

    def start(self, coroutine):
        return asyncio.get_running_loop().create_task(coroutine)

    def has_none_to_spare(self):
        return False


@pytest.fixture
def no_rest(monkeypatch):
    monkeypatch.setattr(_side, "_REST", 0.0)


@pytest.mark.usefixtures("no_rest")
@pytest.mark.anyio
async def test_a_connection_goes_back_to_its_pool_after_a_rest_and_another_is_taken():
    base = HomeBase()
    kept = _side.KeptConnection(base)
    await kept.connect()
    await settle()
    assert not base.made[0].is_closed  # in the air
    kept.rest()
    await settle()
    assert base.made[0].is_closed
    await kept.connect()
    assert [connection.is_closed for connection in base.made] == [True, False]


@pytest.mark.usefixtures("no_rest")
@pytest.mark.anyio
async def test_an_alarm_of_an_earlier_rest_never_rings_in_mid_flight():
    base = HomeBase()
    kept = _side.KeptConnection(base)
    for _ in range(3):
        await kept.connect()
        kept.rest()
        kept.rest()  # a flight that found nobody to take along
        await kept.connect()
        await settle()
    assert [connection.is_closed for connection in base.made] == [False]


@pytest.mark.usefixtures("no_rest")
@pytest.mark.anyio
async def test_a_flight_that_connects_just_as_the_rest_is_over_gets_a_connection_of_its_own():
    base = HomeBase()
    kept = _side.KeptConnection(base)
    await kept.connect()
    kept.rest()
    kept._release_soon()  # the alarm rings; what it starts has not run yet
    await kept.connect()
    await settle()
    assert [connection.is_closed for connection in base.made] == [True, False]
