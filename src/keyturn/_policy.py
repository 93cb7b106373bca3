"""Every decision about sessions, pure: no clock, no store, no randomness.

`decide_refresh` is the table of docs/explanation/sessions.md, row by row; the first that matches wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final, TypeAlias

from ._refresh_token import RefreshToken, seed_digest
from ._turn import MAX_RECOVERIES, Changes, Turn
from .errors import BindingMismatchError, SessionEndedError, TokenError, TokenStaleError
from .session import MAX_GENERATION, Session, Transport, is_live
from .settings import ACCESS_TOKEN_CEILING, UNREMEMBERED_IDLE, Settings

_ZERO: Final = timedelta(0)

# --- values --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """What a refresh request brought, checked to be genuine.

    Args:
        token: the refresh token's parts.
        transport: how it came.
        binding: the digest of the binding that came along, None where none did.
        client_id: the client that the request names or proves, None where it names none.
    """

    token: RefreshToken
    transport: Transport
    binding: bytes | None = field(default=None, repr=False)
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer `code`; nothing changes. `reason` is for the log, `high` for an alarm."""

    code: str
    reason: str
    high: bool = False


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The store lost writes: move the row from `generation` on to the token's successor."""

    generation: int


@dataclass(frozen=True, slots=True)
class Reissue:
    """Give the token of `generation` again, with a fresh access token; nothing changes."""

    generation: int


@dataclass(frozen=True, slots=True)
class Recover:
    """Give the successor, `generation`, that never reached its client; count it."""

    generation: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """Two parties hold copies: end the session and tell."""

    behind: int
    since_rotation: timedelta


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The row moved between the step and the look at it: take the step again."""


Decision: TypeAlias = Refuse | CatchUp | Reissue | Recover | Reuse | TryAgain

# --- refresh -------------------------------------------------------------------------------------------------------


def plan_turn(presented: Presented, *, now: datetime, settings: Settings) -> Turn:
    """Say what the store's atomic step shall do in the common case: turn the presented token's generation."""
    token = presented.token
    waits = presented.transport == "cookie" and settings.leeway > _ZERO
    return Turn(
        id=token.session_id,
        realm=settings.realm,
        transport=presented.transport,
        client_id=presented.client_id,
        generation=token.generation,
        seed_digest=seed_digest(token.seed),
        binding=presented.binding,
        now=now,
        to=token.generation + 1,
        turned_before=now - settings.leeway if waits else None,
        idle_remember=_idle_end(now, settings, remember=True),
        idle_session=_idle_end(now, settings, remember=False),
    )


def plan_again(turn: Turn, row: Session | None) -> Turn:
    """Say how the step is taken again on a row that was looked at: a proof that nobody asked for is left out.

    A browser may send the binding cookie of another sign-in along with the token of a session that has no binding.
    """
    return turn if row is None or row.binding is not None else replace(turn, binding=None)


def plan_catch_up(turn: Turn, decision: CatchUp) -> Turn:
    """Say how the row catches up with a token from its future: compare and set, and no wait."""
    return replace(turn, generation=decision.generation, turned_before=None)


def _idle_end(now: datetime, settings: Settings, *, remember: bool) -> datetime | None:
    if not settings.sliding:
        return None
    return now + (settings.idle_lifetime if remember else min(settings.idle_lifetime, UNREMEMBERED_IDLE))


def decide_refresh(session: Session | None, presented: Presented, *, now: datetime, settings: Settings) -> Decision:
    """Say what becomes of a genuine refresh token that the store's step did not turn (docs/explanation/sessions.md)."""
    token = presented.token
    # rows 1 to 4: is there a session for it at all?
    if session is None:
        return Refuse("session_ended", "unknown")
    if (refusal := _no_session_for(session, presented, now, settings)) is not None:
        return refusal
    behind = session.generation - token.generation
    anchor = max(session.rotated_at, session.recovered_at or session.rotated_at)
    # a length of 0 switches a row off, also on a clock that went back
    in_leeway = settings.leeway > _ZERO and now < anchor + settings.leeway
    # 5. ahead: the store lost writes
    if behind < 0 and token.generation < MAX_GENERATION:
        return CatchUp(session.generation)
    # 6. below the floor: an own change overtook it, and nobody is accused
    if token.generation < session.floor:
        return Refuse("token_stale", "below_floor")
    # 7. and 8. equal: inside the leeway the cookie jar may still be settling
    if behind == 0 and in_leeway and _may_wait(session):
        return Reissue(token.generation)
    if behind <= 0:
        return TryAgain() if token.generation < MAX_GENERATION else Refuse("session_ended", "exhausted")
    # 9. one behind, inside the leeway: a retry, or a second tab
    if behind == 1 and in_leeway:
        return Reissue(session.generation)
    # 10. one behind, and nobody ever used the successor
    if behind == 1 and _is_recoverable(session, now, settings):
        return Recover(session.generation)
    # 11. anything else behind
    return Reuse(behind, now - session.rotated_at)


