"""Refreshes over HTTP on PostgreSQL: ours beside the least that can turn a token, and beside a peer in Django."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .measure import Effort, versions
from .peers import people as peers
from .peers.environment import django_python, peers_python
from .peers.serving import answers_of, program
from .postgresql import Postgresql, is_installed, postgresql
from .report import Goal, Table, at_least, at_most, unknown
from .serving.contest import MOST_CLIENTS, Found, Round, Server, contest, latencies, number_of, percent_of, server
from .serving.load import Route, clients

NAME = "refresh_postgresql"
PROTOTYPE, ASYNCPG, PSYCOPG, SIMPLEJWT = "prototype", "asyncpg", "psycopg", "simplejwt"
_LABELS = {
    PROTOTYPE: "the prototype",
    ASYNCPG: "Keyturn, asyncpg",
    PSYCOPG: "Keyturn, psycopg",
    SIMPLEJWT: "simplejwt, rotation and blacklist",
}
SESSIONS = 10_000
_SIMPLEJWT_ROUTE = Route("/api/token/refresh/", "refresh")


def run(effort: Effort) -> list[Table]:
    """Measure one client and many."""
    if not is_installed():
        return [Table(title=_TITLE, rows={"PostgreSQL is not installed here": {}}, goals=list(_nothing()))]
    python = peers_python(effort) or Path(sys.executable)
    with_peer = django_python(may_install=effort.may_install) is not None
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder, ExitStack() as stack:
        count = effort.of(SESSIONS, least=MOST_CLIENTS)
        servers = {
            side: stack.enter_context(start(Path(folder)))
            for side, start in _sides(python, count).items()
            if side != SIMPLEJWT or with_peer
        }
        found = {number: contest(servers, number, effort) for number in (1, MOST_CLIENTS)}
        return [_table(found, servers[PROTOTYPE].http, count)]


def _sides(python: Path, count: int) -> Mapping[str, Callable[[Path], object]]:
    def served(side: str, what: str, driver: str) -> Callable[[Path], object]:
        return lambda folder: _served(python, folder, side, what, driver, count)

    return {
        PROTOTYPE: served(PROTOTYPE, "prototype", "asyncpg"),
        ASYNCPG: served(ASYNCPG, "ours", "asyncpg"),
        PSYCOPG: served(PSYCOPG, "ours", "psycopg"),
        SIMPLEJWT: _simplejwt,
    }


@contextmanager
def _served(python: Path, folder: Path, side: str, what: str, driver: str, count: int) -> Iterator[Server]:
    """Start one of `benchmarks.serving` with a database server of its own: what that one takes is this side's."""
    with postgresql(folder, side) as database:
        where = database.url.replace("postgresql:", f"postgresql+{driver}:", 1)
        with server(python, what, where, count, database) as one:
            yield one


@contextmanager
def _simplejwt(folder: Path) -> Iterator[Server]:
    with postgresql(folder, SIMPLEJWT) as database:
        arguments = ["--database", database.url, "--users", str(MOST_CLIENTS), "--workers", "1"]
        with program("benchmarks.peers.simplejwt", *arguments) as (pid, port):
            tokens = _signed_in(port, database)
            with clients(port, tokens, _SIMPLEJWT_ROUTE) as connected:
                yield Server(pid, "gunicorn", connected, database)


def _signed_in(port: int, database: Postgresql) -> list[str]:
    bodies = [{"username": name, "password": peers.PASSWORD} for name in peers.user_names(MOST_CLIENTS)]
    tokens = [answer["refresh"] for answer in answers_of(port, "/api/token/", bodies)]
    database.ask("CHECKPOINT")
    return tokens


_TITLE = "Refreshes over HTTP on PostgreSQL, one server process"


def _table(found: Mapping[int, Found], http: str, count: int) -> Table:
    rounds: dict[str, list[float]] = {}
    rows = {}
    for number, by_side in found.items():
        for side, some in by_side.items():
            name = f"{_LABELS[side]}, {number_of(number)}"
            rows[name] = _figures(some)
            rounds[f"{name}: refreshes/s"] = [one.rate for one in some]
            rounds[f"{name}: CPU ms, application"] = [one.app_millis for one in some]
            rounds[f"{name}: CPU ms, database"] = [one.database_millis for one in some]
    return Table(title=_TITLE, rows=rows, goals=list(_goals(found)), notes=_notes(http, count), rounds=rounds)


def _figures(some: Sequence[Round]) -> dict[str, float]:
    return {
        "refreshes/s": statistics.median(one.rate for one in some),
        "CPU ms, application": statistics.median(one.app_millis for one in some),
        "database": statistics.median(one.database_millis for one in some),
        **latencies(some),
        "WAL bytes each": statistics.median(one.wal_bytes / one.load.count for one in some),
    }


def _goals(found: Mapping[int, Found]) -> Iterator[Goal]:
    one, many = found[1], found[MOST_CLIENTS]
    of = f"{number_of(MOST_CLIENTS)}: at least"
    yield at_least(f"{of} 65 % of the prototype's rate with asyncpg", percent_of(many, ASYNCPG, PROTOTYPE), 65, "%")
    yield at_least(f"{of} 50 % with psycopg", percent_of(many, PSYCOPG, PROTOTYPE), 50, "%")
    yield at_least("1 client: at least 50 % with asyncpg", percent_of(one, ASYNCPG, PROTOTYPE), 50, "%")
    pairs = zip(many[ASYNCPG], many[PROTOTYPE], strict=True)
    cpu = statistics.median(a.all_millis / b.all_millis for a, b in pairs) * 100
    yield at_most(f"{number_of(MOST_CLIENTS)}: CPU of application and database at most the prototype's", cpu, 100, "%")
    aim = f"{of} 12 times simplejwt's rate"
    if SIMPLEJWT in many:
        yield at_least(aim, percent_of(many, ASYNCPG, SIMPLEJWT) / 100, 12, "times")
    else:
        yield unknown(aim, "its environment is missing")


def _nothing() -> Iterator[Goal]:
    yield unknown("65 % of the prototype's rate", "PostgreSQL is not installed here")


def _notes(http: str, count: int) -> list[str]:
    packages = versions("starlette", "uvicorn", "sqlalchemy", "asyncpg", "psycopg", "cryptography")
    return [
        (
            f"Each side has a PostgreSQL of its own, on the disk, with fsync and synchronous_commit on. uvicorn with {http}, "
            f"{packages}; {count:,} sessions in the table, body transport, ES256. The prototype has our table and our "
            "statement, one for each refresh on connections that are kept, and signs once; it knows no seal, user, "
            "event, binding, limit or error (see `benchmarks/serving/prototype_postgresql.py`). CPU is that of the whole server process, and "
            "of all of PostgreSQL's."
        ),
        (
            "simplejwt runs in gunicorn, one worker with 8 threads, with rotation and blacklist on and everything else as "
            "it comes, HS256 included (`benchmarks/peers/simplejwt.py`)."
        ),
    ]
