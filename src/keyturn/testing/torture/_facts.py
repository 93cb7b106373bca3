"""What was sent and answered, as the judge sees it: frozen facts with times, and no token in them.

Times are seconds of one monotonic clock. Tokens appear as marks: keyed digests that are equal where tokens are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

#: The place of a call that the network carried to any of the processes.
ANYWHERE: Final = -1


class Kind(Enum):
    """What a session's client is like."""

    SINGLE = "single"
    TABS = "tabs with a lock"
    TABS_UNLOCKED = "tabs without a lock"
    SLEEPER = "sleeper"
    WARDEN = "warden"
    REPLAY = "replay within a second"
    FIRST = "thief first"
    LATE = "thief late"
    MIRROR = "thief mirroring outside the leeway"
    PREDECESSOR = "thief with the predecessor only"
    FRONT_RUNNER = "thief running in front, silent"
    CLOSE_MIRROR = "thief mirroring inside the leeway"

    @property
    def is_theft(self) -> bool:
        """Whether a second party has a copy."""
        return self in PROMISED_THEFTS or self in {Kind.FRONT_RUNNER, Kind.CLOSE_MIRROR}


#: The thieves that P4 promises to find.
PROMISED_THEFTS = frozenset({Kind.FIRST, Kind.LATE, Kind.MIRROR, Kind.PREDECESSOR})


class Result(Enum):
    """What became of a presented refresh token."""

    TURNED = "turned"  #: an answer with tokens, be it a turn, a reissue or a recovery
    REFUSED = "refused"  #: signed out
    STALE = "stale"  #: read your store again
    LATER = "later"  #: 429, 5xx, or no answer from the server at all


class Party(Enum):
    """Who sends."""

    OWNER = "owner"
    THIEF = "thief"
    PROBE = "probe"  #: the tool itself, after an end


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """A refresh token arrived at the server.

    Args:
        token: its mark.
        began: when the request was handed to the server.
        ended: when the server's answer was there.
        result: what the answer said.
        successor: the mark of the refresh token in the answer, None where there is none.
        expires_in: seconds it has left, by the answer; None where it says nothing.
        party: whose request it was.
        copy: whether the network made it.
        answered: whether the answer reached its client.
    """

    token: str
    began: float
    ended: float
    result: Result
    successor: str | None = None
    expires_in: float | None = None
    party: Party = Party.OWNER
    copy: bool = False
    answered: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    """A guarded URL was asked with an access token.

    Args:
        token: the mark of the refresh token that came with the access token.
        began: when the request was handed to the server.
        ended: when the answer was there.
        accepted: whether it was let in.
        party: whose request it was.
        place: 0 is the process that ends sessions, 1 and more are the others; ANYWHERE where the network chose.
    """

    token: str
    began: float
    ended: float
    accepted: bool
    party: Party = Party.OWNER
    place: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The session was ended on purpose.

    Args:
        began: when the request was sent.
        returned: when the answer that promises it was there; None where none came.
        how: ``logout``, ``other``, ``race`` or ``all``.
    """

    began: float
    returned: float | None
    how: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """The server told the session's absolute end."""

    at: float
    absolute_end: str


@dataclass(kw_only=True, slots=True)
class History:
    """All that is known of one session.

    Args:
        name: the tool's own, for reports.
        kind: what its client is like.
        transport: how its tokens travel.
        root: the mark of the refresh token of the sign-in.
        started: when the sign-in was answered.
        expires_in: what the sign-in said of the token's life.
    """

    name: str
    kind: Kind
    transport: str
    root: str
    started: float = 0.0
    expires_in: float | None = None
    presented: list[Presented] = field(default_factory=list[Presented])
    called: list[Called] = field(default_factory=list[Called])
    ends: list[Ended] = field(default_factory=list[Ended])
    listed: list[Listed] = field(default_factory=list[Listed])

    @property
    def end_began(self) -> float | None:
        """When somebody began to end it, None where nobody did."""
        return min((end.began for end in self.ends), default=None)

    @property
    def end_returned(self) -> float | None:
        """When the first end was promised, None where none was."""
        return min((end.returned for end in self.ends if end.returned is not None), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the judge measures with, whatever the server's own settings are.

    Args:
        leeway: seconds; of P3 and P4.
        bound: seconds after an end within which an access token may still be taken; None where nothing is promised.
        slack: seconds that machine and network may add to the bound.
        acknowledged: seconds after which a call with a fresh access token counts as the acknowledgement of its delivery.
        lost_in_a_row: so many lost answers are too many (P3).
    """

    leeway: float = 10.0
    bound: float | None = 5.0
    slack: float = 1.0
    acknowledged: float = 5.0
    lost_in_a_row: int = 8
