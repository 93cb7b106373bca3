"""Tells the demonstration's story in the terminal: colours where they are wanted, plain text everywhere else."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

#: Longer lines are hard to read, however wide the window is.
_WIDEST: Final = 100
#: What a terminal without Unicode shows instead.
_PLAIN: Final = str.maketrans({"→": ">", "←": "<", "✓": "+", "✗": "x", "…": ".."})


class Screen:
    """The storyteller of ``keyturn demo``.

    Args:
        console: where it writes; decides about colours, width and encoding.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, _WIDEST)
        self._unicode = console.encoding.lower().replace("-", "").startswith("utf")

    def chapter(self, number: int, title: str, why: str, when: str) -> None:
        """Begin a step."""
        self._write("")
        head = f"{number:>2}  {title}"
        gap = self._width - len(head) - len(when)
        if gap > 1:
            self._put(Text.assemble((head, "bold"), " " * gap, (when, "dim")))
        else:
            self._write(head, "bold")
        self._write(why, indent=4)

    def aside(self, text: str) -> None:
        """Say a sentence."""
        self._write(text, indent=4)

    def request(self, lines: Sequence[str]) -> None:
        """Show a request."""
        self._write("")
        self._message("→ ", lines, "cyan")

    def answer(self, lines: Sequence[str], *, good: bool) -> None:
        """Show an answer."""
        self._message("← ", lines, "green" if good else "yellow")

    def event(self, lines: Sequence[str]) -> None:
        """Show an event."""
        self._message("! ", lines, "bold red")

    def holds(self, text: str) -> None:
        """Say what was checked, and held."""
        self._write("✓ " + text, "green", indent=4, hang=2)

    def differs(self, told: str, seen: str) -> None:
        """Say what went otherwise than told."""
        self._write("")
        self._write("✗ It went otherwise than told.", "bold red", indent=4)
        self._write(f"told: {told}", indent=6, hang=6)
        self._write(f"seen: {seen}", indent=6, hang=6)

    def heading(self, text: str) -> None:
        """Begin a part of the text around the story."""
        self._write("")
        self._write(text, "bold")

    def pasteable(self, line: str) -> None:
        """Show a line that shall be copied: never broken, however narrow the window is."""
        self._put(Text("    " + line, "cyan"))

    def _message(self, mark: str, lines: Sequence[str], style: str) -> None:
        first, *rest = lines
        self._write(mark + first, style, indent=4, hang=2)
        for line in rest:
            self._write(line, "dim", indent=8, hang=2)

    def _write(self, text: str, style: str = "", *, indent: int = 0, hang: int = 0) -> None:
        # A very narrow window gets narrow text, but not one letter a line.
        lines = textwrap.wrap(
            text, max(self._width, indent + hang + 16), initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang), break_on_hyphens=False,
        )  # fmt: skip
        for line in lines or [""]:
            self._put(Text(line, style))

    def _put(self, text: Text) -> None:
        if not self._unicode:
            text.plain = text.plain.translate(_PLAIN)
        # Wrapped already, or not to be wrapped at all.
        self._console.print(text, soft_wrap=True)
