"""One thread that owns a SQLite connection, and the way there and back for callers of both colours.

SQLite lets one transaction write at a time, and a durable commit waits for the disk. So calls wait in a queue, and
whatever waits there when the thread comes by is done in one transaction: many calls, one visit to the disk.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from .._colour import CALLER_BLOCKS
from ..errors import StoreError

T = TypeVar("T")

#: Calls in one transaction at most: beyond it the first caller would wait longer than the saved commits are worth.
GROUP: Final = 64


class Call(Generic[T]):
    """A piece of work on its way to the writer, and the way back to whoever asked.

    The work may be run more than once (after a rollback), so all that it does it does to the connection.

    Args:
        work: what to do with the connection, inside a transaction that others share.
        writes: whether it needs the write lock.
    """

    __slots__ = ("_done", "_future", "_loop", "error", "value", "work", "writes")

    def __init__(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.value: Any = None
        self.error: Exception | None = None
        self._loop = running_loop()
        self._future = None if self._loop is None else self._loop.create_future()
        self._done = None if self._future is not None else _closed_gate()

    async def answer(self) -> T:
        """Wait in the caller's own way (its loop's, else by blocking); give what the work gave or raise its error.

        A caller that is cancelled here goes its way; the work is done all the same.
        """
        if self._future is not None:
            await self._future
        elif self._done is not None:
            self._done.acquire()
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it holds this frame
        value: T = self.value
        return value

    def wake_or_collect(self, futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]]) -> None:
        """Let a blocked caller go on, or put an awaiting one among those whom its loop is to be told of."""
        if self._done is not None:
            self._done.release()
        elif self._loop is not None and self._future is not None:
            futures.setdefault(self._loop, []).append(self._future)


class Writer:
    """A thread with a connection. It opens late, opens again after trouble, and survives every error of a call.

    Args:
        connect: opens the connection; called in the thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        # Found when it is needed, as threads and locks are: gevent may have put its own in the place since the import.
        self._queue: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()
        self._troubled = False
        # A daemon, since it waits for ever; what ends it in an orderly way at exit is the store's hook.
        self._thread = threading.Thread(target=self._run, name="keyturn-sqlite", daemon=True)
        self._thread.start()

    def submit(self, call: Call[Any]) -> None:
        """Put a call into the queue."""
        self._queue.put(call)

    def stop(self) -> None:
        """Let the thread finish what is in the queue, close the connection and end; does not wait for it."""
        self._queue.put(None)

    def is_alive(self) -> bool:
        """Say whether the thread runs; in the child of a fork it does not."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until a stopped thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while self._serve_group():
            pass
        self._disconnect()

    def _serve_group(self) -> bool:
        group, goes_on = self._take()
        if group:
            self._serve(group)
            _deliver(group)
        return goes_on

    def _take(self) -> tuple[list[Call[Any]], bool]:
        """Wait for a call and take what waits behind it; after trouble all of it, so that none waits twice for a lock."""
        group: list[Call[Any]] = []
        with suppress(queue.Empty):
            while self._troubled or len(group) < GROUP:
                call = self._queue.get(block=not group)
                if call is None:
                    return group, False
                group.append(call)
        return group, True

    def _serve(self, group: list[Call[Any]]) -> None:
        try:
            self._transact(group)
            self._troubled = False
        except Exception as error:  # noqa: BLE001 - it is the caller's, and the thread must outlive it
            self._serve_each(group, error)
            self._troubled = True
            self._disconnect()

    def _serve_each(self, group: list[Call[Any]], error: Exception) -> None:
        """Give every call of a failed group its own transaction, so that the trouble of one is not that of others."""
        barred: dict[bool, Exception] = {}  # kinds of calls (reading, writing) that cannot so much as begin
        if isinstance(error, _CannotBeginError):
            barred[any(call.writes for call in group)] = error
        for call in group:
            if call.writes in barred:
                call.error = _own_error(barred[call.writes])
                continue
            try:
                self._transact([call])
            except Exception as own:  # noqa: BLE001 - as above
                call.error = _own_error(own)
                if isinstance(own, _CannotBeginError):
                    barred[call.writes] = own

    def _transact(self, group: list[Call[Any]]) -> None:
        connection = self._begin(writes=any(call.writes for call in group))
        try:
            values = [call.work(connection) for call in group]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors of SQLite have rolled back already
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        for call, value in zip(group, values, strict=True):
            call.value = value

    def _begin(self, *, writes: bool) -> sqlite3.Connection:
        try:
            if self._connection is None:
                self._connection = self._connect()
            # The write lock is asked for first: a transaction that reads and then wants it cannot wait for it.
            self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        except (sqlite3.Error, OSError, StoreError) as error:
            raise _CannotBeginError(error) from error
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class _CannotBeginError(Exception):
    """No transaction could be begun; wraps why."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


def _closed_gate() -> threading.Lock:
    """Give a lock that is held: whoever acquires it waits until the writer releases it."""
    gate = threading.Lock()
    gate.acquire()
    return gate


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that the caller awaits in; None where it blocks."""
    if CALLER_BLOCKS.get():
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _deliver(group: list[Call[Any]]) -> None:
    """Tell every caller; a loop is woken once, however many of its tasks are concerned."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for call in group:
        call.wake_or_collect(futures)
    for loop, waiting in futures.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_wake, waiting)


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():  # cancelled in the meantime
            future.set_result(None)


def _own_error(error: Exception) -> Exception:
    """Give a caller an error of its own, since one that is raised in two places tells the wrong story in both.

    It is not chained to the driver's: those frames hold digests.
    """
    if isinstance(error, _CannotBeginError):
        error = error.why
    if isinstance(error, StoreError):
        return StoreError(cause=error.cause)
    if isinstance(error, sqlite3.Error):
        return StoreError(cause=f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}")
    if isinstance(error, OSError):
        return StoreError(cause=f"{error.strerror}: {error.filename}")
    return error
