"""A peer's program that runs, and its users signed in: for benchmarks and the table of the torture."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from ..processes import end, free_port, mortal
from .environment import environment

#: A Django makes its tables first.
_PATIENCE_SECONDS = 120


@contextmanager
def program(module: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run ``python -m MODULE --port … ARGUMENTS`` until the end of the block; give its process and its port."""
    port = free_port()
    command = mortal([sys.executable, "-m", module, "--port", str(port), *arguments])
    process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        _wait_for(process, port)
        yield process.pid, port
    finally:
        end(process)


def answers_of(port: int, path: str, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Post JSON bodies one after another; give the answers, all of which must be 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for body in bodies:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise AssertionError(f"{path} was answered with {answer.status}")
        found.append(json.loads(said))
    connection.close()
    return found


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/nothing-is-here")
            connection.getresponse().read()
            connection.close()
        except OSError:
            if process.poll() is not None or time.monotonic() > patience:
                raise
            time.sleep(0.05)
        else:
            return
