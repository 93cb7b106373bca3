"""A database that is away, slow, locked, exhausted, read-only or full, seen by a client: 503, and the session is kept.

Nothing is started again: when the trouble is over, the same store goes on.
"""

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn._colour import drive, resolve
from keyturn._policy import Presented
from keyturn.errors import StoreError
from keyturn.events import RefreshRecovered, ReuseDetected, SessionEnded
from keyturn.session import EndReason, session_id_bytes
from keyturn.stores.sqlalchemy import SqlAlchemyStore
from keyturn.stores.sqlalchemy.migrations import upgrade
from tests.support.all_stores import WAYS, Blocking, Loop, with_driver
from tests.support.front import PASSWORD, PROGRAM, Device, Front, a_front
from tests.support.rows import NOW
from tests.support.servers import DatabaseServer, MariadbServer, PostgresqlServer
from tests.support.tcp_proxy import TcpProxy

TIMEOUT = timedelta(seconds=1)
AWAITING = [name for name, way in WAYS.items() if way.awaits]
POSTGRESQL = [name for name, way in WAYS.items() if way.server == "postgresql"]


@dataclass
class Wired:
    """A service whose store reaches its database through a wire that can be bent."""

    front: Front
    proxy: TcpProxy
    server: DatabaseServer
    database: str
    raw: SqlAlchemyStore
    engine: Any
    loop: Loop | None

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.execute(*statements, database=self.database)

    def other_program(self) -> Any:
        """A connection of somebody else, in a transaction."""
        if isinstance(self.server, PostgresqlServer):
            return psycopg.connect(self.server.database_url(self.database))
        return pymysql.connect(host="127.0.0.1", port=self.server.port, user="root", database=self.database)

    def lock(self, device: Device) -> Any:
        """Let somebody else hold a session's row."""
        other = self.other_program()
        lock_row(other, device)
        return other

    def run(self, coroutine: Any) -> Any:
        return asyncio.run(coroutine) if self.loop is None else self.loop.run(coroutine)


def lock_row(other: Any, device: Device) -> None:
    raw = raw_id(device)
    statement = "SELECT generation FROM keyturn_session WHERE bucket = %s AND id = %s FOR UPDATE"
    other.cursor().execute(statement, [int.from_bytes(raw[:2], "big"), raw])


def raw_id(device: Device) -> bytes:
    raw = session_id_bytes(device.session_id)
    assert raw is not None
    return raw


@contextmanager
def wired(
    name: str, server: DatabaseServer, url: str | None = None, *, timeout: timedelta = TIMEOUT, **pool: Any
) -> Iterator[Wired]:
    """Open a store with an engine of its own, or over an application's engine where a pool is described."""
    way, url = WAYS[name], url or server.new_database(upgrade)
    loop = Loop() if way.awaits else None
    with TcpProxy(server.port) as proxy:
        through = with_driver(url, way.driver).replace(f":{server.port}/", f":{proxy.port}/")
        engine: Any = None
        if pool:
            engine = create_async_engine(through, **pool) if way.awaits else create_engine(through, **pool)
            raw = SqlAlchemyStore(engine, timeout=timeout)
        else:
            raw = SqlAlchemyStore.at(through, door="async" if way.awaits else "sync", timeout=timeout)
        front = a_front(store=Blocking(raw, loop) if loop else raw)
        yield Wired(front, proxy, server, url.rpartition("/")[2], raw, engine, loop)
        proxy.delay = 0
        if loop is None:
            raw.close()
            if engine is not None:
                engine.dispose()
        else:
            loop.settle()
            loop.run(raw.aclose())
            if engine is not None:
                loop.run(engine.dispose())
            loop.close()


@pytest.fixture(params=WAYS)
def here(request: pytest.FixtureRequest) -> Iterator[Wired]:
    """Each driver in its turn, over a database of its own."""
    server = request.getfixturevalue(WAYS[request.param].server)
    with wired(request.param, server) as opened:
        yield opened


def check_trouble(device: Device, *paths: str) -> None:
    """What a client sees: not now, try again later; and everything that it has, it keeps."""
    for path in paths or ("/auth/refresh", "/auth/logout"):
        before = dict(device.jar)
        answer = device.call("POST", path)
        assert answer.seen == (503, "store_unavailable"), path
        assert int(answer.header("retry-after") or "") > 0
        assert answer.set_cookies == []
        assert device.jar == before


def check_all_is_well(here: Wired, device: Device) -> None:
    """The trouble is over: the same client goes on, with the same store, and was accused of nothing."""
    here.front.advance(60)
    assert device.refresh().status == 200
    assert here.front.check(device) is not None
    here.front.advance(60)
    assert device.refresh().status == 200
    assert [fact for fact in here.front.facts if isinstance(fact, ReuseDetected | SessionEnded)] == []


