"""The least that can turn a token in SQLite: one thread with grouped commits (see `minimal`)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from starlette.applications import Starlette

from keyturn.stores._sqlite_schema import open_database
from keyturn.stores._sqlite_statements import _ADVANCE

from . import minimal

_GROUP = 64


class Writer:
    """A thread that turns what waits in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[tuple[tuple[Any, ...], asyncio.Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    async def advance(self, turn: minimal.Turn) -> tuple[Any, ...] | None:
        """Turn one row."""
        future: asyncio.Future[tuple[Any, ...] | None] = asyncio.get_running_loop().create_future()
        self._queue.put((_parameters(turn), future))
        return await future

    def _run(self) -> None:
        connection = open_database(str(self._path), synchronous="FULL", busy_timeout=timedelta(seconds=5))
        while True:
            group = self._take()
            connection.execute("BEGIN IMMEDIATE")
            rows = [_turn(connection, parameters) for parameters, _ in group]
            connection.execute("COMMIT")
            answers = [(future, row) for (_, future), row in zip(group, rows, strict=True)]
            group[0][1].get_loop().call_soon_threadsafe(_deliver, answers)

    def _take(self) -> list[tuple[tuple[Any, ...], asyncio.Future[Any]]]:
        group = [self._queue.get()]
        try:
            while len(group) < _GROUP:
                group.append(self._queue.get_nowait())
        except Empty:
            pass
        return group


def _turn(connection: sqlite3.Connection, parameters: tuple[Any, ...]) -> Any:
    rows = connection.execute(_ADVANCE, parameters).fetchall()
    return rows[0] if rows else None


def _deliver(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, row in answers:
        if not future.done():
            future.set_result(row)


def application(path: Path) -> Starlette:
    """Give the prototype over a file of ours."""
    return minimal.application(Writer(path).advance)


def _parameters(turn: minimal.Turn) -> tuple[Any, ...]:
    to, idle = turn.generation + 1, turn.idle
    return (to, turn.now, idle, idle, turn.id, "default", "body", None, turn.digest, None, turn.generation, None)
