"""The map of floors: nothing that ended comes back, whatever the order, the clocks, the threads and the feed do."""

import asyncio
import sys
import threading
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.revocation import FloorMap, catch_up
from keyturn.session import new_session_id
from keyturn.settings import ACCESS_TOKEN_CEILING, SKEW_CEILING
from keyturn.stores import ENDED, Revocation, Revocations
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import START, ManualClock

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
#: How long a log entry lives after its moment (protocol section 5): the ceiling and twice the skew.
LIFE = ACCESS_TOKEN_CEILING + 2 * timedelta(seconds=30)


def session(number: int) -> str:
    return new_session_id(START, number.to_bytes(14, "big"))


def entry(number: int, floor: int = ENDED, until=START + LIFE) -> Revocation:
    return Revocation(session_id=session(number), floor=floor, until=until)


class Log:
    """A feed whose answers a test prepares: one per call, an exception is raised."""

    def __init__(self, *answers: Revocations | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str | None] = []

    async def revocations(self, after: str | None) -> Revocations:
        self.asked.append(after)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def news(position: str, *entries: Revocation, complete: bool = True) -> Revocations:
    return Revocations(entries=entries, position=position, complete=complete)


# --- combining ----------------------------------------------------------------------------------------------------


def test_an_unknown_session_has_no_floor():
    assert FloorMap().floor_of(session(1)) == 0
    assert FloorMap().floor_of("") == 0
    assert FloorMap().floor_of("\ud800é") == 0


@pytest.mark.parametrize(
    ("floors", "lowest"),
    [
        ([3], 3),
        ([3, 5], 5),
        ([5, 3], 5),
        ([ENDED, 3], ENDED),
        ([3, ENDED], ENDED),
        ([3, ENDED, 4], ENDED),
        ([ENDED, ENDED], ENDED),
        ([0], 0),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["in one reading", "long apart"])
@pytest.mark.ids("M05")
def test_whichever_entry_says_dead_wins(floors, lowest, apart):
    known = FloorMap()
    for number, floor in enumerate(floors):
        known.add([entry(1, floor, until=START + (2 + number) * HOUR)])
        if apart:
            known.drop(START)
    assert known.floor_of(session(1)) == lowest
    assert known.floor_of(session(2)) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4) | st.just(ENDED), st.booleans())))
@pytest.mark.ids("M05")
def test_floors_are_the_maximum_of_what_was_told(told):
    known = FloorMap()
    for number, floor, drop in told:
        known.add([entry(number, floor)])
        if drop:
            known.drop(START + LIFE)
    for number in range(6):
        assert known.floor_of(session(number)) == max((f for n, f, _ in told if n == number), default=0)


# --- how long an entry lives --------------------------------------------------------------------------------------


@pytest.mark.ids("M23")
def test_an_entry_lives_until_its_moment_however_often_the_map_lets_go():
    known = FloorMap()
    for minute in range(600):
        now = START + timedelta(minutes=minute)
        known.add([entry(minute, until=now + LIFE), entry(1000 + minute, 7, until=now + LIFE)])
        known.drop(now)
        for told in range(max(0, minute - 61), minute + 1):
            assert known.floor_of(session(told)) == ENDED
            assert known.floor_of(session(1000 + told)) == 7
        assert len(known) <= 2 * 2 * 70, "memory follows what is alive"


@pytest.mark.ids("M23")
def test_a_token_stays_dead_though_clocks_differ_and_the_lifetime_was_lowered():
    # Issued for an hour by a clock 25 s ahead while another issuer ended the session; then lifetimes fell to 5 minutes.
    skew = timedelta(seconds=30)
    issued_at = START + timedelta(seconds=25)
    last_moment = issued_at + ACCESS_TOKEN_CEILING + skew - timedelta(microseconds=1)
    known = FloorMap()
    known.add([entry(1, until=START + LIFE)])
    for minutes in range(120):
        now = min(START + timedelta(minutes=minutes), last_moment)
        known.drop(now)
        known.add([entry(2 + minutes, until=now + LIFE)])
        assert known.floor_of(session(1)) == ENDED


def test_what_nobody_can_need_any_more_is_let_go():
    known = FloorMap()
    known.add(entry(number) for number in range(100))
    for hours in range(2, 8):
        known.drop(START + hours * HOUR)
    assert len(known) == 0
    assert known.floor_of(session(1)) == 0


