"""What a configuration names, opened and prepared: private, idempotent, by several processes at once, or refused."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine, text

from keyturn.errors import ConfigurationError
from keyturn.server import database
from keyturn.server.config import load
from keyturn.server.installation import Installation, make_private
from keyturn.stores.sqlalchemy.migrations import current, upgrade
from keyturn.stores.sqlalchemy.migrations._opening import address
from keyturn.stores.sqlalchemy.migrations._running import VERSION_TABLE, newest_revision
from keyturn.throttle.memory import MemoryThrottle
from keyturn.throttle.sqlite import SqliteThrottle
from keyturn.users import Principal

PASSWORD = "correct horse battery"


def config_of(folder: Path, **server):
    return load(here=folder, environment={}, overrides=server)


def prepared(config) -> Installation:
    installation = Installation(config)
    installation.prepare()
    return installation


def refusal_of(config) -> str:
    with pytest.raises(ConfigurationError) as refused, closing(Installation(config)) as installation:
        installation.prepare()
    return "\n".join(refused.value.faults)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(server):
    url = server.new_database()
    yield url
    server.drop_database(url)


# --- what is made ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-08")
def test_what_is_made_is_its_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        prepared(config_of(tmp_path, store="sqlite:///data/deep/k.db")).close()
    finally:
        os.umask(before)
    home = tmp_path / ".keyturn"
    made = [home, *home.rglob("*")]
    assert {path.name for path in made} >= {"k.db", "deep", "data", "keys"}
    for path in made:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir(mode=0o750)
    folder.chmod(0o750)
    make_private(folder / "below")
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "below").stat().st_mode & 0o777 == 0o700


def test_preparing_again_changes_nothing(tmp_path):
    config = config_of(tmp_path)
    with closing(prepared(config)) as installation:
        kept = installation.sessions.start(Principal(subject="s")).session_id
        keys = installation.keys.ring
    with closing(prepared(config)) as again:
        assert again.keys.ring == keys
        assert [session.id for session in again.sessions.list("s")] == [kept]


def test_nothing_is_opened_before_it_is_asked_for(tmp_path):
    with Installation(config_of(tmp_path)) as installation:
        assert installation.store is installation.store
    assert list(tmp_path.iterdir()) == []


def test_after_closing_the_parts_are_opened_anew(tmp_path):
    with closing(prepared(config_of(tmp_path))) as installation:
        first = installation.store
        installation.accounts.create("ada", password=PASSWORD)
        installation.close()
        assert installation.store is not first
        assert installation.accounts.find("ada").username == "ada"


@pytest.mark.anyio
async def test_the_servers_colour_awaits(tmp_path):
    config = config_of(tmp_path)
    prepared(config).close()
    installation = Installation(config, "async")
    try:
        await installation.accounts.create("ada", password=PASSWORD)
        principal = await installation.users.authenticate("ada", PASSWORD, None)
        await installation.sessions.start(principal)
        assert len(await installation.sessions.list(principal.subject)) == 1
    finally:
        await installation.aclose()


# --- several processes at once ---------------------------------------------------------------------------------------

#: Waits for a line, so that all begin in the same moment, then prepares and tells what it found.
PREPARES = """
import sys
from pathlib import Path
from keyturn.server.config import load
from keyturn.server.installation import Installation
config = load(here=Path.cwd(), environment={}, overrides={"store": sys.argv[1]} if sys.argv[1] else {})
print("waits", flush=True)
sys.stdin.readline()
with Installation(config) as installation:
    installation.prepare()
    print(sorted(key.id for key in installation.keys.ring.keys))
