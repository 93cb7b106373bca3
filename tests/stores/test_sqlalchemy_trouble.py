"""PostgreSQL in trouble: what a caller hears, what a log may say, and how the store goes on."""

import asyncio
import socket
import threading
import time
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from keyturn import AsyncSessions, Principal, Sessions, Settings, stores
from keyturn._colour import drive
from keyturn.errors import ConfigurationError, StoreError
from keyturn.events import SessionRefreshed, SessionStarted
from keyturn.session import EndReason, session_id_bytes
from keyturn.stores import Changes
from keyturn.stores._rows import session_of
from keyturn.stores.sqlalchemy import SqlAlchemyStore, _side, _urls, upgrade
from keyturn.stores.sqlalchemy._statements import turn_row
from keyturn.testing import testing_keys
from keyturn.testing._store_stage import NOW, REALM, SUBJECT, UNTIL, Stage, turn_of
from tests.support.servers.proxy import Proxy

HOW = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}


class Blocking:
    """A store of psycopg, driven."""

    name, address = "sync", "postgresql"
    store = None

    def open(self, url):
        self.store = stores.open(url)
        return self.store

    def run(self, coroutine):
        return drive(coroutine)

    def close(self):
        if self.store is not None:
            self.store.close()


class Awaiting:
    """A store that awaits, in an event loop of its own."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.runner = asyncio.Runner()

    def open(self, url):
        self.store = stores.open(url.replace("postgresql", self.address, 1), colour="async")
        return self.store

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def close(self):
        self.runner.close()


@pytest.fixture(params=["sync", "asyncpg", "psycopg"])
def way(request):
    way = Blocking() if request.param == "sync" else Awaiting(request.param, f"postgresql+{request.param}")
    yield way
    way.close()


@pytest.fixture
def url(postgresql):
    return postgresql.new_database(upgrade)


class SimpleUsers:
    def authenticate(self, username, password, request):
        return None

    def load(self, subject):
        return Principal(subject=subject)


def stage_of(way, store):
    return Stage(store, "sync" if way.name == "sync" else "async")


def cause(way, coroutine):
    with pytest.raises(StoreError) as caught:
        way.run(coroutine)
    return caught.value.cause


def every_verb(stage):
    session = stage.session()
    store = stage.store
    yield store.add(session)
    yield store.get(session.id)
    yield store.advance(turn_of(session))
    yield store.advance(turn_of(session, changes=Changes(floor=1, access_floor=1, until=UNTIL)))
    yield store.recover(session.id, generation=0, now=NOW)
    yield store.find(REALM, SUBJECT, now=NOW)
    yield store.end([session.id], **HOW)
    yield store.end_all(REALM, SUBJECT, **HOW)
    yield store.end_all(REALM, None, **HOW)
    yield store.end_step(REALM, limit=1, **HOW)
    yield store.acknowledge({session.id: 1})
    yield store.require({session.id: 1}, until=UNTIL)
    yield store.revocations(None)
    yield store.purge(NOW, limit=1)
    yield store.purgeable(NOW, limit=1)


def kick(url):
    """End every other connection to a database, as a restart does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.ids("ST-05")
