"""``keyturn init``: a configuration that teaches, and beside it keys and a database."""

from __future__ import annotations

import os
import shlex
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import click

from ..errors import ConfigurationError
from ..server import database, first_file
from ..server.config import FILE, ServerConfig, load
from ..server.first_file import Answers
from ..server.installation import Installation, make_private
from ._common import refuse

_HELP: Final = """Write keyturn.toml, and make keys and a database beside it.

The file lists everything that can be set, with what it does and what holds without it. DIR is the current folder where
it is left out; it is made where it is missing. Nothing that is there is overwritten: where there is a keyturn.toml,
nothing is changed, and the exit code is 1. What an earlier run left unfinished is completed.

\b
    keyturn init                                           here
    keyturn init /etc/keyturn --issuer https://id.example.org --trusted-proxy 127.0.0.1
    keyturn init --store postgresql://keyturn@db/keyturn   its tables are made at the first start
"""
#: Hidden, and never read as a configuration; a run that was killed leaves it behind, and the next one writes it anew.
_UNFINISHED: Final = f".{FILE}.unfinished"


@click.command(help=_HELP, short_help="Write keyturn.toml, and make keys and a database.")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--issuer", metavar="URL", help="Where others reach the server; https, or http on this machine.")
@click.option(
    "--store",
    metavar="URL",
    envvar="KEYTURN_SERVER__STORE",
    help="The database: sqlite:///PATH, postgresql://… or mysql://…; $KEYTURN_SERVER__STORE where left out.",
)
@click.option("--origin", "origins", metavar="URL", multiple=True, help="Another origin whose pages may sign in.")
@click.option("--trusted-proxy", "proxies", metavar="ADDRESS", multiple=True, help="A proxy that is believed.")
def init(
    folder: Path, issuer: str | None, store: str | None, origins: tuple[str, ...], proxies: tuple[str, ...]
) -> None:
    """Make what is missing; the file comes last, so it says that all the rest is there."""
    folder = folder.absolute()
    file = folder / FILE
    if file.exists() or file.is_symlink():
        refuse(f"There is a {FILE} in {folder} already. Nothing was changed: edit it, or name another folder.")
    answers = Answers(issuer=issuer, store=store, origins=origins, trusted_proxies=proxies)
    make_private(folder)
    try:
        config = _made(folder, first_file.text_of(answers))
    except (FileNotFoundError, FileExistsError) as error:
        if not str(error.filename).endswith(_UNFINISHED):
            raise
        refuse(f"Another process makes {file} at the same time. If it is not there in a moment, do this again.")
    for line in _told(folder, config):
        click.echo(line)


def _made(folder: Path, text: str) -> ServerConfig:
    config = _written(folder, text)
    try:
        _prepare(config)
        _put_in_place(folder)
    except BaseException:
        with suppress(OSError):
            (folder / _UNFINISHED).unlink()
        raise
    return config


def _written(folder: Path, text: str) -> ServerConfig:
    """Write the file under another name, and read it as the server would."""
    unfinished = folder / _UNFINISHED
    with suppress(FileNotFoundError):
        unfinished.unlink()
    opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, first_file.MODE)
    with os.fdopen(opened, "w", encoding="utf-8") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    try:
        return load(unfinished, environment={})
    except ConfigurationError as error:
        unfinished.unlink()
        place = f"{unfinished}: [keyturn] "
        raise ConfigurationError(fault.removeprefix(place) for fault in error.faults) from None


def _prepare(config: ServerConfig) -> None:
    with closing(Installation(config)) as installation:
        if database.is_sql(config.store):
            # Whether it can be reached is asked at the first start, perhaps on another machine.
            _ = installation.store, installation.keys
        else:
            installation.prepare()


def _put_in_place(folder: Path) -> None:
    """Give the file its name, unless another process was faster: a link overwrites nothing."""
    try:
        os.link(folder / _UNFINISHED, folder / FILE)
    except FileExistsError:
        refuse(f"Another process has written {folder / FILE} meanwhile. It was left as it is.")
    (folder / _UNFINISHED).unlink()


def _told(folder: Path, config: ServerConfig) -> list[str]:
    file = folder / FILE
    path = database.sqlite_path(config.store)
    base = path if path is not None else "tables in the database are made at the first start"
    here = folder == Path.cwd()
    where = "" if here else f" --config {shlex.quote(str(file))}"
    return [
        f"Configuration  {file}",
        f"Keys           {config.keys}",
        f"Database       {base}",
        "",
        "Next:",
        f"  keyturn users create NAME{where}",
        f"  keyturn serve{where}",
    ]
