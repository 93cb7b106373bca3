"""Refresh-token sessions for Python web APIs: short JWTs, refresh tokens that rotate, logout that logs out.

An application imports ``Keyturn`` from its framework's module (``keyturn.fastapi``, ``keyturn.starlette``) and the
values it hands over from here. This module loads no framework and no database driver.
"""

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
from .messages import Cookie, Reply, Request
from .service import Service
from .session import Client, EndReason, Session
from .sessions import AsyncSessions, Sessions
from .settings import CookieSettings, Settings
from .tokens import UNCHECKED, Claims, TokenPair
from .users import Principal, RegisteredClient, Users
from .verifier import Verifier

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
