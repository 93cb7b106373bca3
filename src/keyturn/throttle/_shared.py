"""A throttle whose counters all workers share: the rule once, over whatever keeps the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

from .._colour import Colour
from ..limits import Limits
from . import Admission, Attempt
from ._counters import Concerned, Counter, Digest, of_login, of_refresh, of_step_up, remembered
from ._keys import DIGEST, digest
from ._known import Known, knows, learnt
from ._local import LocalShare
from ._window import agreed, given_back, micros, taken, wait

T = TypeVar("T")


class Row(NamedTuple):
    """A row as it is kept.

    Args:
        until: what a counter stands at, or how long browsers are remembered; microseconds since 1970, UTC.
        browsers: the digests of a user's browsers, one after the other; None in a counter.
    """

    until: int
    browsers: bytes | None = None


#: Rows by their id; one that is missing is a counter that has counted nothing.
Rows: TypeAlias = Mapping[bytes, Row]

_NOTHING: Final = Row(0)


class Counters(Protocol):
    """Where the rows are kept."""

    async def read(self, ids: Sequence[bytes]) -> Rows:
        """Give rows as they are now, without waiting for anybody who changes them."""
        ...

    async def change(self, ids: Sequence[bytes], decide: Callable[[Rows], tuple[T, Rows]], now: int) -> T:
        """Let nobody else change these rows, read them, keep what `decide` gives beside its result, and give that.

        All or nothing, and durable enough to be seen by other processes at once. `decide` may be called more than once.

        Args:
            now: rows whose `until` has passed by then may be deleted.
        """
        ...


class SharedThrottle:
    """Counts in rows that all workers share.

    Refreshes are counted by each worker for itself up to a tenth of the limit, and only beyond that in the rows: an
    honest client costs no row and no turn. So with W workers a session gets at most (1 + W / 10) times its limit; once
    for its own browser and once for all who show none or another. Each worker learns by itself which is its own.

    Args:
        counters: where the rows are.
        limits: `Limits` as they are where left out.
        secret: keys the digests under which users and addresses are counted, at most 64 bytes, the same in all workers.
    """

    colour: Colour = "both"

    def __init__(self, counters: Counters, limits: Limits | None = None, *, secret: bytes = b"") -> None:
        self.limits = Limits() if limits is None else limits
        self._counters = counters
        self._digest: Digest = partial(digest, secret)
        self._local = LocalShare(self.limits)

    def at_once(self, attempt: Attempt) -> Admission | None:
        """Give the answer where it needs no row; None where it does."""
        return self._local.admit(attempt) if attempt.action == "refresh" else None

    def proven(self, session_id: str, browser: str, *, now: datetime) -> None:
        """Count a session's own browser for itself from now on, in this worker."""
        self._local.proven(session_id, browser, now=now)

    async def admit(self, attempt: Attempt) -> Admission:
        """Count an attempt, or say how long to wait and count nothing.

        Raises:
            StoreError: the rows cannot be asked.
        """
        if (known := self.at_once(attempt)) is not None:
            return known
        now = micros(attempt.at)
        if attempt.action == "refresh":
            counted = self._local.counted(attempt)
            admission = await self._taken(of_refresh(counted, self.limits, self._digest), now)
            self._local.refused(counted, admission)
            return admission
        of = of_login if attempt.action == "login" else of_step_up
        concerned = of(attempt, self.limits, self._digest)
        ids = _ids(concerned)
        rows = await self._counters.read(ids) if ids else {}
        counters = _chosen(concerned, rows, now)
        # A flood is refused here, before anything is locked or written.
        return _waiting(counters, rows, now) or await self._taken(counters, now)

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give back what the attempt was counted with, and remember the browser.

        Raises:
            StoreError: the rows cannot be asked.
        """
        held: Sequence[tuple[Counter, int]] = admission.held or ()
        user, known = b"", b""
        if browser and attempt.username:
            user = of_login(attempt, self.limits, self._digest).user
            known = remembered(attempt, browser, self._digest)
        ids = [counter.id for counter, _ in held] + ([user] if user else [])
        at = micros(now)
        if ids:
            await self._counters.change(ids, partial(_after_success, held, user, known, at), at)

    async def _taken(self, counters: Sequence[Counter], now: int) -> Admission:
        if not counters:
            return Admission()
        return await self._counters.change([counter.id for counter in counters], partial(_take, counters, now), now)


def _ids(concerned: Concerned) -> list[bytes]:
    ids = [counter.id for counter in (*concerned.usual, *concerned.own)]
    return [*ids, concerned.user] if concerned.browser else ids


def _chosen(concerned: Concerned, rows: Rows, now: int) -> Sequence[Counter]:
    is_known = knows(_known(rows.get(concerned.user)), concerned.browser, now)
    return concerned.own if is_known else concerned.usual


def _known(row: Row | None) -> Known | None:
    if row is None or row.browsers is None:
        return None
    packed = row.browsers
    return Known(row.until, tuple(packed[at : at + DIGEST] for at in range(0, len(packed), DIGEST)))


def _standing(counter: Counter, rows: Rows, now: int) -> int:
    return agreed(counter.limit, rows.get(counter.id, _NOTHING).until, now)


def _waiting(counters: Iterable[Counter], rows: Rows, now: int) -> Admission | None:
    longest = max((wait(each.limit, _standing(each, rows, now), now) for each in counters), default=0)
    return Admission(wait=timedelta(microseconds=longest)) if longest else None


def _take(counters: Sequence[Counter], now: int, rows: Rows) -> tuple[Admission, Rows]:
    if (refusal := _waiting(counters, rows, now)) is not None:
        return refusal, {}
    held = tuple((each, taken(each.limit, _standing(each, rows, now), now)) for each in counters)
    return Admission(held=held), {counter.id: Row(until) for counter, until in held}


def _after_success(
    held: Iterable[tuple[Counter, int]], user: bytes, browser: bytes, now: int, rows: Rows
) -> tuple[None, Rows]:
    changed: dict[bytes, Row] = {
        counter.id: Row(given_back(counter.limit, _standing(counter, rows, now), now, mine)) for counter, mine in held
    }
    if user:
        known = learnt(_known(rows.get(user)), browser, now)
        changed[user] = Row(known.until, b"".join(known.browsers))
    return None, changed


def rows_of(rows: Iterable[tuple[bytes, int, bytes | None]]) -> Rows:
    """Give rows as a driver gives them."""
    return {bytes(id_): Row(until, None if packed is None else bytes(packed)) for id_, until, packed in rows}


def decided(
    decide: Callable[[Rows], tuple[T, Rows]], rows: Iterable[tuple[bytes, int, bytes | None]]
) -> tuple[T, Rows]:
    """Give what a decision makes of rows as a driver gives them."""
    return decide(rows_of(rows))