def _no_session_for(session: Session, presented: Presented, now: datetime, settings: Settings) -> Refuse | None:
    if session.realm != settings.realm or not compare_digest(seed_digest(presented.token.seed), session.seed_digest):
        return Refuse("session_ended", "unknown")  # 1.
    if presented.client_id is not None and presented.client_id != session.client_id:
        return Refuse("session_ended", "other_client")  # 1.
    if session.ended_at is not None:
        return Refuse("session_ended", session.end_reason.value if session.end_reason else "ended")  # 2.
    if not is_live(session, now):
        return Refuse("session_ended", "expired")  # 3.
    if presented.transport != session.transport or not _is_bound(session, presented):
        return Refuse("binding_mismatch", "other_transport_or_binding", high=True)  # 4.
    return None


def _is_bound(session: Session, presented: Presented) -> bool:
    if session.binding is None:
        return True
    return presented.binding is not None and compare_digest(session.binding, presented.binding)


def _may_wait(session: Session) -> bool:
    return session.transport == "cookie" and session.generation > 0 and session.access_floor <= session.generation


def _is_recoverable(session: Session, now: datetime, settings: Settings) -> bool:
    return (
        settings.recovery_window > _ZERO
        and session.delivered < session.generation
        and now < session.rotated_at + settings.recovery_window
        and session.recoveries < MAX_RECOVERIES
    )


def error_of(refusal: Refuse) -> TokenError:
    """Give the error that a refusal is raised as."""
    match refusal.code:
        case "binding_mismatch":
            return BindingMismatchError(cause=refusal.reason)
        case "token_stale":
            return TokenStaleError(cause=refusal.reason)
        case _:
            return SessionEndedError(refusal.reason)


# --- step-up, require, ends ----------------------------------------------------------------------------------------


def plan_step_up(
    presented: Presented,
    *,
    now: datetime,
    settings: Settings,
    amr: tuple[str, ...] | None,
    claims: Mapping[str, Any] | None,
    new_binding: bytes | None,
) -> Turn:
    """Say how a change that the user makes in the session turns the key: at once, and what is older dies silently."""
    to = presented.token.generation + 1
    changes = Changes(
        floor=to,
        access_floor=to,
        until=announce_until(now, settings),
        authenticated_at=now,
        amr=amr,
        claims=claims,
        binding=new_binding,
    )
    return Turn(
        id=presented.token.session_id,
        realm=settings.realm,
        transport=presented.transport,
        client_id=presented.client_id,
        generation=presented.token.generation,
        seed_digest=seed_digest(presented.token.seed),
        binding=presented.binding,
        now=now,
        to=to,
        changes=changes,
        idle_remember=_idle_end(now, settings, remember=True),
        idle_session=_idle_end(now, settings, remember=False),
    )


def announce_until(now: datetime, settings: Settings) -> datetime:
    """Say how long the revocation log keeps an entry: until no access token it concerns can be unexpired.

    The ceiling, not today's lifetime, and twice the skew: another issuer's clock may be ahead, and a verifier's behind.
    """
    return now + ACCESS_TOKEN_CEILING + 2 * max(settings.clock_skew, timedelta(seconds=30))
