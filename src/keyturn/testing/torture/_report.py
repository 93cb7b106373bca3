"""What a run showed, as JSON and in lines for people. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ._facts import Kind
from ._figures import Figures
from ._oracle import PROMISES

#: The form of the report; a change of a name or of a meaning raises it.
FORMAT: Final = 1


def report_of(figures: Figures, settings: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """Give the report.

    Args:
        figures: the sums.
        settings: the command line's, without passwords.
        versions: of what took part.
    """
    counts = figures.counts
    return {
        "format": FORMAT,
        "held": promises_held(figures),
        "refreshes": counts["refreshes"],
        "false_logouts": counts["false_logouts"],
        "false_logouts_unlocked": counts["false_logouts_unlocked"],
        "excused_logouts": dict(figures.excused),
        "thefts": sum(figures.thefts.values()),
        "thefts_detected": sum(figures.thefts_detected.values()),
        "time_to_detection_ms": figures.detection.milliseconds(),
        "thefts_by_kind": _by_kind(figures.thefts, figures.thefts_detected),
        "thefts_not_promised": sum(figures.not_promised.values()),
        "thefts_not_promised_detected": sum(figures.not_promised_detected.values()),
        "thefts_not_promised_by_kind": _by_kind(figures.not_promised, figures.not_promised_detected),
        "resurrected": counts["resurrected"],
        "revocation_latency_ms": figures.revocation[True].milliseconds(),
        "revocation_latency_across_ms": figures.revocation[False].milliseconds(),
        "revocations": {
            "within": figures.revocation[True].seen,
            "across": figures.revocation[False].seen,
            "not_felt": counts["revocations_not_felt"],
        },
        "latency_ms": figures.refresh.milliseconds(),
        "requests": counts["requests"],
        "5xx": counts["server_errors"],
        "429": counts["throttled"],
        "unreachable": counts["unreachable"],
        "sign_ins_refused": counts["sign_ins_refused"],
        "sessions": dict(figures.sessions),
        "properties": {promise: _property(figures, promise) for promise in PROMISES},
        "settings": settings,
        "versions": versions,
    }


def _by_kind(all_of_them: Counter[Kind], found: Counter[Kind]) -> dict[str, dict[str, int]]:
    return {kind.value: {"seen": seen, "detected": found[kind]} for kind, seen in all_of_them.items()}


def _property(figures: Figures, promise: str) -> dict[str, Any]:
    return {
        "state": state_of(figures, promise),
        "observed": figures.observed[promise],
        "broken": figures.broken[promise],
        "examples": figures.examples[promise],
    }


def state_of(figures: Figures, promise: str) -> str:
    """Give ``held``, ``broken``, or ``not observable`` where it could not have been seen broken."""
    if figures.broken[promise]:
        return "broken"
    return "held" if figures.observed[promise] else "not observable"


def promises_held(figures: Figures) -> bool:
    """Say whether nothing was seen broken; what could not be observed breaks nothing."""
    return not figures.broken.total()


def lines_of(report: dict[str, Any]) -> list[str]:
    """Give what a person reads at the end."""
    within, across = report["revocation_latency_ms"], report["revocation_latency_across_ms"]
    lines = [
        (
            f"{report['refreshes']} refreshes, p50 {_ms(report['latency_ms']['p50'])}, p99 {_ms(report['latency_ms']['p99'])}; "
            f"5xx {report['5xx']}, 429 {report['429']}, unreachable {report['unreachable']}"
        ),
        f"false logouts {report['false_logouts']} (tabs without a lock: {report['false_logouts_unlocked']})",
        (
            f"thefts {report['thefts']}, found {report['thefts_detected']}, p50 {_ms(report['time_to_detection_ms']['p50'])}; "
            f"not promised {report['thefts_not_promised']}, found {report['thefts_not_promised_detected']}"
        ),
        f"resurrected {report['resurrected']}; an end is felt after p50 {_ms(within['p50'])}, p99 {_ms(within['p99'])}"
        + (f"; elsewhere p50 {_ms(across['p50'])}, p99 {_ms(across['p99'])}" if across["p50"] is not None else ""),
    ]
    for promise, told in report["properties"].items():
        lines.append(f"{promise} {told['state']} ({told['observed']} chances)")
        lines += [f"   {example}" for example in told["examples"]]
    return lines


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:g} ms"
