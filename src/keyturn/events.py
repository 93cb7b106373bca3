"""What happened: frozen facts in the past tense, told after the write is durable.

A listener is any callable that takes one event, plain or ``async``. One that fails is logged and changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from .messages import Reply
from .session import Client, EndReason, Session
from .users import Principal

_NOBODY = Client()


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What every event tells.

    Args:
        at: when it happened, by the issuer's clock.
        session: the row after the change; None where there is none.
        client: where the request came from.
        request: the framework's own request; None outside HTTP.
    """

    at: datetime
    session: Session | None = None
    client: Client = _NOBODY
    request: Any = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStarted(Event):
    """A user signed in."""

    principal: Principal


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRefreshed(Event):
    """The key was turned: the session is one generation on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshReissued(Event):
    """A retry or a second tab got the same successor; nothing changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshRecovered(Event):
    """A client that never got its answer came back with the token before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshRefused(Event):
    """A genuine refresh token was refused.

    Args:
        code: what the caller was told (``session_ended``, ``binding_mismatch``, ``token_stale``).
        reason: what was found, for the log.
        high: True where a genuine token seems to be in wrong hands.
    """

    code: str
    reason: str
    high: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReuseDetected(Event):
    """A spent refresh token came back: there are two holders, and the session was ended.

    Args:
        behind: how many generations old the token is.
        since_rotation: how long ago the current generation began.
        sign_in_client: where the session was started; `client` says who presented the token.
    """

    behind: int
    since_rotation: timedelta
    sign_in_client: Client


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreWentBack(Event):
    """A token from the row's future came: the store lost writes (failover, restore). The row caught up.

    Args:
        row_generation: where the row stood.
        token_generation: what the client held.
    """

    row_generation: int
    token_generation: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionSteppedUp(Event):
    """The user proved again who they are, inside the session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEnded(Event):
    """A session ended before its time; told once a session."""

    reason: EndReason


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshRequired(Event):
    """Access tokens below a generation were made stale: clients refresh silently.

    Args:
        session_ids: the sessions concerned.
    """

    session_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginFailed(Event):
    """A sign-in, or a step-up, was refused.

    Args:
        username: what was typed, bounded and printable; it may be anything, even a password in the wrong field. Empty
            where a step-up needs no user name.
        reason: ``invalid_credentials``, ``rate_limited``, ``invalid_scope`` or ``session_limit``.
    """

    username: str = field(repr=False)
    reason: str


Listener: TypeAlias = Callable[[Any], None | Awaitable[None]]

#: Sees the framework's request, the reply, the user and the session of a login, refresh or logout, and may replace
#: the reply; None keeps it.
ReplyHook: TypeAlias = Callable[[Any, Reply, Principal | None, Session | None], Reply | None | Awaitable[Reply | None]]
