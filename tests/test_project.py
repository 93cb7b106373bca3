"""The project as a whole keeps what it says of itself: what it ships, what it needs, what it never names."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.promises import KNOWN_ID, as_markdown
from tests.support.programs import find_program

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = ("constraints.txt", "constraints-lowest.txt")

# Written in pieces, so that this file passes its own check.
REGISTRIES = [f"{name}.{domain}" for name, domain in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
    ("debian", "org"), ("proxy.golang", "org"),
)]  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.~:/$}<-])/(?:home|root|Users|work|mnt)/[\w.-]+|\bfile:///")
NAMED_PAGE = re.compile(r"(?<![\w/.-])[\w./-]+\.md\b")

FRAMEWORKS_AND_DRIVERS = frozenset({
    "anyio", "argon2", "asyncio", "click", "fastapi", "flask", "httpx", "httpx2", "pydantic", "pytest", "rich",
    "sqlite3", "sqlalchemy", "starlette", "uvicorn",
})  # fmt: skip


@pytest.fixture(scope="module")
def tracked(need: Callable[[str], str]) -> dict[str, str]:
    """Every tracked text file and what it says."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone: nothing is tracked here")
    names = subprocess.run(
        [need("git"), "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return dict(text_files(filter(None, names)))


def text_files(names: Iterator[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; a file just being moved
            continue


def test_no_file_names_a_package_registry(tracked: dict[str, str]) -> None:
    assert [(name, host) for name, text in tracked.items() for host in REGISTRIES if host in text] == []


def test_no_file_names_a_path_of_one_machine(tracked: dict[str, str]) -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = [(name, match) for name, text in tracked.items() if name != here for match in MACHINE_PATH.findall(text)]
    assert found == []


def test_every_page_that_a_file_names_is_part_of_the_project(tracked: dict[str, str]) -> None:
    pages = [name for name in tracked if name.endswith(".md")]
    missing = [
        (name, page)
        for name, text in tracked.items()
        for page in NAMED_PAGE.findall(text)
        if not any(known == page.lstrip("./") or known.endswith("/" + page.lstrip("./")) for known in pages)
        and not page.endswith("latest.md")  # written by the benchmarks
    ]
    assert missing == []


def test_importing_keyturn_loads_no_framework_and_no_driver() -> None:
    program = "import sys; before = set(sys.modules); import keyturn; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "keyturn" in loaded
    assert FRAMEWORKS_AND_DRIVERS.intersection(name.partition(".")[0] for name in loaded) == set()


def test_the_pytest_plugin_loads_nothing_heavy() -> None:
    program = "import sys; import keyturn.testing.pytest_plugin; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert (FRAMEWORKS_AND_DRIVERS - {"pytest"}).intersection(loaded) <= {"asyncio"}  # which pytest itself may load


def test_keyturn_alone_needs_two_libraries() -> None:
    assert sorted(names_of(PROJECT["project"]["dependencies"])) == ["cryptography", "msgspec"]


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_constraints_are_names_and_versions_and_nothing_else(file: str) -> None:
    pin = re.compile(r"[a-z0-9-]+==[0-9][\w.]*( ; [\w'<>=!., ()-]+)?")
    assert [line for line in (ROOT / file).read_text().splitlines() if not pin.fullmatch(line)] == []


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_constraints_pin_everything_that_is_asked_for(file: str) -> None:
    asked = [
        *PROJECT["project"]["dependencies"],
        *(need for extra in PROJECT["project"]["optional-dependencies"].values() for need in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    pinned = set(names_of((ROOT / file).read_text().splitlines()))
    assert set(names_of(asked)) - {"keyturn"} - pinned == set(), "run `make constraints`"


def names_of(requirements: list[str]) -> Iterator[str]:
    for requirement in requirements:
        if name := re.match(r"[A-Za-z0-9._-]+", requirement):
            yield name[0].lower()


def test_the_wheel_ships_types_licence_and_entry_points_and_no_tests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("keyturn-*.whl")
    with zipfile.ZipFile(wheel) as shipped:
        names = shipped.namelist()
        (about,) = (name for name in names if name.endswith("/entry_points.txt"))
        entry_points = shipped.read(about).decode()
    assert "keyturn/py.typed" in names
    assert "keyturn/stores/sqlalchemy/migrations/versions/r0001_sessions.py" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"keyturn"}
    assert "keyturn = keyturn.cli:main" in entry_points
    assert "keyturn = keyturn.testing.pytest_plugin" in entry_points


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_a_file_stays_small_enough_to_read_in_one_go() -> None:
    assert [(name, lines) for name, text in sources() if (lines := text.count("\n")) > 300] == []


def test_a_function_stays_small_enough_to_keep_in_mind() -> None:
    functions = (
        (f"{name}:{node.lineno} {node.name}", lines_of_code(node))
        for name, text in sources()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [(function, lines) for function, lines in functions if lines > 40] == []


def lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from the first statement after the docstring to the end."""
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or node.lineno) - first.lineno + 1


@pytest.mark.parametrize("known", ["RT-05", "TOK-24", "M01", "P7", "B18", "W-R28"])
def test_an_id_of_every_kind_is_known(known: str) -> None:
    assert KNOWN_ID.fullmatch(known)


@pytest.mark.parametrize("mistyped", ["RT-5", "RT05", "rt-05", "M1", "ZZ-01", "RT-05 ", "P12"])
def test_a_mistyped_id_is_not_known(mistyped: str) -> None:
    assert not KNOWN_ID.fullmatch(mistyped)


def test_the_table_of_promises_is_readable() -> None:
    assert as_markdown({"M01": ["tests/test_a.py::test_b"]}).splitlines()[2] == "| M01 | `tests/test_a.py::test_b` |"


def test_a_missing_program_is_a_skip_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install no-such-program, or KEYTURN_SETUP=1 make setup"):
        find_program("no-such-program")


def test_in_ci_a_missing_program_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs no-such-program"):
        find_program("no-such-program")
