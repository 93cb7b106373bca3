"""``python -m keyturn.stores.sqlalchemy``: the migrations from a command line."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ...errors import KeyturnError
from . import migrations
from .migrations._opening import address
from .migrations._running import newest_revision

_PROGRAM: Final = "python -m keyturn.stores.sqlalchemy"
_VARIABLE: Final = "KEYTURN_DATABASE_URL"
_ABOUT: Final = f"""\
Make and change the tables in which Keyturn keeps sessions, and its server accounts, in PostgreSQL or MariaDB.

  {_PROGRAM} upgrade postgresql://shop@db.example.org/shop
  {_PROGRAM} current mysql://shop@db.example.org/shop
  {_PROGRAM} sql postgresql:// > keyturn.sql      for whoever runs scripts by hand
"""
_ADVICE: Final = f"""\
URL is postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE (MariaDB); a driver may be named, as in
postgresql+asyncpg://. Other users of the machine can read a command's arguments: keep a password out of it. Write "-"
for the URL and put it into {_VARIABLE} or on standard input, or use the driver's own place (PGPASSFILE).

Run "upgrade" once per release before the new program's servers start; running it twice, or on two machines at once, is
safe. The tables live beside yours, with a table of versions of their own (keyturn_version).
Exit codes: 0 done, 1 refused or not reached, 2 usage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        url = address(_url(asked.url))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError):
        parser.error("this is no database's address; one looks like postgresql://USER@HOST/DATABASE")
    try:
        sys.stdout.write(_COMMANDS[asked.command](url, asked))
    except (KeyturnError, SQLAlchemyError, OSError) as error:
        sys.stderr.write(f"{asked.command}: {_without_password(_first_line(error), url)}\n")
        return 1
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{asked.command}: {error.name} is not installed: pip install 'keyturn[{_extra(url)}]'\n")
        return 1
    return 0


def _url(argument: str) -> str:
    if argument != "-":
        return argument
    return os.environ.get(_VARIABLE) or sys.stdin.readline().strip()


def _extra(url: URL) -> str:
    return "postgresql" if url.drivername.startswith("postgresql") else "mariadb"


def _upgrade(url: URL, asked: Namespace) -> str:
    before = migrations.current(url)
    migrations.upgrade(url, asked.revision)
    after = migrations.current(url)
    return f"at {after} already\n" if after == before else f"upgraded from {before or 'nothing'} to {after}\n"


def _downgrade(url: URL, asked: Namespace) -> str:
    before = migrations.current(url)
    migrations.downgrade(url, asked.revision, yes=asked.yes)
    return f"downgraded from {before or 'nothing'} to {migrations.current(url) or 'nothing'}\n"


def _current(url: URL, _: Namespace) -> str:
    at, newest = migrations.current(url), newest_revision() or ""
    if at is None:
        return 'nothing: there are no tables of ours; "upgrade" makes them\n'
    if at > newest:
        return f"{at}, of a newer program; this one knows {newest}\n"
    return f"{at}\n" if at == newest else f'{at}, and this program wants {newest}: run "upgrade"\n'


def _sql(url: URL, asked: Namespace) -> str:
    return migrations.sql(url, asked.revision, since=asked.since)


_COMMANDS: Final = {"upgrade": _upgrade, "downgrade": _downgrade, "current": _current, "sql": _sql}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=_PROGRAM, description=_ABOUT, epilog=_ADVICE, formatter_class=RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("upgrade", help="make the tables, or bring them up to date")
    down = commands.add_parser("downgrade", help="go back to an earlier shape, or remove the tables")
    at = commands.add_parser("current", help="tell what the database is at")
    script = commands.add_parser("sql", help="print what upgrade would do; connects to nothing")
    for command in (up, down, at, script):
        command.add_argument("url", metavar="URL", help='the database; "-" reads it from elsewhere')
    for command in (up, script):
        command.add_argument("--to", dest="revision", metavar="REVISION", default="head", help="default: the newest")
    down.add_argument("--to", dest="revision", metavar="REVISION", default="-1", help="default: one step; or base")
    down.add_argument("--yes", action="store_true", help="though there are sessions or accounts that would be lost")
    script.add_argument("--from", dest="since", metavar="REVISION", help="what the database is at; default: nothing")
    return parser


def _first_line(error: Exception) -> str:
    told = error.message if isinstance(error, KeyturnError) else str(getattr(error, "orig", None) or error)
    return next(iter(told.splitlines()), type(error).__name__)


def _without_password(text: str, url: URL) -> str:
    return text.replace(str(url.password), "***") if url.password else text


if __name__ == "__main__":
    sys.exit(main())
