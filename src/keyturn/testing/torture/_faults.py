"""What the network does to a message: drawn, not decided while it happens. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final, TypeAlias

#: Gives a number from 0 to 1, 1 excluded.
Draw: TypeAlias = Callable[[], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """How often which fault; shares of 1 of the messages, and two lengths in seconds.

    Args:
        drop_request: the request never arrives, the client sees a closed connection.
        drop_answer: the server has done its work, the client sees a closed connection.
        copy: the request arrives a second time, up to `longest_copy` later; that answer goes nowhere.
        delay: the request, the answer or both are held, up to `longest_delay` each.
        reorder: the request is held until another of the same client has passed it, `longest_delay` at most.
        longest_delay: seconds.
        longest_copy: seconds; P3 says nothing of copies that come later than a leeway, so it stays far below it.
    """

    drop_request: float = 0.03
    drop_answer: float = 0.06
    copy: float = 0.08
    delay: float = 0.2
    reorder: float = 0.05
    longest_delay: float = 0.4
    longest_copy: float = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What happens to one request and its answer; lengths in seconds."""

    drop_request: bool = False
    drop_answer: bool = False
    reorder: bool = False
    hold_request: float = 0.0
    hold_answer: float = 0.0
    copies: tuple[float, ...] = ()


NO_FAULTS: Final = Faults()
LOSE_THE_ANSWER: Final = Faults(drop_answer=True)


def draw_faults(mix: Mix, draw: Draw) -> Faults:
    """Give what happens to the next message."""
    delayed = draw() < mix.delay
    return Faults(
        drop_request=draw() < mix.drop_request,
        drop_answer=draw() < mix.drop_answer,
        reorder=draw() < mix.reorder,
        hold_request=draw() * mix.longest_delay if delayed else 0.0,
        hold_answer=draw() * mix.longest_delay if delayed else 0.0,
        copies=(draw() * mix.longest_copy,) if draw() < mix.copy else (),
    )


def read_mix(text: str, mix: Mix) -> Mix:
    """Give `mix` with what ``drop-answer=0.2,copy=0`` changes; ``none`` takes all faults away.

    Raises:
        ValueError: an unknown name, or no number from 0 to 1 (lengths: to 5 s, half the leeway of P3).
    """
    if text == "none":
        return Mix(drop_request=0, drop_answer=0, copy=0, delay=0, reorder=0)
    known = {field.name for field in fields(Mix)}
    changes: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.strip().partition("=")
        name = name.strip().replace("-", "_")
        if name not in known:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(sorted(known)).replace('_', '-')}")
        changes[name] = _number(name, value, 5.0 if name.startswith("longest") else 1.0)
    return replace(mix, **changes)


def _number(name: str, value: str, most: float) -> float:
    try:
        read = float(value)
    except ValueError:
        read = -1.0
    if not 0 <= read <= most:
        raise ValueError(f"{name.replace('_', '-')} takes a number from 0 to {most:g}, not {value!r}")
    return read
