"""Every place where records are kept, each behind one face: empty at first, whatever its colour."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keyturn._colour import drive
from keyturn.server.records import Account
from keyturn.server.records.memory import MemoryRecords
from keyturn.server.records.sqlalchemy import SqlAlchemyRecords
from keyturn.server.records.sqlite import SqliteRecords
from tests.support.all_stores import WAYS, Loop

NOW = datetime(2031, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
TABLES = ("keyturn_account", "keyturn_account_key", "keyturn_client", "keyturn_reset")
KINDS = ("memory", "sqlite", *WAYS)
IN_SQL = tuple(kind for kind in KINDS if kind != "memory")


def an_account(name: str = "ana", **changes: Any) -> Account:
    """Give an account with a name, all of whose fields can be changed."""
    fields: dict[str, Any] = {
        "subject": f"id-of-{name}", "username": name.capitalize(), "name_key": name, "created_at": NOW,
        "roles": frozenset({"shop:read"}),
    }  # fmt: skip
    return Account(**(fields | changes))


@dataclass(kw_only=True)
class Place:
    """Records under test.

    Args:
        kind: which they are.
        records: as a door has them.
        run: waits for one of their verbs.
        execute: runs statements behind their back; None where there are none.
        loop: where the records await; None where they need not.
        again: opens the same place once more.
    """

    kind: str
    records: Any
    run: Callable[[Any], Any]
    execute: Callable[..., Any]
    loop: Loop | None = None
    again: Callable[[], Any] | None = None

    def race_of_tasks(self, verbs: list[Callable[[], Any]]) -> list[Any]:
        """Put many verbs at once, as tasks of one loop; give what came of each, errors too."""

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(verb() for verb in verbs), return_exceptions=True)

        return self.loop.run(all_at_once()) if self.loop else asyncio.run(all_at_once())

    def race_of_threads(self, verbs: list[Callable[[], Any]]) -> list[Any]:
        """Put many verbs at once, each from a thread of its own; give what came of each, errors too."""
        results: list[Any] = [None] * len(verbs)
        start = threading.Barrier(len(verbs))

        def act(number: int) -> None:
            start.wait()
            try:
                results[number] = self.run(verbs[number]())
            except Exception as error:  # noqa: BLE001 - told to the test
                results[number] = error

        threads = [threading.Thread(target=act, args=[number]) for number in range(len(verbs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    if kind == "memory":
        yield Place(kind=kind, records=MemoryRecords(), run=drive, execute=_none)
    elif kind == "sqlite":
        yield from in_sqlite(tmp_path / "keyturn.db")
    else:
        way = request.getfixturevalue("opened_ways").get(kind, request.getfixturevalue)
        way.execute(*(f"DELETE FROM {table}" for table in TABLES))
        run = way.loop.run if way.loop else drive
        yield Place(
            kind=kind, records=SqlAlchemyRecords(way.engine), run=run, execute=way.execute, loop=way.loop,
            again=lambda: SqlAlchemyRecords(way.engine),
        )  # fmt: skip


def _none(*_: str) -> None:
    pytest.skip("memory has no rows to damage")


def in_sqlite(path: Path) -> Iterator[Place]:
    records = SqliteRecords(path, synchronous="NORMAL")

    def execute(*statements: str) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return [row for statement in statements for row in connection.execute(statement).fetchall()]

    yield Place(kind="sqlite", records=records, run=drive, execute=execute, again=lambda: SqliteRecords(path))
    records.close()
