"""The tortured application in processes of its own, and the torture in another, as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PATIENCE = 20.0
#: What the application lets everybody in with.
PASSWORD = "right horse"
#: A bound of one second keeps the time short that ends are watched for.
SETTINGS = {"staleness_bound": "1s"}
#: What the torture must not need: it runs on the server extra alone.
UNWANTED = ("pytest", "httpx", "numpy", "hypothesis", "fastapi", "pydantic", "flask", "sqlalchemy", "django", "httpx2")
PROGRAM = f"""
import sys
for name in {UNWANTED!r}:
    sys.modules[name] = None
from runpy import run_module
run_module("keyturn.testing.torture", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Tortured:
    """What came of a run."""

    code: int
    said: str
    report: dict[str, Any]
    written: str


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[str]:
    """Serve the application on a free port; processes of one folder are one service."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    told = {
        "APP_STORE": f"sqlite:///{folder}/app.db",
        "APP_KEYS": f"{folder}/keys",
        "APP_SETTINGS": json.dumps(SETTINGS),
    }
    command = [sys.executable, "-m", "uvicorn", "tests.testing.torture.app:app", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"],
        cwd=ROOT,
        env={**os.environ, **told, **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < patience, "the server did not start"
            time.sleep(0.02)
        else:
            return


def torture(report: Path, *arguments: str, users: tuple[str, ...] = ("ada",), password: str = PASSWORD) -> Tortured:
    """Run the torture as a program, without what it must not need; every warning is an error."""
    named = [part for user in users for part in ("--user", user)]
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments, *named, "--report", str(report)]
    done = subprocess.run(
        command, cwd=ROOT, input=f"{password}\n" * len(users), capture_output=True, text=True, timeout=90, check=False
    )
    written = report.read_text() if report.exists() else ""
    return Tortured(done.returncode, done.stderr + done.stdout, json.loads(written) if written else {}, written)


def tortured(
    folder: Path, *arguments: str, users: tuple[str, ...] = ("ada",), also: dict[str, str] | None = None, **server: str
) -> Tortured:
    """Serve, torture, stop. `also` is the environment of a second process over the same store."""
    with ExitStack() as stack:
        targets = [stack.enter_context(serving(folder, **server))]
        if also is not None:
            targets += ["--also", stack.enter_context(serving(folder, **also))]
        bound = ("--option", "bound=1", "--slack", "0.5")
        return torture(folder / "report.json", *targets, *bound, *arguments, users=users)
