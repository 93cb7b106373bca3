"""Which promises the tests decide: the ids on their markers, collected into one table that the documentation shows."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

# Sections of the security checklist, mistakes of other projects (M), the protocol's properties (P1-P7), rows of the
# comparison with the systems re-created (B, F, L, Q, R, T) and their weaknesses (W-…).
KNOWN_ID = re.compile(r"(ATP|AU|BC|BF|CK|DB|DP|DS|HT|KEY|OA|RT|SE|ST|TOK|XS)-\d\d|[BFLMQRT]\d\d|P\d|W-[BFLQRT]\d{1,2}")


def ids_of(item: pytest.Item) -> list[str]:
    """The ids on a test, its class and its module."""
    return [promise for marker in item.iter_markers("ids") for promise in marker.args]


def table_of(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """Which tests decide each id, both in order; the cases of one test count once."""
    table: dict[str, set[str]] = {}
    for item in items:
        for promise in ids_of(item):
            table.setdefault(promise, set()).add(item.nodeid.partition("[")[0])
    return {promise: sorted(table[promise]) for promise in sorted(table)}


def write_table(table: dict[str, list[str]], path: Path) -> None:
    """Write the table as JSON, or as Markdown where the file's name ends so."""
    path.write_text(as_markdown(table) if path.suffix == ".md" else json.dumps(table, indent=2) + "\n")


def as_markdown(table: dict[str, list[str]]) -> str:
    """Render the table, one row for each id."""
    rows = [f"| {promise} | {'<br>'.join(f'`{test}`' for test in tests)} |" for promise, tests in table.items()]
    return "\n".join(["| id | decided by |", "|---|---|", *rows, ""])