def test_letting_go_twice_at_once_loses_nothing():
    known = FloorMap()
    known.add([entry(1)])
    known.drop(START)  # entry 1 is in the old half now
    halves = known._halves
    known.drop(START + 3 * HOUR)
    known.add([entry(2, until=START + 5 * HOUR)])
    known._halves, current = halves, known._halves  # what a second caller saw before the first was through
    known.drop(START + 3 * HOUR)
    assert known._halves is halves, "the half that was dropped once is not dropped again"
    known._halves = current
    assert known.floor_of(session(2)) == ENDED


# --- catching up --------------------------------------------------------------------------------------------------


@pytest.mark.ids("M04")
def test_a_new_process_learns_of_every_end_before_it_serves():
    clock, store = ManualClock(), MemoryStore()
    first = FloorMap()
    log = Log(news("5", entry(1), entry(2, 4)))
    assert first.age(clock()) is None
    drive(catch_up(log, first, clock))
    assert first.age(clock()) == timedelta(0)
    assert (first.floor_of(session(1)), first.floor_of(session(2))) == (ENDED, 4)
    assert log.asked == [None]
    again = FloorMap()  # the process was killed: nothing is kept
    assert again.age(clock()) is None
    drive(catch_up(store, again, clock))
    assert again.age(clock()) == timedelta(0)


def test_reading_goes_on_from_where_the_log_stood():
    clock, known = ManualClock(), FloorMap()
    log = Log(news("5", entry(1)), news("7", entry(2)), news("7"))
    for _ in range(3):
        drive(catch_up(log, known, clock))
        clock.advance(3)
    assert log.asked == [None, "5", "7"]
    assert known.age(clock()) == 3 * SECOND
    assert known.floor_of(session(2)) == ENDED


def test_a_position_older_than_the_log_gives_a_snapshot_and_loses_nothing():
    clock, known = ManualClock(), FloorMap()
    known.add([entry(3)])
    drive(catch_up(Log(news("5", entry(1))), known, clock))

    class Slow(Log):
        async def revocations(self, after):
            known.add([entry(4), entry(2, 9)])  # announced in this process while the snapshot is on its way
            return await super().revocations(after)

    drive(catch_up(Slow(news("90", entry(2, 8), complete=False)), known, clock))
    assert [known.floor_of(session(number)) for number in (1, 2, 3, 4)] == [ENDED, 9, ENDED, ENDED]
    assert known.position == "90"


def test_a_feed_that_fails_is_heard_and_leaves_the_age_as_it_was():
    clock, known = ManualClock(), FloorMap()
    log = Log(StoreError(cause="down"), news("5", entry(1)), StoreError(cause="down"), TimeoutError(), news("6"))
    with pytest.raises(StoreError):
        drive(catch_up(log, known, clock))
    assert known.age(clock()) is None
    drive(catch_up(log, known, clock))
    clock.advance(4)
    for expected in (StoreError, TimeoutError):
        with pytest.raises(expected):
            drive(catch_up(log, known, clock))
        assert known.age(clock()) == 4 * SECOND
        assert known.position == "5"
        assert known.floor_of(session(1)) == ENDED
    drive(catch_up(log, known, clock))
    assert known.age(clock()) == timedelta(0)


def test_the_age_counts_from_the_beginning_of_the_reading():
    clock, known = ManualClock(), FloorMap()

    class Slow(Log):
        async def revocations(self, after):
            clock.advance(2)
            return await super().revocations(after)

    drive(catch_up(Slow(news("5")), known, clock))
    assert known.age(clock()) == 2 * SECOND


def test_a_clock_that_went_back_makes_no_old_map_fresh():
    clock, known = ManualClock(), FloorMap()
    log = Log(news("5", entry(1)), news("8", entry(2)))
    drive(catch_up(log, known, clock))
    clock.advance(-HOUR)
    for _ in range(3600):
        assert known.age(clock()) == timedelta.max
        clock.advance(0.5)
    drive(catch_up(log, known, clock))
    assert known.age(clock()) == timedelta(0)
    assert log.asked == [None, None], "what a clock ahead of time let go is read again"


def test_a_reading_that_began_a_moment_later_is_fresh():
    clock, known = ManualClock(), FloorMap()
    drive(catch_up(Log(news("5")), known, clock))
    assert known.age(clock() - SECOND / 1000) == timedelta(0)
    assert known.age(clock() - SECOND) == timedelta(0)
    assert known.age(clock() - SECOND - SECOND / 1000) == timedelta.max


