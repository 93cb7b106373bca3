"""Keys that stay as they are: given in Python, as a mapping, or in an environment variable."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha512
from itertools import count
from typing import Final

from ..keys import KeyRing, new_ring

#: When the testing keys begin to sign; before any clock that a test would set.
_TESTING_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)


class StaticKeys:
    """A key source whose ring never changes.

    Args:
        ring: the keys.
    """

    __slots__ = ("_ring",)

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    @property
    def ring(self) -> KeyRing:
        """The ring that was given."""
        return self._ring

    def reload(self) -> KeyRing:
        """Give the same ring: there is nothing to read again."""
        return self._ring


def testing_keys() -> StaticKeys:
    """Give keys that everybody knows, for tests only: whoever reads this file can sign with them.

    They are the same in every run, and ES256 signs without chance (RFC 6979), so tokens can be compared byte for byte.
    """
    draws = count()

    def entropy(size: int) -> bytes:
        return sha512(b"keyturn testing key %d: unsafe, known to everybody" % next(draws)).digest()[:size]

    return StaticKeys(new_ring(now=_TESTING_SINCE, entropy=entropy, deterministic=True))


# pytest collects what is called test*; this is no test.
testing_keys.__test__ = False  # type: ignore[attr-defined]
