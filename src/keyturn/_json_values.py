"""What JSON can say, both ways: values that are safe to write, and read ones that nobody can change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, cast

#: Nobody's claims nest deeper; the body itself is the first level (TOK-07).
MAX_DEPTH: Final = 8


def plain(value: Any, depth: int) -> Any:
    """Give what JSON can say of a value and a verifier will read back as the same.

    Raises:
        TypeError, ValueError: JSON cannot say it, or it is too deep.
    """
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in cast("Iterable[Any]", value)]
    if isinstance(value, Mapping):
        items = value.items()
        if all(isinstance(name, str) for name, _ in items):
            return {name: plain(item, depth + 1) for name, item in items}
    raise TypeError("no JSON value")


def frozen(value: Any, depth: int) -> Any:
    """Give a decoded value that nobody can change: claims are shared by all requests that bring the same token.

    Raises:
        ValueError: it is too deep.
    """
    if not isinstance(value, (dict, list)):
        return value
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, list):
        return tuple(frozen(item, depth + 1) for item in value)
    items = cast("dict[str, Any]", value).items()
    return MappingProxyType({name: frozen(item, depth + 1) for name, item in items})


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give an object's members; for ``object_pairs_hook``, to refuse a name that comes twice."""
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name twice")
    return names
