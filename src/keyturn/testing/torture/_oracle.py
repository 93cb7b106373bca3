"""The judge: what one session's facts say about P1 to P7. Pure: no clock, no network, no randomness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ._facts import ANYWHERE, Called, History, Kind, Party, Presented, Result, Rules
from ._lineage import Lineage, lineage_of, turned
from ._logouts import LogoutSeen, logout_of
from ._thefts import TheftSeen, theft_of

PROMISES = ("P1", "P2", "P3", "P4", "P5", "P6", "P7")
#: A second is what expiry is told in; the rest is the time between the server's clock and our stamps.
_EXPIRY_GRAIN = 1.5
#: Who asks later for the first time has measured no latency.
_SOON = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A promise was broken: which, and how, in words without a token."""

    promise: str
    what: str


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What one session showed.

    Args:
        refreshes: answers that brought tokens.
        observed: for each promise, how often it could have been seen broken.
        breaches: and how it was.
        logout: a sign-out that nobody asked for.
        theft: the theft that took place.
        resurrected: uses after the end that succeeded.
        revocation: place to seconds from the end's answer until calls were refused for good; None where they never were.
    """

    refreshes: int = 0
    observed: Counter[str] = field(default_factory=Counter[str])
    breaches: list[Breach] = field(default_factory=list[Breach])
    logout: LogoutSeen | None = None
    theft: TheftSeen | None = None
    resurrected: int = 0
    revocation: dict[int, float | None] = field(default_factory=dict[int, float | None])


def judge(history: History, rules: Rules) -> Verdict:
    """Say what a session's facts show; `history` is complete, nothing of it is under way."""
    verdict = Verdict(refreshes=len(turned(history)))
    lineage = lineage_of(history)
    _one_usable(history, lineage, verdict)
    _ended_is_ended(history, rules, verdict)
    _nobody_signed_out(history, rules, verdict)
    _thieves_found(history, lineage, rules, verdict)
    _repeats_change_nothing(history, verdict)
    _absolute_end_stays(history, verdict)
    _a_second_is_long(history, lineage, verdict)
    return verdict


# --- P1 --------------------------------------------------------------------------------------------------------------


def _one_usable(history: History, lineage: Lineage, verdict: Verdict) -> None:
    """P1: besides the current generation's token only its predecessor's works."""
    for fact in history.presented:
        depth = lineage.depth.get(fact.token)
        if depth is None or fact.result in {Result.LATER, Result.STALE}:
            continue
        newest = lineage.newest_before(fact.began)
        verdict.observed["P1"] += newest >= depth + 2
        if fact.result is Result.TURNED and newest >= depth + 2:
            verdict.breaches.append(
                Breach(promise="P1", what=f"{_named(history)}: generation {depth} worked when {newest} was handed out")
            )
    for depth in _branches(history, lineage):
        verdict.breaches.append(
            Breach(promise="P1", what=f"{_named(history)}: two different tokens of generation {depth} both worked")
        )


def _branches(history: History, lineage: Lineage) -> Iterator[int]:
    worked: dict[int, set[str]] = {}
    for fact in turned(history):
        if (depth := lineage.depth.get(fact.token)) is not None:
            worked.setdefault(depth, set()).add(fact.token)
    return (depth for depth, tokens in worked.items() if len(tokens) > 1)


# --- P2 --------------------------------------------------------------------------------------------------------------


def _ended_is_ended(history: History, rules: Rules, verdict: Verdict) -> None:
    """P2: after the end nothing refreshes, and past the bound nothing is let in."""
    returned = history.end_returned
    if returned is None:
        return
    tried = [fact for fact in history.presented if fact.began > returned and fact.result is not Result.LATER]
    late = [] if rules.bound is None else [
        call for call in history.called if call.began > returned + rules.bound + rules.slack
    ]  # fmt: skip
    back = [fact for fact in tried if fact.result is Result.TURNED]
    let_in = [call for call in late if call.accepted]
    verdict.observed["P2"] += len(tried) + len(late)
    verdict.resurrected = len(back) + len(let_in)
    how = history.ends[0].how
    if back:
        what = f"{_named(history)}: refreshed {back[0].began - returned:.3f} s after an end ({how}) had returned"
        verdict.breaches.append(Breach(promise="P2", what=what))
    if let_in:
        what = f"{_named(history)}: its access token was taken {let_in[-1].began - returned:.1f} s after an end ({how})"
        verdict.breaches.append(Breach(promise="P2", what=what))
    if not _was_over(history):
        verdict.revocation = _revocation(history.called, returned)


def _was_over(history: History) -> bool:
    """Say whether an alarm had ended the session before anybody asked for it: then that end is what is felt."""
    return any(fact.result is Result.REFUSED and fact.ended < history.ends[0].began for fact in history.presented)


