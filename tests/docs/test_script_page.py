"""The table of what a script can steal has a row for each attempt of the tests, and no other."""

import ast
from pathlib import Path

from tests.browser.lab.table import attempts_on_the_page

FILES = sorted((Path(__file__).parents[1] / "browser").glob("test_xss_*.py"))


def attempts_in(file: Path) -> list[str]:
    """What the rows of a file of tests are called, in the file's order."""
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    rows = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "Row"]
    named = [keyword for row in rows for keyword in row.keywords if keyword.arg == "attempt"]
    return [ast.literal_eval(keyword.value) for keyword in sorted(named, key=lambda keyword: keyword.value.lineno)]


def test_every_attempt_has_its_row_and_every_row_its_attempt() -> None:
    assert attempts_on_the_page() == [attempt for file in FILES for attempt in attempts_in(file)]
