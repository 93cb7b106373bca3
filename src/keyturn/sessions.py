"""The door to the flows, in both colours: start, refresh, end and look at sessions, with no HTTP anywhere.

`AsyncSessions` awaits, `Sessions` blocks; the methods and their promises are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from . import stores
from ._blocking_sessions import Sessions as Sessions  # noqa: PLC0414 - known by this place
from ._build import Chance, build_flows, open_keys
from ._colour import Bridge
from ._doors import NO_ONE, Coroutines, async_caller, run_async, start_of
from ._flows import Flows
from .events import Listener
from .keyrings import KeySource
from .session import Client, EndReason, Session, Transport
from .settings import Settings
from .stores import SessionStore
from .tokens import TokenPair
from .users import Principal, Users

T = TypeVar("T")


class AsyncSessions:
    """Sessions for code that awaits.

    Args:
        settings: of one issuer and realm.
        store: where sessions are kept, or its address (``sqlite:///app.db``).
        keys: a key source, or the directory of a key ring.
        users: asked at every refresh whether the user may still be signed in.
        listeners: told what happened, one event each.
        bridge: the way to worker threads; needed for a store that blocks.

    Raises:
        ConfigurationError: the parts do not fit together.
    """

    def __init__(
        self,
        settings: Settings,
        store: SessionStore | str,
        keys: KeySource | Any,
        *,
        users: Users | None = None,
        listeners: Iterable[Listener] = (),
        bridge: Bridge | None = None,
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:
        store = stores.open(store, colour="async") if isinstance(store, str) else store
        flows = build_flows(
            settings, store, open_keys(keys, settings, chance), users,
            chance=chance, call=async_caller(store, bridge), listeners=listeners,
        )  # fmt: skip
        self._take(flows, bridge)

    def _take(self, flows: Flows, bridge: Bridge | None) -> None:
        self._do = Coroutines(flows)
        self._flows = flows
        self._bridge = bridge

    @classmethod
    def over(cls, flows: Flows, bridge: Bridge | None) -> AsyncSessions:
        """Give the door to flows that exist already."""
        door = cls.__new__(cls)
        door._take(flows, bridge)  # noqa: SLF001 - its own
        return door

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return run_async(coroutine, self._flows.store, self._bridge)

    async def start(
        self,
        principal: Principal,
        *,
        transport: Transport = "body",
        remember: bool = True,
        client_id: str = "default",
        scope: str | None = None,
        amr: Sequence[str] = (),
        claims: Mapping[str, Any] | None = None,
        client: Client = NO_ONE,
    ) -> TokenPair:
        """Start a session for a user who has just proved who they are (social login, passkey, registration).

        Args:
            transport: how refresh tokens will travel: ``body`` or ``cookie``.
            remember: False ends the session after 24 h without use.
            client_id: the registered program that the user signs in with.
            scope: space-separated; all that the principal holds where left out.
            amr: how the user proved who they are (RFC 8176): ``["pwd", "otp"]``.
            claims: what the session's access tokens shall say besides.
            client: where the sign-in comes from, for the list of devices.

        Raises:
            SessionLimitError: as many sessions as allowed, and the settings refuse more.
            RequestError: ``invalid_scope``.
            StoreError: the store cannot be asked.
        """
        how = start_of(
            transport, remember=remember, client_id=client_id, scope=scope, amr=amr, claims=claims, client=client
        )
        return await self._run(self._do.start(principal, how))

    async def refresh(
        self, refresh_token: str, *, transport: Transport = "body", binding: str | None = None,
        scope: str | None = None,
    ) -> TokenPair:  # fmt: skip
        """Turn the key of a session: give new tokens for a refresh token.

        Args:
            refresh_token: ``kt1.…``.
            transport: how the token came.
            binding: the binding cookie's value, for cookie sessions.
            scope: a subset of what is granted, for this access token only.

        Raises:
            TokenInvalidError: not genuine; no store was asked.
            SessionEndedError, BindingMismatchError, TokenStaleError: as the table in docs/explanation/sessions.md tells.
            StoreError: the store cannot be asked; the session is kept.
        """
        return await self._run(self._do.refresh(refresh_token, transport, binding, scope))

    async def step_up(
        self, refresh_token: str, *, transport: Transport = "body", binding: str | None = None,
        amr: Sequence[str] | None = None, claims: Mapping[str, Any] | None = None, rebind: bool = False,
    ) -> TokenPair:  # fmt: skip
        """Note that the user proved again who they are; older tokens of the session are dead at once.

        Args:
            refresh_token: the session's current one.
            amr: the new methods; None keeps the old.
            claims: the session's new claims; None keeps the old.
            rebind: give the session a new binding cookie.

        Raises:
            TokenStaleError: the refresh token is not the current one; nothing changed.
        """
        new_amr = None if amr is None else tuple(amr)
        return await self._run(self._do.step_up(refresh_token, transport, binding, new_amr, claims, rebind=rebind))

    async def end(self, session_id: str, *, reason: EndReason = EndReason.ENDED) -> bool:
        """End one session of this realm; True if this call ended it."""
        return await self._run(self._do.end(session_id, reason))

    async def revoke(self, refresh_token: str, *, reason: EndReason = EndReason.LOGOUT) -> Session | None:
        """End the session that a refresh token belongs to, whatever its generation; give it if this call ended it.

        Args:
            refresh_token: ``kt1.…``, the current one or a spent one (RFC 7009).

        Raises:
            TokenInvalidError: not genuine; no store was asked.
        """
        return await self._run(self._do.revoke(refresh_token, reason))

    async def end_user(self, subject: str, *, keep: str | None = None, reason: EndReason = EndReason.LOGOUT_ALL) -> int:
        """End all sessions of a user; give how many.

        Args:
            keep: the id of a session that is left alone.
            reason: ``USER_DISABLED`` and ``CREDENTIALS_CHANGED`` are for those occasions.
        """
        return await self._run(self._do.end_user(subject, keep, reason))

    async def end_all(
        self, *, reason: EndReason = EndReason.ENDED, progress: Callable[[int], None] | None = None
    ) -> int:
        """End every session of the realm, in bounded steps; give how many.

        Every session that was there when it began is over at its end; of those that begin meanwhile, some are. One that
        is stopped in its midst has done what it has done. A store of somebody else's may do it in one step
        (`keyturn.stores.Stepping`).

        Args:
            reason: why.
            progress: told the count so far after each step but the last.
        """
        return await self._run(self._do.end_realm(reason, progress))

    async def require(self, subject: str) -> int:
        """Make a user's access tokens stale after their roles or claims changed: clients refresh silently."""
        return await self._run(self._do.require(subject))

    async def list(self, subject: str) -> Sequence[Session]:
        """Give a user's live sessions, oldest first."""
        return await self._run(self._do.list(subject))

    async def purge(
        self, *, before: datetime | None = None, step: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:  # fmt: skip
        """Delete sessions that were over before a moment, in bounded steps; give how many rows went.

        Args:
            before: aware UTC; now where left out.
            step: how many rows one step looks at; the store's own choice where left out.
            progress: told the count so far after each step but the last.
        """
        return await self._run(self._do.purge(before, step, progress))

    async def purgeable(
        self, *, before: datetime | None = None, step: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:  # fmt: skip
        """Count what `purge` would delete with the same arguments, in the same bounded steps; changes nothing.

        Raises:
            ConfigurationError: the store cannot count (`keyturn.stores.Counting`).
        """
        return await self._run(self._do.purgeable(before, step, progress))
