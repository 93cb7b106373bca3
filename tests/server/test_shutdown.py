"""A stop in the middle of everything: nobody is signed out, nobody gets an error of the server's, all processes end."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.serve_process import PATIENCE, Served, run_keyturn, served, start

USERS = {"ada": "correct horse battery"}
CLIENTS = 12


@dataclass
class Client:
    """One device that refreshes as fast as it can, on one connection, and keeps what it was given."""

    server: Served
    tokens: dict[str, Any]
    statuses: list[int] = field(default_factory=list)
    lost: int = 0
    connection: http.client.HTTPConnection | None = None

    def refresh(self) -> bool:
        """Send one refresh; False where no answer came."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        body = json.dumps({"refresh_token": self.tokens["refresh_token"]}).encode()
        headers = {"Keyturn-Client": "test", "Content-Type": "application/json"}
        try:
            self.connection.request("POST", "/auth/refresh", body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.lost += 1
            self.close()
            return False
        self.statuses.append(answer.status)
        if answer.status == 200:
            self.tokens = json.loads(text)
        return True

    def keep_on(self, until: threading.Event) -> None:
        while not until.is_set():
            if not self.refresh():
                until.wait(0.02)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass
class Storm:
    """Clients that all refresh at once until they are told to stop."""

    clients: list[Client]
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(len(self.clients))
        self._running = [self._threads.submit(client.keep_on, self.over) for client in self.clients]
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._threads.shutdown()
        for running in self._running:
            running.result()
        for client in self.clients:
            client.close()

    def answers(self) -> int:
        return sum(len(client.statuses) for client in self.clients)

    def wait_for(self, more: int) -> None:
        wanted = self.answers() + more
        wait_until(lambda: self.answers() >= wanted)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def signed_in(server: Served) -> list[Client]:
    tokens = [server.sign_in("ada", USERS["ada"]) for _ in range(CLIENTS)]
    return [Client(server, each) for each in tokens]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(params=["sqlite", "postgresql"])
def folder(request, tmp_path):
    store = "sqlite:///keyturn.db"
    if request.param == "postgresql":
        store = request.getfixturevalue("postgresql").new_database()
    # A client of the test refreshes more often than a minute allows an honest one.
    text = f'[server]\nstore = "{store}"\n[throttle]\nrefresh_per_session = ""\n[keyturn]\nleeway = "10s"\n'
    (tmp_path / "keyturn.toml").write_text(text)
    return tmp_path


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_in_a_storm_of_refreshes_loses_no_session(workers, number, folder):
    with served(folder, "--workers", workers, users=USERS) as server:
        clients, pids = signed_in(server), [server.process.pid, *server.workers]
        with Storm(clients) as storm:
            storm.wait_for(200)
            began = time.monotonic()
            assert server.stop(number) == 0
            took = time.monotonic() - began
        assert {status for client in clients for status in client.statuses} == {200}
        assert not any(map(is_alive, pids))
        assert took < 20, "requests of some milliseconds were waited for as long as they may take"
        assert "Traceback" not in server.output
        assert '"level": "error"' not in server.output, server.output
    with served(folder, "--workers", workers) as again:
        for client in clients:
            client.server, client.statuses = again, []
            assert client.refresh()
            client.close()
        assert {status for client in clients for status in client.statuses} == {200}
        listed = again.call("GET", "/auth/sessions", token=clients[0].tokens["access_token"]).body
        assert len(listed["sessions"]) == CLIENTS


def test_a_worker_that_is_killed_is_replaced_and_clients_go_on(folder):
    with served(folder, "--workers", "2", users=USERS) as server:
        clients = signed_in(server)
        with Storm(clients) as storm:
            storm.wait_for(100)
            before = server.workers
            assert len(before) == 2
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: len(set(server.workers) - set(before)) == 1 and before[0] not in server.workers)
            storm.wait_for(200)
        assert {status for client in clients for status in client.statuses} == {200}
        assert before[1] in server.workers
        wait_until(lambda: server.call("GET", "/health/ready").status == 200)


def test_all_workers_are_killed_and_nobody_is_signed_out(folder):
    with served(folder, "--workers", "2", users=USERS) as server:
        clients = signed_in(server)
        with Storm(clients) as storm:
            storm.wait_for(100)
            before = server.workers
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(server.workers) == 2 and not set(server.workers) & set(before))
            storm.wait_for(100)
        assert {status for client in clients for status in client.statuses} == {200}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_under_way_is_finished_and_nobody_else_is_let_in(workers, tmp_path):
    with served(tmp_path, "--workers", workers, users=USERS) as server, closing(slow_login(server)) as connection:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server.port))
        assert server.process.poll() is None
        connection.send(json.dumps({"username": "ada", "password": USERS["ada"]}).encode())
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        assert server.stop() == 0


def test_a_request_that_never_ends_is_waited_for_only_so_long(tmp_path):
    more = {"KEYTURN_SERVER__GRACE": "1s"}
    with served(tmp_path, users=USERS, more=more) as server, closing(slow_login(server)):
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_at_any_moment_of_the_start_is_in_order(workers, tmp_path):
    for pause in (0.05, 0.3, 0.5, 0.7, 0.9, 1.2):
        server = start(tmp_path, "--port", "0", "--workers", workers)
        time.sleep(pause)  # the moment itself is what differs
        children = server.workers
        code = server.stop()
        assert code in ({0} if "listens" in server.output else {0, -signal.SIGTERM}), server.output
        assert not any(map(is_alive, children))
        assert "Traceback" not in server.output
    with served(tmp_path, users=USERS) as server:
        server.sign_in("ada", USERS["ada"])


def test_what_was_written_before_a_stop_is_on_the_disk(tmp_path):
    with served(tmp_path, users=USERS) as server:
        session = server.sign_in("ada", USERS["ada"])["session_id"]
        assert session
    assert not (tmp_path / ".keyturn" / "keyturn.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / ".keyturn" / "keyturn.db")) as opened:
        assert opened.execute("SELECT count(*) FROM keyturn_session").fetchone() == (1,)
    assert run_keyturn(tmp_path, "sessions", "list", "ada").returncode == 0


def slow_login(server: Served) -> http.client.HTTPConnection:
    """Begin a sign-in whose body is still to come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    body = json.dumps({"username": "ada", "password": USERS["ada"]}).encode()
    connection.putrequest("POST", "/auth/login")
    for name, value in {
        "Content-Type": "application/json", "Content-Length": str(len(body)), "Keyturn-Client": "test",
    }.items():  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders()
    wait_until(lambda: _in_progress(server) == 2)  # it, and the request that asks
    return connection


def _in_progress(server: Served) -> int:
    numbers = server.call("GET", "/metrics").text
    return next(
        int(float(line.split()[1]))
        for line in numbers.splitlines()
        if line.startswith("keyturn_http_requests_in_progress ")
    )


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
