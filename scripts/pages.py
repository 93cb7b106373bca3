"""Write what the documentation takes from the code: ``make docs``.

* ``docs/reference/api.md``, from the docstrings.
* Blocks between ``<!-- made: NAME -->`` and ``<!-- end -->``: tables of settings, errors and events, and the text of
  example files (``<!-- made: file examples/x.py -->``).
* The last column of the tables of promises: which tests decide each id. It needs the report that
  ``pytest --collect-only --ids-report=build/ids.json`` writes; without one, that column is left as it is.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from scripts.api import api, first_sentence

ROOT = Path(__file__).parent.parent
API = ROOT / "docs/reference/api.md"
PROMISES = (ROOT / "docs/security-checklist.md", ROOT / "docs/regressions.md")

_BLOCK = re.compile(r"(<!-- made: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_ROW = re.compile(r"\| ([A-Z]+-?\d+) \| (.*) \| ([^|]*) \|")
_SUITES = (
    (re.compile(r"tests/stores/test_(memory|sqlite|sqlalchemy|mariadb)\.py::Test\w+::"), "the store suite"),
    (re.compile(r"tests/(starlette|fastapi|flask)/test_conformance\.py::Test\w+::"), "the HTTP suite"),
)
NOT_YET = "not yet"


def pages() -> list[Path]:
    """Give every page of the documentation, the README and its neighbours among them."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def made(text: str) -> str:
    """Fill the blocks of a page."""
    return _BLOCK.sub(lambda block: block[1] + _content(block[2]) + block[4], text)


def _content(name: str) -> str:
    kind, _, path = name.partition(" ")
    return _as_code(ROOT / path) if kind == "file" else BLOCKS[kind]()


def _as_code(path: Path) -> str:
    language = {".py": "python", ".sh": "sh", ".conf": "nginx", ".service": "ini", ".html": "html", "": "dockerfile"}[
        path.suffix
    ]
    return f"```{language}\n{path.read_text().rstrip()}\n```\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Give a table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


# --- tables from the code --------------------------------------------------------------------------------------------


def settings_table() -> str:
    """Every setting: its default, its environment variable, what it is for."""
    from keyturn import CookieSettings, Settings
    from keyturn.settings import SETTING_NAMES

    plain, told = Settings(issuer="https://id.example.org"), _arguments(Settings)
    rows = [
        (f"`{name}`", _default(name, getattr(plain, name)), f"`KEYTURN_{name.upper()}`", told[name])
        for name in SETTING_NAMES
        if name != "cookie"
    ]
    rows += [
        (f"`cookie.{name}`", _default(name, getattr(plain.cookie, name)), f"`KEYTURN_COOKIE__{name.upper()}`", text)
        for name, text in _arguments(CookieSettings).items()
    ]
    return table(("setting", "default", "variable", "what it is"), rows)


def _default(name: str, value: object) -> str:
    from datetime import timedelta

    from keyturn._validation import spelled

    if name == "issuer":
        return "none: must be given"
    if name in {"audience", "recovery_window"}:
        return {"audience": "the issuer", "recovery_window": "the idle lifetime"}[name]
    return f"`{spelled(value) if isinstance(value, timedelta) else value!r}`"


def profiles_table() -> str:
    """What each profile changes."""
    from keyturn import Settings
    from keyturn.settings import SETTING_NAMES

    browser = Settings(issuer="https://id.example.org")
    rows = []
    for profile in ("browser", "native", "strict", "development", "testing"):
        own = {} if profile in {"development", "testing"} else {"issuer": "https://id.example.org"}
        settings = Settings(profile=profile, **own)
        changed = [
            f"`{name}` {_default('', getattr(settings, name))}"
            for name in SETTING_NAMES
            if name not in {"profile", "audience"} and getattr(settings, name) != getattr(browser, name)
        ]
        rows.append((f"`{profile}`", ", ".join(changed) or "the defaults"))
    return table(("profile", "what differs from the defaults"), rows)


def errors_table() -> str:
    """The ladder of errors."""
    from keyturn import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KeyturnError)]
    rows = [
        (f"`{kind.__name__}`", f"`{kind.default_code}`", str(kind.default_status), first_sentence(kind))
        for kind in kinds
    ]
    return table(("exception", "code", "status", "what it says"), rows)


def events_table() -> str:
    """Every event."""
    from dataclasses import fields

    from keyturn import events

    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
    common = [item.name for item in fields(events.Event)]
    rows = [
        (
            f"`{kind.__name__}`",
            ", ".join(f"`{item.name}`" for item in fields(kind) if kind is events.Event or item.name not in common),
            first_sentence(kind),
        )
        for kind in kinds
    ]
    return table(("event", "besides the common fields", "what happened"), rows)


def _arguments(kind: type) -> dict[str, str]:
    """Take a docstring's ``Args`` apart: name -> text."""
    from inspect import getdoc

    section = (getdoc(kind) or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "`") for name, text in found}


BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "profiles": profiles_table,
    "errors": errors_table,
    "events": events_table,
}


# --- promises --------------------------------------------------------------------------------------------------------


def decided(text: str, report: Mapping[str, list[str]]) -> str:
    """Fill the last column of a page's table of promises."""
    return "".join(_decided_row(line, report) + "\n" for line in text.splitlines())


def _decided_row(line: str, report: Mapping[str, list[str]]) -> str:
    row = _ROW.fullmatch(line)
    if row is None:
        return line
    return f"| {row[1]} | {row[2]} | {_tests(report.get(row[1], []))} |"


def _tests(nodes: list[str]) -> str:
    by_file: dict[str, list[str]] = {}
    for node in nodes:
        names = by_file.setdefault(_place(node), [])
        name = node.rpartition("::")[2]
        if name not in names:
            names.append(name)
    told = [f"{place}: {', '.join(f'`{name}`' for name in names)}" for place, names in by_file.items()]
    return "<br>".join(told) or NOT_YET


def _place(node: str) -> str:
    """Say where a test stands: its file, or the suite that several files inherit."""
    suite = next((name for pattern, name in _SUITES if pattern.match(node)), None)
    return suite or f"`{node.partition('::')[0]}`"


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Give the rows of a page's table of promises: id, requirement, tests."""
    yield from (row.groups() for line in text.splitlines() if (row := _ROW.fullmatch(line)))


# --- writing ---------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Write every page anew."""
    report = json.loads(Path(arguments[0]).read_text()) if arguments else None
    API.write_text(api())
    for page in pages():
        text = made(page.read_text())
        page.write_text(decided(text, report) if report is not None and page in PROMISES else text)


if __name__ == "__main__":
    main(sys.argv[1:])
