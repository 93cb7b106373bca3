"""How the program ends: refusals as messages, nothing as a traceback, and quietly where nobody reads any more."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any, Final, NoReturn

import click

from .._reading import did_you_mean
from ..errors import ConfigurationError, KeyturnError, kind_and_place
from ..server.blanking import BLANK, blanked
from ..server.records import UnreadableError
from ._tables import printable

#: What a shell reports of a program that Ctrl-C ended, and of one whose reader left.
_INTERRUPTED: Final = 130
_READER_LEFT: Final = 141
#: A pipe without a reader, and a terminal that was closed.
_GONE: Final = frozenset({errno.EPIPE, errno.EIO})
#: Whole ones: a refresh token, a reset's, a JWT. No name and no file is called so.
_WHOLE_TOKEN: Final = re.compile(r"kt(?:reset)?1\.[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*")
#: What may be the rest of one.
_TOKEN: Final = re.compile(r"kt(?:reset)?\d\.[\w-]{4,}|eyJ[\w-]{8,}\.[\w.-]*")
#: No option has so long a name: a secret with hyphens before it.
_LONG_OPTION: Final = re.compile(r"(?<![\w-])--?[\w-]{40,}")
#: The one command that takes a token as an argument, where its user insists.
_TAKES_ONE: Final = ("token", "inspect")
_NOT_HERE: Final = (
    "A token must not stand on a command line, where other programs can read it, and where your shell remembers it. "
    "Nothing was done. `keyturn sessions end -` takes a refresh token on standard input and ends its session: others "
    "may have seen it by now."
)


_RESTORE: Final = (
    "Restore it from a copy of the database. Until then nobody signs in with it, and `keyturn sessions end-user` with "
    "its id (usr_…) ends its sessions."
)


class RefusedError(click.ClickException):
    """A command does not do what it was asked to; the message says why, and what to do."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to standard error."""
        click.echo(printable(without_tokens(self.message), breaks=True), file=file, err=True)


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
    """The program: its commands end with 0 done, 1 refused or not found, 2 wrong usage, and never with a traceback.

    No token that stands on the command line is repeated, and only ``token inspect`` takes one there.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; a usage error where a token stands in it, whatever it is given to."""
        if tuple(args[:2]) != _TAKES_ONE and any(map(_WHOLE_TOKEN.search, args)):
            ctx.fail(_NOT_HERE)
        return super().parse_args(ctx, args)

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
            shown = _masked(error) if isinstance(error, click.ClickException) else RefusedError(_told_of(error))
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
    click.echo(printable(without_tokens(text), breaks=True), err=True)


def without_tokens(text: str) -> str:
    """Give a text without what may be a token: it may repeat what was typed."""
    return _TOKEN.sub(BLANK, text)


def _masked(error: click.ClickException) -> click.ClickException:
    """Let what click says repeat no secret that was typed, and nothing that a terminal would obey."""
    if isinstance(error, (RefusedError, click.exceptions.NoArgsIsHelpError)):
        return error
    message = printable(blanked(_LONG_OPTION.sub(BLANK, error.format_message())), breaks=True)
    return click.UsageError(message, ctx=getattr(error, "ctx", None))


def _told(error: KeyturnError) -> str:
    if isinstance(error, ConfigurationError):
        return "\n".join(error.faults)
    told = f"{error.message} ({error.cause})" if error.cause else error.message
    return f"{told}\n{_RESTORE}" if isinstance(error, UnreadableError) else told


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
