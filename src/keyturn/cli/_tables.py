"""Lists as people read them on a terminal and as programs read them: no colours, no boxes, nothing that moves a cursor."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

import click
from rich.cells import cell_len

#: So many rows decide how wide the columns are; a million are not held for it.
_LOOKED_AT: Final = 1000
_GAP: Final = "  "


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], as_json: bool = False, *, empty: str = "There are none."  # noqa: FBT001, FBT002 - it is what --json gave
) -> None:  # fmt: skip
    """Print rows: aligned columns under their names, or a JSON array of objects.

    Args:
        columns: the names, as members of the objects; in the table their underscores are spaces.
        rows: texts, numbers, yes or no, aware times, None, and lists or sets of texts.
        as_json: whether ``--json`` was given.
        empty: said on standard error where there are no rows and people read.
    """
    if as_json:
        _print_json(columns, rows)
    elif not _print_columns(columns, rows):
        click.echo(empty, err=True)


def printable(text: str, *, breaks: bool = False) -> str:
    """Give a text as a terminal may show it: what is no letter, sign or space is spelled out.

    A name or a browser's name was chosen by somebody else; it must not write over what stands beside it.

    Args:
        breaks: whether line breaks may stay.
    """
    return "".join(
        each if each.isprintable() or (breaks and each == "\n") else each.encode("unicode_escape").decode()
        for each in text
    )


def show(text: str) -> None:
    """Print a line of what was asked for; what the terminal's encoding has no letters for is spelled out."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def _print_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    before = "[\n"
    for row in rows:
        click.echo(before + json.dumps(dict(zip(columns, map(json_value, row), strict=True))), nl=False)
        before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")


def json_value(value: Any) -> Any:
    """Give a value as JSON has it: times as texts, sets in order."""
    match value:
        case datetime():
            return _time(value)
        case Mapping():
            return {name: json_value(item) for name, item in value.items()}
        case set() | frozenset():
            return sorted(value)
        case list() | tuple():
            return [json_value(item) for item in value]
        case _:
            return value


def _print_columns(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bool:
    lines = ([cell(value) for value in row] for row in rows)
    first = list(islice(lines, _LOOKED_AT))
    if not first:
        return False
    heads = [name.replace("_", " ").upper() for name in columns]
    widths = [max(map(cell_len, cells)) for cells in zip(heads, *first, strict=True)]
    for line in chain([heads], first, lines):
        show(_GAP.join(_padded(line, widths)).rstrip())
    return True


def _padded(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for cell, width in zip(line, widths, strict=True):
        yield cell + " " * (width - cell_len(cell))


def cell(value: Any) -> str:
    """Give a value as people read it in one line."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return _time(value)
        case set() | frozenset():
            return printable(" ".join(sorted(value))) or "-"
        case list() | tuple():
            return printable(" ".join(map(str, value)))
        case _:
            return printable(str(value))


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
