"""Stores for doors that block, where such a door is used inside an event loop: a synchronous framework's async view."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from threading import Thread
from typing import Any, TypeVar

from ._colour import Colour, drive

T = TypeVar("T")


class OffLoop:
    """A store that is never asked inside an event loop, where one of both colours would answer by awaiting.

    A synchronous framework runs an async view in a loop of its own; the way to us blocks there as everywhere.

    Args:
        behind: the store.
    """

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.colour: Colour = behind.colour

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.behind, name)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            call = verb(*args, **kwargs)
            return _in_thread(call) if _is_in_loop() else await call

        return ask


def _in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(drive(coroutine))
        except BaseException as error:  # noqa: BLE001 - raised again for the caller
            errors.append(error)

    thread = Thread(target=copy_context().run, args=(work,))
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
