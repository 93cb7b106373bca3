"""Signing in at ``keyturn serve``: beside the hashing alone, five hundred at once, and without a name as with one."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import select
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Final

from argon2.low_level import Type, hash_secret

from keyturn.server.argon2id import COST, HASH_BYTES, SALT_BYTES

from .measure import Effort, Rounds, percentile, ratio, take_turns, versions
from .peers.people import PASSWORD, user_names
from .processes import family, family_cpu_seconds
from .report import Goal, Table, at_least, at_most
from .served import keyturn_serve

#: So many that each has as few sessions as people have, half a dozen in the end: a sign-in looks at all of its user's.
USERS: Final = 400
#: Enough that a hash is always waiting for a processor.
AT_ONCE: Final = 16
CROWD: Final = 500
SAMPLES: Final = 200
#: Whose tokens are refreshed while the crowd signs in, each so often.
REFRESHING: Final = 4
_PAUSE_SECONDS: Final = 0.02
#: What a worker may grow by besides the hashes that it computes at once: buffers of five hundred connections.
_ROOM_MB: Final = 64
#: Octets that one visit to a connection takes; an answer has a tenth of them.
_MOST_AT_ONCE: Final = 16 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_AFTER: Final = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)


def run(effort: Effort) -> list[Table]:
    """Measure all three."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as name:
        users = user_names(USERS if effort.share > 0.01 else 2)
        with keyturn_serve(Path(name), users=users, more=f"hash_queue = {2 * CROWD}\n") as (pid, port):
            crowd = asyncio.run(_crowded(port, pid, users, effort.of(CROWD), effort.of(8, least=1) / 4))
            rates = _rates(pid, port, users, effort)
            times = asyncio.run(_times(port, users[0], effort.of(SAMPLES, least=2)))
    return [_rate_table(rates), _crowd_table(crowd, effort.of(CROWD)), _time_table(times)]


# --- one answer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body, and after how many seconds one should come again."""

    status: int
    body: bytes
    after: float


class Line:
    """A kept connection to the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, content: dict[str, str]) -> Answer:
        """Send a JSON object and wait for the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(_request(path, content))
        told = await reader.readuntil(b"\r\n\r\n")
        after = _AFTER.search(told)
        said = await reader.readexactly(_length(told))
        return Answer(int(told[9:12]), said, float(after[1]) if after else 0.0)

    async def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Sign in, with the refresh token in the answer."""
        return await self.post(*_sign_in(name, password))

    def close(self) -> None:
        """Close the connection, where there is one."""
        if self._streams is not None:
            self._streams[1].close()


def _request(path: str, content: dict[str, str]) -> bytes:
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _sign_in(name: str, password: str = PASSWORD) -> tuple[str, dict[str, str]]:
    return "/auth/login", {"username": name, "password": password, "transport": "body"}


def _length(head: bytes) -> int:
    length = _LENGTH.search(head)
    return int(length[1]) if length else 0


# --- the rate ---------------------------------------------------------------------------------------------------------

ALONE, SIGNING_IN = "argon2id alone, a thread for each core", f"POST /auth/login, {AT_ONCE} clients"


@dataclass(frozen=True, slots=True)
class Rates:
    """How many a second, and the milliseconds of processors that each took, all threads of its process together."""

    a_second: Rounds
    cpu: dict[str, list[float]]


def _rates(pid: int, port: int, users: Sequence[str], effort: Effort) -> Rates:
    seconds = max(0.2, 4 * effort.share)
    found = Rates({}, {ALONE: [], SIGNING_IN: []})
    requests = cycle([_request(*_sign_in(name)) for name in users])
    sides = {
        ALONE: lambda: _counted(found.cpu[ALONE], time.process_time, lambda: _hash_for(seconds)),
        SIGNING_IN: lambda: _counted(
            found.cpu[SIGNING_IN],
            lambda: family_cpu_seconds(pid),
            lambda: _sign_in_for(port, requests, seconds),
        ),
    }
    return replace(found, a_second=take_turns(sides, min(effort.rounds, 7)))


def _counted(cpu: list[float], used: Callable[[], float], work: Callable[[], int]) -> float:
    before, begin = used(), time.perf_counter()
    count = work()
    seconds = time.perf_counter() - begin
    cpu.append(1e3 * (used() - before) / count)
    return count / seconds


def _hash_for(seconds: float) -> int:
    threads = len(os.sched_getaffinity(0))
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: _hash_until(end), range(threads)))


def _hash_until(end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        salt = os.urandom(SALT_BYTES)
        hash_secret(PASSWORD.encode(), salt, COST.passes, COST.memory, COST.lanes, HASH_BYTES, Type.ID)
        count += 1
    return count


def _sign_in_for(port: int, requests: Iterator[bytes], seconds: float) -> int:
    """Sign in over and over, with neither threads nor an event loop: what the clients take is not the server's."""
    end, count = time.perf_counter() + seconds, 0
    lines = {line.fileno(): line for line in (socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE))}
    with select.epoll() as ready:
        for number, line in lines.items():
            ready.register(number, select.EPOLLIN)
            line.sendall(next(requests))
        while lines:
            for number, _ in ready.poll():
                _take_answer(lines[number])
                count += 1
                if time.perf_counter() < end:
                    lines[number].sendall(next(requests))
                else:
                    lines.pop(number).close()
    return count


