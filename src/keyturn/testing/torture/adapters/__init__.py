"""The adapters that are shipped, a file each: ``--adapter simple-thing`` finds `ADAPTER` in ``simple_thing.py`` here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from .._adapter import Adapter


class UnknownAdapterError(Exception):
    """There is no adapter of that name; the text says which there are."""


def names() -> list[str]:
    """Give the names of the shipped adapters, sorted."""
    return sorted(found.name.replace("_", "-") for found in iter_modules(__path__) if not found.name.startswith("_"))


def find(name: str, options: Mapping[str, str]) -> Adapter:
    """Give the adapter of that name.

    Args:
        name: a shipped one's, or ``package.module:Class`` for one of your own.
        options: given to it.

    Raises:
        UnknownAdapterError: there is none, or it cannot be made with these options.
    """
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            made = getattr(import_module(module), attribute)
        elif name in names():
            made = import_module(f"{__name__}.{name.replace('-', '_')}").ADAPTER
        else:
            raise UnknownAdapterError(f"there is no adapter {name!r}; shipped: {', '.join(names())}; or module:Class")
        adapter: Adapter = made(options)
    except (ImportError, AttributeError, TypeError, ValueError, KeyError) as error:
        raise UnknownAdapterError(f"the adapter {name!r} could not be made: {type(error).__name__}: {error}") from error
    return adapter
