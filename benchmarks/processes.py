"""Processes that benchmarks start: they end with us, and the CPU time of all of a family counts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 20


def mortal(command: Sequence[Any]) -> list[Any]:
    """Give a command whose process the kernel ends when the one that started it has ended, where setpriv can do that."""
    setpriv = shutil.which("setpriv")
    return [*([] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]), *command]


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str], by: signal.Signals = signal.SIGTERM) -> None:
    """End a process and wait until it has gone, with violence in the end."""
    process.send_signal(by)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
    return port


def family_cpu_seconds(pid: int) -> float:
    """Give the CPU time of a process and its descendants, those that have ended and were waited for included."""
    return sum(sum(_fields(one)[11:15]) for one in family(pid)) / _TICKS


def family(pid: int) -> list[int]:
    """Give a process and its descendants that run."""
    return [pid, *_descendants(pid)]


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text(encoding="ascii").split():
                yield int(child)
                yield from _descendants(int(child))


def _fields(pid: int) -> list[int]:
    """Give the numbers of proc(5)'s stat from the state on, which itself counts as 0; none for a process that went."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return [0, *map(int, stat.rpartition(")")[2].split()[1:])]
