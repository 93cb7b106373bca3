"""The door to the flows for code that blocks; `keyturn.sessions` is where it is known by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import stores
from ._application import async_faults
from ._build import Chance, build_flows, open_keys
from ._colour import call_blocking, drive
from ._doors import NO_ONE, Coroutines, blocking_faults, start_of
from ._flows import Flows
from .errors import ConfigurationError
from .events import Listener
from .keyrings import KeySource
from .session import Client, EndReason, Session, Transport
from .settings import Settings
from .stores import SessionStore
from .tokens import TokenPair
from .users import Principal, Users


class Sessions:
    """Sessions for code that blocks; the arguments and promises are those of `AsyncSessions`.

    Raises:
        ConfigurationError: the store or one of the application's functions awaits.
    """

    def __init__(
        self,
        settings: Settings,
        store: SessionStore | str,
        keys: KeySource | Any,
        *,
        users: Users | None = None,
        listeners: Iterable[Listener] = (),
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:
        store = stores.open(store) if isinstance(store, str) else store
        listeners = tuple(listeners)
        if faults := [*blocking_faults(store), *async_faults(users, listeners)]:
            raise ConfigurationError(faults)
        flows = build_flows(
            settings, store, open_keys(keys, settings, chance), users,
            chance=chance, call=call_blocking, listeners=listeners,
        )  # fmt: skip
        self._do = Coroutines(flows)

    @classmethod
    def over(cls, flows: Flows) -> Sessions:
        """Give the door to flows that exist already."""
        door = cls.__new__(cls)
        door._do = Coroutines(flows)  # noqa: SLF001 - its own
        return door

    def start(
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
        """Start a session; see `AsyncSessions.start`."""
        return drive(
            self._do.start(
                principal,
                start_of(
                    transport,
                    remember=remember,
                    client_id=client_id,
                    scope=scope,
                    amr=amr,
                    claims=claims,
                    client=client,
                ),
            )
        )

    def refresh(
        self, refresh_token: str, *, transport: Transport = "body", binding: str | None = None,
        scope: str | None = None,
    ) -> TokenPair:  # fmt: skip
        """Turn the key of a session; see `AsyncSessions.refresh`."""
        return drive(self._do.refresh(refresh_token, transport, binding, scope))

    def step_up(
        self, refresh_token: str, *, transport: Transport = "body", binding: str | None = None,
        amr: Sequence[str] | None = None, claims: Mapping[str, Any] | None = None, rebind: bool = False,
    ) -> TokenPair:  # fmt: skip
        """Note that the user proved again who they are; see `AsyncSessions.step_up`."""
        new_amr = None if amr is None else tuple(amr)
        return drive(self._do.step_up(refresh_token, transport, binding, new_amr, claims, rebind=rebind))

    def end(self, session_id: str, *, reason: EndReason = EndReason.ENDED) -> bool:
        """End one session; see `AsyncSessions.end`."""
        return drive(self._do.end(session_id, reason))

    def revoke(self, refresh_token: str, *, reason: EndReason = EndReason.LOGOUT) -> Session | None:
        """End the session that a refresh token belongs to; see `AsyncSessions.revoke`."""
        return drive(self._do.revoke(refresh_token, reason))

    def end_user(self, subject: str, *, keep: str | None = None, reason: EndReason = EndReason.LOGOUT_ALL) -> int:
        """End all sessions of a user; see `AsyncSessions.end_user`."""
        return drive(self._do.end_user(subject, keep, reason))

    def end_all(self, *, reason: EndReason = EndReason.ENDED, progress: Callable[[int], None] | None = None) -> int:
        """End every session of the realm; see `AsyncSessions.end_all`."""
        return drive(self._do.end_realm(reason, progress))

    def require(self, subject: str) -> int:
        """Make a user's access tokens stale; see `AsyncSessions.require`."""
        return drive(self._do.require(subject))

    def list(self, subject: str) -> Sequence[Session]:
        """Give a user's live sessions, oldest first."""
        return drive(self._do.list(subject))

    def purge(
        self, *, before: datetime | None = None, step: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:  # fmt: skip
        """Delete sessions that were over before a moment; see `AsyncSessions.purge`."""
        return drive(self._do.purge(before, step, progress))

    def purgeable(
        self, *, before: datetime | None = None, step: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:  # fmt: skip
        """Count what `purge` would delete; see `AsyncSessions.purgeable`."""
        return drive(self._do.purgeable(before, step, progress))
