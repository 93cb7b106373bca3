"""From an address to a store: drivers, doors, and passwords that nobody gets to see."""

import importlib.util
import sys

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from keyturn import stores, throttle
from keyturn.errors import ConfigurationError
from keyturn.stores.sqlalchemy import SqlAlchemyStore, _urls

PASSWORD = "hunter2/?secret"
QUOTED = "hunter2%2F%3Fsecret"


def driver_of(store):
    side = store._side
    engine = side._engine() if store.colour == "async" else side._engine
    return f"{engine.dialect.name}+{engine.dialect.driver}"


@pytest.mark.parametrize(
    ("scheme", "door", "driver", "colour"),
    [
        ("postgresql", "sync", "postgresql+psycopg", "sync"),
        ("postgresql", "async", "postgresql+asyncpg", "async"),
        ("postgres", "sync", "postgresql+psycopg", "sync"),
        ("postgres", "async", "postgresql+asyncpg", "async"),
        ("postgresql+psycopg", "sync", "postgresql+psycopg", "sync"),
        ("postgresql+psycopg", "async", "postgresql+psycopg", "async"),
        ("postgresql+asyncpg", "async", "postgresql+asyncpg", "async"),
        ("mysql", "sync", "mysql+pymysql", "sync"),
        ("mysql", "async", "mysql+pymysql", "sync"),
        ("mariadb", "sync", "mariadb+pymysql", "sync"),
        ("mysql+pymysql", "sync", "mysql+pymysql", "sync"),
        ("mysql+aiomysql", "async", "mysql+aiomysql", "async"),
    ],
)
def test_an_address_means_the_driver_that_waits_as_its_door_does(scheme, door, driver, colour):
    store = stores.open(f"{scheme}://user:{QUOTED}@db.invalid/shop", colour=door)
    assert isinstance(store, SqlAlchemyStore)
    assert (driver_of(store), store.colour) == (driver, colour)


def test_where_asyncpg_is_not_installed_psycopg_awaits(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(_urls, "find_spec", lambda name: None if name == "asyncpg" else find(name))
    assert driver_of(stores.open("postgresql://u@h/d", colour="async")) == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("url", "door", "said"),
    [
        ("postgresql://u@h/d", "sync", "pip install 'keyturn[postgresql]'"),
        ("postgresql://u@h/d", "async", "needs asyncpg or psycopg: pip install 'keyturn[postgresql]'"),
        ("postgresql+asyncpg://u@h/d", "async", "pip install 'keyturn[postgresql]'"),
        ("mysql://u@h/d", "sync", "needs pymysql: pip install 'keyturn[mariadb]'"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_what_installs_it(url, door, said, monkeypatch):
    monkeypatch.setattr(_urls, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as caught:
        stores.open(url, colour=door)
    assert said in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("postgres://u@h/d", "postgresql"), ("mariadb://u@h/d", "mariadb")])
def test_without_sqlalchemy_the_extra_is_named(url, extra, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sqlalchemy"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("keyturn.stores.sqlalchemy")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError) as caught:
        stores.open(url)
    assert f"pip install 'keyturn[{extra}]'" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+asyncpg://u:{}@h/d", "blocks: write postgresql://"),
        ("postgresql+nonsense://u:{}@h/d", "no driver 'nonsense'"),
        ("postgresql+sqlite://u:{}@h/d", "no driver 'sqlite'"),
        ("postgresql://u:{}@h", "names no database"),
        ("postgresql://u:{}@h:port/d", "cannot be read"),
        ("postgresql:/u:{}@h/d", "cannot be read"),
        ("oracle://u:{}@h/d", "no store is known for 'oracle'"),
        ("redis://u:{}@h/0", "no store is known for 'redis'"),
    ],
)
def test_an_address_that_is_no_good_is_refused_with_the_remedy_and_without_its_password(url, said):
    with pytest.raises(ConfigurationError) as caught:
        stores.open(url.format(QUOTED))
    assert said in str(caught.value)
    assert "hunter2" not in "".join([str(caught.value), repr(caught.value), *caught.value.faults])
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("door", ["sync", "async"])
def test_neither_a_store_nor_its_engine_shows_the_password(door):
    store = stores.open(f"postgresql://u:{QUOTED}@h/d", colour=door)
    engine = store._side._engine() if door == "async" else store._side._engine
    for value in (store, store._side, engine, engine.url):
        assert "hunter2" not in f"{value!r} {value!s}"


def test_libpqs_word_for_encryption_is_said_in_asyncpgs_own():
    url = "postgresql://u@h/d?sslmode=require"
    there = stores.open(url, colour="async")._side._engine().url
    assert dict(there.query) == {"ssl": "require"}
    there = stores.open(url)._side._engine.url
    assert dict(there.query) == {"sslmode": "require"}


def test_what_asyncpg_cannot_be_told_is_refused_at_once():
    with pytest.raises(ConfigurationError, match=r"asyncpg knows no channel_binding: write postgresql\+psycopg://"):
        stores.open("postgresql://u@h/d?channel_binding=require", colour="async")


def test_asyncpgs_word_for_encryption_is_said_in_libpqs_own():
    # A throttle blocks at the address at which the store awaits.
    url = "postgresql+asyncpg://u@h/d?ssl=verify-full&application_name=shop"
    there = throttle.open(url)._engine.url
    assert there.get_driver_name() == "psycopg"
    assert dict(there.query) == {"sslmode": "verify-full", "application_name": "shop"}


@pytest.mark.parametrize("word", ["statement_cache_size", "prepared_statement_cache_size"])
def test_what_psycopg_cannot_be_told_is_refused_at_once(word):
    with pytest.raises(ConfigurationError, match=f"psycopg knows no {word}"):
        throttle.open(f"postgresql+asyncpg://u@h/d?{word}=0")


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_password_with_an_at_sign_is_asked_to_be_quoted_and_not_taken_for_a_host(door):
    with pytest.raises(ConfigurationError, match="%40") as refused:
        stores.open("postgresql://shop:hun@ter2@h/d", colour=door)
    assert "ter2" not in str(refused.value)


def test_what_is_no_engine_is_refused():
    for value in ("postgresql://u@h/d", None, object()):
        with pytest.raises(ConfigurationError, match="takes an Engine or an AsyncEngine"):
            SqlAlchemyStore(value)


def test_an_engine_of_an_unknown_database_is_refused_with_the_way_out():
    with pytest.raises(ConfigurationError, match="sqlite:///PATH"):
        SqlAlchemyStore(create_engine("sqlite://"))


@pytest.mark.parametrize("make", [create_engine, create_async_engine])
def test_an_engine_that_translates_schemas_is_refused_with_the_way_out(make):
    engine = make("postgresql+psycopg://u@h/d", execution_options={"schema_translate_map": {None: "tenant"}})
    with pytest.raises(ConfigurationError, match="search_path"):
        SqlAlchemyStore(engine)