def _revocation(called: list[Called], returned: float) -> dict[int, float | None]:
    """Give for each place when the first call was sent that was refused for good, counted from the end's answer."""
    felt: dict[int, float | None] = {}
    for place in sorted({call.place for call in called if call.began >= returned and call.place != ANYWHERE}):
        after = [call for call in called if call.place == place and call.began >= returned]
        after.sort(key=lambda call: call.began)
        if after[0].began > returned + _SOON:
            continue
        last = max((call.began for call in after if call.accepted), default=returned)
        felt[place] = next((call.began - returned for call in after if not call.accepted and call.began >= last), None)
    return felt


# --- P3 and P4 -------------------------------------------------------------------------------------------------------


def _nobody_signed_out(history: History, rules: Rules, verdict: Verdict) -> None:
    """P3: a client that keeps its conditions is not signed out."""
    if history.kind.is_theft or history.kind is Kind.REPLAY:
        return
    verdict.logout = logout_of(history, rules)
    promised = history.kind is not Kind.TABS_UNLOCKED and (verdict.logout is None or verdict.logout.excuse is None)
    verdict.observed["P3"] += promised
    if promised and verdict.logout is not None:
        verdict.breaches.append(Breach(promise="P3", what=f"{_named(history)}: {verdict.logout.what}"))


def _thieves_found(history: History, lineage: Lineage, rules: Rules, verdict: Verdict) -> None:
    """P4: the second of two holders causes an alarm."""
    verdict.theft = theft = theft_of(history, lineage, rules)
    if theft is None or not theft.promised:
        return
    verdict.observed["P4"] += 1
    if theft.seconds is None:
        verdict.breaches.append(Breach(promise="P4", what=f"{_named(history)}: {theft.what}, and the session went on"))


# --- P5, P6, P7 ------------------------------------------------------------------------------------------------------


def _repeats_change_nothing(history: History, verdict: Verdict) -> None:
    """P5: who asks twice gets the same successor, and it lives no longer for it."""
    successors: dict[str, set[str]] = {}
    latest_end: dict[str, float] = {history.root: _expiry(history.started, history.expires_in)}
    for fact in turned(history):
        successor = fact.successor or ""
        known = successors.setdefault(fact.token, set())
        verdict.observed["P5"] += bool(known) or successor == fact.token
        known |= {successor} - {fact.token}
        if successor in latest_end and fact.began + (fact.expires_in or 0.0) > latest_end[successor]:
            verdict.breaches.append(
                Breach(promise="P5", what=f"{_named(history)}: a repeat prolonged its token's life")
            )
        latest_end.setdefault(successor, _expiry(fact.ended, fact.expires_in))
    for different in successors.values():
        if len(different) > 1:
            what = f"{_named(history)}: one token had {len(different)} different successors"
            verdict.breaches.append(Breach(promise="P5", what=what))


def _expiry(at: float, expires_in: float | None) -> float:
    return float("inf") if expires_in is None else at + expires_in + _EXPIRY_GRAIN


def _absolute_end_stays(history: History, verdict: Verdict) -> None:
    """P6: what was told of the absolute end is told again."""
    ends = [fact.absolute_end for fact in history.listed]
    verdict.observed["P6"] += max(0, len(ends) - 1)
    if len(set(ends)) > 1:
        verdict.breaches.append(Breach(promise="P6", what=f"{_named(history)}: its absolute end moved"))


def _a_second_is_long(history: History, lineage: Lineage, verdict: Verdict) -> None:
    """P7: turns within one second are told apart."""
    if history.kind is not Kind.REPLAY:
        return
    own = [fact for fact in history.presented if fact.party is Party.OWNER and fact.result is not Result.LATER]
    replays = [fact for fact in history.presented if fact.party is Party.THIEF and fact.result is not Result.LATER]
    if len(own) < 3 or not replays or replays[0].ended - own[0].began > 1.0:
        return
    verdict.observed["P7"] += 1
    if any(fact.result is Result.REFUSED for fact in own[:3]):
        verdict.breaches.append(
            Breach(promise="P7", what=f"{_named(history)}: a turn was refused a moment after another")
        )
    elif any(_works(fact, lineage) for fact in replays):
        verdict.breaches.append(Breach(promise="P7", what=f"{_named(history)}: a token spent in this second worked"))


def _works(fact: Presented, lineage: Lineage) -> bool:
    return fact.result is Result.TURNED and lineage.newest_before(fact.began) >= lineage.depth.get(fact.token, 0) + 2


def _named(history: History) -> str:
    return f"session {history.name} ({history.kind.value}, {history.transport})"
