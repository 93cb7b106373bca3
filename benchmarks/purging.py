"""Refreshing while a purge runs: how long a refresh waits meanwhile, and whether the purge's memory stays flat."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from keyturn.keyrings.static import StaticKeys
from keyturn.sessions import Sessions
from keyturn.stores import PURGE_STEP, SessionStore, open as open_store

from . import people
from .measure import Effort, percentile
from .peers.environment import environment
from .report import Goal, Table, at_most

LIVING = 1_000
#: A refresh begins so often: a busy application, not a storm.
PAUSE_SECONDS = 0.01
BEFORE, HERE, ELSEWHERE = "nobody purges", "the same process purges", "another process purges"
LONG_AGO = timedelta(days=200)


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
    """A store with living and dead sessions, and one who refreshes the living.

    Args:
        address: the store's.
        ring: the keys that the tokens are sealed with.
        tokens: those of the living.
    """

    def __init__(self, address: str, ring: StaticKeys, tokens: list[str]) -> None:
        self.address = address
        self.store = open_store(address)
        self.doors = doors(self.store, ring)
        self._tokens = tokens
        self._turn = 0

    def measure(self, purge: Callable[[Stage], Purge], effort: Effort) -> Found:
        """Refresh for a while, then for as long as the purge lasts."""
        self._refreshed_for(effort.of(100) * PAUSE_SECONDS)
        before = self._refreshed_for(max(0.1, 5 * effort.share))
        done: list[Purge] = []
        purging = threading.Thread(target=lambda: done.append(purge(self)))
        purging.start()
        during = []
        while purging.is_alive():
            during += self._refreshed_for(PAUSE_SECONDS)
        purging.join()
        close(self.store)
        return Found(before, during, done[0])

    def _refreshed_for(self, seconds: float) -> list[float]:
        found, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.perf_counter()
            number = self._turn = (self._turn + 1) % len(self._tokens)
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


def doors(store: SessionStore, ring: StaticKeys) -> Sessions:
    """Give the door that blocks."""
    return Sessions(people.settings(), store, ring, users=BlockingUsers())


def close(store: SessionStore) -> None:
    """Close a store that has something to close."""
    getattr(store, "close", lambda: None)()


def here(stage: Stage) -> Purge:
    """Purge in this process, beside the refreshes."""
    return purged(stage.doors)


def elsewhere(stage: Stage) -> Purge:
    """Purge in another process."""
    command = [sys.executable, "-m", "benchmarks.purging", stage.address]
    told = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    return Purge(**json.loads(told))


#: Who purges -> how.
KINDS: Mapping[str, Callable[[Stage], Purge]] = {HERE: here, ELSEWHERE: elsewhere}


def purged(door: Sessions) -> Purge:
    """Purge, looking at the process's memory after each step."""
    sizes: list[float] = []
    begin = time.perf_counter()
    rows = door.purge(progress=lambda _count: sizes.append(_resident_mb()))
    sizes.append(_resident_mb())
    return Purge(rows, time.perf_counter() - begin, sizes[-1] - sizes[len(sizes) // 10])


def _resident_mb() -> float:
    """Give how much memory this process holds (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def table(found: Mapping[str, Found], dead: int, where: str, step: int = PURGE_STEP) -> Table:
    """Give the figures of all kinds; `where` names the database, `step` is its store's own."""
    before = [time_ for one in found.values() for time_ in one.before]
    rows: dict[str, dict[str, float | str]] = {BEFORE: _times(before)}
    for name, one in found.items():
        rows[name] = {
            **_times(one.during),
            "rows/s": one.purge.rows / one.purge.seconds,
            "memory, MB more": one.purge.grown,
        }
    return Table(
        title=f"Purging {dead:,} rows on {where} while others refresh",
        rows=rows,
        goals=list(_goals(found)),
        notes=[
            (
                "One refresh each hundredth of a second, in process; wall time, since waiting is what is asked for: on a "
                f"busy machine these figures say little. The purge looks at {step:,} rows a step. Memory is that of the purging process, from the tenth of its "
                "steps to the last."
            )
        ],
    )


def _times(values: list[float]) -> dict[str, float | str]:
    return {"refresh p50 ms": percentile(values, 0.5), "p99 ms": percentile(values, 0.99), "worst ms": max(values)}


def _goals(found: Mapping[str, Found]) -> Iterator[Goal]:
    for name, one in found.items():
        twice = percentile(one.during, 0.99) / percentile(one.before, 0.99)
        yield at_most(f"{name}: refresh p99 at most 2 times that before", twice, 2, "times")
        yield at_most(f"{name}: memory flat (at most 5 MB more)", one.purge.grown, 5, "MB")


if __name__ == "__main__":
    opened = open_store(sys.argv[1])
    result = purged(doors(opened, people.keys()))
    close(opened)
    print(json.dumps({"rows": result.rows, "seconds": result.seconds, "grown": result.grown}))
