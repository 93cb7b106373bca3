"""Refresh-token sessions for Python web APIs: short JWTs, refresh tokens that rotate, logout that logs out.

An application imports ``Keyturn`` from its framework's module (``keyturn.fastapi``, ``keyturn.flask``) and the
values it hands over from here. This module loads no framework and no database driver; each name is loaded when it is
first used, so that a program which only verifies tokens does not pay for one that issues them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ._build import Chance
    from .errors import (
        BindingMismatchError,
        ConfigurationError,
        CredentialsError,
        ForgeryError,
        KeyturnError,
        ReauthenticationError,
        RequestError,
        ScopeError,
        SessionEndedError,
        SessionLimitError,
        StoreError,
        ThrottledError,
        TokenError,
        TokenExpiredError,
        TokenInvalidError,
        TokenMissingError,
        TokenStaleError,
    )
    from .http.guard import Guard, Need
    from .limits import Limits
    from .messages import Cookie, Reply, Request
    from .service import Service
    from .session import Client, EndReason, Session
    from .sessions import AsyncSessions, Sessions
    from .settings import CookieSettings, Settings
    from .tokens import UNCHECKED, Claims, TokenPair
    from .users import Principal, RegisteredClient, Users
    from .verifier import Verifier

_HOMES: Final = {
    "AsyncSessions": "sessions",
    "BindingMismatchError": "errors",
    "Chance": "_build",
    "Claims": "tokens",
    "Client": "session",
    "ConfigurationError": "errors",
    "Cookie": "messages",
    "CookieSettings": "settings",
    "CredentialsError": "errors",
    "EndReason": "session",
    "ForgeryError": "errors",
    "Guard": "http.guard",
    "KeyturnError": "errors",
    "Limits": "limits",
    "Need": "http.guard",
    "Principal": "users",
    "ReauthenticationError": "errors",
    "RegisteredClient": "users",
    "Reply": "messages",
    "Request": "messages",
    "RequestError": "errors",
    "ScopeError": "errors",
    "Service": "service",
    "Session": "session",
    "SessionEndedError": "errors",
    "SessionLimitError": "errors",
    "Sessions": "sessions",
    "Settings": "settings",
    "StoreError": "errors",
    "ThrottledError": "errors",
    "TokenError": "errors",
    "TokenExpiredError": "errors",
    "TokenInvalidError": "errors",
    "TokenMissingError": "errors",
    "TokenPair": "tokens",
    "TokenStaleError": "errors",
    "UNCHECKED": "tokens",
    "Users": "users",
    "Verifier": "verifier",
}

__version__ = "0.1.0"

__all__ = [
    "UNCHECKED",
    "AsyncSessions",
    "BindingMismatchError",
    "Chance",
    "Claims",
    "Client",
    "ConfigurationError",
    "Cookie",
    "CookieSettings",
    "CredentialsError",
    "EndReason",
    "ForgeryError",
    "Guard",
    "KeyturnError",
    "Limits",
    "Need",
    "Principal",
    "ReauthenticationError",
    "RegisteredClient",
    "Reply",
    "Request",
    "RequestError",
    "ScopeError",
    "Service",
    "Session",
    "SessionEndedError",
    "SessionLimitError",
    "Sessions",
    "Settings",
    "StoreError",
    "ThrottledError",
    "TokenError",
    "TokenExpiredError",
    "TokenInvalidError",
    "TokenMissingError",
    "TokenPair",
    "TokenStaleError",
    "Users",
    "Verifier",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
