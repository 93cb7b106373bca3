"""Session rows and presented tokens as tests like them: all defaults, one thing changed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keyturn._binding import binding_digest, new_binding
from keyturn._policy import Presented
from keyturn._refresh_token import RefreshToken, seed_digest
from keyturn.session import Session, new_session_id
from keyturn.settings import Settings

NOW = datetime(2030, 3, 14, 12, 0, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
LEEWAY = timedelta(seconds=10)
DAY = timedelta(days=1)

SEED = bytes(range(16))
OTHER_SEED = bytes(range(1, 17))
COOKIE = new_binding(b"\x01" * 32)
OTHER_COOKIE = new_binding(b"\x02" * 32)
SESSION_ID = new_session_id(NOW + 90 * DAY, b"\x07" * 14)

BROWSER = Settings(issuer="https://id.example.org")
STRICT = Settings(issuer="https://id.example.org", profile="strict")


def settings_with(**changes: Any) -> Settings:
    """Give the default settings, some of them changed."""
    return Settings(issuer="https://id.example.org", **changes)


def a_row(**changes: Any) -> Session:
    """Give a session on generation 5 that turned an hour ago and whose client has been seen since."""
    row = Session(
        id=SESSION_ID,
        realm="default",
        subject="user-7",
        client_id="default",
        transport="cookie",
        remember=True,
        seed_digest=seed_digest(SEED),
        binding=binding_digest(COOKIE),
        generation=5,
        delivered=5,
        rotated_at=NOW - timedelta(hours=1),
        authenticated_at=NOW - DAY,
        created_at=NOW - DAY,
        idle_expires_at=NOW + 30 * DAY,
        expires_at=NOW + 89 * DAY,
    )
    return replace(row, **changes)


def presenting(generation: int, **changes: Any) -> Presented:
    """Give what a request brings with the token of a generation: by cookie, with its binding."""
    parts: Mapping[str, Any] = {"transport": "cookie", "binding": binding_digest(COOKIE), "client_id": None} | changes
    seed = parts.get("seed", SEED)
    token = RefreshToken(key_id=0, session_id=SESSION_ID, generation=generation, seed=seed)
    return Presented(token=token, transport=parts["transport"], binding=parts["binding"], client_id=parts["client_id"])
