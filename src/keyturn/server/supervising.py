"""Watches over the processes that answer: starts one again that died or hangs, and ends them all."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, parent_process, resource_tracker
from typing import Final

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

#: What uvicorn's worker ends with if it could not start.
_NOT_STARTED: Final = 3
#: So many starts in a row, for each worker, that came to nothing: the next would not do better.
_TRIES: Final = 3
#: Between two starts that come to nothing while others answer.
_LONGEST_PAUSE_SECONDS: Final = 10.0
#: Beyond the time that requests under way are given: for what ends after them.
_FAREWELL_SECONDS: Final = 5.0
_TICK_SECONDS: Final = 0.1
_log: Final = logging.getLogger("keyturn.server")


@dataclass(slots=True)
class _Seen:
    """What is known of a worker: when it was asked last and has not answered, and whether it ever was ready."""

    asked: float | None = None
    ready: bool = False


class Supervisor(Multiprocess):
    """Starts workers, and starts one again that died.

    Args:
        config: uvicorn's.
        sockets: the open ports; closed as soon as a signal says to stop.
        hung_seconds: a worker that does not answer for so long is replaced.
        grace_seconds: how long requests under way may take at a stop.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], *, hung_seconds: float, grace_seconds: float
    ) -> None:
        hangup = getattr(signal, "SIGHUP", None)
        before = None if hangup is None else signal.getsignal(hangup)
        super().__init__(config, sockets)
        if hangup is not None and before is signal.SIG_IGN:  # as `nohup` has it
            signal.signal(hangup, before)
        self._hung_seconds, self._grace_seconds = hung_seconds, grace_seconds
        self._seen: dict[Process, _Seen] = {}
        self._in_vain = 0
        self._pause_until = 0.0
        self.failed = False

    def init_processes(self) -> None:
        """Start the first workers."""
        for _ in range(self.processes_num):
            if self.signal_queue:
                return
            self.processes.append(self._started())

    def _started(self) -> Process:
        process = Process(self.config, self.sockets)
        with _interrupts_later():
            process.start()
        self._seen[process] = _Seen()
        return process

    def handle_ttin(self) -> None:
        """Start one more."""
        self.processes_num += 1
        self.processes.append(self._started())

    def handle_hup(self) -> None:
        """Stop when the terminal is closed, as with one worker; to read a configuration anew, start anew."""
        self.handle_term()

    def keep_subprocess_alive(self) -> None:
        """Look at every worker, waiting for none, and replace those that are gone."""
        if self.should_exit.is_set() or time.monotonic() < self._pause_until:
            return
        for at, process in enumerate(self.processes):
            if self._lives(process):
                continue
            process.kill()
            process.process.join()
            if self._gives_up(process):
                return
            self.processes[at] = self._started()

    def _lives(self, process: Process) -> bool:
        if not process.process.is_alive():
            return False
        seen, now = self._seen.setdefault(process, _Seen()), time.monotonic()
        try:
            if seen.asked is not None and process.parent_conn.poll():
                if process.parent_conn.recv():
                    seen.ready, self._in_vain = True, 0
                seen.asked = None
            if seen.asked is None:
                process.parent_conn.send(b"ping")
                seen.asked = now
        except (OSError, EOFError):
            return False
        return now - seen.asked < self._hung_seconds

    def _gives_up(self, process: Process) -> bool:
        code, seen = process.exitcode, self._seen.pop(process, _Seen())
        if seen.ready:
            _log.warning("worker %s ended with %s, and is started again", process.pid, code)
            return False
        self._in_vain += 1
        _log.error("worker %s ended with %s before it was ready", process.pid, code)
        others = any(self._seen[each].ready for each in self.processes if each in self._seen)
        self.failed = code == _NOT_STARTED or (self._in_vain >= _TRIES * self.processes_num and not others)
        if self.failed:
            _log.error("the server stops: its workers cannot start")
            self.should_exit.set()
        self._pause_until = time.monotonic() + min(_LONGEST_PAUSE_SECONDS, self._in_vain / 2)
        return self.failed

    def terminate_all(self) -> None:
        """Stop the workers; nobody is let in any more, or they would wait for an answer that never comes."""
        for each in self.sockets:
            each.close()
        super().terminate_all()

    def join_all(self) -> None:
        """Wait for the workers as long as they have, or until a second signal; whoever is still there is killed."""
        deadline = time.monotonic() + self._grace_seconds + _FAREWELL_SECONDS
        while any(each.process.is_alive() for each in self.processes):
            if time.monotonic() > deadline or {signal.SIGINT, signal.SIGTERM} & set(self.signal_queue):
                self._kill_all()
            connection.wait(
                [each.process.sentinel for each in self.processes if each.process.is_alive()], _TICK_SECONDS
            )

    def _kill_all(self) -> None:
        for each in self.processes:
            if each.process.is_alive():
                _log.warning("worker %s is killed", each.pid)
                each.kill()
                each.process.join()


@contextmanager
def _interrupts_later() -> Generator[None]:
    """Let a process that is started hear of Ctrl-C when it can deal with it: before, it would only tell where it was."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it takes every mask away when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_interrupts() -> None:
    """Deal with Ctrl-C from now on, and with one that came before."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with_the_supervisor(grace_seconds: float) -> None:
    """Let this worker end in order when its supervisor is gone, however it went; nobody else would ever end it."""
    parent = parent_process()
    if parent is None:
        return
    sentinels: Sequence[int] = [parent.sentinel]

    def wait() -> None:
        connection.wait(sentinels)
        _log.error("the supervisor is gone: this worker ends too")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds + _FAREWELL_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, name="keyturn-supervisor", daemon=True).start()
