"""Who is counted: the port that login, step-up and refresh ask before any work, and the one that counts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt, as it may be counted.

    Args:
        action: ``login`` and ``step_up`` count failures only; ``refresh`` counts every attempt.
        address: the peer's, empty where unknown.
        username: as typed, for a login; existing or not makes no difference.
        session_id: for a refresh or a step-up, once its token was found genuine.
        browser: the digest of a binding cookie that came along, hexadecimal: a known browser may count for itself.
    """

    action: Literal["login", "step_up", "refresh"]
    address: str = ""
    username: str = field(default="", repr=False)
    session_id: str = ""
    browser: str = field(default="", repr=False)


class Throttle(Protocol):
    """Counts attempts; asked before any database work of ours (security-checklist.md RT-16, AU-08)."""

    async def check(self, attempt: Attempt) -> timedelta | None:
        """Say how long to wait before this attempt; None lets it go on."""
        ...

    async def failed(self, attempt: Attempt) -> None:
        """Note that a login or step-up failed."""
        ...


class NoThrottle:
    """Counts nothing and lets everything go on."""

    async def check(self, attempt: Attempt) -> timedelta | None:
        """Let it go on."""
        return None

    async def failed(self, attempt: Attempt) -> None:
        """Note nothing."""
