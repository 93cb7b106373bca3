"""Was there a theft that P4 promises to find, and was it found? Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ._facts import PROMISED_THEFTS, History, Kind, Party, Presented, Result, Rules
from ._lineage import Lineage


@dataclass(frozen=True, kw_only=True, slots=True)
class TheftSeen:
    """Two parties used copies of one token.

    Args:
        kind: which thief.
        promised: whether P4 promises to find it: by its kind, and by when the second copy came; and whether it is known
            what came of it.
        seconds: from the second copy's arrival to both being out; None where they are not.
        what: in words.
    """

    kind: Kind
    promised: bool
    seconds: float | None
    what: str


def theft_of(history: History, lineage: Lineage, rules: Rules) -> TheftSeen | None:
    """Give the theft of a session, None where no thief presented anything before it was over."""
    if not history.kind.is_theft:
        return None
    over = history.end_began
    seen = sorted(
        (
            fact
            for fact in history.presented
            if not fact.copy and fact.result is not Result.LATER and (over is None or fact.began < over)
        ),
        key=lambda fact: fact.began,
    )
    if not any(fact.party is Party.THIEF for fact in seen):
        return None
    second = next((fact for fact in seen if _is_due(fact, history, lineage, rules)), None)
    alarm = second or _second_of_two(seen)
    known = second is not None and _is_known(second, history)
    return TheftSeen(
        kind=history.kind,
        promised=known and history.kind in PROMISED_THEFTS,
        seconds=None if alarm is None else _seconds_to_both_out(alarm, history),
        what="nobody came second" if alarm is None else _words(alarm, lineage),
    )


def _is_due(fact: Presented, history: History, lineage: Lineage, rules: Rules) -> bool:
    """Say whether P4 promises an alarm now: another has turned this very token, and it is old enough."""
    depth = lineage.depth.get(fact.token)
    turns = [
        other
        for other in history.presented
        if other.token == fact.token and other.result is Result.TURNED and other.ended <= fact.began
    ]
    if depth is None or all(other.party is fact.party or other.successor == fact.token for other in turns):
        return False
    behind = lineage.newest_before(fact.began) - depth
    if behind != 1:
        return behind >= 2
    outside = fact.began > max(other.ended for other in turns) + rules.leeway
    return outside and _is_delivered(depth + 1, fact.began - rules.acknowledged, history, lineage)


def _is_delivered(generation: int, before: float, history: History, lineage: Lineage) -> bool:
    return any(
        call.accepted and call.ended <= before and lineage.depth.get(call.token, -1) >= generation
        for call in history.called
    )


def _second_of_two(seen: list[Presented]) -> Presented | None:
    """Give the first presentation of a token that the other party had presented before."""
    return next(
        (
            fact
            for at, fact in enumerate(seen)
            if any(earlier.token == fact.token and earlier.party is not fact.party for earlier in seen[:at])
        ),
        None,
    )


def _is_known(alarm: Presented, history: History) -> bool:
    """Say whether the facts tell if it was found: the other was asked before somebody ended the session."""
    told = _told_after(alarm, history)
    return alarm.result is not Result.REFUSED or any(
        fact.result is Result.TURNED or fact.party is not alarm.party for fact in told
    )


def _seconds_to_both_out(alarm: Presented, history: History) -> float | None:
    told = _told_after(alarm, history)
    others = [fact for fact in told if fact.party is not alarm.party and fact.result is Result.REFUSED]
    if alarm.result is not Result.REFUSED or not others or any(fact.result is Result.TURNED for fact in told):
        return None
    return min(fact.ended for fact in others) - alarm.began


def _told_after(alarm: Presented, history: History) -> list[Presented]:
    over = history.end_began
    after = [fact for fact in history.presented if fact.began >= alarm.ended and fact.result is not Result.LATER]
    return [fact for fact in after if over is None or fact.ended < over]


def _words(alarm: Presented, lineage: Lineage) -> str:
    depth = lineage.depth.get(alarm.token, 0)
    newest = lineage.newest_before(alarm.began)
    return f"the {alarm.party.value} came second with generation {depth} when {newest} was handed out"
