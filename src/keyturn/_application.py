"""What is asked of an application's own functions: which colour they have, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._colour import is_async
from .errors import ConfigurationError
from .users import Principal, Users


def checked_principal(found: object, source: str) -> Principal | None:
    """Give what an application's function gave, if it is a principal or None.

    Raises:
        ConfigurationError: it is something else.
    """
    if found is None or isinstance(found, Principal):
        return found
    raise ConfigurationError([f"{source} gave a {type(found).__name__}: it must give a keyturn.Principal or None"])


def async_faults(users: Users | None, listeners: Iterable[Callable[..., Any]]) -> list[str]:
    """Say which of an application's functions a blocking door cannot call, a sentence each."""
    methods = [getattr(users, name, None) for name in ("authenticate", "load")] if users is not None else []
    return [
        f"{getattr(function, '__qualname__', function)} is async, but this door blocks: make it a plain function, "
        "or use an async door (AsyncSessions)"
        for function in (*methods, *listeners)
        if function is not None and is_async(function)
    ]
