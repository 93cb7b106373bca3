"""Joins settings, a store, keys and users to flows; every door begins here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike

from . import keyrings
from ._clients import Clients
from ._colour import Caller
from ._ends import Ends, Teller
from ._flows import Flows, Report
from ._issuing import Issuer
from ._seals import SealedRing
from .events import Listener
from .keyrings import KeySource
from .keys import KeyRing
from .revocation import FloorMap
from .settings import Settings
from .stores import SessionStore
from .users import Users


def utc_now() -> datetime:
    """Give the time, aware and in UTC: the clock of every door that is not given another."""
    return datetime.now(UTC)


#: Random bytes from the operating system: the entropy of every door that is not given another.
random_bytes: Callable[[int], bytes] = secrets.token_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Chance:
    """Time and randomness as they come in.

    Args:
        clock: gives the time, aware UTC.
        entropy: gives so many random bytes.
    """

    clock: Callable[[], datetime] = utc_now
    entropy: Callable[[int], bytes] = field(default=random_bytes)


def open_keys(keys: KeySource | KeyRing | str | PathLike[str], settings: Settings, chance: Chance) -> KeySource:
    """Give the key source that an application means; fresh keys are made as its settings, clock and entropy say.

    Raises:
        ConfigurationError: the directory cannot be used, with every fault.
    """
    return keyrings.open(keys, algorithm=settings.algorithm, clock=chance.clock, entropy=chance.entropy)


def build_flows(
    settings: Settings,
    store: SessionStore,
    keys: KeySource,
    users: Users | None,
    *,
    chance: Chance,
    call: Caller,
    floors: FloorMap | None = None,
    listeners: Iterable[Listener] = (),
    report: Report | None = None,
    clients: Clients | None = None,
) -> Flows:
    """Give the flows over these parts.

    Args:
        floors: the map of the verifiers beside them; None where there are none, for one that nobody reads only grows.
    """
    seals = SealedRing(keys, settings.realm)
    teller = Teller(call=call, listeners=tuple(listeners))
    return Flows(
        settings=settings,
        store=store,
        users=users,
        clock=chance.clock,
        entropy=chance.entropy,
        call=call,
        issuer=Issuer(settings=settings, seals=seals, entropy=chance.entropy),
        ends=Ends(settings=settings, store=store, clock=chance.clock, floors=floors, teller=teller),
        report=report,
        clients=clients,
    )
