"""Was somebody signed out who had done nothing? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ._facts import Called, History, Kind, Party, Presented, Result, Rules

#: Between our stamps and the server's own clock lies the request's way; nobody is judged on less than this.
_STAMP = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class LogoutSeen:
    """An owner was refused though nobody had ended the session.

    Args:
        at: when.
        what: in words.
        excuse: the condition of P3 that was not kept, None where all were.
    """

    at: float
    what: str
    excuse: str | None


def logout_of(history: History, rules: Rules) -> LogoutSeen | None:
    """Give the sign-out that nobody asked for, None where there was none."""
    refused = _first_refusal(history)
    if refused is not None:
        what = f"refused {refused.began - history.started:.1f} s after the sign-in"
        return LogoutSeen(at=refused.ended, what=what, excuse=excuse_for(history, refused.ended, rules))
    call = _shut_out(history)
    if call is not None:
        what = f"the API refused a fresh access token {call.began - history.started:.1f} s after the sign-in"
        return LogoutSeen(at=call.ended, what=what, excuse=excuse_for(history, call.ended, rules))
    return None


def _first_refusal(history: History) -> Presented | None:
    over = history.end_began
    return next(
        (
            fact
            for fact in sorted(history.presented, key=lambda fact: fact.ended)
            if fact.result is Result.REFUSED
            and fact.party is Party.OWNER
            and not fact.copy
            and (over is None or fact.ended < over)
        ),
        None,
    )


def _shut_out(history: History) -> Called | None:
    """Find two refusals in a row with access tokens of two refreshes: the second was fresh."""
    over = history.end_began
    calls = [
        call
        for call in sorted(history.called, key=lambda call: call.began)
        if call.party is Party.OWNER and (over is None or call.ended < over)
    ]
    return next(
        (
            later
            for earlier, later in pairwise(calls)
            if not earlier.accepted and not later.accepted and earlier.token != later.token
        ),
        None,
    )


def excuse_for(history: History, until: float, rules: Rules) -> str | None:
    """Give the first condition of P3 that a client or its network did not keep up to that moment, None where all were.

    Args:
        history: the session's.
        until: when it was signed out.
        rules: with the leeway of P3.
    """
    sent = [fact for fact in history.presented if fact.party is Party.OWNER and fact.began <= until]
    own = sorted((fact for fact in sent if not fact.copy), key=lambda fact: fact.began)
    if history.kind is not Kind.TABS_UNLOCKED and any(later.began < earlier.ended for earlier, later in pairwise(own)):
        return "two refreshes were under way at once"
    copies = [fact for fact in sent if fact.copy]
    if any(_came_late(copy, sent, rules) for copy in copies):
        return "a copy arrived later than a leeway after its turn"
    if any(_was_overtaken(copy, own) for copy in copies):
        return "a copy arrived after the next turn"
    if _lost_in_a_row(own) >= rules.lost_in_a_row:
        return "too many answers in a row were lost"
    return None


def _came_late(copy: Presented, sent: list[Presented], rules: Rules) -> bool:
    turn = min((fact.began for fact in sent if fact.token == copy.token and _moved(fact)), default=copy.began)
    return copy.began > turn + rules.leeway - _STAMP


def _was_overtaken(copy: Presented, own: list[Presented]) -> bool:
    """Say whether the client had turned on before the copy was there: then its token is two generations old."""
    after = {fact.successor for fact in own if fact.token == copy.token and _moved(fact)}
    return any(fact.token in after and _moved(fact) and fact.began < copy.ended for fact in own)


def _moved(fact: Presented) -> bool:
    return fact.result is Result.TURNED and fact.successor != fact.token


def _lost_in_a_row(own: list[Presented]) -> int:
    longest = row = 0
    for fact in own:
        row = 0 if fact.answered else row + 1
        longest = max(longest, row)
    return longest
