"""A server in a process of its own, which can be killed; and clients that behave as honest ones do."""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keyturn.stores.sqlalchemy.migrations import upgrade
from tests.support.servers._process import free_port

PATIENCE = 20.0


@dataclass
class Server:
    """One uvicorn worker over a store and a key directory."""

    folder: Path
    port: int
    store: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    def told(self, kind: str) -> int:
        """How often an event of this kind was told, by all processes that there were."""
        events = self.folder / "events"
        return events.read_text().split().count(kind) if events.exists() else 0

    def start(self, file_limit: int | None = None) -> None:
        """Start it; no file may grow beyond `file_limit` bytes, as on a disk that is full."""
        environment = {
            **os.environ,
            "APP_STORE": self.store or f"sqlite:///{self.folder / 'app.db'}",
            "APP_EVENTS": str(self.folder / "events"),
            "APP_KEYS": str(self.folder / "keys"),
        }
        arguments = ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "tests.failure.app:app", *arguments],
            env=environment, cwd=Path(__file__).parents[2],
            preexec_fn=None if file_limit is None else lambda: limit_files(file_limit),  # noqa: PLW1509 - no threads yet
        )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        patience = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.process is not None
                assert self.process.poll() is None, "the server ended"
                assert time.monotonic() < patience, "the server did not start"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """As the kernel does when memory runs out: nobody says goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)


@dataclass
class Program:
    """An honest client that carries its token in bodies: it stores an answer before it uses it."""

    port: int
    name: str
    refresh_token: str = ""
    access_token: str = ""
    codes: list[Any] = field(default_factory=list)
    successors: dict[str, set[str]] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE)
        try:
            raw = None if body is None else json.dumps(body)
            fields = {"Keyturn-Client": "test", **headers}
            if raw is not None:
                fields["Content-Type"] = "application/json"
            connection.request(method, path, raw, fields)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(content) if content else None

    def sign_in(self) -> None:
        status, answer = self.ask("POST", "/auth/login", {"username": self.name, "password": "x", "transport": "body"})
        assert status == 200, answer
        self._keep(answer)

    def refresh(self) -> int:
        status, answer = self.ask("POST", "/auth/refresh", {"refresh_token": self.refresh_token})
        if status == 200:
            self.successors.setdefault(self.refresh_token, set()).add(answer["refresh_token"])
            self._keep(answer)
        else:
            self.codes.append((status, answer.get("code")))
        return status

    def me(self) -> int:
        return self.ask("GET", "/me", Authorization=f"Bearer {self.access_token}")[0]

    def _keep(self, answer: Any) -> None:
        self.refresh_token, self.access_token = answer["refresh_token"], answer["access_token"]


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that runs, over each store in its turn."""
    store = "" if request.param == "sqlite" else request.getfixturevalue(request.param).new_database(upgrade)
    with serving(tmp_path, store) as running:
        yield running


@pytest.fixture
def neighbour(server: Server) -> Iterator[Server]:
    """A second worker over the same store and keys."""
    with serving(server.folder, server.store) as running:
        yield running


@contextmanager
def serving(folder: Path, store: str) -> Iterator[Server]:
    """Run a server over a store."""
    running = Server(folder, free_port(), store)
    running.start()
    try:
        yield running
    finally:
        running.stop()
