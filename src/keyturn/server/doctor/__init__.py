"""What is weak or broken about an installation, and what to do about it: facts are gathered, then judged.

Nothing is ever changed: no folder, key or database is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from ..config import ServerConfig
from .about_database import about_accounts, about_clients, about_database
from .about_keys import about_keys, missing_keys
from .about_server import about_files, about_server
from .about_settings import about_settings
from .facts import Facts as Facts
from .finding import LEVELS as LEVELS, Finding as Finding, Level as Level
from .gathering import gather as gather, gather_lost as gather_lost

#: In the order in which they are told.
CHECKS: Final[Sequence[Callable[[Facts], Iterable[Finding]]]] = (
    about_keys, about_files, about_database, about_settings, about_server, about_accounts, about_clients,
)  # fmt: skip


def judge(facts: Facts) -> Iterator[Finding]:
    """Give every finding about the facts."""
    for check in CHECKS:
        yield from check(facts)


def lost_keys(config: ServerConfig) -> Sequence[Finding]:
    """Say which keys are missing that sessions may still need: the one check that every start of the server makes.

    Args:
        config: whose key ring and sessions.
    """
    return list(missing_keys(gather_lost(config)))


def worst(findings: Iterable[Finding]) -> Level:
    """Give the worst level among findings; ``ok`` where there are none."""
    levels: list[Level] = ["ok", *(finding.level for finding in findings)]
    return max(levels, key=LEVELS.index)
