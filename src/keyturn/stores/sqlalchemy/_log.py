"""Reading the revocation log on: one statement from a position, a second one only where a snapshot is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ...session import session_id_text
from .. import Revocation, Revocations
from .._rows import time_of
from .._values import revocations_after
from ._statements import LogState

#: Number, session id, floor, until.
Entry: TypeAlias = tuple[int, bytes, int, int]


class _SnapshotIsDueError(Exception):
    """Entries before those that were read are wanted."""


def first_of(after: str | None) -> int:
    """Give the number from which entries are needed to read on after a position."""
    digits = (after or "").split(".")[1:2]
    if not digits or not (digits[0].isascii() and digits[0].isdigit()) or len(digits[0]) > 18:
        return 0
    return int(digits[0])


def read_on(after: str | None, state: LogState, entries: Sequence[Entry], first: int) -> Revocations | None:
    """Give the log after a position from what was read; None where more is needed: all entries.

    Args:
        entries: those from `first` on, of the same moment as `state`.
        first: the number that was read from.
    """

    def entries_from(number: int) -> Sequence[tuple[int, Revocation]]:
        if number < first:
            raise _SnapshotIsDueError
        return [
            (at, Revocation(session_id=session_id_text(raw), floor=floor, until=time_of(until)))
            for at, raw, floor, until in entries
            if at >= number
        ]

    try:
        return revocations_after(after, entries_from, epoch=state.epoch, dropped=state.dropped, head=state.head)
    except _SnapshotIsDueError:
        return None