"""


def prepare_at_once(folder: Path, store: str, count: int = 4) -> set[str]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PREPARES, store], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(count)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "waits\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, ends
    return {out for out, _ in ends}


def test_several_processes_make_one_ring_and_one_file(tmp_path):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        assert len(prepare_at_once(folder, "")) == 1
        with closing(sqlite3.connect(folder / ".keyturn" / "keyturn.db")) as opened:
            assert opened.execute("SELECT count(*) FROM keyturn_log").fetchone() == (1,)


def test_several_processes_make_one_ring_and_the_tables_once(tmp_path, url):
    assert len(prepare_at_once(tmp_path, url)) == 1
    assert current(url) == newest_revision()


# --- databases that are older, newer, foreign or gone ----------------------------------------------------------------


def test_an_empty_database_gets_its_tables_and_an_older_one_the_newer_ones(tmp_path, url):
    config = config_of(tmp_path, store=url)
    upgrade(url, "0001")
    with closing(prepared(config)) as installation:
        assert current(url) == newest_revision()
        assert installation.sessions.list("nobody") == []
        installation.accounts.create("ada", password=PASSWORD)


def test_one_engine_serves_sessions_accounts_and_counters(tmp_path, url):
    with closing(prepared(config_of(tmp_path, store=url))) as installation:
        installation.sessions.start(Principal(subject="s"))
        installation.accounts.create("ada", password=PASSWORD)
        assert installation.engine is not None
        assert installation.throttle._engine is installation.engine
        assert installation.engine.pool.checkedin() == 1


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path, url):
    config = config_of(tmp_path, store=url)
    prepared(config).close()
    engine = create_engine(address(url))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    said = refusal_of(config)
    assert "newer Keyturn (9999; this one knows" in said
    assert "update" in said
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"
    engine.dispose()


def test_without_migrating_a_database_that_is_not_up_to_date_is_refused(tmp_path, url):
    config = config_of(tmp_path, store=url, migrate=False)
    assert "has no tables of ours, and migrate is off: run `python -m keyturn" in refusal_of(config)
    assert current(url) is None
    upgrade(url, "0001")
    assert f"is at 0001, and this program needs {newest_revision()}" in refusal_of(config)
    upgrade(url)
    prepared(config).close()


def test_a_file_of_a_newer_program_or_of_something_else_is_refused(tmp_path):
    config = config_of(tmp_path)
    prepared(config).close()
    path = tmp_path / ".keyturn" / "keyturn.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA user_version = 99")
    assert "update it" in refusal_of(config)
    path.unlink()
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("CREATE TABLE theirs (id)")
    assert "holds something else" in refusal_of(config)
    path.write_text("no database at all " * 100)
    assert "cannot be used" in refusal_of(config)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("oracle://db/x", "no store is known for 'oracle'"),
        ("postgresql://db", "names no database"),
        ("postgresql+nodriver://u@h/d", "knows no driver"),
        ("sqlite:///", "cannot be used"),
        ("sqlite://k.db", "no store is known"),
    ],
)
def test_an_address_that_means_nothing_is_refused(store, said, tmp_path):
    assert said in refusal_of(config_of(tmp_path, store=store))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / ".keyturn").write_text("a file")
    assert ".keyturn" in refusal_of(config_of(tmp_path))


class Passing:
    """A clock for waiting that passes as it is looked at."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_database_that_is_not_there_is_waited_for_some_seconds(scheme, tmp_path, monkeypatch):
    time = Passing()
    monkeypatch.setattr(database, "time", time)
    waiting: list[str] = []
    with pytest.raises(ConfigurationError) as refused:
        database.prepare(f"{scheme}://u:s3cret@127.0.0.1:1/d", migrate=True, waiting=waiting.append)
    assert time.now == database.PATIENCE.total_seconds()
    assert len(waiting) == 1
    for said in (*waiting, *refused.value.faults):
        assert "efused" in said
        assert "s3cret" not in said
    assert "127.0.0.1:1/d" in refused.value.faults[0]


def test_a_wrong_name_is_not_waited_for(server, tmp_path, monkeypatch):
    time = Passing()
    monkeypatch.setattr(database, "time", time)
    url = server.database_url("nowhere")
    said = refusal_of(config_of(tmp_path, store=url))
    assert "nowhere" in said
    assert time.now == 0.0


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-08")
def test_a_key_that_others_may_read_is_refused(tmp_path):
    config = config_of(tmp_path)
    prepared(config).close()
    next(iter(config.keys.glob("access-*"))).chmod(0o644)
    assert "chmod 600" in refusal_of(config)


def lose_keys(config) -> None:
    for path in config.keys.glob("*.json"):
        path.unlink()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_fresh_keys_are_not_made_beside_sessions_that_live(kind, tmp_path, request):
    more = {} if kind == "sqlite" else {"store": request.getfixturevalue(kind).new_database()}
    config = config_of(tmp_path, **more)
    with closing(prepared(config)) as installation:
        session = installation.sessions.start(Principal(subject="s")).session_id
    lose_keys(config)
    said = refusal_of(config)
    assert "everybody would be signed out" in said
    assert not list(config.keys.glob("*.json"))
    with closing(Installation(config)) as installation:  # what signs everybody out anyway needs no old keys
        assert installation.sessions.end(session)
    lose_keys(config)
    prepared(config).close()


def test_a_lost_refresh_key_beside_an_access_key_is_not_replaced(tmp_path):
    config = config_of(tmp_path)
    prepared(config).close()
    next(iter(config.keys.glob("refresh-*"))).unlink()
    assert "refresh" in refusal_of(config)


# --- counters --------------------------------------------------------------------------------------------------------


def test_counters_are_beside_the_sessions_or_where_it_says(tmp_path):
    with Installation(config_of(tmp_path)) as installation:
        assert isinstance(installation.throttle, SqliteThrottle)
        assert installation.throttle.path == tmp_path / ".keyturn" / "keyturn.db.throttle"
    with Installation(config_of(tmp_path, counters="memory:")) as installation:
        assert isinstance(installation.throttle, MemoryThrottle)
    with Installation(config_of(tmp_path, counters="sqlite:///c.db")) as installation:
        assert installation.throttle.path == tmp_path / ".keyturn" / "c.db"
    with pytest.raises(ConfigurationError), Installation(config_of(tmp_path, counters="nonsense")) as installation:
        _ = installation.throttle


def test_hashes_at_once_are_the_workers_share(tmp_path, monkeypatch):
    monkeypatch.setattr("keyturn.server.installation.cores", lambda: 8)
    assert Installation(config_of(tmp_path, workers=2)).hashing.limit == 4
    assert Installation(config_of(tmp_path, workers=2, hashes=3)).hashing.limit == 3
    assert Installation(config_of(tmp_path, hash_queue=7)).hashing.queue == 7


def test_the_store_asks_with_the_driver_of_its_colour(tmp_path, postgresql):
    url = postgresql.new_database().replace("postgresql://", "postgresql+asyncpg://") + "?statement_cache_size=0"
    config = config_of(tmp_path, store=url)
    with closing(prepared(config)) as installation:
        assert installation.sessions.list("nobody") == []

    async def ask() -> None:
        served = Installation(config, "async")
        try:
            assert served.engine.dialect.driver == "asyncpg"
            assert await served.sessions.list("nobody") == []
        finally:
            await served.aclose()

    anyio.run(ask)
