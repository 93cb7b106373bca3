"""``python -m benchmarks.scale [SESSIONS …]``: what a refresh costs as the table grows, on PostgreSQL.

Ours (the whole refresh but for HTTP) beside the bare statement, in one process, over the same table; each has sessions of
its own, spread over all of it. All sizes take turns. By hand: ten million sessions take some minutes and 15 GB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from keyturn import AsyncSessions
from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc
from keyturn.session import session_id_bytes
from keyturn.stores import open as open_store

from . import people
from .measure import FULL, Rounds, ratio, versions
from .postgresql import Postgresql, is_installed, postgresql
from .report import Goal, Table, as_json, as_markdown, at_least, setting
from .serving.generated import Generation, settle
from .serving.minimal import Turn, turn_of
from .serving.postgresql import make_tables
from .serving.prototype_postgresql import ADVANCE, CONNECTIONS, parameters

USUAL = (10_000, 1_000_000)
CLIENTS = 32
_NAME = "scale"
ROUNDS = 7
BARE, OURS = "the bare statement", "Keyturn, asyncpg, without HTTP"
#: Sessions of each side, spread over the table; the pages that they lie on do not fit into the server's buffers.
_MOST_IN_USE = 20_000

SIDES = (BARE, OURS)

Refresh = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Found:
    """What one size of the table showed.

    Args:
        rates: side -> refreshes a second of each round.
        refreshes: of all rounds.
        before: table -> bytes, when all sessions had been made.
        after: the same after the last round.
        wal_bytes: what all refreshes wrote to the write-ahead log.
    """

    rates: Rounds
    refreshes: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    wal_bytes: int


def measured(counts: Sequence[int], seconds: float, rounds: int) -> dict[int, Found]:
    """Make a table of each size in a server of its own, and let both sides refresh in all of them, in turns."""
    now = now_utc()
    with tempfile.TemporaryDirectory(prefix="keyturn-scale-") as folder, ExitStack() as stack:
        places: dict[int, tuple[Postgresql, Generation]] = {}
        for count in counts:
            _tell(f"{count:,} sessions: making them")
            database = stack.enter_context(postgresql(Path(folder), str(count)))
            places[count] = database, Generation(0, count, now)
            make_tables(database.url)
            places[count][1].make(database.url)
            settle(database.url)
        _tell("refreshing")
        return asyncio.run(_refreshed(places, seconds, rounds))


async def _refreshed(
    places: Mapping[int, tuple[Postgresql, Generation]], seconds: float, rounds: int
) -> dict[int, Found]:
    async with AsyncExitStack() as stack:
        contests = {count: await stack.enter_async_context(_contest(*place)) for count, place in places.items()}
        before = {count: _state(database) for count, (database, _) in places.items()}
        rates: dict[int, dict[str, list[float]]] = {count: {side: [] for side in SIDES} for count in places}
        for number in range(rounds):
            for count, refreshes in contests.items():
                for side in SIDES if number % 2 else reversed(SIDES):
                    rates[count][side].append(await _count(refreshes[side], seconds) / seconds)
        return {
            count: _found(rates[count], seconds, before[count], _state(database))
            for count, (database, _) in places.items()
        }


@asynccontextmanager
async def _contest(database: Postgresql, generation: Generation) -> AsyncIterator[dict[str, Refresh]]:
    """Give both sides' refreshes, each session turned once already.

    The first change of a page after a checkpoint writes the whole page into the log.
    """
    chosen = random.sample(range(generation.count), min(generation.count, 2 * _MOST_IN_USE))
    half = len(chosen) // 2
    async with _bare(database, generation, chosen[:half]) as bare, _ours(database, generation, chosen[half:]) as ours:
        for refresh in (bare, ours):
            await _all(refresh, half)
        yield {BARE: bare, OURS: ours}


def _state(database: Postgresql) -> tuple[dict[str, int], int]:
    """Give the sizes of all tables, and how much has been written to the log."""
    return database.table_sizes(), database.wal_bytes()


def _found(rates: Rounds, seconds: float, before: tuple[Any, int], after: tuple[Any, int]) -> Found:
    total = round(sum(sum(some) for some in rates.values()) * seconds)
    return Found(rates, total, before[0], after[0], after[1] - before[1])


async def _count(refresh: Refresh, seconds: float) -> int:
    """Let the clients refresh for so long; give how often they did."""
    end = time.perf_counter() + seconds

    async def client() -> int:
        count = 0
        while time.perf_counter() < end:
            await refresh()
            count += 1
        return count

    return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


async def _all(refresh: Refresh, count: int) -> None:
    for _ in range(0, count, CLIENTS):
        await asyncio.gather(*(refresh() for _ in range(min(CLIENTS, count))))


@asynccontextmanager
async def _bare(database: Postgresql, generation: Generation, numbers: Sequence[int]) -> AsyncIterator[Refresh]:
    connections = [await asyncpg.connect(database.url) for _ in range(CONNECTIONS)]
    free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for connection in connections:
        free.put_nowait(await connection.prepare(ADVANCE))
    waiting: deque[tuple[bytes, int, bytes]] = deque()
    for id_, seed in map(generation.known, numbers):
        waiting.append((session_id_bytes(id_) or b"", 0, seed))

    async def refresh() -> None:
        id_, number, seed = waiting.popleft()
        turn: Turn = turn_of(id_, number, seed)
        statement = await free.get()
        try:
            row = await statement.fetchrow(*parameters(turn))
        finally:
            free.put_nowait(statement)
        if row is None:
            raise AssertionError("a session did not turn")
        waiting.append((id_, number + 1, seed))

    yield refresh
    for connection in connections:
        await connection.close()


@asynccontextmanager
async def _ours(database: Postgresql, generation: Generation, numbers: Sequence[int]) -> AsyncIterator[Refresh]:
    ring, now = people.keys(), now_utc()
    seals = SealedRing(ring, "default")
    store: Any = open_store(database.url, colour="async")
    doors = AsyncSessions(people.settings(), store, ring, users=people.Users())
    waiting = deque(seals.seal(id_, 0, seed, now) for id_, seed in map(generation.known, numbers))

    async def refresh() -> None:
        pair = await doors.refresh(waiting.popleft())
        waiting.append(pair.refresh_token)

    yield refresh
    await store.aclose()


def tables(found: Mapping[int, Found], note: str) -> list[Table]:
    """Give the rates, and the sizes of all tables."""
    return [
        Table(
            title="Refreshes as the table grows, PostgreSQL",
            rows=dict(_rate_rows(found)),
            goals=list(_goals(found)),
            notes=[note],
            rounds={
                f"{count:,} sessions, {side}": one.rates[side] for count, one in found.items() for side in one.rates
            },
        ),
        Table(
            title="What grows with refreshes (MB with indexes)",
            rows=dict(_size_rows(found)),
            notes=["Before the first counted round, and after the last."],
        ),
    ]


def _rate_rows(found: Mapping[int, Found]) -> Iterator[tuple[str, dict[str, float | str]]]:
    first = next(iter(found.values()))
    for count, one in found.items():
        for side, rates in one.rates.items():
            rate = statistics.median(rates)
            kept = rate / statistics.median(first.rates[side]) * 100
            yield f"{side}, {count:,} sessions", {"refreshes/s": rate, "% of the smallest table's": kept}
        yield (
            f"both, {count:,} sessions",
            {
                "Keyturn in % of the statement": ratio(one.rates, OURS, BARE) * 100,
                "WAL bytes each": one.wal_bytes / one.refreshes,
            },
        )


def _size_rows(found: Mapping[int, Found]) -> Iterator[tuple[str, dict[str, float | str]]]:
    for count, one in found.items():
        for name, size in one.after.items():
            before = one.before.get(name, 0)
            yield (
                f"{name}, {count:,} sessions",
                {"before": before / 1e6, "after": size / 1e6, "refreshes between": one.refreshes},
            )


def _goals(found: Mapping[int, Found]) -> Iterator[Goal]:
    smallest, *larger = found
    for count in larger:
        pairs = zip(_by_round(found[count]), _by_round(found[smallest]), strict=True)
        kept = statistics.median(large / small for large, small in pairs)
        yield at_least(f"{count:,} sessions: at least 0.9 of what the bare statement keeps", kept, 0.9, "times")
    for count, one in found.items():
        grown = [name for name, size in one.after.items() if name != _SESSIONS and size > one.before.get(name, 0)]
        yield Goal(
            aim=f"{count:,} sessions: no table but the sessions' grows", found=", ".join(grown) or "none", met=not grown
        )


_SESSIONS = "keyturn_session"


def _by_round(one: Found) -> Iterable[float]:
    """Give, of each round, our rate by the statement's."""
    return (ours / bare for ours, bare in zip(one.rates[OURS], one.rates[BARE], strict=True))


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Measure the sizes that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").strip())
    parser.add_argument("sizes", nargs="*", type=int, metavar="SESSIONS", help="10000 and 1000000 where left out")
    parser.add_argument("--seconds", type=float, default=3, help="of each side's turn (3)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many turns ({ROUNDS})")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where the tables are written, as Markdown and as JSON"
    )
    asked = parser.parse_args(arguments)
    if not is_installed():
        raise SystemExit("PostgreSQL is not installed here")
    found = measured(asked.sizes or USUAL, asked.seconds, asked.rounds)
    where = {**setting(FULL), "effort": f"{asked.rounds} rounds of {asked.seconds:g} s, {CLIENTS} clients"}
    shown = tables(
        found, f"fsync and synchronous_commit on; {versions('sqlalchemy', 'asyncpg')}; see `benchmarks/scale.py`."
    )
    text = as_markdown(shown, where, "make bench-scale")
    print(text)
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        (asked.output / f"{_NAME}.md").write_text(text, encoding="utf-8")
        (asked.output / f"{_NAME}.json").write_text(as_json(shown, where), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
