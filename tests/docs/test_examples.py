"""The code in the documentation works: marked blocks are run, the others parse, and commands are ones that exist."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml

from keyturn.cli.commands import keyturn
from scripts import pages

ROOT = pages.ROOT
FENCE = re.compile(r"^```([\w ]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {path.read_text().strip() for path in (ROOT / "examples").glob("*.py")}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Every fenced block: its language (``python run``: to be run) and its text."""
    for language, code in FENCE.findall(page.read_text()):
        yield language.strip(), code


def of_language(language: str) -> list:
    return [
        pytest.param(page, code, id=f"{page.relative_to(ROOT).as_posix()}:{number}")
        for page in pages.pages()
        for number, (name, code) in enumerate(blocks(page), 1)
        if name == language
    ]


@pytest.mark.parametrize(("page", "code"), of_language("python"))
def test_a_block_that_is_shown_only_is_python(page: Path, code: str) -> None:
    ast.parse(code)


@pytest.mark.parametrize("page", [page for page in pages.pages() if any(name == "python run" for name, _ in blocks(page))],
                         ids=lambda page: page.relative_to(ROOT).as_posix())  # fmt: skip
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for language, code in blocks(page):
        if language == "python run":
            exec(compile(code, f"{page.name}, a block", "exec"), names)


def test_every_language_is_one_that_is_looked_at() -> None:
    told = {name for page in pages.pages() for name, _ in blocks(page)}
    looked_at = {"python", "python run", "sh", "toml", "json", "text", "http", "js", "console", "yaml", "nginx"}
    files = {"ini", "dockerfile", "html"}  # of deploy/, which tests/deploy carries out, and of examples/
    assert told <= looked_at | files


@pytest.mark.parametrize(("page", "code"), of_language("yaml"))
def test_a_block_for_an_orchestrator_or_for_alarms_is_yaml_and_names_numbers_that_there_are(
    page: Path, code: str
) -> None:
    read = yaml.safe_load(code)
    assert read
    page_of_numbers = (ROOT / "docs/how-to/observe.md").read_text()
    for number in re.findall(r"\bkeyturn_\w+", code):
        stem = number.removesuffix("_waiting").removesuffix("_limit")
        assert f"| `{stem}" in page_of_numbers


@pytest.mark.parametrize(("page", "code"), of_language("nginx"))
def test_what_is_shown_of_nginx_is_its_own(page: Path, code: str) -> None:
    if code.count("\n") > 5:  # the whole file, which tests/deploy runs
        assert code.strip() == (ROOT / "deploy/nginx.conf").read_text().strip()
    else:
        assert re.fullmatch(r"location = /metrics \{ return 404; \}", code.strip())


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    shown = [code.strip() for language, code in blocks(ROOT / "README.md") if language == "python"]
    assert (ROOT / "examples/quickstart_fastapi.py").read_text().strip() in shown


@pytest.mark.parametrize(("page", "code"), of_language("sh"))
def test_every_command_is_one_that_works(page: Path, code: str) -> None:
    if code.strip() == (ROOT / "deploy/keyturn.sh").read_text().strip():
        return  # tests/docs/test_deploy_page.py runs it
    assert [line for line in code.splitlines() if line.strip() and not works(line)] == []


def works(line: str) -> bool:
    """Say whether a line is one that a test runs, or names what exists."""
    program, *rest = line.split()
    match program:
        case "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return rest[0] in targets
        case "pip":  # the extras are looked up; an index is not asked in a test
            extras = re.findall(r"\[([\w,]+)\]", line)
            return all(
                f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text() for extra in ",".join(extras).split(",")
            )
        case "keyturn":
            return is_command(rest)  # tests/cli
        case "python":
            return rest[0] == "-m" and find_spec(rest[1]) is not None
        case "uvicorn":
            return (
                ROOT / "examples" / f"{rest[0].partition(':')[0]}.py"
            ).exists()  # tests/examples/test_quickstarts.py
        case "cd":
            return (ROOT / rest[0]).is_dir()
        case _:
            return line in (ROOT / "examples/curl.sh").read_text().splitlines()


def is_command(words: list[str]) -> bool:
    """Say whether there is such a command of the program, with such options."""
    command: click.Command = keyturn
    for word in words:
        if isinstance(command, click.Group):
            if word not in command.commands:
                return False
            command = command.commands[word]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return not isinstance(command, click.Group) and {word for word in words if word.startswith("--")} <= options


def test_the_readme_calls_the_quickstart_with_lines_of_the_script() -> None:
    commands = "".join(code for language, code in blocks(ROOT / "README.md") if language == "sh")
    script = (ROOT / "examples/curl.sh").read_text().splitlines()
    assert len([line for line in commands.splitlines() if line in script and line.strip()]) >= 3