def in_threads(*actions: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(actions)

    def act(number: int) -> None:
        results[number] = actions[number]()

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


# --- away, slow, locked, exhausted --------------------------------------------------------------------------------


@pytest.mark.ids("ST-05")
def test_a_database_that_is_not_there_is_503_and_everything_goes_on_when_it_is_back(here):
    device = here.front.device()
    here.front.advance(60)
    assert device.refresh().status == 200
    here.front.check(device)
    there, here.proxy.target = here.proxy.target, 1
    here.proxy.cut()
    check_trouble(device)
    login = here.front.send("POST", "/auth/login", json={"username": "bob", "password": PASSWORD}, headers=PROGRAM)
    assert login.seen == (503, "store_unavailable")
    assert here.front.check(device) is not None, "what is known is served until the bound"
    here.proxy.target = there
    check_all_is_well(here, device)


@pytest.mark.ids("ST-05")
def test_a_database_that_answers_too_late_costs_503_at_worst_and_the_retry_gets_the_same_successor(here):
    """Drivers that await, and PyMySQL, give up at the timeout; psycopg, blocking, goes by the server's clock alone."""
    device = here.front.device()
    here.front.advance(60)
    here.proxy.delay = 1.6
    answer = device.refresh()
    assert answer.seen in [(503, "store_unavailable"), (200, None)]
    assert answer.status == 503 or not here.loop
    here.proxy.delay = 0
    check_all_is_well(here, device)
    assert [fact for fact in here.front.facts if isinstance(fact, RefreshRecovered)] == []


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("name", WAYS)
def test_a_row_that_somebody_holds_costs_its_owner_503_and_nobody_else_anything(request, name):
    """Turns travel in groups where the driver awaits: the others in the group are answered all the same."""
    with wired(name, request.getfixturevalue(WAYS[name].server), timeout=4 * TIMEOUT) as here:
        held = here.front.device()
        others = [here.front.device(page=False) for _ in range(8)]
        here.front.advance(60)
        with closing(here.lock(held)) as other:
            answers = in_threads(*(device.refresh for device in [*others[:4], held, *others[4:]]))
            assert [answer.status for answer in answers] == [200] * 4 + [503] + [200] * 4
            assert answers[4].set_cookies == []
            other.rollback()
        check_all_is_well(here, held)


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("name", AWAITING)
def test_of_turns_that_travel_in_one_statement_the_one_with_a_held_row_fails_alone(request, name):
    with wired(name, request.getfixturevalue(WAYS[name].server), timeout=4 * TIMEOUT) as here:
        devices = [here.front.device(page=False) for _ in range(9)]
        here.front.advance(60)
        with closing(here.lock(devices[4])) as other:
            results = here.run(refreshed_together(here, devices))
            other.rollback()
        assert [isinstance(result, StoreError) for result in results] == [False] * 4 + [True] + [False] * 4
        for device, result in zip(devices, results, strict=True):
            if not isinstance(result, StoreError):
                device.refresh_token, device.access_token = result.pair.refresh_token, result.pair.access_token
            check_all_is_well(here, device)


async def refreshed_together(here: Wired, devices: list[Device]) -> list[Any]:
    """Refresh all of them in one step of the event loop, so that they board the same flight."""
    flows = here.front.service._parts.core.flows
    own = replace(flows, store=here.raw)
    calls = []
    for device in devices:
        token = flows.issuer.seals.open(device.refresh_token, here.front.clock())
        calls.append(own.refresh(Presented(token=token, transport="body", binding=None)))
    return list(await asyncio.gather(*calls, return_exceptions=True))


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("name", WAYS)
def test_an_exhausted_pool_is_503_until_a_connection_is_free(request, name):
    server = request.getfixturevalue(WAYS[name].server)
    with wired(name, server, pool_size=4, max_overflow=0, pool_timeout=0.2) as here:
        device = here.front.device()
        here.front.advance(60)

        async def take_all() -> list[Any]:
            return [await resolve(here.engine.connect()) for _ in range(4)]

        async def give_back(connections: list[Any]) -> None:
            for connection in connections:
                await resolve(connection.close())

        here.run(here.raw.aclose())  # connections that are kept for a moment go back to the pool
        taken = here.run(take_all())
        check_trouble(device)
        here.run(give_back(taken))
        check_all_is_well(here, device)


@pytest.mark.ids("ST-05")
def test_in_a_pool_of_one_refreshes_that_never_stop_keep_no_logout_waiting(postgresql):
    """What is kept for the next refresh is given back now and then, and who waits for it comes first."""
    with wired("postgresql-asyncpg", postgresql, timeout=5 * TIMEOUT, pool_size=1, max_overflow=0) as here:
        busy, leaving = here.front.device(page=False), here.front.device()
        over = threading.Event()

        def refresh_on() -> list[int]:
            statuses = []
            while not over.is_set():
                statuses.append(busy.refresh().status)
                time.sleep(0.02)
            return statuses

        def log_out() -> int:
            try:
                time.sleep(0.2)
                return leaving.call("POST", "/auth/logout").status
            finally:
                over.set()

        statuses, left = in_threads(refresh_on, log_out)
        assert left == 204
        assert set(statuses) == {200}


# --- read-only, full ----------------------------------------------------------------------------------------------


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("name", POSTGRESQL)
def test_a_database_that_may_only_be_read_is_503_and_connections_to_it_are_given_up(postgresql, name):
    """As after a failover to a server that was not promoted yet; nobody closes the connections that lead there."""
    with wired(name, postgresql) as here:
        device = here.front.device()
        here.front.advance(60)
        postgresql.execute(f"ALTER DATABASE {here.database} SET default_transaction_read_only = on")
        here.proxy.cut()
        check_trouble(device)
        assert device.call("GET", "/auth/session").status == 200, "the log of ended sessions can be read"
        postgresql.execute(f"ALTER DATABASE {here.database} RESET default_transaction_read_only")
        here.front.advance(60)
        statuses = [device.refresh().status for _ in range(4)]
        assert statuses[-1] == 200, "one 503 for each connection that was opened meanwhile, and no more"
        check_all_is_well(here, device)


@pytest.mark.ids("ST-05")
def test_a_mariadb_that_may_only_be_read_is_503():
    with MariadbServer() as server:
        server.execute("CREATE USER shop@'127.0.0.1'", "GRANT ALL ON *.* TO shop@'127.0.0.1'")
        server.execute("REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM shop@'127.0.0.1'")
        url = server.new_database(upgrade).replace("root@", "shop@")
        with wired("mariadb-pymysql", server, url) as here:
            device = here.front.device()
            here.front.advance(60)
            server.execute("SET GLOBAL read_only = 1")
            check_trouble(device)
            assert device.call("GET", "/auth/session").status == 200
            server.execute("SET GLOBAL read_only = 0")
            check_all_is_well(here, device)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    reason = "needs root, who may mount a small file system: sudo .venv/bin/python -m pytest tests/failure"
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)  # the database's user comes through here
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run([str(mount), "-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run([str(umount), "-l", str(disk)], check=True)


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("name", POSTGRESQL)
def test_a_full_disk_refuses_what_needs_room_and_loses_nothing(postgresql, small_disk, name):
    space = small_disk / "space"
    space.mkdir()
    postgresql.account.own(small_disk)
    label = f"small_{name.replace('-', '_')}"
    postgresql.execute(f"CREATE TABLESPACE {label} LOCATION '{space}'")
    url = postgresql.new_database(upgrade)
    database = url.rpartition("/")[2]
    postgresql.execute(f"ALTER DATABASE {database} SET TABLESPACE {label}")
    try:
        with wired(name, postgresql, url) as here:
            device = here.front.device()
            ballast = small_disk / "ballast"
            filled(ballast)
            answers = [here.front.send("POST", "/auth/login", json=SIGN_IN, headers=PROGRAM) for _ in range(300)]
            refused = {answer.seen for answer in answers if answer.status != 200}
            assert refused == {(503, "store_unavailable")}, "the disk was never full"
            here.front.advance(60)
            assert device.refresh().seen in [(200, None), (503, "store_unavailable")]
            ballast.unlink()
            here.front.advance(60)
            assert device.refresh().status == 200
            assert here.front.send("POST", "/auth/login", json=SIGN_IN, headers=PROGRAM).status == 200
            kept = [answer for answer in answers if answer.status == 200][-40:]
            for answer in kept:
                token = {"refresh_token": answer.json["refresh_token"]}
                assert here.front.send("POST", "/auth/refresh", json=token, headers=PROGRAM).status in {200, 401}
    finally:
        postgresql.drop_database(url)
        postgresql.execute(f"DROP TABLESPACE {label}")


SIGN_IN = {"username": "bob", "password": PASSWORD, "transport": "body", "device_name": "x" * 90}


def filled(path: Path) -> None:
    """Write until there is no room left."""
    try:
        with path.open("wb", buffering=0) as file:
            while file.write(b"\0" * 8192):
                pass
    except OSError:
        pass


# --- the wire breaks while an answer is on its way ---------------------------------------------------------------------


@pytest.mark.ids("ST-05", "M07")
def test_a_refresh_whose_statement_was_heard_but_not_answered_costs_nothing(here):
    device = here.front.device()
    for _ in range(3):
        here.front.advance(60)
        before = here.proxy.lost_answers
        here.proxy.lose_the_next_answer()
        answer = device.refresh()
        assert here.proxy.lost_answers > before
        assert answer.seen in [(200, None), (503, "store_unavailable")]
    check_all_is_well(here, device)


@pytest.mark.ids("ST-05", "SE-03")
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_a_logout_that_was_heard_but_not_answered_is_asked_again_and_holds(here, path):
    device = here.front.device()
    here.front.check(device)
    here.proxy.lose_the_next_answer()
    first = device.call("POST", path)
    assert first.status in {200, 204, 401, 503}
    if first.status == 503:
        assert first.set_cookies == []
        assert device.call("POST", path).status in {200, 204, 401}
    copy = Device(here.front, jar=dict(device.jar), access_token=device.access_token)
    here.front.advance(6)
    assert copy.call("GET", "/auth/session").status == 401
    row = drive(here.front.store.behind.get(device.session_id))
    assert row is not None
    assert row.ended_at is not None


@pytest.mark.ids("ST-05")
def test_a_sign_in_that_was_heard_but_not_answered_is_503_and_the_next_one_works(here):
    here.front.device()
    here.proxy.lose_the_next_answer()
    answer = here.front.send("POST", "/auth/login", json=SIGN_IN, headers=PROGRAM)
    assert answer.seen in [(200, None), (503, "store_unavailable")]
    assert here.front.send("POST", "/auth/login", json=SIGN_IN, headers=PROGRAM).status == 200


# --- others get in each other's way --------------------------------------------------------------------------------------


@pytest.mark.ids("ST-05", "P2")
@pytest.mark.parametrize("name", WAYS)
def test_a_deadlock_with_another_program_is_tried_again_and_the_end_holds(request, name):
    with wired(name, request.getfixturevalue(WAYS[name].server), timeout=8 * TIMEOUT) as here:
        if isinstance(here.server, PostgresqlServer):
            here.server.execute(f"ALTER DATABASE {here.database} SET deadlock_timeout = '600ms'")
        here.execute("CREATE TABLE ballast (n INTEGER)")
        devices = sorted((here.front.device(page=False) for _ in range(2)), key=raw_id)
        ended: list[Any] = []
        before = deadlocks(here)
        with closing(here.lock(devices[1])) as other:
            heavier_and_slower_to_look(here, other)
            ending = threading.Thread(target=lambda: ended.extend(end_both(here, devices)))
            ending.start()
            time.sleep(0.3)  # the first row is ours by now, and we wait for the second
            with suppress(
                psycopg.errors.DeadlockDetected, pymysql.err.OperationalError
            ):  # the server says who gives way
                lock_row(other, devices[0])
            other.rollback()
            ending.join(30)
        assert len(ended) == 2
        for device in devices:
            assert device.refresh().status == 401
        assert deadlocks(here) != before, "there was no deadlock: the test shows nothing"


def heavier_and_slower_to_look(here: Wired, other: Any) -> None:
    """Whoever has written least (MariaDB) or looks first (PostgreSQL) is made to give way: let that be us."""
    cursor = other.cursor()
    for _ in range(30):
        cursor.execute("INSERT INTO ballast VALUES (1)")
    if isinstance(here.server, PostgresqlServer):
        cursor.execute("SET deadlock_timeout = '20s'")


def deadlocks(here: Wired) -> Any:
    if isinstance(here.server, PostgresqlServer):
        return here.server.log_text().count("deadlock detected")
    return here.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")


def end_both(here: Wired, devices: list[Device]) -> Any:
    return drive(
        here.front.store.behind.end(
            [device.session_id for device in devices], at=NOW, reason=EndReason.LOGOUT, until=NOW + timedelta(hours=1)
        )
    )


@pytest.mark.ids("ST-05", "P3")
@pytest.mark.parametrize("name", AWAITING)
def test_a_caller_that_is_cancelled_harms_neither_its_session_nor_those_that_travel_with_it(request, name):
    with wired(name, request.getfixturevalue(WAYS[name].server)) as here:
        devices = [here.front.device(page=False) for _ in range(12)]
        here.front.advance(60)
        flows = here.front.service._parts.core.flows
        own = replace(flows, store=here.raw)

        def presented(device: Device) -> Presented:
            token = flows.issuer.seals.open(device.refresh_token, here.front.clock())
            return Presented(token=token, transport="body", binding=None)

        async def together() -> list[Any]:
            tasks = [asyncio.create_task(own.refresh(presented(device))) for device in devices]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        results = here.run(together())
        assert [type(result) for result in results[::2]] == [asyncio.CancelledError] * 6
        for device, result in zip(devices[1::2], results[1::2], strict=True):
            device.refresh_token, device.access_token = result.pair.refresh_token, result.pair.access_token
        for device in devices:
            check_all_is_well(here, device)
