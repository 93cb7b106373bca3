"""The table of what was shown in which browser names the ids that the tests with those browsers decide, and no other."""

import re
from pathlib import Path

from tests.promises import KNOWN_ID

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "browsers.md"
TESTS = sorted((ROOT / "tests" / "browser" / "engines").glob("test_*.py"))
MARK = re.compile(r"pytest\.mark\.ids\(([^)]*)\)")


def ids_in_the_table() -> set[str]:
    rows = (line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("|"))
    cells = (name.strip() for row in rows for name in row[2].split(","))
    return {name for name in cells if KNOWN_ID.fullmatch(name)}


def ids_of_the_tests() -> set[str]:
    marks = (mark for file in TESTS for mark in MARK.findall(file.read_text()))
    return {name.strip(' "\n') for mark in marks for name in mark.split(",")}


def test_what_the_page_says_was_shown_is_what_the_tests_show() -> None:
    assert ids_in_the_table() == ids_of_the_tests()
