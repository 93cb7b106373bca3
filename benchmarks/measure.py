"""How things are measured here: the sides take turns (A B A B …), medians of several rounds, CPU time beside wall time.

Machines are shared and noisy, so a figure counts as a ratio between sides of one run and never by itself.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        rounds: how often every side has its turn.
        share: of the calls, rows and seconds that a full run takes.
        may_install: whether a missing environment for peers is made.
    """

    name: str
    rounds: int
    share: float
    may_install: bool = True

    def of(self, amount: float, *, least: int = 1) -> int:
        """Give an amount's share, but no less than `least`."""
        return max(least, round(amount * self.share))


FULL = Effort(name="full", rounds=15, share=1)
QUICK = Effort(name="quick", rounds=5, share=0.1)
#: That everything runs; its figures say nothing.
TOUCH = Effort(name="touch", rounds=1, share=0.001, may_install=False)


NOWHERE: Mapping[str, Callable[[], float]] = {}

#: side -> what each of its rounds found; the n-th of every side were measured one after another.
Rounds = Mapping[str, Sequence[float]]


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """Let the sides measure themselves in turns, each beginning as often as the others."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(sides[name]())
    return found


def medians(rounds: Rounds) -> dict[str, float]:
    """Give each side's median."""
    return {name: statistics.median(figures) for name, figures in rounds.items()}


def ratio(rounds: Rounds, side: str, by: str) -> float:
    """Give the median, over the rounds, of one side by another: what slows one round down slows both."""
    return statistics.median(a / b for a, b in zip(rounds[side], rounds[by], strict=True))


def added(rounds: Rounds, side: str, over: str) -> float:
    """Give the median, over the rounds, of what one side takes more than another."""
    return statistics.median(a - b for a, b in zip(rounds[side], rounds[over], strict=True))


def cpu_micros(call: Callable[[], object], calls: int) -> float:
    """Give the CPU microseconds of one call, over so many."""
    gc.collect()
    begin = time.process_time_ns()
    for _ in range(calls):
        call()
    return (time.process_time_ns() - begin) / calls / 1e3


async def cpu_micros_awaited(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """Give the CPU microseconds of one awaited call, over so many."""
    gc.collect()
    begin = time.process_time_ns()
    for _ in range(calls):
        await call()
    return (time.process_time_ns() - begin) / calls / 1e3


def per_call(
    sides: Mapping[str, Callable[[], object]],
    *,
    calls: int,
    rounds: int,
    elsewhere: Mapping[str, Callable[[], float]] = NOWHERE,
) -> Rounds:
    """Give the CPU microseconds of one call of each side, the sides taking turns.

    Args:
        elsewhere: sides that measure themselves, in another process; they take their turns too.
    """
    for call in sides.values():  # memories fill, and specialised bytecode comes, before anything is measured
        cpu_micros(call, max(1, calls // 4))
    here = {name: lambda call=call: cpu_micros(call, calls) for name, call in sides.items()}
    return take_turns({**here, **elsewhere}, rounds)


def per_await(
    sides: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    calls: int,
    rounds: int,
    elsewhere: Mapping[str, Callable[[], float]] = NOWHERE,
) -> Rounds:
    """Give the CPU microseconds of one awaited call of each side, the sides taking turns in one event loop.

    Args:
        elsewhere: sides that measure themselves, in another process; they take their turns too.
    """
    with asyncio.Runner() as runner:

        def measured(call: Callable[[], Awaitable[object]], count: int) -> float:
            return runner.run(cpu_micros_awaited(call, count))

        for call in sides.values():
            measured(call, max(1, calls // 4))
        here = {name: lambda call=call: measured(call, calls) for name, call in sides.items()}
        return take_turns({**here, **elsewhere}, rounds)


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that such a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def versions(*packages: str) -> str:
    """Name the versions of packages that were measured."""
    return ", ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
