"""Servers that refresh in turns, and what their rounds are summed up to."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..measure import Effort, percentile, take_turns
from ..peers.environment import environment
from ..postgresql import Postgresql
from ..processes import family_cpu_seconds
from .load import Client, Load, clients, refresh_for

ROUND_SECONDS = 3.0
MOST_CLIENTS = 32


@dataclass(frozen=True, slots=True)
class Server:
    """A server's process and its clients; and its database, where that is a server of its own."""

    pid: int
    http: str
    clients: Sequence[Client]
    database: Postgresql | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one turn of one server found; `database_cpu` in seconds."""

    load: Load
    database_cpu: float
    wal_bytes: int

    @property
    def rate(self) -> float:
        """Refreshes in a second."""
        return self.load.count / self.load.seconds

    @property
    def app_millis(self) -> float:
        """CPU milliseconds of the application for each refresh."""
        return max(self.load.server_cpu, 1e-9) / self.load.count * 1e3

    @property
    def database_millis(self) -> float:
        """CPU milliseconds of the database for each refresh."""
        return self.database_cpu / self.load.count * 1e3

    @property
    def all_millis(self) -> float:
        """CPU milliseconds of both."""
        return self.app_millis + self.database_millis


#: side -> what each of its rounds found.
Found = Mapping[str, Sequence[Round]]


@contextmanager
def server(
    python: Path, side: str, where: Path | str, count: int, database: Postgresql | None = None
) -> Iterator[Server]:
    """Start `benchmarks.serving` on a new file or an empty database, and connect its clients."""
    command = [python, "-m", "benchmarks.serving", side, where, str(count), str(MOST_CLIENTS)]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with clients(told["port"], told["tokens"]) as connected:
            yield Server(process.pid, told["http"], connected, database)
        process.stdin.close()


def contest(servers: Mapping[str, Server], number: int, effort: Effort) -> Found:
    """Let so many clients of each server refresh, the servers taking turns."""
    seconds = max(0.05, ROUND_SECONDS * effort.share)
    found: dict[str, list[Round]] = {side: [] for side in servers}

    def turn(side: str) -> float:
        one = _round(servers[side], number, seconds)
        found[side].append(one)
        return one.rate

    for one in servers.values():
        refresh_for(seconds / 4, one.clients[:number], one.pid)
    take_turns({side: lambda side=side: turn(side) for side in servers}, effort.rounds)
    return found


def _round(one: Server, number: int, seconds: float) -> Round:
    database = one.database
    if database is None:
        return Round(refresh_for(seconds, one.clients[:number], one.pid), 0.0, 0)
    wal, cpu = database.wal_bytes(), family_cpu_seconds(database.pid)
    load = refresh_for(seconds, one.clients[:number], one.pid)
    return Round(load, family_cpu_seconds(database.pid) - cpu, database.wal_bytes() - wal)


def latencies(rounds: Sequence[Round]) -> dict[str, float]:
    """Give how long a refresh took, in milliseconds."""
    all_ = [latency * 1e3 for one in rounds for latency in one.load.latencies]
    return {"p50 ms": percentile(all_, 0.5), "p99 ms": percentile(all_, 0.99)}


def percent_of(found: Found, side: str, of: str) -> float:
    """Give one side's rate in percent of another's, round by round."""
    return statistics.median(a.rate / b.rate for a, b in zip(found[side], found[of], strict=True)) * 100


def number_of(clients_: int) -> str:
    """Name a number of clients."""
    return "1 client" if clients_ == 1 else f"{clients_} clients"
