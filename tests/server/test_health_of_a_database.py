"""Readiness while a real database stops, hangs and comes back: no restart is needed, and nobody waits for long."""

import time
from collections.abc import Iterator

import pytest

from tests.support.observed import PATIENCE, a_server, numbers_of, refresh, sign_in, until_ready
from tests.support.servers import MariadbServer, PostgresqlServer
from tests.support.tcp_proxy import TcpProxy


def until_store_is(words, client):
    """Wait until the check of the store says one of these, and give what all checks say then."""
    deadline = time.monotonic() + PATIENCE
    while (found := client.get("/health/ready").json()["checks"])["store"] not in words:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


@pytest.fixture(params=[PostgresqlServer, MariadbServer], ids=["postgresql", "mariadb"])
def database(request) -> Iterator[PostgresqlServer | MariadbServer]:
    with request.param() as server:  # one of its own: it is stopped here
        yield server


@pytest.mark.ids("ST-05", "HT-04")
def test_a_server_is_ready_again_when_its_database_is(tmp_path, database):
    with a_server(tmp_path, store=database.new_database()) as (client, _):
        tokens = sign_in(client).json()
        until_ready(client)
        database.stop()
        found = until_store_is({"unavailable"}, client)
        assert found["clock"] == "unavailable"
        assert (found["keys"], found["process"]) == ("ok", "ok")
        assert client.get("/health/live").status_code == 200
        refused = refresh(client, tokens["refresh_token"])
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert numbers_of(client)['keyturn_refusals_total{code="store_unavailable"}'] == 1
        database.start()
        until_ready(client)
        assert refresh(client, tokens["refresh_token"]).status_code == 200


@pytest.mark.ids("ST-05")
def test_a_database_that_hangs_makes_a_server_unready_in_time(tmp_path, database):
    url = database.new_database()
    with (
        TcpProxy(database.port) as wire,
        a_server(tmp_path, store=url.replace(f":{database.port}/", f":{wire.port}/")) as (client, _),
    ):
        until_ready(client)
        wire.delay = 4  # longer than any probe waits
        found = until_store_is({"no_answer", "unavailable"}, client)
        assert found["keys"] == "ok"
        numbers_of(client)  # can be read all the while
        wire.delay = 0
        wire.cut()
        until_ready(client)
