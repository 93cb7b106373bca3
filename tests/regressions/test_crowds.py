"""Many at once, for real: by threads, by tasks, and by processes, on every store."""

import asyncio
import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyturn._colour import drive
from keyturn.errors import TokenError
from keyturn.events import ReuseDetected
from keyturn.keys import rotate_refresh
from keyturn.session import EndReason
from keyturn.testing.entropy import CountingEntropy
from keyturn.users import Principal
from tests.support.all_stores import STORES
from tests.support.desk import KEYS, Desk, People, is_over
from tests.support.rows import DAY, settings_with
from tests.support.written_keys import Written

HOUR = timedelta(hours=1)
ROOT = Path(__file__).parents[2]
TRANSPORTS = ["cookie", "body"]


def in_threads(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Let a thread do each, all of them at once; what one raised is its result."""
    start = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def act(number: int) -> None:
        start.wait()
        try:
            results[number] = actions[number]()
        except Exception as error:  # noqa: BLE001 - it is the result
            results[number] = error

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def ready_device(desk: Desk, transport: str = "cookie") -> Any:
    device = desk.refresh(desk.sign_in(transport=transport))
    desk.use(device)
    desk.advance(HOUR)
    return device


def check_one_step(desk: Desk, device: Any, answers: list[Any]) -> None:
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert {answer.pair.refresh_token for answer in answers} == {desk.ask(device).pair.refresh_token}
    assert sum(answer.turned for answer in answers) == 1
    assert desk.row(device).generation == 2
    assert desk.told(ReuseDetected) == []


@pytest.mark.ids("M01", "M10", "RT-05")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_64_threads_that_refresh_with_one_token_make_one_step_and_get_one_token(desk, transport):
    device = ready_device(desk, transport)
    presented = desk.presented(device)
    answers = in_threads([lambda: drive(desk.flows.refresh(presented))] * 64)
    check_one_step(desk, device, answers)


@pytest.mark.ids("M01", "M10", "RT-05")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_64_tasks_that_refresh_with_one_token_make_one_step_and_get_one_token(backing, new_desk, desk, transport):
    """Where the store blocks, tasks have nothing to race with: a worker thread takes each flow as a whole."""
    device = ready_device(desk, transport)
    presented = desk.presented(device)
    tasks = new_desk(backing.raw, clock=desk.clock)

    async def together() -> list[Any]:
        if backing.awaits:
            return await asyncio.gather(*(tasks.flows.refresh(presented) for _ in range(64)))
        flow = lambda: drive(tasks.flows.refresh(presented))  # noqa: E731
        return await asyncio.gather(*(asyncio.to_thread(flow) for _ in range(64)))

    check_one_step(desk, device, backing.run(together()))
    assert tasks.told(ReuseDetected) == []


@pytest.mark.ids("M01", "M10", "RT-05")
@pytest.mark.parametrize("backing", [name for name in STORES if name != "memory"], indirect=True)
def test_four_processes_that_refresh_with_one_token_make_one_step_and_get_one_token(backing, desk):
    """A memory store is one process's own, so there is nothing to race for."""
    device = ready_device(desk)
    command = [sys.executable, "-m", "tests.regressions.racer", backing.url, desk.clock().isoformat()]
    processes = [
        subprocess.Popen(
            [*command, device.refresh_token, device.binding], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [each["answers"] for each in told] == [16] * 4
    assert {token for each in told for token in each["tokens"]} == {desk.ask(device).pair.refresh_token}
    assert sum(each["turned"] for each in told) == 1
    assert desk.row(device).generation == 2


@pytest.mark.ids("M02", "P2", "SE-02")
def test_threads_that_refresh_while_another_ends_the_session_get_nothing_that_lives_on(desk):
    for _ in range(3):
        device = ready_device(desk, "body")
        presented, row = desk.presented(device), desk.row(device)

        def end(row: Any = row) -> None:
            assert len(drive(desk.flows.ends.end([row.id], EndReason.LOGOUT))) == 1

        def refresh(presented: Any = presented) -> Any:
            return drive(desk.flows.refresh(presented))

        answers = in_threads([*[refresh] * 8, end, *[refresh] * 8])
        assert answers[8] is None
        for answer in answers:
            assert answer is None or isinstance(answer, TokenError) or is_over(desk, device.copy().take(answer))
        assert is_over(desk, device)


@pytest.mark.ids("M18", "SE-08")
def test_of_1000_concurrent_logins_none_that_began_before_a_logout_everywhere_survives(new_desk):
    """Twenty users, fifty logins each by twenty threads; half way through one thread signs each user out everywhere."""
    users = [Principal(subject=f"user-{number}") for number in range(20)]
    desk = new_desk(people=People(*users), settings=settings_with(max_sessions=50))
    came: dict[str, list[Any]] = defaultdict(list)
    before: dict[str, list[Any]] = {}

    def log_in(thread: int) -> None:
        for nth in range(50):
            user = users[(thread + nth) % 20]
            came[user.subject].append(desk.sign_in(user, "body"))

    def log_out() -> None:
        for user in users:
            while len(came[user.subject]) < 10:
                threading.Event().wait(0.001)
            before[user.subject] = list(came[user.subject])
            drive(desk.flows.ends.end_all(user.subject, EndReason.LOGOUT_ALL))

    results = in_threads([lambda thread=thread: log_in(thread) for thread in range(20)] + [log_out])
    assert results == [None] * 21
    assert sum(map(len, came.values())) == 1000
    for user in users:
        gone = {desk.presented(device).token.session_id for device in before[user.subject]}
        alive = {row.id for row in drive(desk.flows.ends.find(user.subject))}
        assert len(gone) >= 10
        assert not gone & alive
        for device in before[user.subject][-2:]:
            assert is_over(desk, device)


@pytest.mark.ids("M19")
def test_tokens_under_the_old_refresh_key_and_the_new_one_refresh_side_by_side(new_desk):
    first = KEYS.ring
    clock = new_desk().clock
    old = new_desk(clock=clock, keys=Written(first))
    second = rotate_refresh(first, now=clock(), entropy=CountingEntropy("second key"))
    veterans = [old.sign_in() for _ in range(8)]
    clock.advance(DAY)
    new = new_desk(clock=clock, keys=Written(second))
    novices = [new.sign_in() for _ in range(8)]
    sealed = {new.presented(device).token.key_id for device in [*veterans, *novices]}
    assert len(sealed) == 2
    results = in_threads([lambda device=device: new.refresh(device) for device in [*veterans, *novices]])
    assert results == [*veterans, *novices]
    for device in results:
        new.use(device)
    assert len({new.presented(device).token.key_id for device in results}) == 1
    assert new.told(ReuseDetected) == []
