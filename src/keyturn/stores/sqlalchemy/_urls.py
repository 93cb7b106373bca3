"""From an address to an engine: which driver it means for which door, and what an engine of ours is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from inspect import signature
from typing import Any, Final, Literal

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ...errors import ConfigurationError

#: How long a call waits for a free connection of the pool, and for a new one.
_CONNECT_SECONDS: Final = 5
#: A row that somebody holds locked must not hold up those that travel with it: the wait for it is short beside the
#: whole timeout, within which the others are tried once more, each alone.
_LOCK_MILLIS: Final = 2000
_LOCK_SHARE: Final = 4

_SHAPE: Final = "postgresql://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE"
_ALIASES: Final = {"postgres": "postgresql"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """A way to speak to a database.

    Args:
        name: as SQLAlchemy calls it.
        module: what must be installed.
        extra: the extra of ours that brings it.
        awaits: whether it is used with an AsyncEngine.
    """

    name: str
    module: str
    extra: str
    awaits: bool


_ASYNCPG: Final = Driver(name="asyncpg", module="asyncpg", extra="postgresql", awaits=True)
_PSYCOPG: Final = Driver(name="psycopg", module="psycopg", extra="postgresql", awaits=False)
_PSYCOPG_ASYNC: Final = Driver(name="psycopg", module="psycopg", extra="postgresql", awaits=True)
_PYMYSQL: Final = Driver(name="pymysql", module="pymysql", extra="mariadb", awaits=False)
#: What an address without a driver's name means; the first that is installed. A driver that blocks serves a door that
#: awaits, too: in worker threads.
_MEANT: Final[Mapping[tuple[str, str], tuple[Driver, ...]]] = {
    ("postgresql", "sync"): (_PSYCOPG,),
    ("postgresql", "async"): (_ASYNCPG, _PSYCOPG_ASYNC),
    ("mysql", "sync"): (_PYMYSQL,),
    ("mysql", "async"): (_PYMYSQL,),
    ("mariadb", "sync"): (_PYMYSQL,),
    ("mariadb", "async"): (_PYMYSQL,),
}
#: Drivers that are named in an address and serve both doors.
_NAMED: Final = {_PSYCOPG.name: {"sync": _PSYCOPG, "async": _PSYCOPG_ASYNC}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An address that was understood; its password does not show."""

    url: URL
    awaits: bool

    def engine(self, timeout: timedelta) -> Engine:
        """Make a blocking engine; it connects to nothing yet."""
        return create_engine(self.url, **_options(self.url, self.awaits, timeout))

    def async_engine(self, timeout: timedelta) -> AsyncEngine:
        """Make an engine that awaits; it connects to nothing yet."""
        # What asyncpg is told among the server's settings is no argument of its own.
        url = (
            self.url.difference_update_query(["application_name"])
            if self.url.get_driver_name() == "asyncpg"
            else self.url
        )
        return create_async_engine(url, **_options(self.url, self.awaits, timeout))


