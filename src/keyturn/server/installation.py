"""What the server and every command stand on: the parts that a configuration names, opened when they are first used."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .. import stores, throttle
from .._asgi import LoopBridge
from .._build import Chance
from ..errors import ConfigurationError
from ..keyrings.directory import DirectoryKeys
from ..sessions import AsyncSessions, Sessions
from ..stores import SessionStore
from ..throttle import Throttle
from . import database, records
from .accounts import Accounts, AsyncAccounts
from .config import ServerConfig, absolute_store
from .hashing import Hashing, cores, share
from .records import Records
from .registry import ClientRegistry
from .users import ServerUsers

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

#: The settings of `keyturn.toml` for those who only look at a folder.
_PRIVATE = 0o700


class Installation:
    """The parts of one installation; each is opened when it is first asked for, and `close` closes them all.

    Args:
        config: where they are.
        colour: ``sync`` for commands, ``async`` for the server's event loop.
        chance: the clock and the entropy.
    """

    def __init__(
        self,
        config: ServerConfig,
        colour: Literal["sync", "async"] = "sync",
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:
        self.config = config
        self.colour: Literal["sync", "async"] = colour
        self.chance = chance

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- the parts -------------------------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Engine | AsyncEngine | None:
        """The engine that sessions, records and counters share; None for SQLite and for memory."""
        return database.engine(self.config.store, self.colour)

    @cached_property
    def store(self) -> SessionStore:
        """Where sessions are kept."""
        if self.engine is None:
            return stores.open(self.config.store, colour=self.colour)
        from ..stores.sqlalchemy import SqlAlchemyStore

        return SqlAlchemyStore(self.engine)

    @cached_property
    def keys(self) -> DirectoryKeys:
        """The key ring's directory, filled with fresh keys where it is missing or empty."""
        return DirectoryKeys(
            self.config.keys,
            algorithm=self.config.settings.algorithm,
            clock=self.chance.clock,
            entropy=self.chance.entropy,
        )

    @cached_property
    def records(self) -> Records:
        """Accounts, registered clients and resets."""
        if self.engine is None:
            return records.open(self.config.store, colour=self.colour)
        from .records.sqlalchemy import SqlAlchemyRecords

        return SqlAlchemyRecords(self.engine)

    @cached_property
    def clients(self) -> ClientRegistry:
        """The registered clients: those of the file and those of the table."""
        return ClientRegistry(self.config.configuration.clients, self.records, clock=self.chance.clock)

    @cached_property
    def hashing(self) -> Hashing:
        """Makes and checks password hashes, so many at once."""
        limit = self.config.hashes or share(self.config.workers, cores())
        return Hashing(limit=limit, queue=self.config.hash_queue, entropy=self.chance.entropy)

    @cached_property
    def users(self) -> ServerUsers:
        """The accounts, as Keyturn asks for its users."""
        return ServerUsers(self.records, self.hashing)

    @cached_property
    def accounts(self) -> Any:
        """What operators do with accounts: `Accounts`, or `AsyncAccounts` for the server's event loop."""
        return self.accounts_over(self.sessions)

    def accounts_over(self, sessions: Any) -> Any:
        """Give the same over another door to the sessions: a server ends them through its own."""
        kind = Accounts if self.colour == "sync" else AsyncAccounts
        parts = (self.records, self.hashing, sessions)
        return kind(*parts, issuer=self.config.settings.issuer, chance=self.chance)

    @cached_property
    def throttle(self) -> Throttle:
        """Who is counted, beside the sessions or where the configuration says."""
        counters, limits = self.config.counters, self.config.configuration.limits
        if counters != "store":
            return throttle.open(absolute_store(counters, self.config.home), limits)
        if self.engine is not None:
            from ..throttle.sqlalchemy import SqlAlchemyThrottle

            return SqlAlchemyThrottle(self.engine, limits)
        url = self.config.store  # a SQLite file of its own: counting never waits for a session's commit
        return throttle.open(f"{url}.throttle" if database.sqlite_path(url) else url, limits)

    @cached_property
    def sessions(self) -> Any:
        """The door to sessions: `keyturn.Sessions`, or `keyturn.AsyncSessions` for the server's event loop."""
        parts = (self.config.settings, self.store, self.keys)
        if self.colour == "sync":
            return Sessions(*parts, chance=self.chance)
        return AsyncSessions(*parts, bridge=LoopBridge(), chance=self.chance)

    # --- beginning and end -----------------------------------------------------------------------------------------

    def prepare(self, *, waiting: Callable[[str], None] = lambda _: None) -> None:
        """Make what is missing: folders, keys, database and tables; several processes may do so at once.

        Args:
            waiting: told, once, why the database cannot be reached, while it is waited for.

        Raises:
            ConfigurationError: something is in the way; it says what to do.
        """
        _refuse_unshared(self.config)
        _ = self.store, self.throttle  # an address that means nothing is refused before anything is made
        make_private(self.config.home)
        make_private(self.config.keys.parent)
        if (file := database.sqlite_path(self.config.store)) is not None:
            make_private(file.parent)
        if not self._has_keys():
            database.refuse_lost_keys(self.config, now=self.chance.clock())
        _ = self.keys
        database.prepare(self.config.store, migrate=self.config.migrate, waiting=waiting)

    def close(self) -> None:
        """Close everything that was opened; a later use opens it again. In a server's event loop await `aclose`."""
        for part in self._forget():
            _call(part, "close", "dispose")

    async def aclose(self) -> None:
        """Do as `close`, in the event loop that runs now."""
        for part in self._forget():
            done = _call(part, "aclose", "close", "dispose")
            if inspect.isawaitable(done):
                await done

    def _has_keys(self) -> bool:
        with suppress(OSError):
            return any(not path.name.startswith(".") for path in self.config.keys.iterdir())
        return False

    def _forget(self) -> list[Any]:
        # The engine last: the others stand on it.
        names = (
            "accounts",
            "users",
            "clients",
            "sessions",
            "hashing",
            "throttle",
            "records",
            "store",
            "keys",
            "engine",
        )
        return [self.__dict__.pop(name) for name in names if self.__dict__.get(name) is not None]


def _refuse_unshared(config: ServerConfig) -> None:
    if config.workers > 1 and config.store.startswith("memory:"):
        fault = f"the store is memory, which {config.workers} workers cannot share: use one, or sqlite:///keyturn.db"
        raise ConfigurationError([fault])


def _call(part: Any, *names: str) -> Any:
    """Call the first of these methods that a part has."""
    for name in names:
        if (method := getattr(part, name, None)) is not None:
            return method()
    return None


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, for their owner alone; those that are there stay as they are.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        for each in [*reversed(folder.parents), folder]:
            with suppress(FileExistsError):
                if not each.exists():
                    each.mkdir(mode=_PRIVATE)
    except OSError as trouble:
        raise ConfigurationError([f"{folder} cannot be made: {trouble.strerror or 'unknown trouble'}"]) from None
    if not folder.is_dir():
        raise ConfigurationError([f"{folder} is not a folder: name another place"])
