"""What the commands share: their options, how they refuse, what they print and how they ask.

Each noun is a ``click.Group`` of class `Noun`, each verb a function with `config_option`; whatever a verb raises of ours
becomes a message and exit code 1 in `Program`, so a verb catches nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from ..server.config import ServerConfig, load
from ._program import Noun, Program, RefusedError, refuse, refusing, say
from ._tables import printable, show, table

if TYPE_CHECKING:
    from ..server.installation import Installation

__all__ = [
    "ConfigFile",
    "Noun",
    "Program",
    "RefusedError",
    "ask_password",
    "config_option",
    "confirm",
    "installed",
    "json_option",
    "made",
    "missing_database",
    "printable",
    "progress",
    "refuse",
    "refusing",
    "say",
    "show",
    "standard_input",
    "table",
    "yes_option",
]

F = TypeVar("F", bound=Callable[..., Any])

#: Far longer than any password may be: what is longer is refused by its length.
_LONGEST_LINE: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFile:
    """Where a command's configuration comes from; read when it is needed.

    Args:
        path: the file; None for ``keyturn.toml`` here, or the defaults in ``./.keyturn/``.
    """

    path: Path | None = None

    def load(
        self, overrides: Mapping[str, Any] = MappingProxyType({}), environment: Mapping[str, str] | None = None
    ) -> ServerConfig:
        """Read it; ConfigurationError with every fault.

        Args:
            overrides: values of the ``[server]`` table that stand above all others.
            environment: the process's own where left out.
        """
        return load(self.path, overrides=overrides, environment=environment)


def config_option(function: F) -> F:
    """Add ``--config F``; the command gets `ConfigFile` as ``config``."""
    return click.option(
        "--config", metavar="FILE", envvar="KEYTURN_CONFIG", expose_value=True,
        callback=lambda _context, _option, value: ConfigFile(path=Path(value) if value else None),
        help="The configuration; keyturn.toml here where left out, else the defaults in ./.keyturn/.",
    )(function)  # fmt: skip


def json_option(function: F) -> F:
    """Add ``--json``; the command gets ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def yes_option(function: F) -> F:
    """Add ``--yes``; the command gets ``yes``, for `confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


@contextmanager
def installed(config: ConfigFile, *, makes: bool = True) -> Generator[Installation]:
    """Open the installation that a configuration describes, for code that blocks, and close it at the end.

    Args:
        config: what `config_option` gave.
        makes: whether a database and keys are made where there are none yet; else that is refused.

    Raises:
        ConfigurationError: of the configuration, the keys or the database, with every fault.
        StoreError: the database cannot be asked.
    """
    from ..server.installation import Installation

    read = config.load()
    if not makes and (missing := missing_database(read)):
        refuse(missing)
    opened = Installation(read, colour="sync")
    try:
        opened.prepare(waiting=lambda why: say(f"Waiting for the database: {why}"))
        yield opened
    finally:
        opened.close()


def confirm(question: str, *, yes: bool) -> None:
    """Go on where ``--yes`` was given or somebody at a terminal says yes; else end with exit code 1."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        refuse(f"{question} Nothing was changed: repeat it with --yes.")
    if not click.confirm(printable(question), err=True):
        refuse("Nothing was changed.")


def ask_password(prompt: str = "Password", *, confirm: bool = False) -> str:
    """Get a password: hidden from a terminal, else one line of standard input.

    Args:
        prompt: what a person is asked for.
        confirm: whether it is asked for twice, for a new one.
    """
    if not standard_input().isatty():
        return _line_of_input()
    try:
        password = getpass(f"{prompt}: ")
        if confirm and getpass(f"{prompt}, once more: ") != password:
            refuse("The two differ. Nothing was changed.")
    except EOFError:
        refuse("Nothing was typed. Nothing was changed.")
    return password


def standard_input() -> TextIO:
    """Give standard input; exit code 1 where the shell closed it (``<&-``), and Python has none."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        refuse("Standard input is closed, and something has to be read from it. Nothing was changed.")
    return sys.stdin


@contextmanager
def made(lost: str) -> Generator[None]:
    """Print what was made; where that cannot be printed, say that it was made nevertheless, and what to do."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # `>&-` leaves none
        refuse(f"Standard output is closed. {lost}")
    try:
        yield
    except OSError:
        with suppress(OSError):
            say(lost)
        raise


@contextmanager
def progress(doing: str, *, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Show on a terminal how far a long work is; gives the function that is told the count so far.

    Args:
        doing: what is done, in a word or two.
        total: how many there will be, where that is known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _told_nobody
        return
    # No count until one was told: a work that cannot tell its steps shows how long it takes.
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(doing, total=total, told="")
        yield lambda count: shown.update(task, completed=count, told=f"{count:,}")


def _told_nobody(_count: int) -> None:
    """Stand for a terminal that is not there."""


def _line_of_input() -> str:
    line = standard_input().buffer.readline(_LONGEST_LINE).rstrip(b"\r\n")
    try:
        password = line.decode()
    except UnicodeDecodeError:
        password = ""
    if not password:
        refuse("A password is read from standard input as one line of UTF-8, and none came. Nothing was changed.")
    return password


def missing_database(config: ServerConfig) -> str | None:
    """Say that there is no database yet, where that can be seen without asking it."""
    scheme, _, path = config.store.partition(":///")
    if scheme != "sqlite" or Path(path).exists():
        return None
    return f"There is no database yet at {path}: begin with `keyturn init`, or name your configuration with --config."
