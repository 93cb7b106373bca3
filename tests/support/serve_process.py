"""``keyturn serve`` in a process of its own, on a free port of the loopback interface: `served` and `Served`."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyturn.server.config import ServerConfig, load
from keyturn.server.installation import Installation

#: Seconds; a start takes one or two, on a machine that does nothing else. One that does much took more than sixty.
PATIENCE = 100
_LISTENS = re.compile(r"listens at (http://\S+)")
#: The program as it is installed; every warning is an error.
_COMMAND = (sys.executable, "-W", "error", str(Path(sys.executable).with_name("keyturn")))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer of the server's; `body` is read as JSON where it is, names of header fields in any case."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class Served:
    """A server that runs.

    Args:
        folder: where it was started.
        process: the one that was started; workers are its children.
    """

    folder: Path
    process: "subprocess.Popen[str]"
    address: str = ""
    _said: bytes = b""
    _ended: bool = False
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _reader: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def workers(self) -> list[int]:
        """The processes that answer: children that Python has spawned, or the one process itself."""
        return [pid for pid in _children(self.process.pid) if "spawn_main" in _command_line(pid)] or [self.process.pid]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> Answer:
        """Send one request on a connection of its own; `body` is JSON, or bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            sent = {"Keyturn-Client": "test", "Content-Type": "application/json"} if raw is not None else {}
            sent |= {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, raw, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=answer.headers, text=answer.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def sign_in(self, username: str, password: str, **more: Any) -> Any:
        """Sign a user in, with refresh tokens in bodies; give the token answer."""
        asked = {"username": username, "password": password, "transport": "body", **more}
        answer = self.call("POST", "/auth/login", asked)
        assert answer.status == 200, answer
        return answer.body

    def stop(self, number: signal.Signals = signal.SIGTERM, *, patience: float = PATIENCE) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(patience)
        if self._reader is not None:
            self._reader.join(PATIENCE)
        return code

    @property
    def output(self) -> str:
        """All that it has written to standard error until this moment, in whole lines."""
        self._take()
        whole = self._said if self._ended else self._said[: self._said.rfind(b"\n") + 1]
        return whole.decode("utf-8", "replace")

    def _read(self) -> None:
        assert self.process.stderr is not None
        while not self._ended:
            select.select([self.process.stderr], [], [])
            self._take()
        self.process.stderr.close()

    def _take(self) -> None:
        assert self.process.stderr is not None
        with self._reading:
            while not self._ended and select.select([self.process.stderr], [], [], 0)[0]:
                part = os.read(self.process.stderr.fileno(), 65_536)
                self._said += part
                self._ended = not part

    def listen_to(self) -> None:
        """Collect what it writes from now on."""
        self._reader = threading.Thread(target=self._read, name="what keyturn serve says", daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait until it has said where it listens, and says there that it is ready."""
        deadline = time.monotonic() + PATIENCE
        while not self.address:
            if found := _LISTENS.search(self.output):
                self.address = found[1]
            else:
                self._still_runs(deadline)
        while True:
            with suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/health/ready", timeout=5).status == 200:
                    return
            self._still_runs(deadline)

    def _still_runs(self, deadline: float) -> None:
        if self.process.poll() is not None:
            if self._reader is not None:
                self._reader.join(PATIENCE)
            raise AssertionError(f"keyturn serve ended with {self.process.returncode}:\n{self.output}")
        assert time.monotonic() < deadline, f"keyturn serve did not start:\n{self.output}"
        time.sleep(0.02)


def keyturn_command() -> tuple[str, ...]:
    """Give the program as it is installed; every warning in it is an error."""
    return _COMMAND


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give this process's environment without settings of Keyturn, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYTURN_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}


def run_keyturn(
    folder: Path, *arguments: str, given: str = "", more: Mapping[str, str] | None = None, patience: float = PATIENCE
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end in a folder; `given` is its standard input."""
    return subprocess.run(
        [*_COMMAND, *arguments], cwd=folder, env=environment(more), input=given, capture_output=True, text=True,
        timeout=patience, check=False,
    )  # fmt: skip


def start(folder: Path, *arguments: str, more: Mapping[str, str] | None = None, group: bool = False) -> Served:
    """Start ``keyturn serve`` in a folder and wait for nothing; `Served.wait_until_ready` does.

    With `group` it and its workers are a group of their own, which a terminal's Ctrl-C would reach as one.
    """
    process = subprocess.Popen(
        [*_COMMAND, "serve", *arguments], cwd=folder, env=environment(more), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=group,
    )  # fmt: skip
    server = Served(folder, process)
    server.listen_to()
    return server


@contextmanager
def served(
    folder: Path,
    *arguments: str,
    more: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    roles: Sequence[str] = (),
) -> Iterator[Served]:
    """Serve for the length of a ``with`` block, on a free port; stopped, and its workers gone, at the end.

    Args:
        folder: its current folder; without a ``keyturn.toml`` in it (or ``--config``) it works in ``.keyturn/`` there.
        arguments: behind ``keyturn serve``; ``--port`` is given where it is not among them.
        more: environment variables besides.
        users: name -> password of users to be made first, as ``keyturn users create`` makes them.
        roles: theirs.
    """
    if users:
        config = [arguments[at] for at in range(1, len(arguments)) if arguments[at - 1] == "--config"]
        _make_users(load(*config, environment=environment(more), here=folder), users, roles)
    port = () if "--port" in arguments else ("--port", "0")
    server = start(folder, *arguments, *port, more=more)
    try:
        server.wait_until_ready()
        yield server
    finally:
        children = _children(server.process.pid)
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            for pid in (server.process.pid, *children):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.process.wait(PATIENCE)
            raise


def _make_users(config: ServerConfig, users: Mapping[str, str], roles: Sequence[str]) -> None:
    with Installation(config) as installation:  # a process for each would take half a second
        installation.prepare()
        for name, password in users.items():
            installation.accounts.create(name, password=password, roles=roles)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
