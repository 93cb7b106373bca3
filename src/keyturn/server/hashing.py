"""Argon2id off the event loop: so many at once, so many waiting, and whoever comes then is told to come again.

In code that blocks (a command) it hashes on the spot.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from .._build import random_bytes
from .._colour import CALLER_BLOCKS
from ..errors import RequestError, ThrottledError
from .argon2id import COST, HASH_BYTES, SALT_BYTES, Cost, is_argon2_password, is_sane, made, nobodys_hash, prefix_of
from .hash_threads import HashThreads, Job
from .old_hashes import is_scrypt_password
from .password_rules import is_too_long, normalised

T = TypeVar("T")
_log = logging.getLogger("keyturn.accounts")

#: Says whether some octets are the password of a PHC string.
Check: TypeAlias = Callable[[str, bytes], bool]
#: Ends when the client that waits has gone.
Gone: TypeAlias = Callable[[], Awaitable[None]]

#: Seconds; whoever would have to wait longer tries in between.
_LONGEST_WAIT: Final = 60.0
#: What other servers kept. More kinds are a prefix and a function each.
OLD_HASHES: Final[Mapping[str, Check]] = MappingProxyType({"$scrypt$": is_scrypt_password})


class BusyError(ThrottledError):
    """As many passwords wait to be hashed as may; this one was not looked at."""

    default_message = "Many people are signing in right now. Wait a moment, then try again."


def share(workers: int, cores: int) -> int:
    """Give how many hashes one of so many workers computes at once: its share of the machine, at least one."""
    return max(1, cores // max(1, workers))


def cores() -> int:
    """Give how many processors this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


class Hashing:
    """Makes and checks password hashes.

    Args:
        limit: how many at once in this process.
        queue: how many may wait for that.
        cost: of new hashes; others are made anew when their owner signs in.
        old: how passwords of other kinds of hash are checked, by the beginning of their PHC string.
        entropy: gives so many random bytes.
        timer: seconds, from any moment on.

    In an event loop it belongs to that loop.
    """

    def __init__(
        self, *, limit: int = 1, queue: int = 200, cost: Cost = COST, old: Mapping[str, Check] = OLD_HASHES,
        entropy: Callable[[int], bytes] = random_bytes, timer: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.limit = limit
        self.queue = queue
        self.cost = cost
        #: How many were turned away since the process began.
        self.refused = 0
        self._old = old
        self._entropy = entropy
        self._timer = timer
        self._promised = 0.0
        self._on_the_spot = 0
        self._threads = HashThreads(limit, timer)
        # Nobody's: what is compared where there is no hash, for the same work. Its digest is of no password.
        self._nobodys = nobodys_hash(cost, entropy(SALT_BYTES), entropy(HASH_BYTES))

    @property
    def running(self) -> int:
        """How many are computed right now."""
        return min(self._threads.inside, self.limit)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return max(self._threads.inside - self.limit, 0)

    @property
    def done(self) -> int:
        """How many were computed since the process began."""
        return self._threads.done + self._on_the_spot

    # --- the two questions -------------------------------------------------------------------------------------------

    async def make(self, password: str, *, gone: Gone | None = None) -> str:
        """Give what is kept of a password: a PHC string with a salt of its own.

        Raises:
            BusyError: too many wait already.
        """
        secret, salt = normalised(password), self._entropy(SALT_BYTES)
        return await self._worked(partial(made, secret, salt, self.cost), gone)

    async def is_right(self, kept: str | None, password: str, *, gone: Gone | None = None) -> bool:
        """Say whether a password is the one that `kept` was made of.

        One hash is computed in any case: for an account that is missing or has no password, for a password too long
        to be one, and for a hash that cannot be understood, against nobody's (security-checklist.md AU-06).

        Raises:
            BusyError: too many wait already.
            RequestError: the client has gone.
        """
        check = self._check_of(kept)
        if kept is None or check is None or is_too_long(password):
            kept, check, password = self._nobodys, is_argon2_password, password[:1024]
            # Whatever it is that comes out: nobody's hash is no password's.
        return await self._worked(partial(check, kept, normalised(password)), gone)

    def is_old(self, kept: str) -> bool:
        """Say whether a hash was made otherwise than new ones are."""
        return not kept.startswith(prefix_of(self.cost))

    def close(self) -> None:
        """Let the threads end; a later use starts new ones."""
        self._threads.close()

    def _check_of(self, kept: str | None) -> Check | None:
        if kept is None:
            return None
        if kept.startswith("$argon2") and is_sane(kept):
            return is_argon2_password
        check = next((check for prefix, check in self._old.items() if kept.startswith(prefix)), None)
        if check is None:
            _log.error("an account's password hash cannot be understood, and nobody can sign in with it")
        return check

    # --- work and waiting --------------------------------------------------------------------------------------------

    async def _worked(self, work: Callable[[], T], gone: Gone | None) -> T:
        loop = _loop()
        if loop is None:
            self._on_the_spot += 1
            return work()
        before = self._threads.inside
        if before >= self.limit + self.queue:
            self.refused += 1
            raise BusyError(retry_after=self._until_there_is_room())
        job = Job(work, loop)
        self._threads.submit(job)
        try:
            return await (job.answer if gone is None or before < self.limit else self._while_there(job, gone))
        except BaseException:  # a job that was begun is finished, whoever waits for it
            self._threads.withdraw(job)
            job.answer.cancel()
            raise

    async def _while_there(self, job: Job[T], gone: Gone) -> T:
        """Wait for an answer.

        Raises:
            RequestError: the client went away before its turn.
        """
        left = asyncio.ensure_future(gone())
        left.add_done_callback(partial(self._give_back, job))
        try:
            return await job.answer
        finally:
            left.cancel()  # it hears so before anybody who begins to listen from here on: one listener at a time

    def _give_back(self, job: Job[Any], left: asyncio.Future[None]) -> None:
        # Where it failed, it cannot be told whether the client is there.
        has_left = not left.cancelled() and left.exception() is None
        if has_left and self._threads.withdraw(job):
            job.refuse(RequestError("The connection broke off."))

    def _until_there_is_room(self) -> timedelta:
        """Give each who is turned away a later time, as if they queued outside: else they come back all at once."""
        now, each = self._timer(), self._threads.seconds / self.limit
        self._promised = min(max(self._promised, now + self.waiting * each) + each, now + _LONGEST_WAIT)
        return timedelta(seconds=self._promised - now)


def _loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that the caller awaits in; None where it blocks."""
    if CALLER_BLOCKS.get():
        return None
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None
