"""What the pages say of the code is what the code says; what they say of tests is true of the tests."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts import pages
from scripts.api import api

ROOT = pages.ROOT
PAGES = pages.pages()
COMPARISON = ROOT / "docs/reference-systems.md"

# What the core promises to withstand; the other ids wait for what they are about.
CORE = ("P", "TOK", "KEY", "ATP", "RT", "CK", "XS", "HT", "SE", "ST", "DS", "BC")
WAITING = {
    "SE-09": "addresses and browsers are told, not compared",
    "OA-04": "introspection",
    "OA-06": "metadata of protected resources",
    "OA-07": "other providers are the application's",
    "M57": "account care",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_takes_from_the_code_is_as_the_code_has_it(page: Path) -> None:
    assert page.read_text() == pages.made(page.read_text()), "run `make docs`"


def test_the_reference_of_the_api_is_as_the_docstrings_say() -> None:
    assert pages.API.read_text() == api(), "run `make docs`"


@cache
def functions(file: str) -> frozenset[str]:
    """Every function in a file of tests."""
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def suites() -> frozenset[str]:
    """Every function of the suites that are shipped."""
    files = (ROOT / "src/keyturn/testing").rglob("*.py")
    return frozenset(name for path in files for name in functions(path.relative_to(ROOT).as_posix()))


@cache
def marked_ids() -> frozenset[str]:
    """Every id that stands on a marker, in the tests and in the suites that are shipped."""
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "src/keyturn/testing").rglob("*.py")]
    return frozenset(found for path in files for found in ids_in(path))


def ids_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "ids":
            yield from (item.value for item in node.args if isinstance(item, ast.Constant) and item.value is not None)


def promises() -> list[tuple[str, str, str]]:
    return [row for page in pages.PROMISES for row in pages.rows(page.read_text())]


def test_every_id_that_a_test_carries_has_its_row() -> None:
    """The ids of this test file's own examples are none."""
    known = {row[0] for row in promises()} | {row[0] for row in comparison()}
    here = frozenset(ids_in(ROOT / "tests/test_project.py"))
    assert marked_ids() - here - known == set()


def test_a_row_says_not_yet_where_no_test_carries_its_id_and_only_there() -> None:
    empty = {id_ for id_, _, tests in promises() if tests == pages.NOT_YET}
    assert empty == {id_ for id_, _, _ in promises()} - marked_ids(), "run `make docs`"


def test_every_test_that_a_row_names_exists() -> None:
    wrong = [
        (id_, place, name)
        for id_, _, tests in promises()
        for place, names in re.findall(r"(the \w+ suite|`tests/[\w/]+\.py`): ((?:`\w+`(?:, )?)+)", tests)
        for name in re.findall(r"`(\w+)`", names)
        if name not in (functions(place.strip("`")) if place[0] == "`" else suites())
    ]
    assert wrong == [], "run `make docs`"


def test_the_core_keeps_what_it_promises_but_for_what_waits_for_other_parts() -> None:
    core = [row for row in promises() if row[0].rpartition("-")[0] in CORE or row[0][0] in "MP" or row[0][:2] == "OA"]
    assert {id_ for id_, _, tests in core if tests == pages.NOT_YET} <= set(WAITING)


def test_every_id_stands_once() -> None:
    ids = [row[0] for row in promises()] + [row[0] for row in comparison()]
    assert sorted({id_ for id_ in ids if ids.count(id_) > 1}) == []


# --- the comparison with the systems re-created -----------------------------------------------------------------------


def comparison() -> list[tuple[str, str, str, str]]:
    row = re.compile(r"\| ((?:W-)?[BRLFTQ]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|")
    return [found.groups() for line in COMPARISON.read_text().splitlines() if (found := row.fullmatch(line))]


ROWS = {"B": 23, "R": 81, "L": 41, "F": 11, "T": 15, "Q": 9}
WEAKNESSES = {"W-B": 18, "W-R": 28, "W-L": 16, "W-F": 8, "W-T": 5, "W-Q": 4}


def test_every_row_of_the_systems_is_there() -> None:
    wanted = {f"{kind}{number:02}" for kind, count in ROWS.items() for number in range(1, count + 1)}
    wanted |= {f"{kind}{number}" for kind, count in WEAKNESSES.items() for number in range(1, count + 1)}
    assert {row[0] for row in comparison()} ^ wanted == set()


def test_a_row_that_keyturn_has_names_a_test() -> None:
    """Where it has none, its third column begins with: not yet, no, or docs."""
    without = [id_ for id_, _, here, shown in comparison() if not shown.strip() and not excused(here)]
    assert without == []


def excused(here: str) -> bool:
    return here == "no" or here.startswith(("not yet", "no:", "docs:"))


def test_what_shows_a_row_exists() -> None:
    decided = {id_ for id_, _, tests in promises() if tests != pages.NOT_YET}
    wrong = [
        (id_, evidence)
        for id_, _, _, shown in comparison()
        for evidence in filter(None, shown.strip().split(", "))
        if not (evidence in decided or is_test_file(evidence))
    ]
    assert wrong == []


def is_test_file(evidence: str) -> bool:
    path = evidence.strip("`")
    return path.startswith(("tests/", "src/keyturn/testing/")) and (ROOT / path).exists()


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    index = (ROOT / "docs/index.md").read_text()
    assert [name_of(page) for page in (ROOT / "docs").rglob("*.md") if f"({page.relative_to(ROOT / 'docs')})" not in index
            and page.name != "index.md"] == []  # fmt: skip
