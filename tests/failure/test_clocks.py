"""Clocks that jump, and clocks that are apart: what a client sees, and that nobody is accused. On every store.

An issuer's clock gives `now` to every decision and to the store, which reads none of its own.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn.errors import TokenError
from keyturn.events import ReuseDetected, SessionEnded
from keyturn.testing.clock import ManualClock
from tests.support.all_stores import STORES, Backing
from tests.support.front import Device, Front, a_front, settings_with

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
JUMPS = [MINUTE, HOUR, DAY]
TRANSPORTS = ["cookie", "body"]


@pytest.fixture(params=["memory", "sqlite", "postgresql-asyncpg", "mariadb-pymysql"])
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backing]:
    with STORES[request.param](tmp_path, request.getfixturevalue) as opened:
        yield opened


def accused(*fronts: Front) -> list[Any]:
    return [fact for front in fronts for fact in front.facts if isinstance(fact, ReuseDetected | SessionEnded)]


def in_use(front: Front, transport: str) -> Device:
    """A device that has turned its key a few times and was seen with each."""
    device = front.device(page=transport == "cookie")
    for _ in range(3):
        front.advance(MINUTE)
        assert device.refresh().status == 200
        assert front.check(device) is not None
    return device


@pytest.mark.ids("P3", "RT-17")
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_clock_that_goes_back_signs_nobody_out_and_accuses_nobody(backing, jump, transport):
    """Until its old time is reached again a cookie session gets its token again, and a fresh access token."""
    front = a_front(store=backing.store)
    device = in_use(front, transport)
    front.advance(-jump)
    for _ in range(3):
        front.advance(15)
        assert device.refresh().status == 200
        assert front.check(device) is not None
    front.advance(jump + HOUR)
    assert device.refresh().status == 200
    assert front.check(device) is not None
    assert accused(front) == []


@pytest.mark.ids("P3", "RT-17")
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_clock_that_goes_ahead_and_comes_back_signs_nobody_out_and_accuses_nobody(backing, jump, transport):
    """Access tokens of the time ahead are not yet valid once it is over; a refresh brings one that is."""
    front = a_front(store=backing.store)
    device = in_use(front, transport)
    front.advance(jump)
    assert device.refresh().status == 200
    assert front.check(device) is not None
    front.advance(-jump)
    with pytest.raises(TokenError):
        front.check(device)
    for _ in range(3):
        front.advance(15)
        assert device.refresh().status == 200
        assert front.check(device) is not None
    assert accused(front) == []


@pytest.mark.ids("M23", "P2", "SE-02")
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("back", [False, True])
def test_what_ended_stays_ended_wherever_the_clock_jumps(backing, jump, back):
    front = a_front(store=backing.store)
    device = in_use(front, "body")
    copy = Device(front, refresh_token=device.refresh_token, access_token=device.access_token)
    assert device.call("POST", "/auth/logout").status == 204
    for by in (-jump, jump, jump) if back else (jump, -jump, -jump):
        front.advance(by)
        assert copy.refresh().seen == (401, "session_ended")
        assert copy.call("GET", "/auth/session").status == 401


@pytest.mark.ids("P3", "M23", "RT-17")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("apart", [timedelta(seconds=5), timedelta(seconds=25), MINUTE])
def test_two_issuers_whose_clocks_are_apart_take_turns_and_accuse_nobody(backing, transport, apart):
    """Up to half the leeway is allowed; beyond it, too, an honest client is served by whichever it comes to.

    More than the clock skew (30 s) apart, what the one ahead has issued is refused by the other until a refresh there.
    """
    clock = ManualClock()
    settings = settings_with()
    here = a_front(settings, store=backing.store, clock=clock)
    ahead = a_front(settings, store=backing.store, clock=Ahead(clock, apart))
    device = here.device(page=transport == "cookie")
    for turn in range(8):
        clock.advance(20 if turn % 2 else 70)
        device.front = (here, ahead)[turn % 2]
        assert device.refresh().status == 200
        assert device.front.check(device) is not None
        if apart <= timedelta(seconds=25):
            assert (here, ahead)[1 - turn % 2].check(device) is not None
    assert accused(here, ahead) == []
    assert device.call("POST", "/auth/logout").status == 204
    clock.advance(6)
    for front in (here, ahead):
        copy = Device(front, dict(device.jar), device.access_token, device.refresh_token)
        assert copy.call("GET", "/auth/session").status == 401


class Ahead(ManualClock):
    """A clock that is always the same time ahead of another one."""

    def __init__(self, clock: ManualClock, by: timedelta) -> None:
        super().__init__(clock())
        self._clock, self._by = clock, by

    def __call__(self) -> Any:
        return self._clock() + self._by
