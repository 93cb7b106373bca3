"""The shop of tests/support/flask_shop.py behind real servers, each in processes of its own."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What workers of a process of our own may need to begin, on a busy machine.
PATIENCE = 60
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Answer:
    status: int
    json: Any
    pid: int


@dataclass
class Shop:
    """A running shop; every request comes on a connection of its own."""

    port: int
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, *, bearer: str = "", body: Mapping[str, Any] | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
            is_json = "json" in (answer.headers["content-type"] or "")
            return Answer(answer.status, json.loads(raw) if is_json else None, int(answer.headers["x-pid"] or 0))
        finally:
            connection.close()

    def sign_in(self, user: str = "alice") -> dict[str, Any]:
        answer = self.ask("POST", "/auth/login", body={"username": user, "password": "right", "transport": "body"})
        assert answer.status == 200, answer
        return dict(answer.json)

    def asked_of_each(self, path: str, bearer: str, workers: int = 2) -> dict[int, Answer]:
        """Ask until every worker has answered; each is kept busy for a moment, so that another one answers."""
        answers: dict[int, Answer] = {}
        for _ in range(200):
            answer = self.ask("GET", path, bearer=bearer)
            answers[answer.pid] = answer
            if len(answers) == workers:
                return answers
            busy = threading.Thread(target=self.ask, args=("GET", "/busy"))
            busy.start()
            answer = self.ask("GET", path, bearer=bearer)
            answers[answer.pid] = answer
            busy.join()
        raise AssertionError(f"only {len(answers)} of {workers} workers answered:\n" + "".join(self.said))


@contextmanager
def gunicorn(folder: Path, store: str, *options: str, bound: str = "1s", **environment: str) -> Iterator[Shop]:
    """Serve the shop with two workers of gunicorn."""
    command = ["gunicorn", "--workers", "2", "--bind", "127.0.0.1:0", "--no-control-socket"]
    command += ["--graceful-timeout", "5", "--chdir", str(_HERE)]
    with _served([*command, *options, "flask_shop:create_app()"], folder, store, bound, environment) as shop:
        yield shop


@contextmanager
def flask_run(folder: Path, store: str, *, bound: str = "1s") -> Iterator[Shop]:
    """Serve the shop with the threads of Flask's own server."""
    with _served(["flask", "--app", f"{_HERE}/flask_shop.py", "run", "--port", "0"], folder, store, bound, {}) as shop:
        yield shop


_HERE = Path(__file__).parent


@contextmanager
def _served(command: list[str], folder: Path, store: str, bound: str, environment: Mapping[str, str]) -> Iterator[Shop]:
    variables = {
        **os.environ, "PYTHONUNBUFFERED": "1", "SHOP": str(folder), "FLASK_KEYTURN_ISSUER": "http://localhost",
        "FLASK_KEYTURN_STORE": store, "FLASK_KEYTURN_KEYS": "keys", "FLASK_KEYTURN_STALENESS_BOUND": bound,
        **environment,
    }  # fmt: skip
    arguments = [sys.executable, "-m", *command]
    with subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if found := _ADDRESS.search(line):
                break
        else:
            raise AssertionError("the shop did not open:\n" + "".join(said))
        listening = threading.Thread(target=said.extend, args=(process.stderr,))
        listening.start()
        try:
            yield Shop(int(found[1]), process, said)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                listening.join(5)
    assert not [line for line in said if "Traceback" in line], "".join(said)
