"""``keyturn serve``: sign-in, sessions and keys for programs of any language, as one server."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import closing, suppress
from typing import Any, Final

import click

from .. import __version__
from .._colour import drive
from ..server import demo_settings, logs, remarks, running
from ..server.config import ServerConfig
from ..server.demo_page import DemoPage, Visitor
from ..server.doctor import lost_keys
from ..server.installation import Installation
from ..settings import origin_of
from ._common import ConfigFile, config_option, refuse, say

_HELP: Final = """Serve sign-in, sessions and keys over HTTP.

Without a configuration it listens at 127.0.0.1:8000 and keeps a SQLite database and its keys in ./.keyturn/, made at
the first start. `keyturn init` writes a keyturn.toml with everything that can be set; options and environment
variables (KEYTURN_SERVER__PORT=8080) stand above the file.

SIGTERM or Ctrl-C lets requests under way finish; nobody is signed out by a restart.

\b
    keyturn serve                               try it
    keyturn users create ada                    a user, from another terminal
    keyturn serve --config /etc/keyturn.toml    with a configuration
    keyturn serve --workers 4 --port 8080       more processes, another port
    keyturn serve --demo                        with the page of `keyturn demo`, for this machine only
"""


@click.command(help=_HELP, short_help="Serve sign-in, sessions and keys over HTTP.")
@config_option
@click.option("--host", metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="At which port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 128), metavar="N", help="How many processes answer.")
@click.option("--demo", is_flag=True, help="Show a page that draws sessions and plays attacks; on this machine only.")
def serve(config: ConfigFile, host: str | None, port: int | None, workers: int | None, *, demo: bool) -> None:
    """Serve until a signal says to stop."""
    given = {name: value for name, value in (("host", host), ("port", port), ("workers", workers)) if value is not None}
    with running.stopped_in_order():
        sys.exit(_serve(config, given, demo=demo))


def _serve(config: ConfigFile, given: dict[str, Any], *, demo: bool) -> int:
    read = _read(config, given, demo=demo)
    try:
        listening = running.listen(read.host, read.port)
    except OSError as trouble:
        refuse(why_no_port(read.host, read.port, trouble))
    with closing(listening):
        if not read.port:  # the issuer that nobody named has the port in it
            read = _read(config, {**given, "port": listening.port}, demo=demo)
        logs.configure(read.log_format, read.log_level)
        return running.run(read, listening, _welcome(read, listening.address, demo=demo))


def _read(config: ConfigFile, given: dict[str, Any], *, demo: bool) -> ServerConfig:
    read = config.load(given)
    if not demo:
        return read
    if faults := demo_settings.faults(read):
        refuse(
            "--demo tells a password and plays attacks: that is for this machine only, and for one worker. Here "
            f"{', and '.join(faults)}. Leave --demo out, or change that."
        )
    lively = demo_settings.lively_environment(os.environ)
    return read if read.path is not None else config.load(given, lively)


def _welcome(config: ServerConfig, address: str, *, demo: bool = False) -> DemoPage | None:
    with closing(Installation(config)) as installation:
        installation.prepare(waiting=lambda why: say(f"Waiting for the database: {why}"))
        visitor = demo_settings.visitor(installation.accounts) if demo else None
        users = bool(drive(installation.records.accounts(limit=1)))
    lines = [*remarks.welcome(config, version=__version__, address=address, users=users)]
    lines += [f"Mind: {finding.what} {finding.remedy}" for finding in lost_keys(config)]
    lines += [_invitation(config, visitor)] if demo else []
    with suppress(BrokenPipeError):  # whoever has read the first line may know enough; the server serves all the same
        for line in lines:
            say(line)
    return DemoPage("serve", visitor) if demo else None


def _invitation(config: ServerConfig, visitor: Visitor | None) -> str:
    who = f"as {visitor.username} with the password {visitor.password}" if visitor else "with one of your accounts"
    return f"Open {origin_of(config.settings.issuer)}/ and sign in {who}."


def why_no_port(host: str, port: int, trouble: OSError) -> str:
    """Say why a port cannot be had, and what to do."""
    if isinstance(trouble, socket.gaierror):
        return f"There is no address named {host}: write one of this machine's, such as 127.0.0.1."
    match trouble.errno:
        case errno.EADDRINUSE:
            return f"Port {port} at {host} is in use by another program: stop it, or choose another with --port."
        case errno.EACCES:
            return f"Port {port} needs more rights: choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine: choose another with --host."
        case number:
            return f"Port {port} at {host} cannot be had: {os.strerror(number or 0)}."
