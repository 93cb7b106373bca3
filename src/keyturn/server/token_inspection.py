"""Says of a token what the server would say, and whose it is if it is genuine; changes nothing, and repeats no token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from .._colour import drive
from .._policy import CatchUp, Presented, Recover, Refuse, Reissue, Reuse, TryAgain, decide_refresh
from .._refresh_token import PREFIX, seed_digest
from .._seals import SealedRing
from ..errors import SessionEndedError, TokenError, TokenExpiredError, TokenInvalidError, TokenStaleError
from ..keyrings import KeySource
from ..session import Session, is_live
from ..settings import Settings
from ..stores import SessionStore
from ..tokens import UNCHECKED, Claims
from ..verifier import Verifier

Kind: TypeAlias = Literal["access", "refresh", "unknown"]
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_FOREIGN: Final = "It is no token of this installation: not genuine, or made for another issuer, audience or realm"
_LONGEST: Final = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What is known of a token.

    Args:
        kind: which of ours it looks like.
        good: whether the server would accept it now.
        verdict: why, or why not.
        claims: what it says; empty unless it was verified and is good.
        session: its session as the store has it; empty unless the token is genuine and there is one.
    """

    kind: Kind
    good: bool
    verdict: str
    claims: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    session: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


def kind_of(token: str) -> Kind:
    """Say what a text looks like; that proves nothing."""
    if token.startswith(PREFIX):
        return "refresh"
    return "access" if token.count(".") == 2 and len(token) <= _LONGEST else "unknown"


def inspect(
    token: str, settings: Settings, keys: KeySource, store: SessionStore, clock: Callable[[], datetime]
) -> Report:
    """Check a token as the server would.

    Args:
        token: as it was presented, without blanks around it.
        settings: whose tokens are accepted.
        keys: where the key ring comes from.
        store: where sessions are; one that blocks.
        clock: tells the time, aware UTC.

    Raises:
        StoreError: the store cannot be asked.
    """
    match kind_of(token):
        case "access":
            return _access(token, settings, keys, store, clock)
        case "refresh":
            return _refresh(token, settings, keys, store, clock())
        case _:
            return Report(kind="unknown", good=False, verdict="It does not look like a token of Keyturn's.")


# --- access tokens -----------------------------------------------------------------------------------------------------


def _access(
    token: str, settings: Settings, keys: KeySource, store: SessionStore, clock: Callable[[], datetime]
) -> Report:
    verifier = Verifier(settings, keys, clock=clock)
    drive(verifier.catch_up(store))
    try:
        claims = verifier.verify(token, binding=UNCHECKED)
    except TokenError as error:
        return Report(kind="access", good=False, verdict=_why_not(error))
    row = drive(store.get(claims.session_id))
    verdict = "It is good." if row is not None else "It is good, but the store does not know its session."
    if claims.binding is not None:
        verdict += " It is bound: it works only along with its binding cookie."
    session = _NOTHING if row is None else session_facts(row, clock())
    return Report(kind="access", good=True, verdict=verdict, claims=claims_facts(claims), session=session)


def _why_not(error: TokenError) -> str:
    match error:
        case TokenExpiredError():
            return "It is ours, and its time is over."
        case TokenStaleError():
            return "It is ours, and was overtaken: a newer one exists, or is due."
        case SessionEndedError():
            return "It is ours, and its session ended."
        case TokenInvalidError(cause=str(cause)):
            return f"{_FOREIGN} ({cause})."
        case _:
            return f"{_FOREIGN}."


def claims_facts(claims: Claims) -> dict[str, Any]:
    """Give a verified token's claims under the names that RFC 9068 and RFC 7662 give them."""
    named: dict[str, Any] = {
        "iss": claims.issuer, "sub": claims.subject, "aud": " ".join(claims.audience), "client_id": claims.client_id,
        "realm": claims.realm, "scope": " ".join(sorted(claims.scope)), "iat": claims.issued_at,
        "exp": claims.expires_at, "auth_time": claims.authenticated_at, "amr": " ".join(claims.amr),
        "jti": claims.token_id, "sid": claims.session_id, "gen": claims.generation,
        "bound": claims.binding is not None,
    }  # fmt: skip
    return {**named, **claims.extra}


# --- refresh tokens ----------------------------------------------------------------------------------------------------


def _refresh(token: str, settings: Settings, keys: KeySource, store: SessionStore, now: datetime) -> Report:
    try:
        opened = SealedRing(keys, settings.realm).open(token, now)
    except TokenInvalidError as error:
        return Report(kind="refresh", good=False, verdict=_why_not(error))
    row = drive(store.get(opened.session_id))
    if row is None or row.realm != settings.realm or not compare_digest(row.seed_digest, seed_digest(opened.seed)):
        return Report(kind="refresh", good=False, verdict="It is ours, and the store has no session for it.")
    presented = Presented(token=opened, transport=row.transport, binding=row.binding)
    good, verdict = _decided(decide_refresh(row, presented, now=now, settings=settings))
    if good and row.binding is not None:
        verdict += " It is bound: it works only along with its binding cookie."
    claims = {"sid": opened.session_id, "gen": opened.generation, "key": str(opened.key_id)}
    return Report(
        kind="refresh", good=good, verdict=verdict, claims=claims if good else _NOTHING, session=session_facts(row, now)
    )


def _decided(decision: Refuse | CatchUp | Reissue | Recover | Reuse | TryAgain) -> tuple[bool, str]:
    match decision:
        case TryAgain():
            return True, "It is good: the current one of its session."
        case Reissue() | Recover():
            return True, "It is good still: a retry, which gets the same successor again."
        case CatchUp():
            return True, "It is good, and ahead of the store, which lost writes."
        case Reuse(behind=behind):
            return False, f"It was used before, {behind} turns ago: whoever presents it ends the session, as a thief's."
        case Refuse(code="token_stale"):
            return False, "It was overtaken by a change of the user's own; the session lives on with a newer one."
        case _:
            return False, "It is ours, and its session is over."


def session_facts(session: Session, now: datetime) -> dict[str, Any]:
    """Give what an operator may know of a session."""
    return {
        "state": _state(session, now), "created_at": session.created_at, "refreshed_at": session.rotated_at,
        "idle_expires_at": session.idle_expires_at, "expires_at": session.expires_at, "ended_at": session.ended_at,
        "end_reason": None if session.end_reason is None else session.end_reason.value,
        "generation": session.generation, "transport": session.transport, "client_id": session.client_id,
    }  # fmt: skip


def _state(session: Session, now: datetime) -> str:
    if session.ended_at is not None:
        return "ended"
    return "live" if is_live(session, now) else "expired"