def test_without_tables_every_verb_says_how_to_make_them_and_works_once_they_are_there(postgresql, way):
    url = postgresql.new_database()
    stage = stage_of(way, way.open(url))
    for asked in every_verb(stage):
        assert "python -m keyturn.stores.sqlalchemy upgrade URL" in cause(way, asked)
    upgrade(url)
    for asked in every_verb(stage):
        way.run(asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE keyturn_log SET version = version + 1", "update the program"),
        ("UPDATE keyturn_log SET version = 0", "upgrade URL"),
        ("DELETE FROM keyturn_log", "keyturn_log is missing"),
        ("ALTER TABLE keyturn_log DROP COLUMN version", "upgrade URL"),
    ],
)
def test_tables_of_another_version_are_refused_with_the_remedy(postgresql, url, way, change, said):
    postgresql.execute(change, database=urlsplit(url).path[1:])
    stage = stage_of(way, way.open(url))
    for asked in every_verb(stage):
        assert said in cause(way, asked)


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_flight_that_rests_keeps_no_connection_that_somebody_else_needs(url, driver, size, monkeypatch):
    """However small an application's pool is, it gets all of it as soon as nobody refreshes."""
    monkeypatch.setattr(_side, "_REST", 3600.0)

    async def main():
        engine = create_async_engine(
            url.replace("postgresql", f"postgresql+{driver}", 1), pool_size=size, max_overflow=0
        )
        store = SqlAlchemyStore(engine)
        stage = Stage(store, "async")
        sessions = [await stage.add() for _ in range(3)]
        for generation in range(3):
            await asyncio.gather(
                *(store.advance(turn_of(one, generation=generation, to=generation + 1)) for one in sessions)
            )
            async with AsyncExitStack() as stack:
                for _ in range(size):
                    connection = await stack.enter_async_context(engine.connect())
                    assert await connection.scalar(text("SELECT 1")) == 1
        await store.aclose()
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.ids("ST-05")
def test_a_log_whose_head_row_goes_away_later_is_trouble_with_the_database(postgresql, url, way):
    store = way.open(url)
    way.run(store.revocations(None))
    postgresql.execute("DELETE FROM keyturn_log", database=urlsplit(url).path[1:])
    assert "keyturn_log is missing" in cause(way, store.revocations(None))


def test_a_database_that_cannot_hold_every_character_is_refused_with_the_remedy(postgresql, way):
    name = f"latin_{way.name}"
    postgresql.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = postgresql.database_url(name)
    upgrade(url)
    stage = stage_of(way, way.open(url))
    for asked in every_verb(stage):
        with pytest.raises(ConfigurationError, match="ENCODING 'UTF8'"):
            way.run(asked)


@pytest.mark.ids("ST-05")
def test_a_database_that_is_not_there_is_trouble_for_every_verb_and_over_when_it_is(postgresql, url, way):
    with Proxy(url) as proxy:
        proxy.refuse()
        stage = stage_of(way, way.open(proxy.through(url)))
        for asked in every_verb(stage):
            assert "refused" in cause(way, asked).lower()
        proxy.accept()
        for asked in every_verb(stage):
            way.run(asked)


def test_an_address_may_name_several_servers_and_what_the_connection_is_called(postgresql, url, way):
    there = urlsplit(url)
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{there.port}&target_session_attrs=read-write"
    stage = stage_of(way, way.open(f"postgresql://postgres@{there.path}?{hosts}&application_name=shop"))
    way.run(stage.add())
    named = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop'"
    assert postgresql.execute(named)[0][0] == 1


@pytest.mark.ids("ST-05")
def test_what_is_harmless_is_said_again_when_every_connection_broke_meanwhile(url, way):
    stage = stage_of(way, way.open(url))
    session = way.run(stage.add())
    way.run(stage.store.advance(turn_of(session)))  # a kept connection, too
    for generation in (1, 2):
        kick(url)
        after = way.run(stage.store.advance(turn_of(session, generation=generation, to=generation + 1)))
        assert after.generation == generation + 1
        kick(url)
        assert way.run(stage.store.get(session.id)) == after
    kick(url)
    assert way.run(stage.store.find(REALM, SUBJECT, now=NOW)) == [after]
    kick(url)
    assert way.run(stage.store.revocations(None)).entries == []
    kick(url)
    way.run(stage.store.acknowledge({session.id: 2}))
    assert way.run(stage.store.get(session.id)).delivered == 2


