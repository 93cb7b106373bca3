"""From an address or an engine to a connection to migrate on, in either colour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")
Target: TypeAlias = str | URL | Engine | AsyncEngine

#: What an address without a driver's name means: the drivers that the extras bring.
DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


def with_connection(target: Target, work: Callable[[Connection], T]) -> T | Awaitable[T]:
    """Do the work on a connection; to be awaited where the target is an AsyncEngine."""
    if isinstance(target, AsyncEngine):
        return _awaited(target, work)
    if isinstance(target, Engine):
        return _blocking(target, work)
    url = address(target)
    if url.get_dialect().is_async:
        return asyncio.run(_awaited(create_async_engine(url, poolclass=NullPool), work))
    return _blocking(create_engine(url, poolclass=NullPool), work)


def address(url: str | URL) -> URL:
    """Give an address with a driver's name."""
    parsed = make_url(url)
    return parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername))


def _blocking(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.connect() as connection:
        return work(connection)


async def _awaited(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    async with engine.connect() as connection:
        return await connection.run_sync(work)
