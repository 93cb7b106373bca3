"""What the commands share: their options, how they refuse, what they print and how they ask.

Each noun is a ``click.Group`` of class `Noun`, each verb a function with `config_option`; whatever a verb raises of ours
becomes a message and exit code 1 in `Program`, so a verb catches nothing.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from getpass import getpass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from .._reading import did_you_mean
from ..errors import ConfigurationError, KeyturnError, kind_and_place
from ..server.config import ServerConfig, load
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
    "missing_database",
    "printable",
    "progress",
    "refuse",
    "refusing",
    "say",
    "show",
    "table",
    "yes_option",
]

F = TypeVar("F", bound=Callable[..., Any])

#: What a shell reports of a program that Ctrl-C ended, and of one whose reader left.
_INTERRUPTED: Final = 130
_READER_LEFT: Final = 141
#: A pipe without a reader, and a terminal that was closed.
_GONE: Final = frozenset({errno.EPIPE, errno.EIO})
#: Far longer than any password may be: what is longer is refused by its length.
_LONGEST_LINE: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFile:
    """Where a command's configuration comes from; read when it is needed.

    Args:
        path: the file; None for ``keyturn.toml`` here, or the defaults in ``./.keyturn/``.
    """

    path: Path | None = None

    def load(self, overrides: Mapping[str, Any] = MappingProxyType({})) -> ServerConfig:
        """Read it; ConfigurationError with every fault.

        Args:
            overrides: values of the ``[server]`` table that stand above all others.
        """
        return load(self.path, overrides=overrides)


class RefusedError(click.ClickException):
    """A command does not do what it was asked to; the message says why, and what to do."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to standard error."""
        click.echo(printable(self.message, breaks=True), file=file, err=True)


class Noun(click.Group):
    """A group of commands that says what a mistyped one may have meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a usage error for an unknown one."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"There is no command {printable(args[0])!r} here{hint}.")
        return super().resolve_command(ctx, args)


class Program(Noun):
    """The program: its commands end with 0 done, 1 refused or not found, 2 wrong usage, and never with a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line."""
        alone = extra.pop("standalone_mode", True)
        run = partial(super().main, *args, **extra, standalone_mode=False)
        if not alone:
            return run()
        try:
            code: Any = run()
        except click.Abort as error:
            code = _aborted(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is shown a traceback with values in it
            _let_go()
            shown = error if isinstance(error, click.ClickException) else RefusedError(_told_of(error))
            with suppress(OSError):
                shown.show()
            code = shown.exit_code
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; quietly where the reader of what it writes has left."""
        try:
            with refusing():
                return super().invoke(ctx)
        except OSError as trouble:
            if trouble.errno not in _GONE:
                raise
            _let_go()
            sys.exit(_READER_LEFT)


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
        opened.prepare()
        yield opened
    finally:
        opened.close()


@contextmanager
def refusing() -> Generator[None]:
    """Let what Keyturn raises on purpose out as a message, each fault on its own line; also a decorator."""
    try:
        yield
    except KeyturnError as error:
        raise RefusedError(_told(error)) from None


def refuse(*lines: str) -> NoReturn:
    """End the command with exit code 1 and these lines on standard error."""
    raise RefusedError("\n".join(lines))


def say(text: str) -> None:
    """Tell people something, on standard error: standard output is for what was asked for."""
    click.echo(printable(text, breaks=True), err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Go on where ``--yes`` was given or somebody at a terminal says yes; else end with exit code 1."""
    if yes:
        return
    if not sys.stdin.isatty():
        refuse(f"{question} Nothing was changed: repeat it with --yes.")
    if not click.confirm(printable(question), err=True):
        refuse("Nothing was changed.")


def ask_password(prompt: str = "Password", *, confirm: bool = False) -> str:
    """Get a password: hidden from a terminal, else one line of standard input.

    Args:
        prompt: what a person is asked for.
        confirm: whether it is asked for twice, for a new one.
    """
    if not sys.stdin.isatty():
        return _line_of_input()
    try:
        password = getpass(f"{prompt}: ")
        if confirm and getpass(f"{prompt}, once more: ") != password:
            refuse("The two differ. Nothing was changed.")
    except EOFError:
        refuse("Nothing was typed. Nothing was changed.")
    return password


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
    line = sys.stdin.buffer.readline(_LONGEST_LINE).rstrip(b"\r\n")
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


def _told(error: KeyturnError) -> str:
    if isinstance(error, ConfigurationError):
        return "\n".join(error.faults)
    return f"{error.message} ({error.cause})" if error.cause else error.message


def _told_of(error: Exception) -> str:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or type(error).__name__}."
    # The message of what is not ours may repeat a secret.
    return f"Keyturn failed by a fault of its own: {kind_and_place(error)}"


def _aborted(error: click.Abort) -> int:
    """Say how a command that was broken off ends: Ctrl-C quietly, a terminal that was closed too."""
    if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
        return _INTERRUPTED
    with suppress(OSError):
        click.echo("Nothing was changed.", err=True)
    return 1


def _let_go() -> None:
    """Write nothing more to a reader that has left: Python would complain when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, AttributeError):
            with suppress(OSError, AttributeError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
