"""A program of an engine: it has a home of its own, and it and its children go when the tests go."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.browser.engines.face import PATIENCE

#: What would let a browser find the user's own files, screen and settings, or a proxy of the machine's.
NOT_OURS = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_",
    "MOZ_",
    "WEBKIT_",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)


class Program:
    """A program that lasts, in a group of processes of its own.

    Args:
        arguments: its command line.
        home: a folder for what it writes; its output goes there too.
        environment: what it finds in its environment besides.
        pass_fds: open files that it inherits.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        home: Path,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = home / f"{Path(arguments[0]).name}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*_dies_with_us(), *arguments], cwd=home, env={**_environment(home), **(environment or {})},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip

    def said(self) -> str:
        """Give what it said so far."""
        return self.log.read_text(errors="replace")

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait for something that it brings about."""
        last = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, f"it ended:\n{self.said()[-3000:]}"
            assert time.monotonic() < last, f"waited in vain:\n{self.said()[-3000:]}"
            time.sleep(0.01)

    def end(self) -> None:
        """End it and what it started."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self._signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _dies_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")  # not on every system; the fixture's end still stops it
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    return {**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LC_ALL": "C.UTF-8"}
