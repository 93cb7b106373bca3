"""Every store that there is, each behind one face: what a promise that holds on every store is played on.

A store that awaits runs in an event loop of its own thread here, so that one test, blocking and written once, plays on
stores of every colour.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn import stores
from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.session import Session, session_id_bytes
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlalchemy import SqlAlchemyStore
from keyturn.stores.sqlalchemy.migrations import upgrade
from keyturn.stores.sqlalchemy.tables import metadata
from keyturn.stores.sqlite import SqliteStore
from tests.support.servers import DatabaseServer

#: Seconds after which a call that has not come back is a test that hangs.
PATIENCE = 60


class Loop:
    """An event loop that runs in a thread, and ends as an application's does: what still runs then is cancelled."""

    def __init__(self) -> None:
        began = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._until_closed(began)], name="loop of a store")
        self._thread.start()
        assert began.wait(PATIENCE)

    async def _until_closed(self, began: threading.Event) -> None:
        self._loop, self._main, self._end = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
        began.set()
        await self._end.wait()

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def settle(self) -> None:
        """Wait for what runs there and nobody waits for.

        SQLAlchemy lets go of a connection in a task of its own, which goes on where a call took too long; one that
        comes back to a pool that was disposed of meanwhile is closed by the garbage collector alone, in another test.
        """
        self.run(self._settled())

    async def _settled(self) -> None:
        if others := asyncio.all_tasks() - {self._main, asyncio.current_task()}:
            await asyncio.wait(others, timeout=PATIENCE / 4)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


class Blocking:
    """A store that awaits, for callers that block."""

    colour = "sync"

    def __init__(self, store: Any, loop: Loop) -> None:
        self._store, self._loop = store, loop

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            return self._loop.run(getattr(self._store, verb)(*args, **kwargs))

        return ask


@dataclass(frozen=True, kw_only=True)
class Backing:
    """A store, empty at first, and the ways round it that only tests take.

    Args:
        name: which store it is.
        raw: the store as an application has it.
        store: the same for callers that block.
        tables: gives every row of every table, as it is kept.
        delete: deletes a session's row behind the store's back.
        run: runs a coroutine that uses the raw store.
        url: what another process opens the same store by; None where none can.
        engine: SQLAlchemy's, the blocking one inside where it awaits; None where the store has none.
        application: the engine as the application has it.
        execute: runs statements on a connection of their own, each committed at once.
        break_: makes every call fail from now on.
    """

    name: str
    raw: Any
    store: Any
    tables: Callable[[], dict[str, list[tuple[Any, ...]]]]
    delete: Callable[[str], None]
    run: Callable[[Any], Any]
    break_: Callable[[], None]
    url: str | None = None
    engine: Any = None
    application: Any = None
    execute: Callable[..., list[tuple[Any, ...]]] | None = None

    @property
    def awaits(self) -> bool:
        """Whether tasks may use the raw store side by side."""
        return self.raw.colour != "sync"

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Give what is sent to a database server within the block, statement by statement."""
        sent: list[str] = []

        def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            sent.append(" ".join(statement.split()))

        if self.engine is None:
            yield sent
            return
        event.listen(self.engine, "before_cursor_execute", hear)
        try:
            yield sent
        finally:
            event.remove(self.engine, "before_cursor_execute", hear)

    @contextmanager
    def echo(self) -> Iterator[None]:
        """Let the engine say everything that it sends and gets, as `echo="debug"` does."""
        if self.engine is None:
            yield
            return
        self.engine.echo = self.engine.pool.echo = "debug"
        try:
            yield
        finally:
            self.engine.echo = self.engine.pool.echo = False

    def values(self) -> list[Any]:
        """Everything that is kept, value by value."""
        return [value for rows in self.tables().values() for row in rows for value in row]

    def count(self) -> int:
        """How many rows there are in all tables."""
        return sum(map(len, self.tables().values()))

    def put_back(self, row: Session, **changes: Any) -> None:
        """Replace a session's row, as a failover to an older copy does."""
        self.delete(row.id)
        drive(self.store.add(replace(row, **changes)))


# --- memory and SQLite ----------------------------------------------------------------------------------------------


@contextmanager
def in_memory(folder: Path, servers: Any) -> Iterator[Backing]:
    store = MemoryStore()

    def tables() -> dict[str, list[tuple[Any, ...]]]:
        rows = [tuple(getattr(row, name) for name in Session.__slots__) for row in store._rows.values()]
        log = [(number, entry.session_id, entry.floor, entry.until) for number, entry in store._log]
        return {"sessions": rows, "log": log}

    def break_() -> None:
        async def fail(*_: Any, **__: Any) -> None:
            raise StoreError(cause="the test has taken the memory away")

        for verb in ("add", "get", "advance"):
            setattr(store, verb, fail)

    yield Backing(
        name="memory", raw=store, store=store, tables=tables, delete=store._rows.pop, run=asyncio.run, break_=break_
    )


@contextmanager
def in_sqlite(folder: Path, servers: Any) -> Iterator[Backing]:
    path = folder / "sessions.db"
    with SqliteStore(path, synchronous="NORMAL") as store:

        def tables() -> dict[str, list[tuple[Any, ...]]]:
            with closing(sqlite3.connect(path)) as connection:
                names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}

        def delete(id_: str) -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("DELETE FROM keyturn_session WHERE id = ?", [session_id_bytes(id_)])

        def break_() -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("DROP TABLE keyturn_session")

        yield Backing(
            break_=break_, name="sqlite", raw=store, store=store, tables=tables, delete=delete, run=asyncio.run,
            url=f"sqlite:///{path}",
        )  # fmt: skip


