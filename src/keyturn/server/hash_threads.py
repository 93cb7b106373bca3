"""Threads that hash one password after the other: none of them waits for the event loop in between."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

#: How much lower than the event loop's the priority of a hashing thread is: a refresh takes a millisecond of the
#: processor and a sign-in fifty, and the one must not wait for the other. A third of the weight; on a machine that other
#: programs keep busy, sign-ins still get their share.
_NICE: Final = 5
#: A guess until the first hash was timed.
_FIRST_GUESS: Final = 0.1


class Job(Generic[T]):
    """A hash on its way to a thread, and the way back to the loop where it is awaited.

    Args:
        work: what a thread shall do.
        loop: where `answer` is awaited.
    """

    __slots__ = ("_work", "answer")

    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self.answer: asyncio.Future[T] = loop.create_future()

    def done(self) -> Callable[[], None]:
        """Do the work in this thread; give what then brings its outcome to the loop."""
        tell: Callable[[asyncio.Future[Any], Any], None]
        outcome: Any
        try:
            tell, outcome = _succeed, self._work()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, and the thread must outlive it
            tell, outcome = _fail, error
        return lambda: _call_in_loop(self.answer, tell, outcome)

    def refuse(self, error: Exception) -> None:
        """Tell who waits that the work will not be done; called in the loop."""
        _fail(self.answer, error)


class HashThreads:
    """So many threads and a queue before them, first in, first out.

    Args:
        limit: how many threads.
        timer: seconds, from any moment on.
    """

    def __init__(self, limit: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._timer = timer
        self._lock = threading.Lock()
        self._jobs: deque[Job[Any]] = deque()
        self._awake = self._running = 0
        self._pool: ThreadPoolExecutor | None = None
        #: How many were done.
        self.done = 0
        #: What the last few took, each.
        self.seconds = _FIRST_GUESS

    @property
    def inside(self) -> int:
        """How many are computed or wait."""
        with self._lock:
            return self._running + len(self._jobs)

    def submit(self, job: Job[Any]) -> None:
        """Put a job at the end of the queue."""
        with self._lock:
            self._jobs.append(job)
            wake = self._awake < self._limit
            self._awake += wake
        if wake:
            self._wake(job)

    def withdraw(self, job: Job[Any]) -> bool:
        """Take a job out of the queue; False where a thread has it already."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            return True

    def close(self) -> None:
        """Let the threads end when the queue is empty; a later job starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    def _wake(self, job: Job[Any]) -> None:
        try:
            self._pool = self._pool or ThreadPoolExecutor(self._limit, "keyturn-hash", initializer=_step_back)
            self._pool.submit(self._work)
        except BaseException:  # no thread can be had
            with self._lock:
                self._awake -= 1
            self.withdraw(job)
            raise

    def _work(self) -> None:
        job = self._next()
        while job is not None:
            began = self._timer()
            tell = job.done()
            job = self._after(self._timer() - began)
            tell()

    def _next(self) -> Job[Any] | None:
        with self._lock:
            return self._taken()

    def _after(self, seconds: float) -> Job[Any] | None:
        with self._lock:
            self._running -= 1
            self.done += 1
            self.seconds += (seconds - self.seconds) / 8  # of the last few
            return self._taken()

    def _taken(self) -> Job[Any] | None:
        if not self._jobs:
            self._awake -= 1
            return None
        self._running += 1
        return self._jobs.popleft()


def _call_in_loop(answer: asyncio.Future[Any], tell: Callable[[asyncio.Future[Any], Any], None], outcome: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answer.get_loop().call_soon_threadsafe(tell, answer, outcome)


def _succeed(answer: asyncio.Future[Any], value: Any) -> None:
    if not answer.done():  # cancelled in the meantime
        answer.set_result(value)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _step_back() -> None:
    """Lower this thread's priority: on Linux one thread's alone, elsewhere it would be the process's."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
