"""Which refresh token came out of which, as far as answers told. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._facts import History, Presented, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """A session's tokens by generation.

    Args:
        depth: the mark of a token to its generation, counted from the sign-in's.
        handed_out: for each generation the earliest moment at which an answer with a token of it was there.
    """

    depth: dict[str, int]
    handed_out: dict[int, float]

    def newest_before(self, moment: float) -> int:
        """Give the highest generation whose token had been handed out by then."""
        return max((depth for depth, at in self.handed_out.items() if at <= moment), default=0)


def turned(history: History) -> list[Presented]:
    """Give the presentations that brought tokens, in the order of their answers."""
    brought = (fact for fact in history.presented if fact.result is Result.TURNED and fact.successor)
    return sorted(brought, key=lambda fact: fact.ended)


def lineage_of(history: History) -> Lineage:
    """Read the generations off the answers."""
    depth = {history.root: 0}
    answers = turned(history)
    # Answers overlap, so that a child's may be there before its parent's: repeat until nothing is added.
    while any(_place(fact, depth) for fact in answers):
        pass
    return Lineage(depth=depth, handed_out=_handed_out(history, answers, depth))


def _place(fact: Presented, depth: dict[str, int]) -> bool:
    if fact.successor is None or fact.successor in depth or fact.token not in depth:
        return False
    depth[fact.successor] = depth[fact.token] + 1
    return True


def _handed_out(history: History, answers: Iterable[Presented], depth: dict[str, int]) -> dict[int, float]:
    at = {0: history.started}
    for fact in answers:
        generation = depth.get(fact.successor or "")
        if generation is not None:
            at[generation] = min(at.get(generation, fact.ended), fact.ended)
    return at
