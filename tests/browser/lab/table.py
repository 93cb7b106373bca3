"""What each attempt came to: a row of a table that the documentation shows and the tests compare.

``KEYTURN_WRITE_TABLE=1`` writes the rows instead of comparing them.
"""

import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs/explanation/what-a-script-can-steal.md"
BEGIN, END = "<!-- written by tests/browser/test_xss_*.py: begin -->\n", "<!-- end -->\n"
HEAD = ("the script", "while the page is open", "elsewhere, after the page is closed", "what an application can do")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One attempt.

    Args:
        attempt: what the script does.
        got: what came of it in the page, as measured.
        elsewhere: what that is worth to the thief once the page is closed, as measured.
        remedy: what is left, and what an application can do about it.
    """

    attempt: str
    got: str
    elsewhere: str
    remedy: str = "nothing is needed"


def settle(row: Row) -> None:
    """Compare a row with the documentation's, or write it there."""
    if os.environ.get("KEYTURN_WRITE_TABLE"):
        PAGE.write_text(_with_row(PAGE.read_text(), row))
    assert _line(row) in PAGE.read_text().splitlines(), (
        f"{PAGE.name} says otherwise: KEYTURN_WRITE_TABLE=1 writes\n{_line(row)}"
    )


def attempts_on_the_page() -> list[str]:
    """The first column of the table."""
    return [line.split(" | ")[0].removeprefix("| ") for line in _block(PAGE.read_text()).splitlines()[2:]]


def _line(row: Row) -> str:
    return f"| {' | '.join(astuple(row))} |"


def _block(text: str) -> str:
    return text.partition(BEGIN)[2].partition(END)[0]


def _with_row(text: str, row: Row) -> str:
    before, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    lines = block.splitlines()[2:]
    known = [line.split(" | ")[0].removeprefix("| ") for line in lines]
    if row.attempt in known:
        lines[known.index(row.attempt)] = _line(row)
    else:
        lines.append(_line(row))
    rule = ["---"] * len(fields(row))
    head = [f"| {' | '.join(cells)} |" for cells in (HEAD, rule)]
    return before + BEGIN + "\n".join([*head, *lines]) + "\n" + END + after
