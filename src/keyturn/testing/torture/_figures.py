"""The sums of a run: what every session's verdict adds to. Its size does not grow with the length of the run. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ._facts import History, Kind, Rules
from ._oracle import PROMISES, Verdict, judge

#: Of every promise so many breaches are told in words; the rest is counted.
_EXAMPLES: Final = 5
#: So many durations are kept; of more, an even sample.
_SAMPLE: Final = 100_000


@dataclass(slots=True)
class Durations:
    """Durations in seconds, as many as fit, each with the same chance to be among them.

    Args:
        draw: gives a number from 0 to 1, 1 excluded.
    """

    draw: Callable[[], float]
    seen: int = 0
    kept: array[float] = field(default_factory=lambda: array("d"))

    def add(self, seconds: float) -> None:
        """Take one more."""
        self.seen += 1
        if len(self.kept) < _SAMPLE:
            self.kept.append(seconds)
        elif (place := int(self.draw() * self.seen)) < _SAMPLE:
            self.kept[place] = seconds

    def milliseconds(self) -> dict[str, float | None]:
        """Give median, 99th percentile and longest; None each where there was none."""
        return {
            name: _rounded(percentile(self.kept, share)) for name, share in (("p50", 50), ("p99", 99), ("max", 100))
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Give the smallest value that `share` per cent of all do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share) // 100) - 1)] if ordered else None


@dataclass(kw_only=True, slots=True)
class Figures:
    """What was counted and measured.

    Args:
        draw: chance, for samples.
        rules: what sessions are judged by.
    """

    draw: Callable[[], float]
    rules: Rules
    sessions: Counter[str] = field(default_factory=Counter[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    thefts: Counter[Kind] = field(default_factory=Counter[Kind])
    thefts_detected: Counter[Kind] = field(default_factory=Counter[Kind])
    not_promised: Counter[Kind] = field(default_factory=Counter[Kind])
    not_promised_detected: Counter[Kind] = field(default_factory=Counter[Kind])
    excused: Counter[str] = field(default_factory=Counter[str])
    observed: Counter[str] = field(default_factory=Counter[str])
    broken: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=lambda: {promise: [] for promise in PROMISES})
    refresh: Durations = field(init=False)
    detection: Durations = field(init=False)
    revocation: dict[bool, Durations] = field(init=False)

    def __post_init__(self) -> None:
        self.refresh = Durations(self.draw)
        self.detection = Durations(self.draw)
        # within the process that ended the session, and in the others
        self.revocation = {True: Durations(self.draw), False: Durations(self.draw)}

    def settle(self, history: History) -> None:
        """Judge a session and forget it."""
        verdict = judge(history, self.rules)
        self.sessions[history.kind.value] += 1
        self.counts["refreshes"] += verdict.refreshes
        self.counts["resurrected"] += verdict.resurrected
        self.observed += verdict.observed
        for breach in verdict.breaches:
            self.broken[breach.promise] += 1
            if len(self.examples[breach.promise]) < _EXAMPLES:
                self.examples[breach.promise].append(breach.what)
        self._add_logout(history.kind, verdict)
        self._add_theft(verdict)
        self._add_revocation(verdict)

    def _add_logout(self, kind: Kind, verdict: Verdict) -> None:
        if verdict.logout is None:
            return
        if verdict.logout.excuse is not None:
            self.excused[verdict.logout.excuse] += 1
        else:
            self.counts["false_logouts_unlocked" if kind is Kind.TABS_UNLOCKED else "false_logouts"] += 1

    def _add_theft(self, verdict: Verdict) -> None:
        theft = verdict.theft
        if theft is None:
            return
        (self.thefts if theft.promised else self.not_promised)[theft.kind] += 1
        if theft.seconds is None:
            return
        (self.thefts_detected if theft.promised else self.not_promised_detected)[theft.kind] += 1
        if theft.promised:
            self.detection.add(theft.seconds)

    def _add_revocation(self, verdict: Verdict) -> None:
        for place, seconds in verdict.revocation.items():
            if seconds is None:
                self.counts["revocations_not_felt"] += 1
            else:
                self.revocation[place == 0].add(seconds)