def _take_answer(line: socket.socket) -> None:
    """Read an answer to its end; most come in one piece."""
    told = b""
    while (head := told.find(b"\r\n\r\n") + 4) < 4 or len(told) < head + _length(told[:head]):
        if not (piece := line.recv(_MOST_AT_ONCE)):
            raise AssertionError("a sign-in was not answered")
        told += piece
    if told[9:12] != b"200":
        raise AssertionError(f"a sign-in was answered with {told[9:12].decode()}")


# --- the crowd --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Crowded:
    """What the crowd met, and what who refreshed meanwhile; milliseconds, megabytes, seconds."""

    idle: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    before_mb: float = 0.0
    most_mb: float = 0.0
    seconds: float = 0.0


async def _crowded(port: int, pid: int, users: Sequence[str], crowd: int, idle_seconds: float) -> Crowded:
    found = Crowded(before_mb=_resident_mb(pid))  # nothing was hashed yet
    lines = [Line(port) for _ in range(REFRESHING)]
    tokens = [json.loads((await line.sign_in(users[-1])).body)["refresh_token"] for line in lines]
    await _refreshed(lines, tokens, [], asyncio.create_task(asyncio.sleep(idle_seconds / 2)))  # warm
    await _refreshed(lines, tokens, found.idle, asyncio.create_task(asyncio.sleep(2 * idle_seconds)))
    begin = time.perf_counter()
    everybody = asyncio.gather(*(_get_in(port, users[n % (len(users) - 1)], found.statuses) for n in range(crowd)))
    watching = asyncio.create_task(_watched(pid, found))
    await _refreshed(lines, tokens, found.meanwhile, everybody)
    found.seconds = time.perf_counter() - begin
    watching.cancel()
    for line in lines:
        line.close()
    return found


async def _get_in(port: int, name: str, statuses: Counter[int]) -> None:
    line = Line(port)
    while True:
        answer = await line.sign_in(name)
        statuses[answer.status] += 1
        if answer.status == 200:
            return line.close()
        await asyncio.sleep(answer.after or 1)


async def _refreshed(
    lines: Sequence[Line], tokens: list[str], times: list[float], until: asyncio.Future[object]
) -> None:
    async def one(number: int) -> None:
        while not until.done():
            begin = time.perf_counter()
            answer = await lines[number].post("/auth/refresh", {"refresh_token": tokens[number]})
            times.append((time.perf_counter() - begin) * 1e3)
            tokens[number] = json.loads(answer.body)["refresh_token"]
            await asyncio.sleep(_PAUSE_SECONDS)

    await asyncio.gather(*map(one, range(len(lines))), until)