@pytest.mark.ids("ST-05", "M01")
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_storm_of_refreshes_does_not_notice_that_connections_break(url, driver):
    async def main():
        stage = Stage(stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async"), "async")
        sessions = [await stage.add() for _ in range(30)]
        turned = 0
        one_at_a_time = asyncio.Lock()  # or who cuts connections cuts those of another who does

        async def refresh(session):
            nonlocal turned
            for generation in range(40):
                row = await stage.store.advance(turn_of(session, generation=generation, to=generation + 1))
                if row is None:  # its connection broke after it was carried out, and it was said again
                    row = await stage.row(session)
                assert row.generation == generation + 1
                turned += 1
                if turned % 200 == 0:
                    async with one_at_a_time:
                        await asyncio.to_thread(kick, url)

        await asyncio.gather(*map(refresh, sessions))
        assert turned == 1200
        await stage.store.aclose()

    asyncio.run(main())


def test_what_might_be_done_twice_is_not_said_again_but_told_as_trouble(url, way):
    stage = stage_of(way, way.open(url))
    session = way.run(stage.add())
    for asked in (
        lambda: stage.store.recover(session.id, generation=0, now=NOW),
        lambda: stage.store.end([session.id], **HOW),
        lambda: stage.store.add(stage.session()),
    ):
        way.run(stage.store.get(session.id))
        kick(url)
        cause(way, asked())
        way.run(asked())


@pytest.mark.ids("M01", "ST-05")
def test_a_turn_whose_answer_is_lost_is_found_done(url, way):
    with Proxy(url) as proxy:
        stage = stage_of(way, way.open(proxy.through(url)))
        session = way.run(stage.add())
        way.run(stage.store.advance(turn_of(session)))  # the driver has prepared it: only its values are sent now
        with proxy.cutting(REALM, "after") as trap:
            turned = way.run(stage.store.advance(turn_of(session, generation=1, to=2)))  # said twice
        assert trap.sprung == 1
        assert turned == way.run(stage.store.get(session.id))
        assert turned.generation == 2


@pytest.mark.ids("RT-05", "ST-05")
def test_an_honest_client_is_not_accused_of_an_answer_that_the_database_lost_even_without_a_leeway(url, way):
    with Proxy(url) as proxy:
        store, told = way.open(proxy.through(url)), []
        door = Sessions if way.name == "sync" else AsyncSessions
        sessions = door(
            Settings(issuer="https://id.example.org", profile="strict"), store=store, keys=testing_keys(),
            users=SimpleUsers(), listeners=[told.append],
        )  # fmt: skip

        def asked(call):
            return call() if way.name == "sync" else way.run(call())

        pair = asked(lambda: sessions.start(Principal(subject="ada"), transport="body"))
        pair = asked(lambda: sessions.refresh(pair.refresh_token, transport="body"))
        with proxy.cutting("default", "after") as trap:
            asked(lambda: sessions.refresh(pair.refresh_token, transport="body"))
        assert trap.sprung == 1
        assert [type(fact) for fact in told] == [SessionStarted, SessionRefreshed, SessionRefreshed]


@pytest.mark.ids("RT-05")
@pytest.mark.parametrize(
    "other",
    [
        {}, {"binding": b"b" * 32}, {"seed_digest": b"s" * 32}, {"client_id": "another"}, {"transport": "body"},
        {"realm": "another"}, {"now": NOW + timedelta(microseconds=1)},
    ],
    ids=str,
)  # fmt: skip
def test_only_the_very_same_turn_is_taken_for_one_that_was_heard_before(url, other):
    with closing(stores.open(url)) as store:
        session = drive(Stage(store, "sync").add())
        turned = drive(store.advance(turn_of(session)))
        again = turn_row(turn_of(session, **other), session_id_bytes(session.id))
        with store._side._engine.connect() as connection:
            row = store._said.advance_again(connection, again)
    assert (row and session_of(row)) == (None if other else turned)


def test_a_turn_that_never_arrived_is_carried_out(url, way):
    with Proxy(url) as proxy:
        stage = stage_of(way, way.open(proxy.through(url)))
        session = way.run(stage.add())
        with proxy.cutting(REALM, "before") as trap:
            assert way.run(stage.store.advance(turn_of(session))).generation == 1
        assert trap.sprung == 1


@pytest.mark.ids("ST-05")
def test_a_database_that_may_only_be_read_refuses_writes_and_heals(postgresql, url, way):
    name = urlsplit(url).path[1:]
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    stage = stage_of(way, way.open(url))
    session = stage.session()
    assert "25006" in cause(way, stage.store.add(session))
    postgresql.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    way.run(stage.store.add(session))  # on a new connection: the old one would still refuse
    assert way.run(stage.store.advance(turn_of(session))).generation == 1


@contextmanager
def locked(url, session):
    """Hold a session's row, as somebody does who looks at it in a transaction."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT FROM keyturn_session WHERE id = %s FOR UPDATE", (raw_of(session),))
        yield
        connection.rollback()


def raw_of(session):
    from keyturn.session import session_id_bytes

    return session_id_bytes(session.id)


@pytest.mark.ids("ST-05")
def test_a_row_that_somebody_holds_is_trouble_for_its_own_session_only(url, way, monkeypatch):
    monkeypatch.setattr(_urls, "_LOCK_MILLIS", 200)
    stage = stage_of(way, way.open(url))
    held, *others = [way.run(stage.add()) for _ in range(4)]

    async def all_at_once():
        turns = [stage.store.advance(turn_of(session)) for session in (*others, held)]
        return await asyncio.gather(*turns, return_exceptions=True)

    with locked(url, held):
        if way.name == "sync":
            assert "55P03" in cause(way, stage.store.advance(turn_of(held)))
            return
        *rows, error = way.run(all_at_once())
    assert [row.generation for row in rows] == [1, 1, 1]
    assert isinstance(error, StoreError)
    assert "55P03" in error.cause


def test_a_pool_with_nothing_free_is_told_as_that(url):
    engine = create_engine(
        url.replace("postgresql", "postgresql+psycopg"), pool_size=1, max_overflow=0, pool_timeout=0.05
    )
    stage = Stage(SqlAlchemyStore(engine), "sync")
    with engine.connect(), pytest.raises(StoreError) as caught:
        drive(stage.add())
    assert "no connection free" in caught.value.cause
    drive(stage.add())
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_pool_with_nothing_free_is_told_in_an_event_loop_too_and_turns_need_but_one_connection(url, driver):
    async def main():
        engine = create_async_engine(
            url.replace("postgresql", f"postgresql+{driver}"), pool_size=1, max_overflow=0, pool_timeout=0.05
        )
        stage = Stage(SqlAlchemyStore(engine), "async")
        sessions = [await stage.add() for _ in range(20)]
        rows = await asyncio.gather(*(stage.store.advance(turn_of(session)) for session in sessions))
        assert [row.generation for row in rows] == [1] * 20
        await stage.store.aclose()
        async with engine.connect():
            for asked in (stage.add(), stage.store.advance(turn_of(sessions[0], generation=1, to=2))):
                with pytest.raises(StoreError) as caught:
                    await asked
                assert "no connection free" in caught.value.cause
        assert (await stage.store.advance(turn_of(sessions[0], generation=1, to=2))).generation == 2
        await stage.store.aclose()
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_server_that_says_nothing_is_trouble_after_the_stores_patience(url, driver):
    from datetime import timedelta

    async def main():
        with Proxy(url) as proxy:
            engine = create_async_engine(proxy.through(url).replace("postgresql", f"postgresql+{driver}"))
            store = SqlAlchemyStore(engine, timeout=timedelta(seconds=0.3))
            stage = Stage(store, "async")
            session = await stage.add()
            await stage.store.advance(turn_of(session))
            proxy.freeze()
            asked = [stage.store.get(session.id), stage.store.advance(turn_of(session, generation=1, to=2))]
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(answer, StoreError)
                assert "no answer within 0.3 s" in answer.cause
            assert store._side._sides[asyncio.get_running_loop()][0]._tasks  # the driver still tries to let go
            proxy.thaw()
            row = await stage.store.get(session.id)
            assert row.generation in {1, 2}
            await stage.store.aclose()
            await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_where_the_database_isolates_more_strictly_everything_holds_as_well(postgresql, url, way, level):
    name = urlsplit(url).path[1:]
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    plain = url.replace("postgresql", "postgresql+psycopg" if way.name == "sync" else way.address, 1)

    async def race(stage, session):
        equal = [lambda: stage.store.advance(turn_of(session))] * 24
        answers = await stage.together(equal)
        assert sum(row is not None for row in answers) == 1
        ends = [lambda one=one: stage.store.end([one.id], **HOW) for one in many]
        assert sum(map(len, await stage.together(ends))) == 24
        log = await stage.store.revocations(None)
        assert {entry.session_id for entry in log.entries} == {one.id for one in many}

    if way.name == "sync":
        engine = create_engine(plain, pool_size=24)
        stage = Stage(SqlAlchemyStore(engine), "sync")
        session, *many = [drive(stage.add()) for _ in range(25)]
        drive(race(stage, session))
        engine.dispose()
        return

    engine = create_async_engine(plain, pool_size=24)
    stage = Stage(SqlAlchemyStore(engine), "async")
    session, *many = way.run(gather_all([stage.add() for _ in range(25)]))
    way.run(race(stage, session))
    way.run(stage.store.aclose())
    way.run(engine.dispose())


async def gather_all(coroutines):
    return await asyncio.gather(*coroutines)


@pytest.mark.ids("ST-05")
def test_no_error_shows_the_password_or_what_was_stored(url, way, caplog):
    caplog.set_level("DEBUG")
    there = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # closed at once below: a port where nobody answers
        port = silent.getsockname()[1]
    addresses = [
        f"postgresql://postgres:hunter2@127.0.0.1:{port}/d",
        f"postgresql://postgres:hunter2@{there.hostname}:{there.port}/no_such_database",
        f"postgresql://nobody:hunter2@{there.hostname}:{there.port}{there.path}",
    ]
    for address in addresses:
        stage = stage_of(way, way.open(address))
        with pytest.raises(StoreError) as caught:
            way.run(stage.add(device_name="my secret phone"))
        assert caught.value.cause
        error, told = caught.value, []
        while error is not None:
            told += [repr(error), str(error)]
            error = error.__cause__ or error.__context__
        for word in ("hunter2", "secret phone"):
            assert word not in "".join(told) + caught.value.cause + caplog.text


def test_parameters_do_not_show_in_the_errors_of_an_applications_engine(postgresql, url):
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"))
    stage = Stage(SqlAlchemyStore(engine), "sync")
    drive(stage.add())
    postgresql.execute(
        "ALTER TABLE keyturn_session ADD CHECK (device_name <> 'my secret phone')", database=urlsplit(url).path[1:]
    )
    with pytest.raises(StoreError) as caught:
        drive(stage.add(device_name="my secret phone"))
    assert "23514" in caught.value.cause
    assert "secret phone" not in caught.value.cause
    assert "secret phone" not in str(caught.value.__cause__).partition("DETAIL")[0]
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_who_is_cancelled_takes_nobody_along_and_what_was_asked_is_done(url, driver):
    async def main():
        store = stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async")
        stage = Stage(store, "async")
        sessions = [await stage.add() for _ in range(12)]
        for _ in range(5):
            turns = [asyncio.ensure_future(store.advance(turn_of(session))) for session in sessions]
            gone = sessions.pop()
            await asyncio.sleep(0)
            turns.pop().cancel()
            rows = await asyncio.gather(*turns)
            assert [row.id for row in rows] == [session.id for session in sessions]
            sessions = rows
            assert (await store.get(gone.id)).generation <= gone.generation + 1
        end = asyncio.ensure_future(store.end([sessions[0].id], **HOW))
        await asyncio.sleep(0)
        end.cancel()
        with pytest.raises(asyncio.CancelledError):
            await end
        await store.aclose()  # waits for it
        assert (await store.get(sessions[0].id)).ended_at == NOW
        await store.aclose()

    asyncio.run(main())


@pytest.mark.ids("M35")
def test_an_applications_unfinished_work_is_neither_flushed_nor_committed(postgresql, url):
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session as Work, mapped_column

    class Base(DeclarativeBase):
        pass

    class Basket(Base):
        __tablename__ = "basket"
        id: Mapped[int] = mapped_column(primary_key=True)
        goods: Mapped[str]

    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"))
    Base.metadata.create_all(engine)
    stage = Stage(SqlAlchemyStore(engine), "sync")
    with Work(engine) as work:
        work.add(Basket(id=1, goods="tea"))
        work.commit()
        basket = work.get(Basket, 1)
        basket.goods = "coffee"
        work.add(Basket(id=2, goods="cake"))
        for asked in every_verb(stage):
            drive(asked)
        assert basket in work.dirty
        assert len(work.new) == 1
        with engine.connect() as other:
            assert other.execute(text("SELECT goods FROM basket")).all() == [("tea",)]
        work.rollback()
    with Work(engine) as work:
        assert work.get(Basket, 1).goods == "tea"
        assert work.get(Basket, 2) is None
    engine.dispose()


@pytest.mark.ids("M35")
def test_an_applications_unfinished_work_in_an_event_loop_is_left_alone_too(url):
    async def main():
        engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg"))
        stage = Stage(SqlAlchemyStore(engine), "async")
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE basket (goods text)"))
        async with AsyncSession(engine) as work:
            await work.execute(text("INSERT INTO basket VALUES ('tea')"))
            for asked in every_verb(stage):
                await asked
            assert work.in_transaction()
            async with engine.connect() as other:
                assert (await other.execute(text("SELECT goods FROM basket"))).all() == []
            await work.commit()
        async with engine.connect() as other:
            assert (await other.execute(text("SELECT goods FROM basket"))).all() == [("tea",)]
        await engine.dispose()

    asyncio.run(main())


def connections(postgresql, url):
    name = urlsplit(url).path[1:]
    return postgresql.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")[0][0]


def soon(condition):
    """Wait for what a server takes a moment to notice."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_event_loop_that_ends_leaves_no_connection_behind_and_the_next_one_is_served(postgresql, url, driver):
    store = stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async")
    stage = Stage(store, "async")

    async def use(number):
        session = await stage.add()
        return (await store.advance(turn_of(session))).generation + number

    for number in range(3):
        assert asyncio.run(use(number)) == 1 + number
        assert not store._side._sides
        assert soon(lambda: connections(postgresql, url) == 0)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_applications_engine_that_is_disposed_takes_the_stores_connections_along(postgresql, url, driver):
    async def main():
        engine = create_async_engine(url.replace("postgresql", f"postgresql+{driver}"))
        stage = Stage(SqlAlchemyStore(engine), "async")
        session = await stage.add()
        await stage.store.advance(turn_of(session))
        await asyncio.sleep(0)
        await engine.dispose()
        assert await asyncio.to_thread(soon, lambda: connections(postgresql, url) == 0)
        assert (await stage.store.advance(turn_of(session, generation=1, to=2))).generation == 2
        await engine.dispose()

    asyncio.run(main())


def test_the_store_of_an_applications_engine_leaves_it_open(postgresql, url):
    engine = create_engine(url.replace("postgresql", "postgresql+psycopg"))
    with SqlAlchemyStore(engine) as store:
        drive(Stage(store, "sync").add())
    assert connections(postgresql, url) == 1
    engine.dispose()
    with stores.open(url) as store:
        drive(store.find(REALM, SUBJECT, now=NOW))
    assert soon(lambda: connections(postgresql, url) == 0)


@pytest.mark.parametrize("where", ["a thread", "its loop"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_store_is_closed_while_its_loop_runs(postgresql, url, driver, where):
    async def main():
        store = stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async")
        session = await Stage(store, "async").add()
        await store.advance(turn_of(session))
        if where == "a thread":
            await asyncio.to_thread(store.close)  # as at the end of an application's lifespan
        else:
            store.close()
        assert await asyncio.to_thread(soon, lambda: connections(postgresql, url) == 0)
        assert (await store.get(session.id)).generation == 1
        await store.aclose()

    asyncio.run(main())


def test_threads_share_a_store(url):
    stage = Stage(stores.open(url), "sync")
    errors = []

    def act(number):
        try:
            for _ in range(10):
                session = drive(stage.add(subject=str(number)))
                assert drive(stage.store.advance(turn_of(session))).generation == 1
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    stage.store.close()
