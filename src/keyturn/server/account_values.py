"""What the verbs of accounts take, give and raise."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol

from ..errors import RequestError
from ..session import EndReason
from .logs import FIELDS
from .records import Account

_log = logging.getLogger("keyturn.accounts")

#: How long a reset is good for at most (ASVS 6.4.1), and where nobody says.
LONGEST_RESET: Final = timedelta(minutes=60)
#: Scanners for secrets and filters of logs find it by that.
RESET_PREFIX: Final = "ktreset1."


class SessionsDoor(Protocol):
    """What accounts need of sessions: `keyturn.Sessions` or `keyturn.AsyncSessions`."""

    def end_user(self, subject: str, *, keep: str | None = None, reason: EndReason = ...) -> Any:
        """End all sessions of a user."""
        ...

    def require(self, subject: str) -> Any:
        """Make a user's access tokens stale."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a verb did.

    Args:
        account: as it is now.
        changed: False where it was so already.
        sessions: how many were ended, or made to refresh.
    """

    account: Account
    changed: bool
    sessions: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """A one-time password reset; only its digest is kept.

    Args:
        account: whose password it lets be set.
        token: what the user shall send back; a secret.
        expires_at: aware UTC.
    """

    account: Account
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A password change whose slow part is done: the old one was right, the new one is taken and hashed.

    Args:
        account: as it was read.
        password_hash: of the new password.
    """

    account: Account
    password_hash: str = field(repr=False)


class NotFoundError(RequestError):
    """There is no such account."""

    default_code = "not_found"
    default_status = 404
    default_message = "There is no account of that name."


class ResetError(RequestError):
    """A reset token is unknown, used or too old: one answer for all."""

    default_code = "reset_invalid"
    default_message = "This reset is not valid, or no longer. Ask for a new one."


def reset_digest(token: str) -> bytes:
    """Give what is kept of a reset token; nothing else has such a digest, whatever else may be looked up by one."""
    return sha256(b"keyturn password reset v1\0" + token.encode("utf-8", "surrogatepass")).digest()


def tell(subject: str, act: str) -> None:
    """Log who was changed, by the opaque id: names and addresses are personal, and the log is not their place."""
    _log.info("an account was changed", extra={FIELDS: {"subject": subject, "act": act}})
