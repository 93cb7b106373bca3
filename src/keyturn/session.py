"""The stored record of one sign-in on one device, and the one rule of its life.

Three numbers tell a session's whole story: ``generation`` (where it is now), ``delivered`` (what the client is known
to have) and a floor (nothing below is honoured): ``floor`` for refresh tokens, ``access_floor`` for access tokens.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Transport: TypeAlias = Literal["cookie", "body"]

#: A session id is 2 bytes of bucket and 14 random bytes; the bucket lets a store drop old months as a whole.
ID_BYTES = 16
#: base64url of 16 bytes, without padding.
ID_CHARACTERS = 22
#: Four unsigned bytes in the refresh token; a session that turned once a second would last 136 years.
MAX_GENERATION = 2**32 - 1
#: A column of 255 characters exists on every engine; OpenID Connect Core section 2 sets the same bound for ``sub``.
MAX_SUBJECT = 255

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


class EndReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    ENDED = "ended"
    REUSE = "reuse"
    LIMIT = "limit"
    USER_DISABLED = "user_disabled"
    CREDENTIALS_CHANGED = "credentials_changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Where a request came from, as far as it can be told; every part is bounded and printable.

    Args:
        user_agent: the ``User-Agent`` header field, at most 255 characters.
        ip: the peer's address in text.
        device_name: what the user calls the device, at most 100 characters.
    """

    user_agent: str = ""
    ip: str = ""
    device_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One sign-in on one device (protocol, the session row). Times are aware and in UTC; the text id has 22 characters."""

    id: str
    realm: str
    subject: str
    client_id: str
    transport: Transport
    remember: bool
    seed_digest: bytes = field(repr=False)
    binding: bytes | None = field(default=None, repr=False)
    generation: int = 0
    delivered: int = 0
    floor: int = 0
    access_floor: int = 0
    rotated_at: datetime
    recovered_at: datetime | None = None
    recoveries: int = 0
    authenticated_at: datetime
    amr: tuple[str, ...] = ()
    created_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    scope: str | None = None
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS)
    user_agent: str = ""
    ip: str = ""
    device_name: str = ""

    @property
    def client(self) -> Client:
        """Where the sign-in came from."""
        return Client(user_agent=self.user_agent, ip=self.ip, device_name=self.device_name)


def is_live(session: Session, now: datetime) -> bool:
    """Say whether a session may be used at `now`: it has not ended, and `now` lies before both of its ends.

    The intervals are half open: at the instant of an end the session is over.
    """
    return session.ended_at is None and now < session.idle_expires_at and now < session.expires_at


def new_session_id(expires_at: datetime, random: bytes) -> str:
    """Build a session id from the month in which the session ends at the latest and 14 random bytes.

    Args:
        expires_at: the absolute end, aware UTC.
        random: 14 bytes from a cryptographic source.
    """
    bucket = (expires_at.year - 2000) * 12 + expires_at.month - 1
    return session_id_text(bucket.to_bytes(2, "big") + random)


def session_id_text(raw: bytes) -> str:
    """Give a session id's 22 characters for its 16 bytes."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def session_id_bytes(text: str) -> bytes | None:
    """Give a session id's 16 bytes, or None for a text that is no canonical session id."""
    if len(text) != ID_CHARACTERS or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text + "==")
    except ValueError:
        return None
    return raw if session_id_text(raw) == text else None
