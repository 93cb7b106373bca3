"""Every throttle that we ship, on its own rows, and a way to ask it whatever its colour."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn._colour import drive
from keyturn.limits import Limits
from keyturn.testing import ManualClock
from keyturn.throttle import Admission, Attempt, Throttle
from keyturn.throttle.memory import MemoryThrottle
from keyturn.throttle.sqlalchemy import SqlAlchemyThrottle
from keyturn.throttle.sqlite import SqliteThrottle

SHARED = ("sqlite", "psycopg", "asyncpg", "pymysql", "aiomysql")
KINDS = ("memory", *SHARED)
SERVERS = {"psycopg": "postgresql", "asyncpg": "postgresql", "pymysql": "mariadb", "aiomysql": "mariadb"}
POOL = 70  # as many as race


@dataclass
class Counted:
    """A throttle under test: attempts on it at a moment of its clock."""

    throttle: Throttle
    clock: ManualClock = field(default_factory=ManualClock)
    runner: asyncio.Runner | None = None

    def run(self, coroutine: Any) -> Any:
        if self.runner is None:
            return drive(coroutine)

        async def main() -> Any:
            return await coroutine

        return self.runner.run(main())

    def attempt(self, username: str = "alice", address: str = "192.0.2.7", browser: str = "") -> Attempt:
        return Attempt("login", self.clock(), "default", address, username, browser=browser)

    def login(self, *args: Any, **more: Any) -> Admission:
        """Try to sign in, and be told that the password is wrong."""
        return self.run(self.throttle.admit(self.attempt(*args, **more)))

    def sign_in(self, *args: Any, gets: str = "", **more: Any) -> Admission:
        """Try to sign in, and succeed; the browser gets a binding of this digest."""
        attempt = self.attempt(*args, **more)
        admission = self.run(self.throttle.admit(attempt))
        if admission.wait is None:
            self.run(self.throttle.succeeded(attempt, admission, now=self.clock(), browser=gets))
        return admission

    def refresh(self, session_id: str = "session", address: str = "192.0.2.7", browser: str = "") -> Admission:
        attempt = Attempt("refresh", self.clock(), "default", address, session_id=session_id, browser=browser)
        return self.run(self.throttle.admit(attempt))

    def step_up(self, session_id: str = "session") -> Admission:
        attempt = Attempt("step_up", self.clock(), "default", "192.0.2.7", session_id=session_id)
        return self.run(self.throttle.admit(attempt))


Make = Callable[..., Counted]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Build throttles of one kind, all on the same rows where they share any."""
    if kind in SERVERS:
        from keyturn.stores.sqlalchemy.migrations import upgrade

        url = request.getfixturevalue(SERVERS[kind]).new_database(upgrade)
        url = url.replace("://", f"+{kind}://", 1)
    engines: list[Any] = []
    runner = asyncio.Runner() if kind in {"asyncpg", "aiomysql"} else None

    def build(limits: Limits | None = None) -> Counted:
        if kind == "memory":
            return Counted(MemoryThrottle(limits))
        if kind == "sqlite":
            engines.append(throttle := SqliteThrottle(tmp_path / "counters.db", limits))
            return Counted(throttle)
        engine = (create_engine if runner is None else create_async_engine)(url, pool_size=POOL)
        engines.append(engine)
        return Counted(SqlAlchemyThrottle(engine, limits), runner=runner)

    yield build
    for engine in engines:
        if runner is not None:
            runner.run(engine.dispose())
        else:
            getattr(engine, "dispose", engine.close if kind == "sqlite" else None)()
    if runner is not None:
        runner.close()
