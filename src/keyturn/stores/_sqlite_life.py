"""When a writer begins and ends: on first use, and around fork, the program's exit and being forgotten."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import StoreError
from ._sqlite_writer import Call, Writer


class WriterOnDemand:
    """Starts a writer when the first call comes; after `close` or a fork the next call starts another.

    Args:
        connect: opens the writer's connection.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._writer: Writer | None = None
        self._lock_kind = threading.Lock
        self._lock = threading.Lock()
        ends_before_fork(self)

    def submit(self, call: Call[Any]) -> None:
        """Hand a call to the writer.

        Raises:
            StoreError: no thread can be started.
        """
        with self._own_lock():
            if self._writer is None or not self._writer.is_alive():
                self._writer = self._started()
            self._writer.submit(call)

    def close(self) -> None:
        """Let the writer finish what waits, close its connection, and wait for its end."""
        with self._own_lock():
            self._stop()

    def hold(self) -> None:
        """Close, and let no call start a writer again before `release`."""
        self._own_lock().acquire()
        self._stop()

    def release(self) -> None:
        """Let calls start a writer again."""
        self._lock.release()

    def __del__(self) -> None:
        # Not waited for: what runs this may be any thread, the writer's own among them.
        if self._writer is not None:
            self._writer.stop()

    def _own_lock(self) -> threading.Lock:
        """Give the lock, of the kind that threads have now.

        A server that imports the application, forks, and then lets gevent replace the threads leaves us with one of the
        old kind: whoever waited for it would stop all greenlets, the one that holds it among them.
        """
        if self._lock_kind is not threading.Lock:
            self._lock_kind = threading.Lock
            self._lock = threading.Lock()
        return self._lock

    def _started(self) -> Writer:
        try:
            writer = Writer(self._connect)
        except RuntimeError as error:
            raise StoreError(cause=str(error)) from error
        _writers.add(writer)
        return writer

    def _stop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()
            writer.join()


class Held(Protocol):
    """What holds connections to SQLite files."""

    def hold(self) -> None:
        """Close them, and let none be opened before `release`."""
        ...

    def release(self) -> None:
        """Let them be opened again."""
        ...


def ends_before_fork(one: Held) -> None:
    """See to it that no connection of this one is open while the process forks, or when the program ends."""
    with _registering:
        _all.add(one)


_all: weakref.WeakSet[Held] = weakref.WeakSet()
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()  # those of forgotten stores, too, until their thread has ended
_registering = threading.Lock()
_held: list[Held] = []


def _quiesce() -> None:
    """End every writer, and let none begin before `_resume`.

    SQLite keeps one table of file locks for all connections of a process. The child of a fork would inherit it, believe
    to hold locks that only its parent holds, and lose what it writes. So no connection is open while a process forks.
    """
    _registering.acquire()
    _held[:] = _all
    for one in _held:
        one.hold()
    for writer in list(_writers):
        writer.stop()
        writer.join()


def _resume() -> None:
    if not _registering.locked():
        return  # somebody forked without telling Python before
    while _held:
        _held.pop().release()
    _registering.release()


def _at_exit() -> None:
    _quiesce()
    _resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_quiesce, after_in_parent=_resume, after_in_child=_resume)
atexit.register(_at_exit)
