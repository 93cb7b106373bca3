"""The only place that knows there are two colours of code, blocking and awaiting.

Flows and stores are written once, as ``async def``. Where a store's client blocks, nothing in them ever suspends, and
`drive` runs them to the end without an event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, cast

T = TypeVar("T")

#: What a store's client does: block ("sync"), await ("async"), or either, as its caller does ("both").
Colour: TypeAlias = Literal["sync", "async", "both"]

#: True while a door that blocks asks a store inside an event loop: in the async view of a synchronous framework. A store
#: of both colours then blocks too, since nobody there can await it.
CALLER_BLOCKS: Final[ContextVar[bool]] = ContextVar("keyturn_caller_blocks", default=False)

_SUSPENDED = (
    "Something awaited inside blocking code. Use AsyncSessions (or an async door), "
    "or give the blocking door a store and hooks that block."
)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end and give its result.

    Raises:
        RuntimeError: the coroutine did suspend; it has been closed.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError(_SUSPENDED)


async def resolve(value: T | Awaitable[T]) -> T:
    """Give a value that may have to be awaited first."""
    if isinstance(value, Awaitable):
        return await cast("Awaitable[T]", value)
    return value


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling `function` gives something to await; knows callable objects too."""
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


class Caller(Protocol):
    """How a door calls an application's plain or async function."""

    async def __call__(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call `function`, wait for it in the door's own way, and give its result."""
        ...


class Bridge(Protocol):
    """The way between an event loop and its worker threads, as a framework offers it."""

    async def run_blocking(self, function: Callable[[], T], /) -> T:
        """Run a function that blocks in a worker thread; awaited in the loop."""
        ...

    def run_in_loop(self, function: Callable[..., Awaitable[T]], /, *args: Any) -> T:
        """Run an async function in the loop; waited for in a worker thread."""
        ...


async def call_blocking(function: Callable[..., Any], /, *args: Any) -> Any:
    """Call a function on the spot: the way of doors that block.

    Raises:
        RuntimeError: the function gave something to await.
    """
    result = function(*args)
    if isinstance(result, Awaitable):
        _discard(result)
        raise RuntimeError(_SUSPENDED)  # noqa: TRY004 - it is the colour that is wrong
    return result


def _discard(result: Awaitable[Any]) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()


async def call_either(function: Callable[..., Any], /, *args: Any) -> Any:
    """Call a function on the spot and await its result if need be: for async doors without threads at hand."""
    return await resolve(function(*args))


def call_from_loop(bridge: Bridge) -> Caller:
    """Give the way of async doors: a plain function runs in a thread, since it may block (hash a password)."""

    async def call(function: Callable[..., Any], /, *args: Any) -> Any:
        if is_async(function):
            return await function(*args)
        return await resolve(await bridge.run_blocking(lambda: function(*args)))

    return call


def call_from_thread(bridge: Bridge) -> Caller:
    """Give the way of a flow that was moved to a worker thread: async functions run in the loop it came from."""

    async def call(function: Callable[..., Any], /, *args: Any) -> Any:
        if is_async(function):
            return bridge.run_in_loop(function, *args)
        return await call_blocking(function, *args)

    return call
