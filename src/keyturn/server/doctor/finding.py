"""What the doctor says: one finding, and how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: ``ok``: as it should be; ``note``: good to know; ``weak``: works, and should be better; ``broken``: does not work, or
#: will not protect anybody.
Level: TypeAlias = Literal["ok", "note", "weak", "broken"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "note", "weak", "broken")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: how much it matters.
        topic: what it is about: ``configuration``, ``keys``, ``files``, ``database``, ``accounts`` and so on.
        what: what is so, a sentence.
        remedy: what to do about it; empty where nothing needs to be done.
    """

    level: Level
    topic: str
    what: str
    remedy: str = ""


def counted(count: int, one: str, many: str) -> str:
    """Give a number with its words: ``1 session lives``, ``3 sessions live``."""
    return f"{count} {one if count == 1 else many}"


def ok(topic: str, what: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(level="ok", topic=topic, what=what)


def note(topic: str, what: str, remedy: str = "") -> Finding:
    """Say what is good to know."""
    return Finding(level="note", topic=topic, what=what, remedy=remedy)


def weak(topic: str, what: str, remedy: str) -> Finding:
    """Say what works, and should be better."""
    return Finding(level="weak", topic=topic, what=what, remedy=remedy)


def broken(topic: str, what: str, remedy: str) -> Finding:
    """Say what does not work."""
    return Finding(level="broken", topic=topic, what=what, remedy=remedy)
