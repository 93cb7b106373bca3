"""What a PostgreSQL and a MariaDB of the tests have in common."""

import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal, Self

from ._process import Account, end, free_port, new_folder, run_folder, wait_until

Prepare = Callable[[str], None]
STARTS = 300  # after kill -9 a server's children may hold its data for a moment


class DatabaseServer(ABC):
    """A database server on a free port of the loopback interface, with data in a folder of its own.

    Its port stays the same when it is started again. `options` are settings of the server by name, read at every start.

    Args:
        options: settings, as `{"synchronous_commit": "off"}`.
        folder: where the data goes, a folder that exists (another file system, perhaps); else in that of the tests.
    """

    account_name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    usual_options: ClassVar[Mapping[str, str]]

    def __init__(self, options: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self.account = Account(self.account_name)
        self.programs = self.find_programs()
        self.options = {**self.usual_options, **(options or {})}
        self.folder = folder or new_folder(self.account_name)
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self._templates: dict[Prepare, str] = {}
        self._fill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def find_programs(self) -> dict[str, str]:
        """Find the programs; missing ones skip the test."""

    @abstractmethod
    def initialise(self, data: Path) -> None:
        """Make an empty data folder."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """Give the command line of the server."""

    @abstractmethod
    def database_url(self, name: str) -> str:
        """Give the address of one of its databases, without a driver's name."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether it answers."""

    @abstractmethod
    def execute(self, *statements: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run statements as the server's owner, each committed at once; give the rows of the last."""

    @abstractmethod
    def new_database(self, prepare: Prepare | None = None) -> str:
        """Make a database and give its address.

        `prepare` is called with the address of an empty database, once where databases can be copied.
        """

    @abstractmethod
    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""

    @property
    def url(self) -> str:
        """The address of a database that is always there."""
        return self.database_url(self.usual_database)

    usual_database: ClassVar[str]

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self.process is None, "it is running"
        for _ in range(STARTS):
            if self._started():
                return
            if "in use" not in self.log_text()[-2000:] and "lock" not in self.log_text()[-2000:]:
                break
        raise AssertionError(f"the server did not start:\n{self.log_text()[-4000:]}")

    def stop(self, kind: Literal["fast", "kill"] = "fast") -> None:
        """Stop it: in order, or as the kernel does when memory runs out. Does nothing where it does not run."""
        process, self.process = self.process, None
        if process is not None:
            end(process, self.stop_signal if kind == "fast" else signal.SIGKILL)

    def restart(self, kind: Literal["fast", "kill"] = "fast") -> None:
        """Stop it and start it again, with the options as they are now."""
        self.stop(kind)
        self.start()

    def close(self) -> None:
        """Stop it for good and remove its data."""
        self.stop("kill")
        shutil.rmtree(self.data, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def log_text(self) -> str:
        """Give all that the server has said since the beginning."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def _started(self) -> bool:
        with self.log.open("ab") as output:
            self.process = self.account.start(self.arguments(), output)
        if wait_until(self.is_ready, lambda: self.process is None or self.process.poll() is not None):
            return True
        self.stop("kill")
        return False

    def _fill(self) -> None:
        """Copy a data folder that was made once in a run: that takes a tenth of the time."""
        first = run_folder() / f"first-{self.account_name}"
        if not first.exists():
            made = new_folder(f"making-{self.account_name}")
            self.account.own(made)
            self.initialise(made / "data")
            (made / "data").rename(first)
        shutil.copytree(first, self.data, symlinks=True)
        self.account.own(self.folder)
