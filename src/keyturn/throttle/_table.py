"""A bounded table of counters: small sets, and in a full set the least loaded makes room."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, Generic, Protocol, TypeVar


class Ordered(Protocol):
    """What can be told to be less."""

    def __lt__(self, other: Any, /) -> bool:
        """Say whether this is less."""
        ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Ordered)

#: Entries of one set. More make putting slower, fewer push out entries of use while others stand empty.
_WAYS: Final = 8


class Table(Generic[K, V]):
    """Keeps at most `size` entries, in time and memory that no flood of new keys changes.

    A key has one set it can be in, by a hash that nobody outside can guess. Where the set is full, the entry with the
    least value goes: of counters the one that would be forgotten first. So whoever wants to have a loaded counter
    forgotten must load eight others of its set more than that, and knows neither which they are nor when it is done.

    Args:
        size: at most so many entries; rounded up to a whole number of sets.
    """

    __slots__ = ("_sets",)

    def __init__(self, size: int) -> None:
        self._sets: list[dict[K, V] | None] = [None] * max(1, -(-size // _WAYS))

    def __len__(self) -> int:
        return sum(map(len, filter(None, self._sets)))

    def get(self, key: K) -> V | None:
        """Give the value, None where there is none (any more)."""
        entries = self._sets[hash(key) % len(self._sets)]
        return None if entries is None else entries.get(key)

    def put(self, key: K, value: V, over: V) -> None:
        """Keep a value; where its set is full, what is over is forgotten, or else the least one.

        Args:
            over: values up to this one mean nothing any more.
        """
        entries = self.entries(key)
        if len(entries) >= _WAYS and key not in entries:
            _make_room(entries, over)
        entries[key] = value

    def entries(self, key: K) -> dict[K, V]:
        """Give the set that a key is in."""
        index = hash(key) % len(self._sets)
        entries = self._sets[index]
        if entries is None:
            entries = self._sets[index] = {}
        return entries

    def drop(self, key: K) -> None:
        """Forget a value."""
        entries = self._sets[hash(key) % len(self._sets)]
        if entries is not None:
            entries.pop(key, None)


def _make_room(entries: dict[K, V], over: V) -> None:
    for key in [key for key, value in entries.items() if not over < value]:
        del entries[key]
    if len(entries) >= _WAYS:
        del entries[min(entries, key=entries.__getitem__)]
