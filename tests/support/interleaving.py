"""Runs coroutines side by side, one step at a time and in any order that is asked for: no loop, no threads, no chance."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any

#: Of how many coroutines the next one to move is chosen -> which.
Choose = Callable[[int], int]


class Pause:
    """What a coroutine awaits where another one may come in between."""

    def __await__(self) -> Generator["Pause", None, None]:
        yield self


class PausingStore:
    """A store that lets others come in between after every verb."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.colour = store.colour

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def and_pause(*args: Any, **kwargs: Any) -> Any:
            try:
                return await getattr(self._store, verb)(*args, **kwargs)
            finally:
                await Pause()

        return and_pause


async def call_pausing(function: Callable[..., Any], /, *args: Any) -> Any:
    """Call a hook and let others come in between after it."""
    result = function(*args)
    await Pause()
    return result


def run_interleaved(coroutines: list[Coroutine[Any, Any, Any]], choose: Choose) -> list[Any]:
    """Run coroutines to their ends and give what each returned, or the exception that it raised."""
    results: list[Any] = [None] * len(coroutines)
    waiting = list(range(len(coroutines)))
    while waiting:
        number = waiting[choose(len(waiting))]
        try:
            coroutines[number].send(None)
            continue
        except StopIteration as stop:
            results[number] = stop.value
        except Exception as error:  # noqa: BLE001 - it is the result
            results[number] = error
        waiting.remove(number)
    return results


def explore(world: Callable[[Choose], None]) -> int:
    """Run a world once for every order of its steps, from the beginning each time; give how many there were."""
    prefix: list[int] = []
    count = 0
    while True:
        trail: list[tuple[int, int]] = []

        def choose(options: int, prefix: list[int] = prefix, trail: list[tuple[int, int]] = trail) -> int:
            choice = prefix[len(trail)] if len(trail) < len(prefix) else 0
            trail.append((choice, options))
            return choice

        world(choose)
        count += 1
        while trail and trail[-1][0] + 1 == trail[-1][1]:
            trail.pop()
        if not trail:
            return count
        prefix = [choice for choice, _ in trail[:-1]] + [trail[-1][0] + 1]
