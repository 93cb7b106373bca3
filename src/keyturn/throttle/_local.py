"""What one worker counts by itself before it asks the others: a share of what a session may refresh."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from .._colour import drive
from ..limits import Limit, Limits
from . import Admission, Attempt
from ._table import Table
from ._window import micros
from .memory import SIZE, MemoryThrottle

#: A worker lets a tenth of a limit through unasked: a client that refreshes every few minutes, and repeats itself now
#: and then, never costs a turn to the database, and ten workers at most double the limit.
_SHARE: Final = 10


class LocalShare:
    """Answers refreshes that need nobody else.

    Args:
        limits: the whole limits, of which a share is given out here.
    """

    def __init__(self, limits: Limits) -> None:
        per_session, per_address = _share(limits.refresh_per_session), _share(limits.refresh_per_address)
        self._share = MemoryThrottle(
            Limits(
                login_per_user="", login_per_address="", login_per_user_and_address="",
                refresh_per_session=per_session, refresh_per_address=per_address,
            )
        )  # fmt: skip
        # What all workers together have refused stays refused until then: refreshes are never given back.
        self._refused: Table[tuple[str, str, str], int] = Table(SIZE)

    def proven(self, session_id: str, browser: str, *, now: datetime) -> None:
        """Count a session's own browser for itself from now on."""
        self._share.proven(session_id, browser, now=now)

    def counted(self, attempt: Attempt) -> Attempt:
        """Give a refresh as it is counted: without a browser that is not known for the session's own."""
        return self._share.counted(attempt)

    def admit(self, attempt: Attempt) -> Admission | None:
        """Let a refresh go on within the share, refuse what was refused before; None: the others must be asked."""
        admission = drive(self._share.admit(attempt))
        if admission.wait is None:
            return admission
        left = (self._refused.get(_who(self.counted(attempt))) or 0) - micros(attempt.at)
        return Admission(wait=timedelta(microseconds=left)) if 0 < left <= self._longest else None

    def refused(self, attempt: Attempt, admission: Admission) -> None:
        """Note what the others said of an attempt as it is counted."""
        if admission.wait is not None:
            self._refused.put(_who(attempt), micros(attempt.at + admission.wait), micros(attempt.at))

    @property
    def _longest(self) -> int:
        """Beyond it, a clock has gone back."""
        limits = self._share.limits
        return max(limit.span for limit in (limits.refresh_per_session, limits.refresh_per_address) if limit)


def _who(attempt: Attempt) -> tuple[str, str, str]:
    # Whichever of them was refused, they together are.
    return attempt.session_id, attempt.browser, attempt.address


def _share(limit: Limit | None) -> Limit | None:
    return None if limit is None else Limit(count=max(1, limit.count // _SHARE), period=limit.period)
