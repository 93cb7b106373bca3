"""One caller is stopped before each statement and each commit that it sends, and another comes in between.

On PostgreSQL a verb is one statement, so the stops are those between verbs; on MariaDB they are inside a transaction as
well. Whoever has to wait for a lock that the stopped one holds goes on when that one does.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from keyturn._colour import drive
from keyturn._flows import Outcome
from keyturn.errors import SessionEndedError, TokenError, TokenStaleError
from keyturn.events import ReuseDetected
from keyturn.session import EndReason
from tests.support.all_stores import BEHIND_A_NETWORK, Backing
from tests.support.desk import Desk, Device, is_over
from tests.support.rows import DAY

pytestmark = pytest.mark.parametrize("backing", BEHIND_A_NETWORK, indirect=True)

#: Seconds that the second caller gets before it is taken to wait for a lock. It decides what is tried, not what holds.
GRACE = 0.15
#: More stops than any verb has.
ENOUGH = 30

_stopping: ContextVar["Stop | None"] = ContextVar("stopping", default=None)


class Stop:
    """The n-th moment at which the watched caller is about to send something."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def wait(self, *, awaits: bool) -> None:
        """Stop here if this is the moment."""
        if self.left == 0:
            self.reached.set()
            if awaits:
                await_only(asyncio.to_thread(self.go_on.wait, 30))
            else:
                self.go_on.wait(30)
        self.left -= 1


@contextmanager
def stops(backing: Backing) -> Iterator[None]:
    """Let callers that have a stop come to it."""
    awaits = backing.raw.colour == "async"

    def before(*_: Any) -> None:
        if (stop := _stopping.get()) is not None:
            stop.wait(awaits=awaits)

    names = ("before_cursor_execute", "commit")
    for name in names:
        event.listen(backing.engine, name, before)
    said = backing.raw._side.statements
    fly = said.fly

    def stopping_fly(*args: Any) -> Any:
        before()
        return fly(*args)

    said.fly = stopping_fly  # it speaks to the driver itself, where there are no events
    try:
        yield
    finally:
        del said.fly
        for name in names:
            event.remove(backing.engine, name, before)


class Caller(threading.Thread):
    """A flow in a thread of its own, with what came of it."""

    def __init__(self, flow: Callable[[], Any], stop: Stop | None = None) -> None:
        super().__init__()
        self._flow, self._stop_at = flow, stop
        self.result: Any = None
        self.start()

    def run(self) -> None:
        _stopping.set(self._stop_at)
        try:
            self.result = drive(self._flow())
        except Exception as error:  # noqa: BLE001 - it is the result
            self.result = error
        finally:
            if self._stop_at is not None:
                self._stop_at.left = -1
                self._stop_at.reached.set()


def each_stop(
    backing: Backing,
    desk: Desk,
    stopped: str,
    other: str,
    check: Callable[[Device, Any, Any, bool], None],
    *,
    lost: bool = False,
) -> int:
    """Stop one flow at each of its moments and let the other run meanwhile; give how many moments there were."""
    with stops(backing):
        for nth in range(ENOUGH):
            device = desk.refresh(desk.sign_in())
            desk.use(device)
            desk.advance(DAY)
            if lost:  # an answer: what is presented now has to be recovered
                desk.ask(device)
                desk.advance(DAY)
            flows = flows_of(desk, device)
            stop = Stop(nth)
            first = Caller(flows[stopped], stop)
            assert stop.reached.wait(30)
            if not first.is_alive() or stop.left < 0:
                first.join(30)
                return nth
            second = Caller(flows[other])
            second.join(GRACE)
            came_back = not second.is_alive()
            late = Caller(flows["refresh"]) if came_back and other == "end" else None
            if late is not None:
                late.join(30)
                assert isinstance(late.result, SessionEndedError), "a refresh that began after the end succeeded"
            stop.go_on.set()
            for caller in (first, second):
                caller.join(30)
            check(device, first.result, second.result, came_back)
    raise AssertionError("it never comes to an end")


def flows_of(desk: Desk, device: Device) -> dict[str, Callable[[], Any]]:
    presented, id_ = desk.presented(device), desk.row(device).id
    return {
        "refresh": lambda: desk.flows.refresh(presented),
        "step up": lambda: desk.flows.step_up(presented),
        "end": lambda: desk.flows.ends.end([id_], EndReason.LOGOUT),
        "end all": lambda: desk.flows.ends.end_all("alice", EndReason.LOGOUT_ALL),
        "require": lambda: desk.flows.ends.require([drive(desk.store.get(id_))]),
    }


def holds(result: Any, device: Device) -> list[Device]:
    """What a client holds after an answer."""
    return [device.copy().take(result)] if isinstance(result, Outcome) else []


@pytest.mark.ids("M02", "P2")
@pytest.mark.parametrize(
    "order", [("refresh", "end"), ("end", "refresh"), ("refresh", "end all"), ("end all", "refresh")]
)
@pytest.mark.parametrize("lost", [False, True])
def test_an_end_between_any_two_statements_of_a_refresh_and_the_other_way_round_is_final(backing, desk, order, lost):
    def check(device: Device, first: Any, second: Any, came_back: bool) -> None:
        ended, answer = (second, first) if order[0] == "refresh" else (first, second)
        assert len(ended) == 1
        assert isinstance(answer, Outcome | TokenError), answer
        for got in [device, *holds(answer, device)]:
            assert is_over(desk, got)
        assert desk.told(ReuseDetected) == []

    stops_there_were = each_stop(backing, desk, *order, check, lost=lost)
    assert stops_there_were >= (3 if lost and order[0] == "refresh" else 1)


@pytest.mark.ids("M01", "M10", "RT-05")
def test_a_refresh_between_any_two_statements_of_another_gets_the_same_token(backing, desk):
    def check(device: Device, first: Any, second: Any, came_back: bool) -> None:
        assert first.pair.refresh_token == second.pair.refresh_token
        assert [first.turned, second.turned].count(True) == 1
        assert desk.row(device).generation == 2
        desk.use(device.take(first))

    assert each_stop(backing, desk, "refresh", "refresh", check) >= 1


@pytest.mark.ids("M02", "M14")
@pytest.mark.parametrize("order", [("refresh", "step up"), ("step up", "refresh")])
def test_a_step_up_between_any_two_statements_of_a_refresh_leaves_one_token_alive(backing, desk, order):
    def check(device: Device, first: Any, second: Any, came_back: bool) -> None:
        stepped, refreshed = (second, first) if order[0] == "refresh" else (first, second)
        assert desk.told(ReuseDetected) == []
        alive, dead = (stepped, refreshed) if isinstance(stepped, Outcome) else (refreshed, stepped)
        assert isinstance(dead, TokenStaleError)
        desk.use(device.copy().take(alive))

    assert each_stop(backing, desk, *order, check) >= 1


@pytest.mark.ids("M02", "M26")
@pytest.mark.parametrize("order", [("end", "require"), ("require", "end")])
def test_a_requirement_between_any_two_statements_of_an_end_takes_nothing_back(backing, desk, order):
    def check(device: Device, first: Any, second: Any, came_back: bool) -> None:
        ended = second if order[1] == "end" else first
        assert len(ended) == 1
        assert is_over(desk, device)
        fresh = list(drive(desk.store.revocations(None)).entries)
        assert max(entry.floor for entry in fresh if entry.session_id == desk.row(device).id) == 2**63 - 1

    assert each_stop(backing, desk, *order, check) >= 1
