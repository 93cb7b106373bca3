"""Tables, and how they are shown: as Markdown for people and documentation, as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .measure import Effort

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What was aimed at, what was found, and whether that is enough; `met` is None where nothing could be measured."""

    aim: str
    found: str
    met: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What one benchmark found.

    Args:
        title: what was measured, with its unit.
        rows: side -> column -> figure.
        notes: what a reader must know to judge the figures.
        rounds: what every round found, for whoever doubts a median.
    """

    title: str
    rows: Mapping[str, Mapping[str, float | str]]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = ()
    rounds: Mapping[str, Mapping[str, Sequence[float]]] | None = None


def at_most(aim: str, found: float, limit: float, unit: str) -> Goal:
    """Judge a figure that shall not exceed a limit."""
    return Goal(aim=aim, found=f"{_figure(found)} {unit}", met=found <= limit)


def at_least(aim: str, found: float, limit: float, unit: str) -> Goal:
    """Judge a figure that shall reach a limit."""
    return Goal(aim=aim, found=f"{_figure(found)} {unit}", met=found >= limit)


def unknown(aim: str, why: str) -> Goal:
    """Say why a goal was not judged."""
    return Goal(aim=aim, found=why, met=None)


def setting(effort: Effort) -> dict[str, str]:
    """Say where and on what the figures were taken."""
    return {
        "effort": f"{effort.name}: {effort.rounds} rounds",
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.machine()}, {_cores()} cores",
        "python": platform.python_version(),
    }


def as_markdown(tables: Sequence[Table], where: Mapping[str, str], command: str = "make bench") -> str:
    """Give the tables as Markdown; `command` makes them."""
    parts = [
        "# What Keyturn costs",
        (
            f"Written by `{command}`. A figure counts as a ratio between the lines of one table, in this run, on this "
            "machine; none of them is a promise about yours."
        ),
        "\n".join(f"* {name}: {value}" for name, value in where.items()),
    ]
    parts += [_section(table) for table in tables]
    return "\n\n".join(parts) + "\n"


def as_json(tables: Sequence[Table], where: Mapping[str, str]) -> str:
    """Give the tables as JSON, every round included."""
    found: dict[str, Any] = {"setting": dict(where), "tables": [asdict(table) for table in tables]}
    return json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n"


def _section(table: Table) -> str:
    columns = list(dict.fromkeys(name for figures in table.rows.values() for name in figures))
    rows = [[side, *(_cell(figures.get(name, "")) for name in columns)] for side, figures in table.rows.items()]
    parts = [f"## {table.title}", grid(["", *columns], rows)]
    if table.goals:
        parts.append(grid(["goal", "found", "met"], [[goal.aim, goal.found, _MET[goal.met]] for goal in table.goals]))
    return "\n\n".join([*parts, *table.notes])


_MET = {True: "yes", False: "**no**", None: "-"}


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else _figure(value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"