def parsed(text: str, door: Literal["sync", "async"]) -> Address:
    """Give the address that a text means for a door.

    Raises:
        ConfigurationError: it cannot be read, or its driver is missing or of the wrong colour.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # whose message may repeat the text, and so the password
        raise ConfigurationError([f"the store's address cannot be read: it looks like {_SHAPE}"]) from None
    url = url.set(drivername=_ALIASES.get(url.drivername, url.drivername))
    if not url.database:
        raise ConfigurationError([f"the store's address names no database: it looks like {_SHAPE}"])
    if "@" in (url.host or ""):  # the end of a password, which would show in every error of the driver
        raise ConfigurationError(["the store's address has two signs @: write the one in the password as %40"])
    driver = _driver(url, door)
    backend = url.get_backend_name()
    return Address(url=_translated(url.set(drivername=f"{backend}+{driver.name}"), driver), awaits=driver.awaits)


def _driver(url: URL, door: Literal["sync", "async"]) -> Driver:
    if "+" in url.drivername:
        driver = _named(url, door)
        candidates: tuple[Driver, ...] = (driver,)
    else:
        candidates = _MEANT.get((url.drivername, door), ())
    if not candidates:
        raise ConfigurationError([f"no store is known for {url.drivername!r}: use {_SHAPE}, sqlite:///PATH or memory:"])
    for driver in candidates:
        if find_spec(driver.module) is not None:
            return driver
    missing, extra = " or ".join(driver.module for driver in candidates), candidates[0].extra
    raise ConfigurationError([f"{url.drivername}:// needs {missing}: pip install 'keyturn[{extra}]'"])


def _named(url: URL, door: Literal["sync", "async"]) -> Driver:
    """Give the driver that an address names; one that neither we nor the tests know is taken as SQLAlchemy knows it."""
    backend, _, name = url.drivername.partition("+")
    if (backend, door) not in _MEANT:
        raise ConfigurationError([f"no store is known for {backend!r}: use {_SHAPE}, sqlite:///PATH or memory:"])
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError:
        raise ConfigurationError([f"SQLAlchemy knows no driver {name!r} for {backend}: leave it out"]) from None
    if dialect.is_async and door == "sync":
        raise ConfigurationError([f"{url.drivername}:// awaits, but this door blocks: write {backend}://"])
    extra = "postgresql" if backend == "postgresql" else "mariadb"
    either = _NAMED.get(name)
    if either is not None:
        return either[door]
    return Driver(name=name, module=_MODULES.get(name, name), extra=extra, awaits=dialect.is_async)


#: Modules whose name is not their driver's.
_MODULES: Final = {"mysqldb": "MySQLdb", "mysqlconnector": "mysql.connector"}


def _translated(url: URL, driver: Driver) -> URL:
    """Say in asyncpg's words what an address says in libpq's, or the other way round.

    Raises:
        ConfigurationError: the driver has no word for it.
    """
    if driver.name not in _WORDS:
        return url
    theirs, own = _WORDS[driver.name]
    if theirs in url.query:
        url = url.difference_update_query([theirs]).update_query_dict({own: str(url.query[theirs])})
    if driver.name == _PSYCOPG.name:
        if unknown := sorted(_CACHES & set(url.query)):
            raise ConfigurationError([f"psycopg knows no {', '.join(unknown)}: it needs an address without"])
    elif unknown := sorted(set(url.query) - _ASYNCPG_KNOWS):
        raise ConfigurationError([f"asyncpg knows no {', '.join(unknown)}: write postgresql+psycopg://"])
    return url


#: For encryption: the other driver's word, and its own.
_WORDS: Final = {_ASYNCPG.name: ("sslmode", "ssl"), _PSYCOPG.name: ("ssl", "sslmode")}
_CACHES: Final = frozenset({"statement_cache_size", "prepared_statement_cache_size"})
#: What may stand behind the question mark, besides ``sslmode``.
_ASYNCPG_KNOWS: Final = frozenset({
    "host", "port", "ssl", "passfile", "service", "servicefile", "target_session_attrs", "krbsrvname", "gsslib",
    "application_name", *_CACHES,
})  # fmt: skip


def _options(url: URL, awaits: bool, timeout: timedelta) -> dict[str, Any]:  # noqa: FBT001 - of a private function
    arguments = _TOLD.get((url.get_backend_name(), url.get_driver_name(), awaits))
    return {
        **_ENGINES.get(url.get_backend_name(), {}),
        "hide_parameters": True,
        "pool_timeout": _CONNECT_SECONDS,
        "connect_args": {} if arguments is None else arguments(url, int(timeout.total_seconds() * 1000)),
    }


def _psycopg(url: URL, millis: int) -> dict[str, Any]:
    told: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": millis}
    settings = _settings(millis)
    told["options"] = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items())
    return {name: value for name, value in told.items() if name not in url.query}


def _asyncpg(url: URL, millis: int) -> dict[str, Any]:
    settings = _settings(millis)
    if "application_name" in url.query:
        settings["application_name"] = str(url.query["application_name"])
    told = {"timeout": _CONNECT_SECONDS, "server_settings": settings}
    cached = str(url.query.get("statement_cache_size", ""))
    return {**told, "statement_cache_size": int(cached)} if cached.isdigit() else told


def _settings(millis: int) -> dict[str, str]:
    return {
        "statement_timeout": str(millis),
        "lock_timeout": str(_lock_millis(millis)),
        "default_transaction_isolation": "read committed",
    }


def _lock_millis(millis: int) -> int:
    return min(_LOCK_MILLIS, millis // _LOCK_SHARE)


def _pymysql(url: URL, millis: int) -> dict[str, Any]:
    seconds = max(1, millis // 1000)
    told = {**_aiomysql(url, millis), "read_timeout": seconds, "write_timeout": seconds}
    return {name: value for name, value in told.items() if name not in url.query}


def _aiomysql(url: URL, millis: int) -> dict[str, Any]:
    waiting = max(1, _lock_millis(millis) // 1000)  # whole seconds are all that InnoDB knows
    settings = f"innodb_lock_wait_timeout = {waiting}, max_statement_time = {millis / 1000}"
    told = {
        "charset": "utf8mb4",
        "connect_timeout": _CONNECT_SECONDS,
        "init_command": f"SET SESSION tx_isolation = 'READ-COMMITTED', {settings}",
    }
    return {name: value for name, value in told.items() if name not in url.query}


_TOLD: Final = {
    ("postgresql", "psycopg", False): _psycopg,
    ("postgresql", "psycopg", True): _psycopg,
    ("postgresql", "asyncpg", True): _asyncpg,
    **{(backend, "pymysql", False): _pymysql for backend in ("mysql", "mariadb")},
    **{(backend, "aiomysql", True): _aiomysql for backend in ("mysql", "mariadb")},
}

# MariaDB's drivers switch AUTOCOMMIT with a statement, and roll back with one whether there is something or not: for
# every verb, unless the connection is and stays as the verbs want it.
_LASTING: Final[Mapping[str, Any]] = {
    "isolation_level": "AUTOCOMMIT",
    "pool_reset_on_return": None,
    **(
        {"skip_autocommit_rollback": True} if "skip_autocommit_rollback" in signature(DefaultDialect).parameters else {}
    ),
}  # SQLAlchemy knows the last since 2.0.43: without it a verb is two turns
_ENGINES: Final[Mapping[str, Mapping[str, Any]]] = {"mysql": _LASTING, "mariadb": _LASTING}
