"""Who is in the fleet: a role for every client, the same for the same seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, TypeVar

from ._facts import Kind

_T = TypeVar("_T")

#: How ten clients are divided; an equal part of larger fleets.
_TEN: Final = (
    Kind.LATE, Kind.SINGLE, Kind.TABS, Kind.SLEEPER, Kind.FIRST,
    Kind.SINGLE, Kind.TABS_UNLOCKED, Kind.SINGLE, Kind.TABS, Kind.SINGLE,
)  # fmt: skip
#: What the thieves do in turn; each begins at another place, so that a short run sees several.
THEFTS: Final = (
    Kind.LATE, Kind.MIRROR, Kind.FIRST, Kind.PREDECESSOR, Kind.FRONT_RUNNER, Kind.CLOSE_MIRROR,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """What one client does for the whole run.

    Args:
        number: the client's, from 0.
        user: whose account, as counted in ``--user``.
        kind: what it is; WARDEN watches over its user's sessions.
        transports: how its sessions' tokens travel, in turn.
        thefts: what a thief's client does in turn; empty for honest ones.
    """

    number: int
    user: int
    kind: Kind
    transports: tuple[str, ...]
    thefts: tuple[Kind, ...] = ()


def fleet(clients: int, users: int, transports: Sequence[str]) -> tuple[Role, ...]:
    """Give the roles: a warden for each user, and the rest divided as ten are.

    Args:
        clients: how many in all; at least one more than users.
        users: how many accounts.
        transports: the adapter's.
    """
    wardens = [
        Role(number=number, user=number, kind=Kind.WARDEN, transports=(_programs_first(transports)[0],))
        for number in range(users)
    ]
    return (*wardens, *_others(range(users, clients), users, transports))


def _others(numbers: range, users: int, transports: Sequence[str]) -> Iterator[Role]:
    thieves = 0
    for at, (number, kind) in enumerate(zip(numbers, islice(cycle(_TEN), len(numbers)), strict=True)):
        ways = _turned(tuple(transports), at // 2)
        if not kind.is_theft:
            yield Role(number=number, user=number % users, kind=kind, transports=ways)
            continue
        # Where there is a choice, the first thieves carry their tokens in bodies: these turn without waiting a leeway.
        ways = _turned(_programs_first(transports), thieves // len(THEFTS))
        thefts = (Kind.REPLAY, *_turned(THEFTS, thieves))
        yield Role(number=number, user=number % users, kind=kind, transports=ways, thefts=thefts)
        thieves += 1


def _programs_first(transports: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(transports, key=lambda transport: transport == "cookie"))


def _turned(row: tuple[_T, ...], by: int) -> tuple[_T, ...]:
    by %= len(row)
    return row[by:] + row[:by]
