"""What both doors share: the verbs as coroutines, and how an async door runs them over a store that blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from ._admission import Start
from ._binding import presented_digest
from ._colour import Bridge, Caller, Colour, call_either, call_from_loop, call_from_thread, drive
from ._ends import NOWHERE
from ._flows import Flows
from ._policy import Presented
from .errors import ConfigurationError, KeyturnError, StoreError
from .session import Client, EndReason, Session, Transport
from .stores import SessionStore
from .throttle import Admission, Attempt, Throttle
from .tokens import TokenPair
from .users import Principal

T = TypeVar("T")

#: Where a session comes from when nobody says.
NO_ONE: Final = Client()


class Coroutines:
    """The verbs as coroutines, shared by both doors."""

    __slots__ = ("_flows",)

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    async def start(self, principal: Principal, how: Start) -> TokenPair:
        """Start a session."""
        return (await self._flows.start(principal, how)).pair

    async def refresh(self, text: str, transport: Transport, binding: str | None, scope: str | None) -> TokenPair:
        """Turn a key."""
        outcome = await self._flows.refresh(self._presented(text, transport, binding), scope=scope)
        return outcome.pair

    async def step_up(
        self, text: str, transport: Transport, binding: str | None, amr: tuple[str, ...] | None,
        claims: Mapping[str, Any] | None, *, rebind: bool,
    ) -> TokenPair:  # fmt: skip
        """Step a session up."""
        presented = self._presented(text, transport, binding)
        return (await self._flows.step_up(presented, amr=amr, claims=claims, rebind=rebind)).pair

    def _presented(self, text: str, transport: Transport, binding: str | None) -> Presented:
        token = self._flows.issuer.seals.open(text, self._flows.clock())
        return Presented(token=token, transport=transport, binding=presented_digest(binding))

    async def end(self, session_id: str, reason: EndReason) -> bool:
        """End one session."""
        known = await self._flows.ends.get(session_id)
        return known is not None and bool(await self._flows.ends.end([session_id], reason))

    async def revoke(self, text: str, reason: EndReason) -> Session | None:
        """End the session of a refresh token of any generation."""
        ends = self._flows.ends
        session = await ends.session_of(self._flows.issuer.seals.open(text, self._flows.clock()))
        ended = await ends.end([session.id], reason) if session is not None else []
        return ended[0] if ended else None

    async def end_user(self, subject: str, keep: str | None, reason: EndReason) -> int:
        """End all sessions of a user."""
        return len(await self._flows.ends.end_all(subject, reason, NOWHERE, keep=keep))

    async def end_realm(self, reason: EndReason, progress: Callable[[int], None] | None) -> int:
        """End all sessions of the realm."""
        return await self._flows.ends.end_realm(reason, NOWHERE, progress)

    async def require(self, subject: str) -> int:
        """Make a user's access tokens stale."""
        return await self._flows.ends.require(await self._flows.ends.find(subject))

    async def list(self, subject: str) -> Sequence[Session]:
        """Give a user's live sessions."""
        return await self._flows.ends.find(subject)

    async def purge(self, before: datetime | None, step: int | None, progress: Callable[[int], None] | None) -> int:
        """Delete what was over."""
        return await self._flows.ends.purge(before, step, progress)

    async def purgeable(self, before: datetime | None, step: int | None, progress: Callable[[int], None] | None) -> int:
        """Count what a purge would delete."""
        return await self._flows.ends.purgeable(before, step, progress)


def start_of(
    transport: Transport, *, remember: bool, client_id: str, scope: str | None, amr: Sequence[str],
    claims: Mapping[str, Any] | None, client: Client,
) -> Start:  # fmt: skip
    """Give what a door's arguments say of a new session."""
    return Start(
        transport=transport, remember=remember, client_id=client_id, scope=scope, amr=tuple(amr),
        claims=dict(claims or {}), client=client,
    )  # fmt: skip


def async_caller(store: SessionStore, bridge: Bridge | None) -> Caller:
    """Give the way an async door calls an application's functions.

    Raises:
        ConfigurationError: the store blocks and there is no bridge to worker threads.
    """
    if bridge is None:
        if store.colour == "sync":
            raise ConfigurationError(
                ["the store blocks: use Sessions, or give AsyncSessions a bridge to worker threads"]
            )
        return call_either
    return call_from_thread(bridge) if store.colour == "sync" else call_from_loop(bridge)


def run_async(coroutine: Coroutine[Any, Any, T], store: SessionStore, bridge: Bridge | None) -> Awaitable[T]:
    """Give a flow to be awaited; where its store blocks, the whole of it moves to a worker thread: one hop."""
    return coroutine if store.colour != "sync" or bridge is None else _in_thread(coroutine, bridge)


async def _in_thread(coroutine: Coroutine[Any, Any, T], bridge: Bridge) -> T:
    try:
        return await bridge.run_blocking(lambda: drive(coroutine))
    finally:
        coroutine.close()  # where it was cancelled before a thread was free


def blocking_faults(store: SessionStore) -> list[str]:
    """Say why a blocking door cannot use a store; empty where it can."""
    if store.colour != "async":
        return []
    fix = "give it a store over a blocking client (an Engine, not an AsyncEngine), or use AsyncSessions"
    return [f"the store awaits, but this door blocks: {fix}"]


class Asked:
    """A throttle, asked in a door's own way; one that cannot tell lets nobody through (security-checklist.md ST-05).

    Args:
        throttle: of any colour.
        call: how the door calls functions that block or await.
    """

    def __init__(self, throttle: Throttle, call: Caller) -> None:
        self._throttle = throttle
        self._call = call
        self.colour: Colour = getattr(throttle, "colour", "both")
        self._proven: Callable[..., None] | None = getattr(throttle, "proven", None)
        self._at_once: Callable[[Attempt], Admission | None] | None = getattr(throttle, "at_once", None)

    async def admit(self, attempt: Attempt) -> Admission:
        """Count an attempt, or say how long to wait.

        Raises:
            StoreError: it cannot be told.
        """
        try:
            if self.colour == "both":
                return await self._throttle.admit(attempt)
            if self._at_once is not None and (answer := self._at_once(attempt)) is not None:
                return answer
            return await self._called(partial(self._throttle.admit, attempt))
        except KeyturnError:
            raise
        except Exception as error:  # noqa: BLE001 - by its type alone: its message may repeat what was counted
            raise StoreError(cause=f"the throttle raised {type(error).__name__}") from None

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give back what a login or step-up was counted with."""
        give_back = partial(self._throttle.succeeded, attempt, admission, now=now, browser=browser)
        await (give_back() if self.colour == "both" else self._called(give_back))

    def proven(self, session_id: str, browser: str, *, now: datetime) -> None:
        """Tell that a browser is a session's own, if the throttle wants to know."""
        if self._proven is not None:
            self._proven(session_id, browser, now=now)

    async def _called(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def awaited() -> T:
            return await ask()

        def blocking() -> T:
            return drive(ask())

        result: T = await self._call(blocking if self.colour == "sync" else awaited)
        return result


def throttle_faults(throttle: Throttle) -> list[str]:
    """Say why a blocking door cannot use a throttle; empty where it can."""
    if getattr(throttle, "colour", "both") != "async":
        return []
    return ["the throttle awaits, but this door blocks: give it one over a blocking client"]
