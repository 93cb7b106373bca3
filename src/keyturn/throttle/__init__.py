"""Who is counted: the port that login, step-up and refresh ask before any work, and `open` to get one by its address.

Counters are kept in memory (`keyturn.throttle.memory`), in a SQLite file (`keyturn.throttle.sqlite`) or in a database
that all workers share (`keyturn.throttle.sqlalchemy`). An attempt is counted when it begins, and one that succeeds is
given back: so guesses that run side by side cannot be more than the limit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from .._colour import Colour
from ..errors import ConfigurationError
from ..limits import LIMIT_NAMES as LIMIT_NAMES, Limit as Limit, Limits as Limits
from ..stores._sql import SCHEMES, needing_sqlalchemy

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Attempt(NamedTuple):
    """One attempt, as it may be counted; its ``repr`` shows neither names nor addresses.

    Args:
        action: ``login`` and ``step_up`` count failures only; ``refresh`` counts every attempt.
        at: when it began, by the service's clock; a throttle reads no other.
        realm: whose users are meant.
        address: the client's, as told by the server and the trusted proxies; empty where unknown.
        username: as typed, for a login; existing or not makes no difference.
        session_id: for a refresh or a step-up, once its token was found genuine.
        browser: the digest of a binding cookie that came along, hexadecimal: a browser that is known for this user, or
            this session, may count for itself.
    """

    action: Literal["login", "step_up", "refresh"]
    at: datetime = _NEVER
    realm: str = "default"
    address: str = ""
    username: str = ""
    session_id: str = ""
    browser: str = ""

    def __repr__(self) -> str:
        return f"Attempt({self.action})"


class Admission(NamedTuple):
    """The answer to an attempt.

    Args:
        wait: how long to wait before the next one; None lets this one go on.
        held: what the throttle wants to be told again if the attempt succeeds.
    """

    wait: timedelta | None = None
    held: Any = None

    def __repr__(self) -> str:
        return f"Admission(wait={self.wait!r})"


#: Go on, and nothing was counted.
FREE: Final = Admission()


class Throttle(Protocol):
    """Counts attempts; asked before any database work of ours (security-checklist.md RT-16, AU-08).

    It raises where it cannot tell, and then the attempt is refused with 503 (ST-05). One that blocks or awaits may
    offer ``at_once(attempt) -> Admission | None`` too: asked first, it answers what needs neither a thread nor a turn.
    One that counts a session's own browser apart offers ``proven(session_id, browser, *, now)`` too: told, with the
    digest of its binding cookie, whenever that browser was given tokens. It returns at once.
    """

    @property
    def colour(self) -> Colour:
        """What the throttle's client does: block, await, or either. Without this property: either."""
        ...

    async def admit(self, attempt: Attempt) -> Admission:
        """Count an attempt, or say how long to wait and count nothing."""
        ...

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give back what a login or step-up was counted with, since only failures count.

        Args:
            admission: what `admit` gave for it.
            now: the time.
            browser: the digest of the binding cookie that the sign-in gives to this browser, hexadecimal; it signed
                this user in, and counts for itself from now on.
        """
        ...


class Informed(Throttle, Protocol):
    """A throttle as endpoints see it: every one can be told which browser is a session's own."""

    def proven(self, session_id: str, browser: str, *, now: datetime) -> None:
        """Tell that a browser, by the digest of its binding cookie, is the session's own."""
        ...


class NoThrottle:
    """Counts nothing and lets everything go on."""

    colour: Colour = "both"

    async def admit(self, attempt: Attempt) -> Admission:
        """Let it go on."""
        return FREE

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give nothing back."""


def open(url: str, limits: Limits | None = None) -> Throttle:  # noqa: A001 - reads as throttle.open(url)
    """Open a throttle by its address: ``memory:``, ``sqlite:///counters.db``, ``postgresql://…`` or ``mysql://…``.

    Args:
        url: where counters are kept. A SQLite file is the throttle's own, not the session store's.
        limits: `Limits` as they are where left out.

    Raises:
        ConfigurationError: the address names no place that is known here.
    """
    chosen = Limits() if limits is None else limits
    if url in ("memory:", "memory://"):
        from .memory import MemoryThrottle

        return MemoryThrottle(chosen)
    if url.startswith("sqlite:///"):
        from .sqlite import SqliteThrottle

        return SqliteThrottle(url.removeprefix("sqlite:///"), chosen)
    return _open_sql(url, chosen)


def _open_sql(url: str, limits: Limits) -> Throttle:
    scheme, _, rest = url.partition(":")
    backend = scheme.partition("+")[0]
    if backend not in SCHEMES:
        raise ConfigurationError([f"no throttle is known for {scheme!r}: use {_KNOWN}"])
    with needing_sqlalchemy(scheme):
        from ..stores.sqlalchemy._urls import parsed
        from .sqlalchemy import SqlAlchemyThrottle
    # A driver that blocks serves every door, in worker threads where it awaits, and belongs to no event loop.
    return SqlAlchemyThrottle(parsed(f"{backend}:{rest}", "sync").engine(_TIMEOUT), limits)


_KNOWN: Final = "memory:, sqlite:///PATH, postgresql://… or mysql://…"
#: A sign-in that waits longer for its counters is refused (503).
_TIMEOUT: Final = timedelta(seconds=5)


#: What an application may say: a throttle, limits for one in memory, an address, None for nobody; ``"default"`` is as
#: the profile says, ``"store"`` beside the sessions.
Choice: TypeAlias = Throttle | Limits | str | None


def chosen(choice: Choice, *, profile: str, store: str | None) -> Throttle:
    """Give the throttle that an application means.

    Args:
        profile: of the settings; in ``testing`` nobody is counted unless asked for.
        store: the address of the session store; None where a store was handed over.

    Raises:
        ConfigurationError: the address names no place that is known here.
    """
    if choice is None or (choice == "default" and profile == "testing"):
        return NoThrottle()
    if choice == "default":
        return open("memory:")
    if isinstance(choice, Limits):
        return open("memory:", choice)
    if choice == "store":
        return open(_beside(store))
    return open(choice) if isinstance(choice, str) else choice


def _beside(store: str | None) -> str:
    if store is None:
        raise ConfigurationError(
            ['throttle="store" needs the store\'s address, and a store was handed over: open a throttle of its kind']
        )
    # A file of its own: counting never waits for a session's commit, nor the other way round.
    return f"{store}.throttle" if store.startswith("sqlite:") else store


def begun_anew(throttle: Throttle) -> Throttle:
    """Give a throttle for a test: one in memory without what it has counted, any other as it is."""
    anew = getattr(throttle, "anew", None)
    return throttle if anew is None else anew()
