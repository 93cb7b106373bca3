"""Who may sign in, with what, and which sessions make room: decisions of a sign-in, pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ._refresh_token import seed_digest
from .errors import RequestError
from .session import MAX_SUBJECT, Client, Session, Transport, new_session_id
from .settings import UNREMEMBERED_IDLE, Settings
from .users import DEFAULT_CLIENT, Principal


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a new session shall be like, beside the user.

    Args:
        transport: how refresh tokens will travel.
        remember: whether it outlives the browser; False also caps the idle lifetime at 24 h.
        scope: what was asked for, space-separated; None for all that the user holds.
        amr: how the user proved who they are (RFC 8176).
        claims: what the session's access tokens shall say besides.
        client: where the sign-in came from.
    """

    transport: Transport
    remember: bool = True
    client_id: str = DEFAULT_CLIENT
    scope: str | None = None
    amr: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    client: Client = Client()  # noqa: RUF009 - a frozen value


def start(
    principal: Principal,
    how: Start,
    *,
    now: datetime,
    settings: Settings,
    random: bytes,
    seed: bytes,
    binding: bytes | None,
) -> Session:
    """Give the row of a new session.

    Args:
        random: 14 random bytes for its id.
        seed: 16 random bytes.
        binding: the binding's digest, None for an unbound session.
    """
    expires_at = now + settings.session_lifetime
    idle = settings.idle_lifetime if how.remember else min(settings.idle_lifetime, UNREMEMBERED_IDLE)
    return Session(
        id=new_session_id(expires_at, random),
        realm=settings.realm,
        subject=principal.subject,
        client_id=how.client_id,
        transport=how.transport,
        remember=how.remember,
        seed_digest=seed_digest(seed),
        binding=binding,
        rotated_at=now,
        authenticated_at=now,
        amr=how.amr,
        created_at=now,
        idle_expires_at=min(now + idle, expires_at),
        expires_at=expires_at,
        scope=how.scope,
        claims=how.claims,
        user_agent=how.client.user_agent,
        ip=how.client.ip,
        device_name=how.client.device_name,
    )


def over_limit(live: Sequence[str], new: str, settings: Settings) -> tuple[list[str], bool]:
    """Say which of a user's live sessions must go, and whether the new one is refused.

    It is judged after the new row was added, and the survivors are a function of the ordered rows alone: logins that
    run side by side agree on them.

    Args:
        live: the ids of the user's live sessions, oldest first, the new one's among them; or none: they are not too many.
        new: the new one's id.
    """
    surplus = len(live) - settings.max_sessions
    if surplus <= 0:
        return [], False
    if settings.on_limit == "end_oldest":
        return list(live[:surplus]), False
    losers = list(live[settings.max_sessions :])
    # Where the new one is no loser, a younger one was let in before it was kept: only its going keeps the limit.
    return ([new], True) if new in losers else (losers, False)


# --- scope, subject, text ------------------------------------------------------------------------------------------

_SCOPE_TOKEN: Final = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "\\"}


def granted_scope(requested: str | None, principal: Principal) -> frozenset[str]:
    """Say what a user is granted: what was asked for and is held; all that is held where nothing was asked."""
    return principal.scopes if requested is None else principal.scopes & frozenset(requested.split())


def checked_scope(requested: str | None, held: frozenset[str]) -> str | None:
    """Give a requested scope in canonical form.

    Args:
        requested: space-separated scope tokens (RFC 6749 section 3.3); None or empty asks for all.
        held: what may be asked for.

    Raises:
        RequestError: ``invalid_scope``: malformed, or not held.
    """
    if not requested:
        return None
    wanted = requested.split(" ")
    if not all(word and _SCOPE_TOKEN.issuperset(word) for word in wanted) or not held.issuperset(wanted):
        raise RequestError("The scope that was asked for is not held.", code="invalid_scope")
    return " ".join(sorted(set(wanted)))


def subject_fault(principal: Principal, client_ids: Container[str]) -> str | None:
    """Say what is wrong with a principal's subject, None where nothing is (RFC 9700 section 4.15)."""
    subject: object = principal.subject
    if not isinstance(subject, str) or not subject or len(subject) > MAX_SUBJECT:
        return f"a principal's subject must be a text of 1 to {MAX_SUBJECT} characters"
    if not subject.isprintable():
        return "a principal's subject must be printable"
    if subject == DEFAULT_CLIENT or subject in client_ids:
        return "a principal's subject equals a client_id: prefix one of them"
    return None


def printable(text: str | None, limit: int) -> str:
    """Give a text from outside as it may be stored and logged: bounded, without control characters or surrogates."""
    if not text:
        return ""
    return "".join(character for character in text[: 2 * limit] if character.isprintable())[:limit]


def bounded(client: Client) -> Client:
    """Give what a client tells of itself as it may be stored and shown."""
    return Client(
        user_agent=printable(client.user_agent, 255),
        ip=printable(client.ip, 45),
        device_name=printable(client.device_name, 100),
    )
