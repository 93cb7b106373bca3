"""Claims for tests that want to be somebody without a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..session import session_id_text
from ..tokens import Claims
from .clock import START


def a_claims(
    subject: str = "alice",
    *,
    scope: Iterable[str] = (),
    amr: Iterable[str] = ("pwd",),
    now: datetime = START,
    authenticated_at: datetime | None = None,
    extra: Mapping[str, Any] | None = None,
    **other: Any,
) -> Claims:
    """Give the claims of a user who has just signed in: ``app.dependency_overrides[auth.required] = a_claims``.

    Args:
        subject: who.
        scope: what the access token grants.
        amr: how they proved who they are.
        now: when the token was issued.
        authenticated_at: when they signed in; `now` where left out.
        extra: the application's own claims.
        other: any further field of `Claims`.
    """
    fields: dict[str, Any] = {
        "issuer": "https://testserver",
        "realm": "default",
        "audience": ("https://testserver",),
        "client_id": "default",
        "session_id": session_id_text(bytes(16)),
        "generation": 0,
        "token_id": "a-test-token",
        "issued_at": now,
        "expires_at": now + timedelta(minutes=5),
        **other,
    }
    return Claims(
        subject=subject,
        scope=frozenset(scope),
        amr=tuple(amr),
        authenticated_at=authenticated_at or now,
        extra=dict(extra or {}),
        **fields,
    )
