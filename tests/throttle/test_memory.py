"""The throttle in memory: bounded, whatever a flood brings, and silent about whom it counts."""

import gc
import pickle
import tracemalloc
from datetime import timedelta

import pytest

from keyturn._colour import call_blocking, drive
from keyturn._doors import Asked
from keyturn._off_loop import OffLoop
from keyturn.limits import Limits
from keyturn.testing.clock import START
from keyturn.throttle import Attempt, begun_anew
from keyturn.throttle.memory import MemoryThrottle


def a_login(number=0, *, username=None, address=None):
    return Attempt(
        "login", START, "default", address or f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        username or f"user {number}",
    )  # fmt: skip


@pytest.mark.ids("AU-08", "DS-02")
def test_a_flood_of_names_and_addresses_fills_no_memory_and_frees_no_victim():
    throttle = MemoryThrottle(size=1024)
    for _ in range(12):
        drive(throttle.admit(a_login(username="victim", address="192.0.2.7")))
    gc.collect()
    tracemalloc.start()
    for number in range(5_000):
        drive(throttle.admit(a_login(number)))
    assert len(throttle) <= 3 * 1024
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1_500_000
    assert drive(throttle.admit(a_login(username="victim", address="192.0.2.7"))).wait is not None


@pytest.mark.ids("DS-02", "RT-16")
def test_a_flood_of_sessions_fills_no_memory():
    throttle = MemoryThrottle(size=1024)
    for number in range(5_000):
        drive(throttle.admit(Attempt("refresh", START, session_id=f"session {number}")))
    assert len(throttle) <= 1024


@pytest.mark.ids("DS-02", "RT-16")
def test_a_flood_of_sessions_with_browsers_fills_no_memory_and_the_youngest_stay_known():
    throttle = MemoryThrottle(size=1024)
    now = START
    for number in range(5_000):
        now += timedelta(seconds=1)
        throttle.proven(f"session {number}", "a" * 64, now=now)
    assert len(throttle) == 1024  # one makes room for one
    mine = Attempt("refresh", now, session_id="session 4999", browser="a" * 64)
    assert throttle.counted(mine) == mine
    assert throttle.counted(mine._replace(browser="b" * 64)).browser == ""


@pytest.mark.ids("RT-16")
def test_a_door_that_blocks_inside_a_loop_tells_of_a_sessions_browser_at_once():
    throttle = MemoryThrottle()
    Asked(OffLoop(throttle), call_blocking).proven("session", "a" * 64, now=START)
    assert throttle.counted(Attempt("refresh", START, session_id="session", browser="a" * 64)).browser == "a" * 64


@pytest.mark.ids("AU-08", "DS-02")
def test_users_that_sign_in_from_new_browsers_again_and_again_fill_no_memory():
    throttle = MemoryThrottle(size=1024)
    for number in range(5000):
        attempt = a_login(number)
        admission = drive(throttle.admit(attempt))
        drive(throttle.succeeded(attempt, admission, now=START, browser=f"{number:064x}"))
    assert len(throttle) <= 1024  # nothing but browsers: what succeeded was given back and is gone


@pytest.mark.ids("AU-08")
def test_what_is_in_memory_is_digests():
    throttle = MemoryThrottle(Limits(refresh_per_address="60/minute"))
    attempt = a_login(username="very-secret-name", address="192.0.2.77")
    admission = drive(throttle.admit(attempt))
    drive(throttle.succeeded(attempt, admission, now=START, browser="c" * 64))
    drive(throttle.admit(attempt))
    drive(throttle.admit(Attempt("refresh", START, address="192.0.2.77", session_id="s")))
    throttle.proven("very-secret-session", "c" * 64, now=START)
    tables = pickle.dumps([table._sets for table in (*throttle._counts.values(), throttle._known, throttle._proven)])
    assert b"very-secret" not in tables
    assert b"192.0.2" not in tables
    assert b"c" * 16 not in tables


@pytest.mark.ids("AU-08")
def test_two_throttles_have_digests_of_their_own():
    one, other = MemoryThrottle(), MemoryThrottle()
    assert one._digest("a") != other._digest("a")


def test_one_for_a_test_begins_anew_with_the_same_limits():
    throttle = MemoryThrottle(Limits(login_per_user_and_address="1/hour"))
    drive(throttle.admit(a_login()))
    assert drive(throttle.admit(a_login())).wait is not None
    anew = begun_anew(throttle)
    assert drive(anew.admit(a_login())).wait is None
    assert drive(anew.admit(a_login())).wait is not None
