"""Refreshes over HTTP on SQLite: ours beside the least that can turn a token, both served by one uvicorn process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .measure import TOUCH, Effort, percentile, take_turns, versions
from .peers.environment import environment, peers_python
from .report import Goal, Table, at_least
from .serving.load import Client, Load, clients, refresh_for

NAME = "refresh_sqlite"
PROTOTYPE, OURS = "prototype", "ours"
_LABELS = {PROTOTYPE: "the prototype", OURS: "Keyturn"}
SESSIONS = 10_000
MOST_CLIENTS = 32
#: SQLite begins it anew after 1,000 pages; a refresh writes one at least.
WAL_PAGES = 1_200


@dataclass(frozen=True, slots=True)
class Server:
    """A server process and its clients."""

    pid: int
    http: str
    clients: Sequence[Client]


def run(effort: Effort) -> list[Table]:
    """Measure one client and many."""
    python = peers_python(effort) or Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        return [_measure(python, Path(folder), effort)]


def _measure(python: Path, folder: Path, effort: Effort) -> Table:
    count = effort.of(SESSIONS, least=MOST_CLIENTS)
    loads: dict[int, dict[str, list[Load]]] = {}
    with server(python, PROTOTYPE, folder, count) as prototype, server(python, OURS, folder, count) as ours:
        servers = {PROTOTYPE: prototype, OURS: ours}
        for one in servers.values():
            _settle(one, effort)
        for number in (1, MOST_CLIENTS):
            loads[number] = _loads(servers, number, effort)
        return _table(loads, ours.http, count)


def _settle(one: Server, effort: Effort) -> None:
    """Let the write-ahead log grow to its full length: from then on it is written over, which the disk does faster."""
    written, pages = 0, WAL_PAGES if effort.share > TOUCH.share else 1
    while written < pages:
        written += refresh_for(0.2, one.clients[:1], one.pid).count


def _loads(servers: dict[str, Server], number: int, effort: Effort) -> dict[str, list[Load]]:
    seconds = max(0.05, 3 * effort.share)
    found: dict[str, list[Load]] = {side: [] for side in servers}

    def refreshed(side: str) -> float:
        some = servers[side].clients[:number]
        load = refresh_for(seconds, some, servers[side].pid)
        found[side].append(load)
        return load.count / load.seconds

    for one in servers.values():
        refresh_for(seconds / 4, one.clients[:number], one.pid)
    take_turns({side: lambda side=side: refreshed(side) for side in servers}, effort.rounds)
    return found


@contextmanager
def server(python: Path, side: str, folder: Path, count: int) -> Iterator[Server]:
    """Start a server on a new file, and connect its clients."""
    command = [python, "-m", "benchmarks.serving", side, folder / f"{side}.sqlite3", str(count), str(MOST_CLIENTS)]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with clients(told["port"], told["tokens"]) as connected:
            yield Server(process.pid, told["http"], connected)
        process.stdin.close()


def _table(loads: dict[int, dict[str, list[Load]]], http: str, count: int) -> Table:
    rounds: dict[str, list[float]] = {}
    rows = {}
    for number, by_side in loads.items():
        for side, found in by_side.items():
            name = f"{_LABELS[side]}, {_clients(number)}"
            rows[name] = _figures(found)
            rounds[f"{name}: refreshes/s"] = [load.count / load.seconds for load in found]
            rounds[f"{name}: CPU ms"] = [_cpu_millis(load) for load in found]
    return Table(
        title="Refreshes over HTTP on SQLite, one server process",
        rows=rows,
        goals=list(_goals(loads)),
        notes=[
            (
                f"uvicorn with {http}, {versions('starlette', 'uvicorn', 'cryptography')}; {count:,} sessions in the file, "
                "synchronous=FULL, body transport, ES256. The prototype has our table and our statement, groups commits in "
                "one thread as we do, and signs once; it knows no seal, user, event, binding or error (see "
                "`benchmarks/serving/prototype.py`). The rate at 1 client is the disk's before it is anybody's; CPU is that of the whole "
                "server process."
            ),
        ],
        rounds=rounds,
    )


def _figures(found: Sequence[Load]) -> dict[str, float]:
    latencies = [latency * 1e3 for load in found for latency in load.latencies]
    return {
        "refreshes/s": statistics.median(load.count / load.seconds for load in found),
        "CPU ms each": statistics.median(_cpu_millis(load) for load in found),
        "p50 ms": percentile(latencies, 0.5),
        "p99 ms": percentile(latencies, 0.99),
    }


def _goals(loads: dict[int, dict[str, list[Load]]]) -> Iterator[Goal]:
    for number, by_side in loads.items():
        pairs = list(zip(by_side[OURS], by_side[PROTOTYPE], strict=True))
        rate = statistics.median((a.count / a.seconds) / (b.count / b.seconds) for a, b in pairs)
        yield at_least(f"{_clients(number)}: at least 65 % of the prototype's rate", rate * 100, 65, "%")
        cpu = sum(_cpu_millis(load) for load in by_side[PROTOTYPE]) / sum(_cpu_millis(load) for load in by_side[OURS])
        yield at_least(f"{_clients(number)}: the same by CPU time", cpu * 100, 65, "%")


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"


def _cpu_millis(load: Load) -> float:
    return max(load.server_cpu, 1e-9) / load.count * 1e3
