"""A SQLite file that is locked, full or not there: 503, and the session is kept."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from keyturn import Principal, Settings
from keyturn.starlette import Keyturn
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing import testing_keys
from tests.failure.conftest import Program, Server


class Users:
    def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        return Principal(subject=username)

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject)


@contextmanager
def browser(path: Path, **options: timedelta) -> Iterator[TestClient]:
    store = SqliteStore(path, **options)
    auth = Keyturn(Settings(profile="testing"), store=store, keys=testing_keys(), users=Users())
    app = Starlette()
    auth.install(app)
    try:
        yield TestClient(app, base_url="https://testserver", headers={"Keyturn-Client": "test"})
    finally:
        store.close()


def sign_in(client: TestClient) -> int:
    return client.post("/auth/login", json={"username": "alice", "password": "x"}).status_code


def trouble(client: TestClient, path: str) -> None:
    before = dict(client.cookies)
    answer = client.post(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["retry-after"]
    assert "set-cookie" not in answer.headers
    assert dict(client.cookies) == before


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_a_locked_database_keeps_the_session(tmp_path: Path, path: str) -> None:
    with browser(tmp_path / "app.db", busy_timeout=timedelta(milliseconds=100)) as client:
        assert sign_in(client) == 200
        with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            trouble(client, path)
            other.execute("ROLLBACK")
        assert client.post("/auth/refresh").status_code == 200


@pytest.mark.ids("ST-05")
def test_a_missing_folder_is_trouble_and_no_crash(tmp_path: Path) -> None:
    with browser(tmp_path / "nowhere" / "app.db") as client:
        answer = client.post("/auth/login", json={"username": "alice", "password": "x"})
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert str(tmp_path) not in answer.text
        (tmp_path / "nowhere").mkdir()
        assert sign_in(client) == 200, "the trouble went away and the store did not notice"


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_new_sessions_and_loses_none(server: Server) -> None:
    alice = Program(server.port, "alice")
    alice.sign_in()
    server.stop()
    server.start(file_limit=192 * 1024)
    late = Program(server.port, "late")
    answers = [late.ask("POST", "/auth/login", {"username": f"user-{n}", "password": "x"}) for n in range(400)]
    refused = [(status, answer["code"]) for status, answer in answers if status != 200]
    assert refused, "the disk was never full"
    assert set(refused) == {(503, "store_unavailable")}
    alice.refresh()
    assert set(alice.codes) <= {(503, "store_unavailable")}
    server.stop()
    server.start()
    assert alice.refresh() == 200
