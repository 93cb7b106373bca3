"""A source of bytes that gives the same sequence in every run."""

from __future__ import annotations

import hashlib
from itertools import count


class CountingEntropy:
    """Entropy for tests: no two draws are equal, and the n-th draw is the same in every run. Never for production.

    Args:
        name: sets one sequence apart from another.
    """

    __slots__ = ("_count", "_name")

    def __init__(self, name: str = "keyturn") -> None:
        self._name = name
        self._count = count()

    def __call__(self, length: int) -> bytes:
        """Give `length` bytes."""
        return hashlib.shake_256(f"{self._name} {next(self._count)}".encode()).digest(length)
