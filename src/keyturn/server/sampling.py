"""The numbers that nobody tells of: they are looked at from time to time, so that every worker can show all of them."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from ..keys import KeyRing, Purpose
from ..revocation import FloorMap

READ_AT: Final = "keyturn_revocations_read_timestamp_seconds"
_PURPOSES: Final[tuple[Purpose, ...]] = ("access", "refresh")
#: What becomes of a gauge that several workers have.
Among = Literal["livesum", "livemax", "livemin"]


class HashQueue(Protocol):
    """Tells how many passwords are being hashed."""

    @property
    def running(self) -> int:
        """How many now."""
        ...

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        ...

    @property
    def limit(self) -> int:
        """How many at once."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What is looked at.

    Args:
        floors: gives the map of ended sessions.
        ring: gives the key ring.
        key_trouble: says whether the keys could not be read when they were read last.
        hashing: the queue of password hashes; None where there is none.
    """

    floors: Callable[[], FloorMap]
    ring: Callable[[], KeyRing]
    key_trouble: Callable[[], bool] = lambda: False
    hashing: HashQueue | None = None


class Gauges:
    """Makes gauges.

    Args:
        registry: where they belong.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, name: str, words: str, among: Among, *labels: str) -> Gauge:
        """Give a gauge of that name, without the ``keyturn_`` before it."""
        return Gauge(f"keyturn_{name}", words, labels, registry=self._registry, multiprocess_mode=among)


class Sampled:
    """The numbers that are looked at.

    Args:
        registry: where they belong.
        born: when the worker began, aware UTC: the age of the picture of ended sessions until it is there.
    """

    def __init__(self, registry: CollectorRegistry, born: datetime) -> None:
        gauge = Gauges(registry)
        self._stale_before = 0
        self._stale = Counter(
            "keyturn_stale_answers", "Safe requests answered on a picture of ended sessions older than the bound",
            registry=registry,
        )  # fmt: skip
        self._read_at = gauge(
            READ_AT.removeprefix("keyturn_"), "When the worker that is furthest behind read the log of ended sessions",
            "livemin",
        )  # fmt: skip
        self._read_at.set(born.timestamp())
        self._floors = gauge("floors", "Entries of the map of ended sessions, in the worker that has most", "livemax")
        self._running = gauge("password_hashes_running", "Passwords that are being hashed", "livesum")
        self._waiting = gauge("password_hashes_waiting", "Sign-ins that wait for a hash to be made", "livesum")
        self._limit = gauge("password_hashes_limit", "Passwords that may be hashed at once", "livesum")
        self._trouble = gauge("key_trouble", "1 while a worker goes on with keys that it can no longer read", "livemax")
        self._made_at = gauge(
            "signing_key_created_timestamp_seconds", "When the key in use was made", "livemin", "purpose"
        )
        self._next_at = gauge(
            "next_key_signs_timestamp_seconds", "When the next key takes over; 0 where none waits", "livemin", "purpose"
        )
        gauge("workers", "Workers that are alive", "livesum").set(1)
        about = gauge("build_info", "Which Keyturn this is", "livemax", "version", "python")
        about.labels(version("keyturn"), platform.python_version()).set(1)

    def look(self, sources: Sources, now: datetime) -> None:
        """Look at everything once."""
        self._look_at_floors(sources.floors())
        if (queue := sources.hashing) is not None:
            self._running.set(queue.running)
            self._waiting.set(queue.waiting)
            self._limit.set(queue.limit)
        self._trouble.set(sources.key_trouble())
        self._look_at_keys(sources.ring(), now)

    def _look_at_floors(self, floors: FloorMap) -> None:
        if floors.loaded_at is not None:
            self._read_at.set(floors.loaded_at.timestamp())
        self._floors.set(len(floors))
        served = floors.served_stale
        self._stale.inc(max(0, served - self._stale_before))
        self._stale_before = served

    def _look_at_keys(self, ring: KeyRing, now: datetime) -> None:
        for purpose in _PURPOSES:
            states = [(key, ring.state(key, now)) for key in ring.keys if key.purpose == purpose]
            made = [key.created_at.timestamp() for key, state in states if state == "current"]
            waiting = [key.signs_from.timestamp() for key, state in states if state == "next"]
            self._made_at.labels(purpose).set(made[0] if made else 0)
            self._next_at.labels(purpose).set(min(waiting) if waiting else 0)
