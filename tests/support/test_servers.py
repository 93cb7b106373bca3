"""The servers that tests stand on: they start, stop, are killed, and die with the tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pymysql
import pytest
from sqlalchemy import make_url

from tests.support.servers import MariadbServer, PostgresqlServer, Proxy

ROOT = Path(__file__).parents[2]
ORPHAN = """
import sys, time
from tests.support.servers import {kind}
server = {kind}()
server.start()
print(server.process.pid, server.folder.parent, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("kind", [PostgresqlServer, MariadbServer])
def test_a_server_keeps_its_port_and_what_was_committed_over_a_kill(kind):
    with kind() as server:
        url = server.new_database()
        name = url.rpartition("/")[2]
        server.execute("CREATE TABLE kept (x INTEGER)", "INSERT INTO kept VALUES (7)", database=name)
        port = server.port
        server.restart("kill")
        assert server.execute("SELECT x FROM kept", database=name) == [(7,)]
        server.restart()
        assert server.execute("SELECT x FROM kept", database=name) == [(7,)]
        assert server.port == port
        server.stop()
        assert not server.is_ready()


@pytest.mark.parametrize("kind", ["PostgresqlServer", "MariadbServer"])
def test_a_server_dies_with_the_tests_that_were_killed(kind, request):
    request.getfixturevalue(kind.removesuffix("Server").lower())  # skips where the programs are missing
    program = [sys.executable, "-c", ORPHAN.format(kind=kind)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        pid, folder = tests.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        tests.kill()
    patience = time.monotonic() + 20
    while is_alive(int(pid)):
        assert time.monotonic() < patience, "the server outlived the tests"
        time.sleep(0.01)
    assert Path(folder).exists()
    subprocess.run([sys.executable, "-c", SWEEP], cwd=ROOT, check=True)
    assert not Path(folder).exists(), "the next run removes what a killed one left"


SWEEP = "from tests.support.servers._process import run_folder, remove_run_folder; run_folder(); remove_run_folder()"


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_settings_are_read_at_every_start():
    with PostgresqlServer({"synchronous_commit": "off"}) as server:
        assert server.execute("SHOW synchronous_commit") == [("off",)]
        server.options["default_transaction_isolation"] = "serializable"
        server.restart()
        assert server.execute("SHOW default_transaction_isolation") == [("serializable",)]


def test_a_prepared_database_is_a_copy_and_empty_again_for_the_next(postgresql):
    prepared = []

    def prepare(url):
        prepared.append(url)
        postgresql.execute("CREATE TABLE t (x INTEGER)", database=url.rpartition("/")[2])

    names = [postgresql.new_database(prepare).rpartition("/")[2] for _ in range(2)]
    postgresql.execute("INSERT INTO t VALUES (1)", database=names[0])
    assert [postgresql.execute("SELECT count(*) FROM t", database=name) for name in names] == [[(1,)], [(0,)]]
    assert len(prepared) == 1


def test_postgresql_tells_the_statements_of_one_database(postgresql):
    url = postgresql.new_database()
    with postgresql.statement_log(url) as statements:
        postgresql.execute("SELECT 'one'", database=url.rpartition("/")[2])
        postgresql.execute("SELECT 'of another database'")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT %s::text,\n 2", ["two"])
    assert statements == ["SELECT 'one'", "SELECT $1::text,\n 2"]


def test_mariadb_tells_the_statements(mariadb):
    url = mariadb.new_database()
    with mariadb.statement_log(url) as statements:
        mariadb.execute("SELECT 'one',\n 2", database=url.rpartition("/")[2])
    assert statements[-1] == "SELECT 'one',\n 2"


@pytest.fixture
def proxy(postgresql):
    with Proxy(postgresql.url) as proxy:
        yield proxy


def connected(proxy, **options):
    return psycopg.connect(proxy.url, autocommit=True, **options)


def test_the_proxy_counts_turns(proxy):
    with connected(proxy) as connection:
        with proxy.counting() as turns:
            for _ in range(3):
                connection.execute("SELECT 1")
        assert turns.count == 3
        with proxy.counting() as turns, connection.transaction():
            connection.execute("SELECT %s", ["x" * 1_000_000])  # arrives in many pieces
        assert turns.count == 3  # BEGIN, SELECT, COMMIT


def test_the_proxy_counts_mariadbs_turns(mariadb):
    with Proxy(mariadb.url) as proxy:
        there = make_url(proxy.url)
        with pymysql.connect(host=there.host, port=there.port, user=there.username) as connection:
            with proxy.counting() as turns, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.execute("SELECT 2")
            assert turns.count == 2


def test_the_proxy_cuts_what_is_there_and_refuses_what_comes(proxy):
    with connected(proxy) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connected(proxy)
    proxy.accept()
    connected(proxy).close()


@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
def test_the_proxy_cuts_in_mid_statement(postgresql, when, written):
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    postgresql.execute("CREATE TABLE t (x INTEGER)", database=name)
    with Proxy(url) as proxy:
        with (
            connected(proxy) as connection,
            proxy.cutting("INSERT INTO t", when) as trap,
            pytest.raises(psycopg.OperationalError),
        ):
            connection.execute("INSERT INTO t VALUES (1)")
        assert trap.sprung == 1
        with connected(proxy) as connection:
            connection.execute("SELECT 1")
    assert postgresql.execute("SELECT count(*) FROM t", database=name) == [(written,)]


def test_a_frozen_proxy_holds_back_what_it_was_given(proxy):
    with connected(proxy) as connection:
        connection.execute("SET statement_timeout = 0")
        proxy.freeze()
        with pytest.raises(psycopg.OperationalError):
            connected(proxy, connect_timeout=2)
        proxy.thaw()
        assert connection.execute("SELECT 5").fetchone() == (5,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look whether the server is somebody else's")
def test_root_starts_servers_as_somebody_else(postgresql, mariadb):
    for server in (postgresql, mariadb):
        assert Path(f"/proc/{server.process.pid}").stat().st_uid == server.account.user.pw_uid != 0