async def _watched(pid: int, found: Crowded) -> None:
    while True:
        found.most_mb = max(found.most_mb, _resident_mb(pid))
        await asyncio.sleep(0.02)


def _resident_mb(pid: int) -> float:
    pages = 0
    for one in family(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- the time of a refusal --------------------------------------------------------------------------------------------

UNKNOWN, WRONG = "unknown user", "wrong password"


async def _times(port: int, user: str, samples: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {UNKNOWN: [], WRONG: []}
    line = Line(port)
    order = [UNKNOWN, WRONG] * samples
    random.Random("keyturn").shuffle(order)
    for number, side in enumerate(order):
        begin = time.perf_counter()
        answer = await line.sign_in(f"nobody-{number}" if side == UNKNOWN else user, "not the password")
        found[side].append((time.perf_counter() - begin) * 1e3)
        if answer.status != 401:
            raise AssertionError(f"a wrong sign-in was answered with {answer.status}")
    line.close()
    return found


# --- the tables -------------------------------------------------------------------------------------------------------


def _rate_table(rates: Rates) -> Table:
    share = 100 * ratio(rates.a_second, SIGNING_IN, ALONE)
    rows = {
        name: {"a second": statistics.median(found), "CPU ms each": statistics.median(rates.cpu[name])}
        for name, found in rates.a_second.items()
    }
    return Table(
        title="Signing in, one server process on SQLite",
        rows=rows,
        goals=[at_least("at least 90 % of what the hashing alone allows", share, 90, "%")],
        notes=[
            (
                "The hashing alone is argon2-cffi in a process that does nothing else. The clients run on the same machine, and "
                f"what they take of it counts against the server's rate. {versions('argon2-cffi', 'uvicorn', 'httptools')}."
            )
        ],
        rounds={"a second": rates.a_second, "CPU ms each": rates.cpu},
    )


def _crowd_table(found: Crowded, crowd: int) -> Table:
    cores = len(os.sched_getaffinity(0))
    grown, ceiling = found.most_mb - found.before_mb, cores * COST.memory * 1024 / 1e6 + _ROOM_MB
    idle, meanwhile = percentile(found.idle, 0.99), percentile(found.meanwhile, 0.99)
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(found.statuses.items()))
    goals: list[Goal] = [
        at_most(
            f"memory grows by at most {ceiling:.0f} MB: that of {cores} hashes, and {_ROOM_MB}", grown, ceiling, "MB"
        ),
        at_most("refresh p99 at most 3 times as without the crowd", meanwhile / idle, 3, "times"),
    ]
    return Table(
        title=f"{crowd} sign in at once while others refresh",
        rows={"nobody signs in": _latencies(found.idle), f"{crowd} sign in": _latencies(found.meanwhile)},
        goals=goals,
        notes=[
            (
                f"All were in after {found.seconds:.1f} s: {statuses}. {REFRESHING} clients refresh every "
                f"{1e3 * _PAUSE_SECONDS:.0f} ms; memory is the resident one, {found.before_mb:.0f} MB before. The crowd runs on the same machine."
            )
        ],
    )


def _latencies(times: Sequence[float]) -> dict[str, float]:
    return {"refreshes": len(times), "p50 ms": percentile(times, 0.5), "p99 ms": percentile(times, 0.99)}


def _time_table(found: dict[str, list[float]]) -> Table:
    middle = {name: statistics.median(times) for name, times in found.items()}
    apart = 100 * abs(middle[UNKNOWN] - middle[WRONG]) / middle[WRONG]
    return Table(
        title="How long a refused sign-in takes",
        rows={name: {"samples": len(times), "median ms": middle[name]} for name, times in found.items()},
        goals=[at_most("the medians differ by at most 5 %", apart, 5, "%")],
        notes=[
            "In random order on one connection. The tests count the hashes: one for each attempt, whatever is wrong."
        ],
        rounds={"ms": found},
    )
