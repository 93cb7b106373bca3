"""Purging a SQLite file while its users refresh: how long a refresh waits meanwhile, and whether memory stays flat."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from keyturn import Session
from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc
from keyturn.keyrings.static import StaticKeys
from keyturn.sessions import Sessions
from keyturn.stores.sqlite import SqliteStore

from . import people
from .measure import Effort, percentile
from .peers.environment import environment
from .report import Goal, Table, at_most
from .serving.sessions import fill, sessions

NAME = "purge_sqlite"
DEAD = 300_000
LIVING = 1_000
#: A refresh begins so often: a busy application, not a storm.
PAUSE_SECONDS = 0.01
BEFORE, HERE, ELSEWHERE = "nobody purges", "the same process purges", "another process purges"
_LONG_AGO = timedelta(days=200)


def run(effort: Effort) -> list[Table]:
    """Refresh undisturbed, then while another process purges, then while this one does."""
    dead = effort.of(DEAD, least=600)
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        found = {
            HERE: Stage(Path(folder) / "here.sqlite3", dead).measure(_purge_here, effort),
            ELSEWHERE: Stage(Path(folder) / "elsewhere.sqlite3", dead).measure(_purge_elsewhere, effort),
        }
    return [_table(found, dead)]


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge took: rows, seconds, and by how many MB the process grew from its first steps to its last."""

    rows: int
    seconds: float
    grown: float


@dataclass(frozen=True, slots=True)
class Found:
    """Refresh times in milliseconds, before and during a purge."""

    before: list[float]
    during: list[float]
    purge: Purge


class Stage:
    """A file with living and dead sessions, and one who refreshes."""

    def __init__(self, path: Path, dead: int) -> None:
        self.path = path
        self.store = SqliteStore(path)
        ring, now = people.keys(), now_utc()
        self.doors = Sessions(people.settings(), self.store, ring, users=BlockingUsers())
        self._tokens: list[str] = []
        self._turn = 0
        fill(path, chain(sessions(dead, now - _LONG_AGO), sessions(LIVING, now)), self._noting(ring, now))

    def _noting(self, ring: StaticKeys, now: datetime) -> object:
        seals = SealedRing(ring, "default")

        def seen(session: Session, seed: bytes) -> None:
            if session.created_at == now:
                self._tokens.append(seals.seal(session.id, 0, seed, now))

        return seen

    def measure(self, purge: object, effort: Effort) -> Found:
        """Refresh for a while, then for as long as the purge lasts."""
        self._refreshed_for(effort.of(100) * PAUSE_SECONDS)
        before = self._refreshed_for(max(0.1, 5 * effort.share))
        done: list[Purge] = []
        purging = threading.Thread(target=lambda: done.append(purge(self)))  # type: ignore[operator]
        purging.start()
        during = []
        while purging.is_alive():
            during += self._refreshed_for(PAUSE_SECONDS)
        purging.join()
        self.store.close()
        return Found(before, during, done[0])

    def _refreshed_for(self, seconds: float) -> list[float]:
        found, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.perf_counter()
            number = self._turn = (self._turn + 1) % LIVING
            self._tokens[number] = self.doors.refresh(self._tokens[number]).refresh_token
            found.append((time.perf_counter() - begin) * 1e3)
            time.sleep(PAUSE_SECONDS)
        return found


class BlockingUsers:
    """Whoever is asked for, in blocking code."""

    def authenticate(self, username: str, password: str, request: object) -> None:
        """Believe nobody."""

    def load(self, subject: str) -> object:
        """Give whoever it is."""
        return people.principal_of(subject)


def _purge_here(stage: Stage) -> Purge:
    return purged(stage.doors)


def _purge_elsewhere(stage: Stage) -> Purge:
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.purge_sqlite", stage.path], env=environment(), capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    return Purge(**json.loads(told))


def purged(doors: Sessions) -> Purge:
    """Purge, looking at the process's memory after each step."""
    sizes: list[float] = []
    begin = time.perf_counter()
    rows = doors.purge(progress=lambda _count: sizes.append(_resident_mb()))
    sizes.append(_resident_mb())
    return Purge(rows, time.perf_counter() - begin, sizes[-1] - sizes[len(sizes) // 10])


def _resident_mb() -> float:
    """Give how much memory this process holds (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def _table(found: dict[str, Found], dead: int) -> Table:
    before = [time_ for one in found.values() for time_ in one.before]
    rows: dict[str, dict[str, float | str]] = {BEFORE: _times(before)}
    for name, one in found.items():
        rows[name] = {
            **_times(one.during),
            "rows/s": one.purge.rows / one.purge.seconds,
            "memory, MB more": one.purge.grown,
        }
    return Table(
        title=f"Purging {dead:,} rows on SQLite while others refresh",
        rows=rows,
        goals=list(_goals(found)),
        notes=[
            (
                "One refresh each hundredth of a second, in process; wall time, since waiting is what is asked for: on a "
                "busy machine these figures say little. Memory is that of the purging process, from the tenth of its "
                "steps to the last."
            )
        ],
    )


def _times(values: list[float]) -> dict[str, float | str]:
    return {"refresh p50 ms": percentile(values, 0.5), "p99 ms": percentile(values, 0.99), "worst ms": max(values)}


def _goals(found: dict[str, Found]) -> Iterator[Goal]:
    for name, one in found.items():
        twice = percentile(one.during, 0.99) / percentile(one.before, 0.99)
        yield at_most(f"{name}: refresh p99 at most 2 times that before", twice, 2, "times")
        yield at_most(f"{name}: memory flat (at most 5 MB more)", one.purge.grown, 5, "MB")


if __name__ == "__main__":
    with SqliteStore(sys.argv[1]) as opened:
        result = purged(Sessions(people.settings(), opened, people.keys(), users=BlockingUsers()))
    print(json.dumps({"rows": result.rows, "seconds": result.seconds, "grown": result.grown}))
