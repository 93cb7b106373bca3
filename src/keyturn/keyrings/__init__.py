"""Where keys are kept: the port that everything asks, and the one door that opens what an application names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike, urandom
from typing import Protocol, runtime_checkable

from ..keys import KeyRing

__all__ = ["KeySource", "SeekingKeys", "now_utc", "open"]


class KeySource(Protocol):
    """Gives the key ring, and looks whether it changed."""

    @property
    def ring(self) -> KeyRing:
        """The ring in memory; cheap enough for every request, and no I/O but for keys that are read over HTTP."""
        ...

    def reload(self) -> KeyRing:
        """Read again and give the ring: the same object where nothing changed, the old one where reading failed.

        Trouble with the place never takes keys away from a running process: that would sign everybody out.
        """
        ...


@runtime_checkable
class SeekingKeys(Protocol):
    """A key source that by itself looks for a key that a token names and nobody knows."""

    def seek(self) -> None:
        """Look for newer keys, unless that was done a moment ago: anybody can name a key."""
        ...


def now_utc() -> datetime:
    """Tell the time, aware and in UTC."""
    return datetime.now(UTC)


def open(  # noqa: A001  # keyrings.open reads like stores.open; nobody imports it unqualified
    keys: KeySource | KeyRing | str | PathLike[str],
    *,
    algorithm: str = "ES256",
    clock: Callable[[], datetime] = now_utc,
    entropy: Callable[[int], bytes] = urandom,
) -> KeySource:
    """Give the key source that an application means.

    Args:
        keys: a source, a ring that stays as it is, or the path of a directory, filled with fresh keys where it is
            missing or empty.
        algorithm: what fresh access keys sign with: ``ES256``, ``Ed25519`` or ``RS256``.
        clock: tells the time, aware UTC.
        entropy: gives as many random bytes as it is asked for.

    Raises:
        ConfigurationError: the directory cannot be used, with every fault.
    """
    # The edges are imported where they are needed: this file is the port, and asks for no files by itself.
    if isinstance(keys, KeyRing):
        from .static import StaticKeys

        return StaticKeys(keys)
    if isinstance(keys, str | PathLike):
        from .directory import DirectoryKeys

        return DirectoryKeys(keys, algorithm=algorithm, clock=clock, entropy=entropy)
    return keys
