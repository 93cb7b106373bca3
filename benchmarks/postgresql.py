"""A PostgreSQL of a benchmark's own: on a free port of the loopback interface, on the disk, with `fsync` as it comes.

with postgresql(folder, "ours") as server:
    url = server.url
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from .processes import end, free_port, mortal

#: The owner of the data where a benchmark runs as root, whom PostgreSQL refuses: the package's user.
_ACCOUNT = "postgres"
_PATIENCE_SECONDS = 30
#: As it comes, but: a checkpoint in the middle of one side's turn would be measured as that side's, and the page images
#: that follow it as its WAL. One before each measurement does for all.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "checkpoint_timeout": "1h",
    "max_wal_size": "16GB",
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True, slots=True)
class Postgresql:
    """A server that runs, and the address of its database without a driver's name."""

    pid: int
    url: str

    def ask(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each committed at once; give the rows of the last."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[call-overload]
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def wal_bytes(self) -> int:
        """Give how much has been written to its write-ahead log so far."""
        return int(self.ask("SELECT pg_current_wal_insert_lsn() - '0/0'")[0][0])

    def table_sizes(self) -> dict[str, int]:
        """Give each table's bytes, with its indexes."""
        rows = self.ask(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        return {name: int(size) for name, size in rows}


def is_installed() -> bool:
    """Say whether a PostgreSQL can be started here."""
    return _program("initdb") is not None and _program("postgres") is not None


@contextmanager
def postgresql(folder: Path, name: str, **options: str) -> Iterator[Postgresql]:
    """Make a server with an empty database in a folder of a benchmark, and stop it at the end.

    Args:
        folder: a temporary folder; others must be able to pass through it.
        name: what the data's folder is called.
        options: settings of the server.
    """
    data, port = folder / f"postgresql-{name}", free_port()
    folder.chmod(0o755)
    data.mkdir()
    who = _who(data)
    initdb = [_program("initdb"), "-D", data, "-U", _ACCOUNT, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(initdb, cwd="/", check=True, stdout=subprocess.DEVNULL, **who)
    settings = [f"--{option}={value}" for option, value in {**_OPTIONS, **options}.items()]
    command = mortal([_program("postgres"), "-D", data, "-p", str(port), *settings])
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who)
    try:
        server = Postgresql(process.pid, f"postgresql://{_ACCOUNT}@127.0.0.1:{port}/postgres")
        _wait_for(server, process)
        yield server
    finally:
        end(process, signal.SIGINT)  # "fast": ends connections


def _wait_for(server: Postgresql, process: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            server.ask("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > patience:
                raise
            time.sleep(0.02)
        else:
            return


def _who(data: Path) -> dict[str, Any]:
    """Give how a process is started as the data's owner."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(data, _ACCOUNT, _ACCOUNT)
    return {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}


def _program(name: str) -> str | None:
    """Find a program; Debian keeps each version's in a folder of its own, the newest last."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", "")]))
