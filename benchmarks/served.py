"""``keyturn serve`` itself, as an operator starts it: for benchmarks and for the torture."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from keyturn.server.config import load
from keyturn.server.installation import Installation

from .peers.environment import environment
from .peers.people import PASSWORD
from .processes import end, free_port, mortal

_PATIENCE_SECONDS = 60
_KEYTURN = str(Path(sys.executable).with_name("keyturn"))
#: What is measured shares one address and signs in often, so nobody is counted.
_UNTHROTTLED = """
[throttle]
login_per_user_and_address = ""
login_per_user = ""
login_per_address = ""
refresh_per_session = ""
"""


@contextmanager
def keyturn_serve(
    folder: Path, *, store: str = "sqlite:///keyturn.db", workers: int = 1, users: Sequence[str] = (), more: str = ""
) -> Iterator[tuple[int, int]]:
    """Serve until the end of the block; give the process, whose children the workers are, and the port.

    Args:
        folder: an empty one; the configuration, the keys and a SQLite file go there.
        store: the address of the database.
        workers: how many processes answer.
        users: are made first, each with the password `PASSWORD`.
        more: further lines of the ``[server]`` table.
    """
    port = free_port()
    file = folder / "keyturn.toml"
    server = f'[server]\nport = {port}\nworkers = {workers}\nstore = "{store}"\nlog_level = "error"\n{more}'
    file.write_text(server + _UNTHROTTLED, encoding="utf-8")
    with Installation(load(file, environment={})) as installation:
        installation.prepare()
        for name in users:  # as `keyturn users create` does, which starts a process for each
            installation.accounts.create(name, password=PASSWORD)
    command = mortal([_KEYTURN, "serve", "--config", str(file)])
    process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        _wait_for(process, port)
        yield process.pid, port
    finally:
        end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    patience = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(port):
        if process.poll() is not None or time.monotonic() > patience:
            raise RuntimeError("keyturn serve did not start")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
