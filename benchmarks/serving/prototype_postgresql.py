"""The least that can turn a token in PostgreSQL: asyncpg and one prepared statement for each refresh (see `minimal`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from starlette.applications import Starlette

from keyturn.stores._rows import COLUMNS

from . import minimal

#: More waiting in the database at once than this makes it slower on two cores; fewer do not keep it busy.
CONNECTIONS = 16
#: One refresh, with all that it has to ask: what `Turn` says, in the order of the parameters.
ADVANCE = f"""
UPDATE keyturn_session SET
    generation = generation + 1, rotated_at = $4, recovered_at = NULL,
    recoveries = CASE WHEN recovered_at IS NULL THEN 0 ELSE recoveries END,
    idle_expires_at = least($5, expires_at)
WHERE bucket = $6 AND id = $1 AND realm = 'default' AND transport = 'body' AND seed_digest = $3 AND binding IS NULL
    AND generation = $2 AND generation >= floor AND ended_at IS NULL AND $4 < idle_expires_at AND $4 < expires_at
RETURNING {COLUMNS}
"""


def parameters(turn: minimal.Turn) -> tuple[Any, ...]:
    """Give the statement's parameters."""
    return (*turn, int.from_bytes(turn.id[:2]))


def application(url: str) -> Starlette:
    """Give the prototype over a database with our tables."""
    # Not asyncpg's pool: that one tells the server at each return to forget what a stranger may have set.
    free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()

    @asynccontextmanager
    async def connected(_app: Starlette) -> AsyncIterator[None]:
        connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
        for connection in connections:
            free.put_nowait(await connection.prepare(ADVANCE))
        yield
        for connection in connections:
            await connection.close()

    async def advance(turn: minimal.Turn) -> Sequence[Any] | None:
        statement = await free.get()
        try:
            row: Sequence[Any] | None = await statement.fetchrow(*parameters(turn))
        finally:
            free.put_nowait(statement)
        return row

    return minimal.application(advance, connected)
