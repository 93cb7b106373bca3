"""A program on a terminal of ours, which types, waits for what is said, and hangs up."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

#: It takes the terminal that it is given, so that Ctrl-C pressed there, and its closing, reach it.
_ON_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from keyturn.cli import main; main()"
#: Far longer than a busy machine needs: it only bounds a hang.
_PATIENCE = 60


class Terminal:
    """Its person."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self.said = ""
        self._end: int | None = end

    def read_until(self, text: str) -> str:
        """Read until it said something; what it said so far."""
        while text not in self.said:
            part = self._read()
            assert part, f"it ended without saying {text!r}:\n{self.said}"
        return self.said

    def type(self, text: str) -> None:
        """Press keys."""
        assert self._end is not None
        os.write(self._end, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C, and as a person does once more where nothing happens; the exit code.

        A key that comes between Python's last look at signals and its wait for a line is only seen with the next one.
        """
        assert self._end is not None
        for _ in range(_PATIENCE):
            with suppress(OSError):
                os.write(self._end, b"\x03")
            while select.select([self._end], [], [], 1)[0]:
                if not self._read():
                    return self.process.wait(_PATIENCE)
        raise AssertionError(f"it hangs:\n{self.said}")

    def exit_code(self) -> int:
        """Read to its end."""
        while self._end is not None and self._read():
            pass
        return self.process.wait(_PATIENCE)

    def hang_up(self) -> None:
        """Close the terminal."""
        if self._end is not None:
            os.close(self._end)
            self._end = None

    def _read(self) -> str:
        assert self._end is not None
        assert select.select([self._end], [], [], _PATIENCE)[0], f"it hangs:\n{self.said}"
        try:
            part = os.read(self._end, 65536).decode("utf-8", "replace")
        except OSError:  # Linux says so where the other end was closed
            return ""
        self.said += part
        return part


@contextmanager
def on_a_terminal(
    words: tuple[str, ...], environment: Mapping[str, str], folder: Path, *, deaf: bool = False,
    errors: Path | None = None,
) -> Iterator[Terminal]:  # fmt: skip
    """Run a command.

    Args:
        errors: a file for its standard error, which outlives the terminal; else it goes there too.
        deaf: whether it ignores that the terminal is closed, as under nohup.
    """

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if deaf else signal.SIG_DFL)

    ours, theirs = pty.openpty()
    stderr = theirs if errors is None else os.open(errors, os.O_CREAT | os.O_WRONLY, 0o600)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _ON_A_TERMINAL, *words], stdin=theirs, stdout=theirs, stderr=stderr,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100"}, cwd=folder, start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 - no other thread runs here
    )  # fmt: skip
    for descriptor in {theirs, stderr}:
        os.close(descriptor)
    shown = Terminal(process, ours)
    try:
        yield shown
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        shown.hang_up()
