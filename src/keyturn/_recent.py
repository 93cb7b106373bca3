"""A bounded memory for threads without locks: two plain dicts, young and old."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers what was used lately. What two threads do at the same moment may be forgotten, never mixed up.

    Args:
        size: how many entries it holds at most; at least the half of them that was used last. 0: it holds nothing.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = (size + 1) // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """Give what is remembered, None where nothing is; being asked for keeps an entry young."""
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value, and forget the old half when the young one is full."""
        young = self._young
        if len(young) >= self._half:
            self._old = young
            self._young = young = {}
        if self._half:
            young[key] = value