# --- PostgreSQL and MariaDB -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Way:
    """A driver and its colour.

    Args:
        server: the fixture whose server it leads to.
        driver: as SQLAlchemy's addresses spell it.
        awaits: whether its engine does.
    """

    server: str
    driver: str
    awaits: bool


WAYS = {
    "postgresql-asyncpg": Way(server="postgresql", driver="postgresql+asyncpg", awaits=True),
    "postgresql-psycopg-async": Way(server="postgresql", driver="postgresql+psycopg", awaits=True),
    "postgresql-psycopg": Way(server="postgresql", driver="postgresql+psycopg", awaits=False),
    "mariadb-pymysql": Way(server="mariadb", driver="mysql+pymysql", awaits=False),
    "mariadb-aiomysql": Way(server="mariadb", driver="mysql+aiomysql", awaits=True),
}
#: For 64 callers at once.
POOL = {"pool_size": 20, "max_overflow": 60}


def with_driver(url: str, driver: str) -> str:
    """Name a driver in an address."""
    return driver + url[url.index(":") :]


class OpenedWay:
    """A store on a database of its own, opened once and emptied for every test: that takes a tenth of the time."""

    def __init__(self, name: str, server: DatabaseServer) -> None:
        self.name, self.way, self.server = name, WAYS[name], server
        plain = server.new_database(upgrade)
        self.database = plain.rpartition("/")[2]
        self.url = with_driver(plain, self.way.driver)
        self.loop = Loop() if self.way.awaits else None
        engine: Any = create_async_engine(self.url, **POOL) if self.way.awaits else create_engine(self.url, **POOL)
        self.engine = engine
        self.raw = SqlAlchemyStore(engine)
        self.is_broken = False
        blocking = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[self.way.server]
        self._blocking = create_engine(with_driver(plain, blocking), poolclass=NullPool)

    def backing(self) -> Backing:
        self._empty()
        loop = self.loop
        return Backing(
            name=self.name, raw=self.raw, store=Blocking(self.raw, loop) if loop else self.raw, tables=self.tables,
            delete=self.delete, run=loop.run if loop else asyncio.run, break_=self.break_, url=self.url,
            engine=self.engine.sync_engine if loop else self.engine, application=self.engine, execute=self.execute,
        )  # fmt: skip

    def close(self) -> None:
        if self.loop is not None:
            self.loop.settle()
            self.loop.run(self.raw.aclose())
            self.loop.run(self.engine.dispose())
            self.loop.close()
        else:
            self.engine.dispose()

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.execute(*statements, database=self.database)

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: self.execute(f"SELECT * FROM {name}") for name in sorted(metadata.tables)}

    def delete(self, id_: str) -> None:
        raw = session_id_bytes(id_)
        assert raw is not None
        literal = f"decode('{raw.hex()}', 'hex')" if self.way.server == "postgresql" else f"x'{raw.hex()}'"
        self.execute(f"DELETE FROM keyturn_session WHERE id = {literal}")

    def break_(self) -> None:
        self.execute("ALTER TABLE keyturn_session RENAME TO taken_away")
        self.is_broken = True

    def snapshot(self) -> dict[str, list[Any]]:
        """Give everything that is kept, to be put back."""
        with self._blocking.connect() as connection:
            return {name: connection.execute(table.select()).all() for name, table in metadata.tables.items()}

    def restore(self, saved: dict[str, list[Any]]) -> None:
        """Put everything back, as a failover to an older copy does."""
        with self._blocking.begin() as connection:
            for name, table in metadata.tables.items():
                connection.execute(table.delete())
                if saved[name]:
                    connection.execute(table.insert(), [row._asdict() for row in saved[name]])

    def mend(self) -> None:
        self.execute("ALTER TABLE taken_away RENAME TO keyturn_session")
        self.is_broken = False

    def _empty(self) -> None:
        self.execute(
            "DELETE FROM keyturn_session", "DELETE FROM keyturn_revocation",
            "UPDATE keyturn_log SET head = 0, dropped = 0",
        )  # fmt: skip


class OpenedWays:
    """Those that were asked for in this run."""

    def __init__(self) -> None:
        self._opened: dict[str, OpenedWay] = {}

    def get(self, name: str, server: Callable[[str], DatabaseServer]) -> OpenedWay:
        if name not in self._opened:
            self._opened[name] = OpenedWay(name, server(WAYS[name].server))
        return self._opened[name]

    def close(self) -> None:
        for way in self._opened.values():
            way.close()


def by_way(name: str) -> Callable[[Path, Any], Any]:
    @contextmanager
    def on_server(folder: Path, fixture: Any) -> Iterator[Backing]:
        way = fixture("opened_ways").get(name, fixture)
        yield way.backing()
        if way.is_broken:
            way.mend()

    return on_server


#: Those that are reached through a network.
BEHIND_A_NETWORK = list(WAYS)
STORES: dict[str, Callable[[Path, Any], Any]] = {
    "memory": in_memory,
    "sqlite": in_sqlite,
    **{name: by_way(name) for name in WAYS},
}


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """Open a store by its address, as another process does."""
    awaits = any(way.awaits and url.startswith(f"{way.driver}:") for way in WAYS.values())
    store: Any = stores.open(url, colour="async" if awaits else "sync")
    try:
        yield store
    finally:
        if store.colour != "async":
            store.close()
