"""What both doors share: the verbs as coroutines, and how an async door runs them over a store that blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ._admission import Start
from ._binding import presented_digest
from ._colour import Bridge, Caller, call_either, call_from_loop, call_from_thread, drive
from ._ends import NOWHERE
from ._flows import Flows
from ._policy import Presented
from .errors import ConfigurationError
from .session import Client, EndReason, Session, Transport
from .stores import SessionStore
from .tokens import TokenPair
from .users import Principal

T = TypeVar("T")


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

    async def end_all(self, subject: str | None, keep: str | None, reason: EndReason) -> int:
        """End all sessions of a user, or of the realm."""
        return len(await self._flows.ends.end_all(subject, reason, NOWHERE, keep=keep))

    async def require(self, subject: str) -> int:
        """Make a user's access tokens stale."""
        return await self._flows.ends.require(await self._flows.ends.find(subject))

    async def list(self, subject: str) -> Sequence[Session]:
        """Give a user's live sessions."""
        return await self._flows.ends.find(subject)

    async def purge(self, before: datetime | None, step: int, progress: Callable[[int], None] | None) -> int:
        """Delete what was over."""
        return await self._flows.ends.purge(before, step, progress)


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
    return ["the store awaits, but this door blocks: give it a store over a blocking client, or use AsyncSessions"]