@pytest.mark.ids("M23")
def test_a_clock_that_leapt_ahead_and_back_revives_nothing():
    clock, known = ManualClock(), FloorMap()
    everything = news("5", entry(1))
    log = Log(everything, news("5"), news("5"), everything)
    drive(catch_up(log, known, clock))
    clock.advance(timedelta(days=1))
    for _ in range(2):
        drive(catch_up(log, known, clock))
        clock.advance(timedelta(days=1))
    assert known.floor_of(session(1)) == 0
    clock.set(START + SECOND)
    assert known.age(clock()) == timedelta.max
    drive(catch_up(log, known, clock))
    assert known.floor_of(session(1)) == ENDED


class Gate:
    """A feed that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()

    async def revocations(self, after: str | None) -> Revocations:
        self.asked += 1
        await self.open.wait()
        return news("9", entry(1))


@pytest.mark.anyio
async def test_one_caller_reads_and_the_others_go_on():
    clock, known, gate = ManualClock(), FloorMap(), Gate()
    await catch_up(Log(news("5")), known, clock)
    clock.advance(3)
    reader = asyncio.create_task(catch_up(gate, known, clock))
    await asyncio.sleep(0)
    for _ in range(50):
        await catch_up(gate, known, clock)  # returns at once
    assert gate.asked == 1
    assert known.age(clock()) == 3 * SECOND
    gate.open.set()
    await reader
    assert known.age(clock()) == timedelta(0)
    await catch_up(gate, known, clock)
    assert gate.asked == 2


@pytest.mark.anyio
@pytest.mark.ids("M04")
async def test_nobody_goes_on_before_the_first_snapshot():
    clock, known, gate = ManualClock(), FloorMap(), Gate()
    callers = [asyncio.create_task(catch_up(gate, known, clock)) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(caller.done() for caller in callers)
    gate.open.set()
    await asyncio.gather(*callers)
    assert known.floor_of(session(1)) == ENDED
    clock.advance(3)
    gate.open.clear()
    reader = asyncio.create_task(catch_up(gate, known, clock))
    await asyncio.sleep(0)
    await catch_up(gate, known, clock)
    gate.open.set()
    await reader


@pytest.mark.anyio
async def test_a_reader_that_was_cancelled_or_lost_does_not_keep_others_from_reading():
    clock, known, gate = ManualClock(), FloorMap(), Gate()
    await catch_up(Log(news("5")), known, clock)
    reader = asyncio.create_task(catch_up(gate, known, clock))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await catch_up(Log(news("6")), known, clock)
    assert known.position == "6"
    assert known.take_turn(clock())  # as a thread had it when the process was forked
    clock.advance(9)
    await catch_up(Log(), known, clock)
    assert known.position == "6"
    clock.advance(2)
    await catch_up(Log(news("7")), known, clock)
    assert known.position == "7"


# --- threads and memory -------------------------------------------------------------------------------------------


@pytest.fixture
def eager_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(count: int, work) -> list[BaseException]:
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.ids("M05")
def test_eight_threads_lose_no_end_while_the_map_turns_over():
    known = FloorMap()
    per_thread = 400

    def work(number: int) -> None:
        for step in range(per_thread):
            mine = number * per_thread + step
            now = START + timedelta(seconds=step)
            known.add([entry(mine, until=now + LIFE)])
            known.add([entry(10**6, step, until=now + LIFE), entry(mine, 3, until=now + LIFE)])
            if step % 7 == number % 7:
                known.drop(now)
            assert known.floor_of(session(mine)) == ENDED

    assert in_threads(8, work) == []
    assert all(known.floor_of(session(number)) == ENDED for number in range(8 * per_thread))


def sizes(entries: Sequence[Revocation]) -> float:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        known = FloorMap()
        known.add(entries)
        return (tracemalloc.get_traced_memory()[0] - before) / len(known)
    finally:
        tracemalloc.stop()


def test_an_end_takes_less_than_a_hundred_bytes():
    ended = [entry(number) for number in range(50_000)]
    assert sizes(ended) < 100


def test_a_floor_takes_little_more():
    # A dict of 50 000 has its table just doubled; at a million an entry takes some 90 bytes.
    assert sizes([entry(number, 1 + number % 200) for number in range(50_000)]) < 110


def test_the_grace_covers_the_widest_skew():
    assert LIFE <= ACCESS_TOKEN_CEILING + 2 * SKEW_CEILING
