"""Moments as people type them: a date, a date with a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from .._reading import read_duration

#: Shown wherever a moment cannot be read.
EXAMPLES: Final = "2026-01-31, 2026-01-31T12:00, 2026-01-31T12:00+02:00, or how long ago: 12h, 30d"


def read_moment(text: str, now: datetime) -> datetime | None:
    """Give the moment that a text means, aware UTC; None where it means none.

    Args:
        text: an ISO 8601 date (its first instant) or date-time, in UTC unless it says otherwise; or a duration before
            `now`: ``30d``, ``12h``, ``5m``, ``90s``, with or without ``ago``.
        now: aware UTC.
    """
    text = text.strip()
    try:
        return _read_ago(text.removesuffix("ago").rstrip(), now) or _read_iso(text)
    except (ValueError, OverflowError):  # no such day, or one before the first year
        return None


def _read_ago(text: str, now: datetime) -> datetime | None:
    # A number alone means seconds in a configuration; here it would be taken for a year.
    if not text[-1:].isalpha():
        return None
    read = read_duration("before", text)
    return now - read if isinstance(read, timedelta) else None


def _read_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
