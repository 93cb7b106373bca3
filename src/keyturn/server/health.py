"""Whether the server lives, and whether it should be sent requests now."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from .._colour import Colour, drive
from ..errors import KeyturnError, StoreError, kind_and_place
from ..http import replies
from ..http.guard import Guard
from ..keyrings import KeySource
from ..messages import Reply
from ..session import ID_BYTES, session_id_text
from ..settings import Settings
from ..starlette import response_of
from ..stores import SessionStore
from .operators import is_operator
from .records import Records

T = TypeVar("T")

LIVE: Final = "/health/live"
READY: Final = "/health/ready"
OK: Final = "ok"
#: Kubernetes and most balancers wait a second for an answer.
PATIENCE_SECONDS: Final = 0.8
#: So long an answer is good for all who ask: a storm of probes is no load.
KEPT_SECONDS: Final = 1.0
#: No clock of an ordinary machine is kept better without effort (docs/reference/protocol.md).
_LEAST_TOLERANCE: Final = timedelta(seconds=1)
#: A question that hangs keeps its thread; so many of each check may hang.
_MOST_THREADS: Final = 2
#: No session has this id; looking for it is the cheapest question that goes all the way.
_NOBODY: Final = session_id_text(bytes(ID_BYTES))

#: Says `OK`, or in a word what is wrong.
Check: TypeAlias = Callable[[], Awaitable[str]]
_log: Final = logging.getLogger("keyturn.server")


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What readiness looks at.

    Args:
        settings: of the server.
        store: where sessions are.
        records: where accounts are, and the database's clock.
        guard: knows how old the picture of ended sessions is.
        keys: the key ring's source.
        clock: gives the time, aware UTC.
        draining: says whether the server was told to stop.
    """

    settings: Settings
    store: SessionStore
    records: Records
    guard: Guard
    keys: KeySource
    clock: Callable[[], datetime]
    draining: Callable[[], bool] = lambda: False


def checks_of(vitals: Vitals) -> Mapping[str, Check]:
    """Give the checks by their names."""
    of_store, of_clock, of_log, of_keys = _Threads(), _Threads(), _Threads(), _Threads()

    async def store() -> str:
        await of_store.ask(vitals.store.colour, lambda: vitals.store.get(_NOBODY))
        return OK

    async def clock() -> str:
        before = vitals.clock()
        theirs = await of_clock.ask(vitals.records.colour, vitals.records.now)
        return clocks_agree(theirs, before, vitals.clock(), vitals.settings.leeway)

    async def revocations() -> str:
        if vitals.guard.verifier.age(vitals.clock()) is None:
            # It is read ahead of time, but a server that has just started may be asked before: that is no trouble.
            await of_log.ask(vitals.store.colour, vitals.guard.read_log)
        return picture_is_fresh(vitals.guard.verifier.age(vitals.clock()), vitals.settings.staleness_bound)

    async def keys() -> str:
        await of_keys.run(vitals.keys.reload)
        return "cannot_be_read" if getattr(vitals.keys, "trouble", None) is not None else OK

    async def stopping() -> str:
        return "draining" if vitals.draining() else OK

    return MappingProxyType(
        {"store": store, "clock": clock, "revocations": revocations, "keys": keys, "process": stopping}
    )


class _Threads:
    """Threads of our own, since those that answer requests may all be waiting for the same database.

    A question that hangs keeps its thread although nobody waits for it any more; so only a few are begun.
    """

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(_MOST_THREADS)

    async def ask(self, colour: Colour, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await (self.run(lambda: drive(question())) if colour == "sync" else question())

    async def run(self, question: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(
            lambda: self._asked(question), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )

    def _asked(self, question: Callable[[], T]) -> T:
        if not self._free.acquire(blocking=False):
            raise StoreError(cause="earlier questions still hang")
        try:
            return question()
        finally:
            self._free.release()


def clocks_agree(theirs: datetime, before: datetime, after: datetime, leeway: timedelta) -> str:
    """Compare the database's clock with ours, which was read before and after it.

    Args:
        leeway: issuers' clocks agree within half of it, but less than a second is never asked for.
    """
    apart = max(before - theirs, theirs - after)
    return OK if apart <= max(leeway / 2, _LEAST_TOLERANCE) else "differs"


def picture_is_fresh(age: timedelta | None, bound: timedelta) -> str:
    """Say whether the picture of ended sessions is younger than the bound; None: there is none."""
    return OK if age is not None and age < bound else "stale"


class Readiness:
    """Asks all checks at once, at most once in `kept` seconds, and never waits longer than `patience`.

    Args:
        checks: by name.
        patience: seconds for all of them.
        kept: seconds for which an answer is good.
        timer: gives seconds since some moment.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        patience: float = PATIENCE_SECONDS,
        kept: float = KEPT_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._patience = patience
        self._kept = kept
        self._timer = timer
        self._found: Mapping[str, str] = {}
        self._found_at = float("-inf")
        self._turn: anyio.Lock | None = None

    async def look(self) -> Mapping[str, str]:
        """Give what each check found: `OK`, or a word that says what is wrong."""
        if self._is_known():
            return self._found
        self._turn = self._turn or anyio.Lock()
        async with self._turn:  # one asks, the others wait for its answer
            if not self._is_known():
                found = await self._ask_all()
                _log_change(self._found, found)
                self._found, self._found_at = found, self._timer()
        return self._found

    def _is_known(self) -> bool:
        return self._timer() - self._found_at < self._kept

    async def _ask_all(self) -> Mapping[str, str]:
        found = dict.fromkeys(self._checks, "no_answer")

        async def ask(name: str, check: Check) -> None:
            found[name] = await _asked(name, check)

        with anyio.move_on_after(self._patience):
            async with anyio.create_task_group() as group:
                for name, check in self._checks.items():
                    group.start_soon(ask, name, check)
        return found


async def _asked(name: str, check: Check) -> str:
    try:
        return await check()
    except KeyturnError as error:
        _log.debug("the check of the %s found: %s", name, error.cause or error.code)
        return "unavailable"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the answer is no
        _log.warning("the check of the %s failed with %s", name, kind_and_place(error))
        return "failed"


def _log_change(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    for name, found in after.items():
        if found != before.get(name, OK):
            _log.warning("readiness: %s is %s", name, found)


# --- routes --------------------------------------------------------------------------------------------------------


def health_routes(readiness: Readiness, settings: Settings) -> list[Route]:
    """Give ``/health/live`` and ``/health/ready``.

    Everybody may know whether the server is ready; which check says no, operators only (`is_operator`).
    """

    async def live(_request: StarletteRequest) -> Response:
        return _page({"status": OK}, 200, settings)

    async def ready(request: StarletteRequest) -> Response:
        found = await readiness.look()
        good = all(word == OK for word in found.values())
        told: dict[str, Any] = {"status": OK if good else "unavailable"}
        if is_operator(request.scope):
            told["checks"] = dict(found)
        return _page(told, 200 if good else 503, settings)

    return [Route(LIVE, live, methods=["GET"]), Route(READY, ready, methods=["GET"])]


def _page(told: Mapping[str, Any], status: int, settings: Settings) -> Response:
    retry = (("Retry-After", "1"),) if status == 503 else ()
    reply: Reply = replies.json_reply(told, status=status, headers=(("Cache-Control", "no-store"), *retry))
    return response_of(replies.hardened(reply, settings))
