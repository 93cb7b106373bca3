"""How passwords are hashed: how dearly, how many at once, and what becomes of those who wait."""

import asyncio
import os
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import scrypt
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from keyturn._colour import CALLER_BLOCKS, drive
from keyturn.errors import KeyturnError, RequestError
from keyturn.server import argon2id
from keyturn.server.argon2id import Cost
from keyturn.server.hashing import BusyError, Hashing, share
from keyturn.testing.entropy import CountingEntropy
from tests.support.office import CHEAP, OTHER, PASSWORD, counted_hashes


def scrypt_phc(password: str, n: int = 4) -> str:
    salt = b"0123456789abcdef"
    digest = scrypt(password.encode(), salt=salt, n=2**n, r=8, p=1, dklen=32)
    texts = [b64encode(part).decode().rstrip("=") for part in (salt, digest)]
    return f"$scrypt$ln={n},r=8,p=1$" + "$".join(texts)


class Gate:
    """Work that waits until it is let through, and knows how many are at it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = 0
        patch.setattr(argon2id, "hash_secret", self.work)

    def work(self, *args: Any) -> bytes:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.open.wait(30)
        with self.lock:
            self.inside -= 1
        return b"made"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


def until_in_a_loop_that_stands_still(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline


# --- what a hash is -------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-01")
def test_a_hash_is_argon2id_with_what_owasp_asks_for_and_a_salt_of_its_own() -> None:
    hashing = Hashing()
    one, other = drive(hashing.make(PASSWORD)), drive(hashing.make(PASSWORD))
    found = extract_parameters(one)
    assert (found.type, found.version) == (Type.ID, 19)
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19 * 1024, 2, 1)
    assert (found.salt_len, found.hash_len) == (16, 32)
    assert one.split("$")[4] != other.split("$")[4]
    assert PasswordHasher().verify(one, PASSWORD), "another implementation's words are the same"


@pytest.mark.ids("AU-01")
def test_the_salt_is_what_the_entropy_gives() -> None:
    same = [drive(Hashing(cost=CHEAP, entropy=CountingEntropy()).make(PASSWORD)) for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.ids("AU-01")
def test_the_right_password_is_right_and_others_are_not() -> None:
    hashing = Hashing(cost=CHEAP)
    kept = drive(hashing.make(PASSWORD))
    assert drive(hashing.is_right(kept, PASSWORD)) is True
    assert drive(hashing.is_right(kept, OTHER)) is False
    assert drive(hashing.is_right(kept, "")) is False


@pytest.mark.ids("AU-02")
@pytest.mark.parametrize(
    "cost", [Cost(memory=16, passes=1), Cost(memory=8, passes=2), Cost(memory=16, passes=1, lanes=2)]
)
def test_a_hash_that_cost_otherwise_is_right_and_old(cost: Cost) -> None:
    kept = drive(Hashing(cost=cost).make(PASSWORD))
    now = Hashing(cost=CHEAP)
    assert drive(now.is_right(kept, PASSWORD))
    assert now.is_old(kept)
    assert not now.is_old(drive(now.make(PASSWORD)))


@pytest.mark.ids("AU-02")
def test_other_kinds_of_hash_are_checked_by_the_beginning_of_their_text() -> None:
    def reversed_(kept: str, secret: bytes) -> bool:
        return kept == "$reversed$" + secret.decode()[::-1]

    hashing = Hashing(cost=CHEAP, old={"$reversed$": reversed_})
    assert drive(hashing.is_right("$reversed$abc", "cba"))
    assert not drive(hashing.is_right("$reversed$abc", "abc"))
    assert hashing.is_old("$reversed$abc")


@pytest.mark.ids("AU-02")
def test_scrypt_hashes_of_others_are_understood() -> None:
    hashing = Hashing(cost=CHEAP)
    kept = scrypt_phc(PASSWORD)
    assert drive(hashing.is_right(kept, PASSWORD))
    assert not drive(hashing.is_right(kept, OTHER))
    assert hashing.is_old(kept)


@pytest.mark.parametrize(
    "kept",
    ["$scrypt$ln=30,r=8,p=1$MDEy$" + "A" * 43, "$scrypt$ln=4,r=8,p=99$MDEy$" + "A" * 43, "$scrypt$ln=4,r=0,p=1$MDEy$" + "A" * 43,
     "$scrypt$ln=0,r=8,p=1$MDEy$" + "A" * 43, "$scrypt$ln=4,r=8,p=1$MDEy$short", "$scrypt$nonsense", "$scrypt$ln=4,r=8,p=1$M$" + "A" * 45],
)  # fmt: skip
def test_a_broken_scrypt_hash_is_nobodys_and_costs_nothing(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = counted_hashes(monkeypatch)
    assert drive(Hashing(cost=CHEAP).is_right(kept, PASSWORD)) is False
    assert count.all == 0


@pytest.mark.parametrize("length", [0, 2, 4, 20])
def test_a_scrypt_hash_that_was_cut_off_is_nobodys(length: int) -> None:
    head, _, digest = scrypt_phc(PASSWORD).rpartition("$")
    assert drive(Hashing(cost=CHEAP).is_right(f"{head}${digest}", PASSWORD))
    assert not drive(Hashing(cost=CHEAP).is_right(f"{head}${digest[:length]}", PASSWORD))


@pytest.mark.ids("AU-06")
@pytest.mark.parametrize(
    "kept",
    ["", "nonsense", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$short$x", "$argon2id$v=19$m=4194304,t=1,p=1$MDEyMzQ1Njc$" + "A" * 43,
     "$argon2id$v=19$m=8,t=4000000,p=1$MDEyMzQ1Njc$" + "A" * 43, "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc$" + "é" * 43, "$2b$12$abc",
     "$argon2id$v=19$m=\u0668,t=1,p=1$MDEyMzQ1Njc$" + "A" * 43],
)  # fmt: skip
def test_a_hash_that_cannot_be_understood_is_nobodys_for_the_same_work(
    kept: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hashing = Hashing(cost=CHEAP)
    count = counted_hashes(monkeypatch)
    assert drive(hashing.is_right(kept, PASSWORD)) is False
    assert count.all == 1
    assert "cannot be understood" in caplog.text
    assert not kept or kept not in caplog.text


@pytest.mark.ids("AU-06")
@pytest.mark.parametrize("password", [PASSWORD, "", "x" * 1025, "x" * 100_000, "\udcff", "a\x00b"])
def test_where_there_is_no_hash_one_is_computed_all_the_same(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(cost=CHEAP)
    count = counted_hashes(monkeypatch)
    assert drive(hashing.is_right(None, password)) is False
    assert count.all == 1


@pytest.mark.ids("AU-06")
def test_nobodys_hash_costs_what_somebodys_does(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = argon2id.verify_secret
    monkeypatch.setattr(argon2id, "verify_secret", lambda kept, *rest: seen.append(kept.decode()) or real(kept, *rest))
    hashing = Hashing()
    kept = drive(hashing.make(PASSWORD))
    drive(hashing.is_right(kept, OTHER))
    drive(hashing.is_right(None, OTHER))
    somebodys, nobodys = map(extract_parameters, seen)
    assert somebodys == nobodys


@pytest.mark.ids("AU-03", "AU-06")
def test_a_password_too_long_is_wrong_even_if_its_beginning_is_right() -> None:
    hashing = Hashing(cost=CHEAP)
    kept = drive(hashing.make("x" * 1024))
    assert drive(hashing.is_right(kept, "x" * 1024))
    assert not drive(hashing.is_right(kept, "x" * 1025))
    assert not drive(hashing.is_right(drive(hashing.make("x" * 1025)), "x" * 1025)), "nor is one that was kept somehow"


@pytest.mark.ids("ST-01")
@pytest.mark.anyio
async def test_no_password_is_in_what_may_be_shown() -> None:
    hashing = Hashing(cost=CHEAP)
    kept = await hashing.make(PASSWORD)
    assert PASSWORD not in repr(hashing)
    assert PASSWORD not in repr(vars(hashing))
    assert kept not in repr(vars(hashing))
    hashing.close()


# --- how many at once -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_no_more_are_hashed_at_once_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=2, queue=100)
    all_ = [asyncio.ensure_future(hashing.make(PASSWORD)) for _ in range(20)]
    await until(lambda: gate.inside == 2)
    assert (hashing.running, hashing.waiting, hashing.limit) == (2, 18, 2)
    gate.open.set()
    assert await asyncio.gather(*all_) == ["made"] * 20
    assert gate.most == 2
    await until(lambda: hashing.running == 0)
    assert (hashing.waiting, hashing.done, hashing.refused) == (0, 20, 0)
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_who_finds_the_queue_full_is_told_at_once_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1, queue=3)
    waiting = [asyncio.ensure_future(hashing.make(PASSWORD)) for _ in range(4)]
    await until(lambda: hashing.waiting == 3)
    with pytest.raises(BusyError) as caught:
        await hashing.is_right(None, PASSWORD)
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert int(caught.value.headers["Retry-After"]) >= 1
    assert hashing.refused == 1
    gate.open.set()
    assert await asyncio.gather(*waiting) == ["made"] * 4, "those who were let in are served"
    assert await hashing.make(PASSWORD) == "made", "and afterwards there is room again"
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_those_who_are_turned_away_are_not_sent_back_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    seconds = [1000.0]
    hashing = Hashing(limit=1, queue=1, timer=lambda: seconds[0])
    waiting = [asyncio.ensure_future(hashing.make(PASSWORD)) for _ in range(2)]
    await until(lambda: hashing.waiting == 1)

    async def turned_away() -> int:
        with pytest.raises(BusyError) as caught:
            await hashing.make(PASSWORD)
        return int(caught.value.headers["Retry-After"])

    told = [await turned_away() for _ in range(1000)]
    assert told == sorted(told)
    assert (told[0], told[99], told[-1]) == (1, 11, 60), (
        "a tenth of a second for each until one was timed; a minute at most"
    )
    seconds[0] += 3600
    assert await turned_away() == 1, "what was promised long ago is forgotten"
    gate.open.set()
    await asyncio.gather(*waiting)
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_a_thread_hashes_one_after_the_other_without_waiting_for_the_event_loop() -> None:
    hashing = Hashing(cost=CHEAP, limit=2)
    all_ = [asyncio.ensure_future(hashing.make(PASSWORD)) for _ in range(9)]
    await asyncio.sleep(0)
    until_in_a_loop_that_stands_still(lambda: hashing.done == 9)
    assert len(await asyncio.gather(*all_)) == 9
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_they_are_served_in_the_order_they_came() -> None:
    hashing = Hashing(cost=CHEAP, limit=1)
    served: list[int] = []

    async def come(number: int) -> None:
        await hashing.make(PASSWORD)
        served.append(number)

    await asyncio.gather(*(come(number) for number in range(10)))
    assert served == list(range(10))
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_a_waiter_whose_client_has_gone_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1, queue=1)
    first = asyncio.ensure_future(hashing.make(PASSWORD))
    await until(lambda: gate.inside == 1)
    left = asyncio.Event()

    async def gone() -> None:
        await left.wait()

    second = asyncio.ensure_future(hashing.make(PASSWORD, gone=gone))
    await until(lambda: hashing.waiting == 1)
    left.set()
    with pytest.raises(RequestError):
        await second
    assert hashing.waiting == 0
    third = asyncio.ensure_future(hashing.make(PASSWORD))
    await until(lambda: hashing.waiting == 1)
    gate.open.set()
    assert await asyncio.gather(first, third) == ["made", "made"]
    await until(lambda: hashing.running == 0)
    assert hashing.done == 2, "what nobody waited for was not hashed"
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_where_it_cannot_be_told_whether_the_client_is_there_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1)
    first = asyncio.ensure_future(hashing.make(PASSWORD))

    async def gone() -> None:
        raise RuntimeError("somebody else listens already")

    second = asyncio.ensure_future(hashing.make(PASSWORD, gone=gone))
    await until(lambda: hashing.waiting == 1)
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(first, second) == ["made", "made"]
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_nobody_listens_to_the_client_any_more_once_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1)
    listening = 0

    async def gone() -> None:
        nonlocal listening
        listening += 1
        try:
            await asyncio.Event().wait()
        finally:
            listening -= 1

    first = asyncio.ensure_future(hashing.make(PASSWORD, gone=gone))
    second = asyncio.ensure_future(hashing.make(PASSWORD, gone=gone))
    await until(lambda: listening == 1)  # the first did not wait, so nobody need be heard
    gate.open.set()
    await asyncio.gather(first, second)
    assert listening == 0
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_a_cancelled_waiter_is_out_of_the_queue_and_a_cancelled_worker_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1)
    first = asyncio.ensure_future(hashing.make(PASSWORD))
    second = asyncio.ensure_future(hashing.make(PASSWORD))
    third = asyncio.ensure_future(hashing.make(PASSWORD))
    await until(lambda: gate.inside == 1 and hashing.waiting == 2)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert hashing.running == 1, "its thread is still at it"
    assert hashing.waiting == 1
    assert gate.most == 1
    gate.open.set()
    assert await third == "made"
    await until(lambda: hashing.running == 0)
    assert gate.most == 1
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_who_is_cancelled_in_the_moment_of_its_turn_hands_the_place_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing(limit=1)
    first, second, third = (asyncio.ensure_future(hashing.make(PASSWORD)) for _ in range(3))
    await until(lambda: gate.inside == 1 and hashing.waiting == 2)
    gate.open.set()
    until_in_a_loop_that_stands_still(lambda: hashing.done > 0)  # it hears of the first when the second has its turn
    second.cancel()
    assert await asyncio.gather(first, third) == ["made", "made"]
    await until(lambda: hashing.running == 0)
    assert hashing.done == 3
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_the_event_loop_goes_on_while_a_password_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    hashing = Hashing()
    job = asyncio.ensure_future(hashing.make(PASSWORD))
    await until(lambda: gate.inside == 1)  # the loop turns while the thread stands still
    gate.open.set()
    assert await job == "made"
    hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
async def test_a_hashing_thread_steps_back_behind_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def work(*args: Any) -> bytes:
        seen.append((threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
        return b"made"

    monkeypatch.setattr(argon2id, "hash_secret", work)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    hashing = Hashing()
    await hashing.make(PASSWORD)
    (thread, priority), = seen  # fmt: skip
    assert thread != threading.get_native_id()
    assert priority > own or own >= 19
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    hashing.close()


@pytest.mark.anyio
async def test_after_the_close_it_begins_anew() -> None:
    hashing = Hashing(cost=CHEAP)
    kept = await hashing.make(PASSWORD)
    hashing.close()
    assert await hashing.is_right(kept, PASSWORD)
    hashing.close()


@pytest.mark.anyio
async def test_a_fault_of_a_hash_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*args: Any) -> bytes:
        raise MemoryError

    hashing = Hashing(cost=CHEAP)
    monkeypatch.setattr(argon2id, "hash_secret", work)
    for _ in range(3):
        with pytest.raises(MemoryError):
            await hashing.make(PASSWORD)
    await until(lambda: hashing.running == 0)
    hashing.close()


# --- code that blocks ------------------------------------------------------------------------------------------------


def test_code_that_blocks_hashes_on_the_spot() -> None:
    hashing = Hashing(cost=CHEAP)
    threads = set(threading.enumerate())
    assert drive(hashing.is_right(drive(hashing.make(PASSWORD)), PASSWORD))
    assert set(threading.enumerate()) <= threads, "those of other tests may end in the meantime"
    assert (hashing.done, hashing.running) == (2, 0)


@pytest.mark.anyio
async def test_blocking_code_inside_a_loop_hashes_on_the_spot_too() -> None:
    hashing = Hashing(cost=CHEAP)
    token = CALLER_BLOCKS.set(True)
    try:
        assert drive(hashing.make(PASSWORD)).startswith("$argon2id$")
    finally:
        CALLER_BLOCKS.reset(token)


@pytest.mark.ids("AU-09")
@pytest.mark.parametrize(
    ("workers", "cores", "each"), [(1, 2, 2), (2, 2, 1), (3, 2, 1), (2, 16, 8), (3, 16, 5), (0, 4, 4)]
)
def test_workers_share_the_machine(workers: int, cores: int, each: int) -> None:
    assert share(workers, cores) == each


def test_being_busy_is_an_error_of_ours_that_ends_no_session() -> None:
    assert issubclass(BusyError, KeyturnError)
    assert BusyError.default_code not in {"session_ended", "token_invalid", "binding_mismatch", "invalid_credentials"}
