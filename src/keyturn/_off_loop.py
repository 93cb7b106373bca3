"""Stores and throttles for doors that block, where such a door is used inside an event loop: a synchronous framework's async view."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from ._colour import CALLER_BLOCKS, Colour

#: What a throttle answers without waiting for anything; see `keyturn.throttle.Throttle`.
_AT_ONCE: Final = frozenset({"at_once", "proven"})


class OffLoop:
    """A store, or a throttle, that blocks even where an event loop runs, and one of both colours would answer by awaiting.

    A synchronous framework runs an async view in a loop of its own; the way to us blocks there as everywhere.

    Args:
        behind: the store, or the throttle.
    """

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.colour: Colour = getattr(behind, "colour", "both")

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.behind, name)
        return _blocking(verb) if callable(verb) and name not in _AT_ONCE else verb


def _blocking(verb: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def ask(*args: Any, **kwargs: Any) -> Any:
        before = CALLER_BLOCKS.set(True)
        try:
            return await verb(*args, **kwargs)
        finally:
            CALLER_BLOCKS.reset(before)

    return ask
