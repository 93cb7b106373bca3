"""Refreshes over HTTP on SQLite: ours beside the least that can turn a token, both served by one uvicorn process."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .measure import TOUCH, Effort, versions
from .peers.environment import peers_python
from .report import Goal, Table, at_least
from .serving.contest import MOST_CLIENTS, Found, Round, Server, contest, latencies, number_of, percent_of, server
from .serving.load import refresh_for

NAME = "refresh_sqlite"
PROTOTYPE, OURS = "prototype", "ours"
_LABELS = {PROTOTYPE: "the prototype", OURS: "Keyturn"}
SESSIONS = 10_000
#: SQLite begins it anew after 1,000 pages; a refresh writes one at least.
WAL_PAGES = 1_200


def run(effort: Effort) -> list[Table]:
    """Measure one client and many."""
    python = peers_python(effort) or Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        return [_measure(python, Path(folder), effort)]


def _measure(python: Path, folder: Path, effort: Effort) -> Table:
    count = effort.of(SESSIONS, least=MOST_CLIENTS)
    with (
        server(python, PROTOTYPE, folder / "prototype.sqlite3", count) as prototype,
        server(python, OURS, folder / "ours.sqlite3", count) as ours,
    ):
        servers = {PROTOTYPE: prototype, OURS: ours}
        for one in servers.values():
            _settle(one, effort)
        return _table({number: contest(servers, number, effort) for number in (1, MOST_CLIENTS)}, ours.http, count)


def _settle(one: Server, effort: Effort) -> None:
    """Let the write-ahead log grow to its full length: from then on it is written over, which the disk does faster."""
    written, pages = 0, WAL_PAGES if effort.share > TOUCH.share else 1
    while written < pages:
        written += refresh_for(0.2, one.clients[:1], one.pid).count


def _table(found: Mapping[int, Found], http: str, count: int) -> Table:
    rounds: dict[str, list[float]] = {}
    rows = {}
    for number, by_side in found.items():
        for side, some in by_side.items():
            name = f"{_LABELS[side]}, {number_of(number)}"
            rows[name] = _figures(some)
            rounds[f"{name}: refreshes/s"] = [one.rate for one in some]
            rounds[f"{name}: CPU ms"] = [one.app_millis for one in some]
    return Table(
        title="Refreshes over HTTP on SQLite, one server process",
        rows=rows,
        goals=list(_goals(found)),
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


def _figures(some: Sequence[Round]) -> dict[str, float]:
    return {
        "refreshes/s": statistics.median(one.rate for one in some),
        "CPU ms each": statistics.median(one.app_millis for one in some),
        **latencies(some),
    }


def _goals(found: Mapping[int, Found]) -> Iterator[Goal]:
    for number, by_side in found.items():
        name = number_of(number)
        yield at_least(f"{name}: at least 65 % of the prototype's rate", percent_of(by_side, OURS, PROTOTYPE), 65, "%")
        cpu = sum(one.app_millis for one in by_side[PROTOTYPE]) / sum(one.app_millis for one in by_side[OURS])
        yield at_least(f"{name}: the same by CPU time", cpu * 100, 65, "%")
