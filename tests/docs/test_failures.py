"""The table of failures names every test that plays one, and none that is not there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/failures.md"
ROW = re.compile(r"^\| [^|]+ \| [^|]+ \| `(test_\w+\.py)`: `(test_\w+)` \|$")


def played() -> set[tuple[str, str]]:
    return {
        (path.name, node.name)
        for path in (ROOT / "tests/failure").glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_failure_in_the_table_is_played_and_every_one_that_is_played_is_in_the_table():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith("| what happens")]
    named = [match.groups() for line in rows if (match := ROW.match(line))]
    assert len(named) == len(rows), "a row without its test"
    assert len(set(named)) == len(named)
    assert set(named) == played()
