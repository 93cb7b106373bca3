"""Engines of an application on MariaDB, with what it may have set on its connections; and databases to be used again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from keyturn.stores.sqlalchemy import upgrade
from tests.support.servers import MariadbServer

EMPTY = (
    "DELETE FROM keyturn_session",
    "DELETE FROM keyturn_revocation",
    "UPDATE keyturn_log SET epoch = substr(md5(uuid()), 1, 16), head = 0, dropped = 0",
)

OF_THE_ENGINE = ("poolclass", "pool_size", "isolation_level", "skip_autocommit_rollback")


def engine_for(url: str, **settings: Any) -> Engine:
    """Make a blocking engine whose connections have these settings of a session."""
    options = _options(settings)
    options["connect_args"]["ssl_disabled"] = True  # making ready for it takes 25 ms a connection
    return create_engine(_with_driver(url, "pymysql"), **options)


def async_engine_for(url: str, **settings: Any) -> AsyncEngine:
    """Make the same for an application that awaits."""
    return create_async_engine(_with_driver(url, "aiomysql"), **_options(settings))


def _with_driver(url: str, driver: str) -> str:
    return url.replace("mysql://", f"mysql+{driver}://", 1)


def _options(settings: dict[str, Any]) -> dict[str, Any]:
    options = {name: settings.pop(name) for name in OF_THE_ENGINE if name in settings}
    options.setdefault("pool_size", 64) if options.get("poolclass") is not NullPool else None
    said = ", ".join(f"{name} = {value!r}" for name, value in settings.items())
    return {**options, "connect_args": {"init_command": f"SET SESSION {said}"} if said else {}}


class Databases:
    """Databases with our tables, each emptied when it is given back: making one takes longer than most tests."""

    def __init__(self, server: MariadbServer) -> None:
        self._server = server
        self._free: list[str] = []
        self._all: list[str] = []

    def take(self) -> str:
        """Give the address of an empty one."""
        if not self._free:
            self._all.append(self._server.new_database(upgrade))
            self._free.append(self._all[-1])
        return self._free.pop()

    def give_back(self, url: str) -> None:
        """Empty one that nobody uses any longer."""
        self._server.execute(*EMPTY, database=urlsplit(url).path[1:])
        self._free.append(url)

    def drop(self) -> None:
        """Drop all of them."""
        for url in self._all:
            self._server.drop_database(url)


@contextmanager
def databases_of(server: MariadbServer) -> Iterator[Databases]:
    """Give databases for a while."""
    databases = Databases(server)
    try:
        yield databases
    finally:
        databases.drop()
