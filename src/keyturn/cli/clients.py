"""``keyturn clients``: programs that are registered, with an id and perhaps a secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from .._colour import drive
from ..server.registry import new_client
from ._common import ConfigFile, Noun, config_option, installed, json_option, made, printable, refuse, say, table
from ._who import counted

if TYPE_CHECKING:
    from ..server.installation import Installation

#: Members of the objects that ``list --json`` prints.
COLUMNS: Final = ("id", "public", "name", "source", "created_at")
#: Enough for a name, and it fits a line.
_LONGEST_NAME: Final = 100

_HELP: Final = """Register programs that need an id of their own.

Your own pages and apps need none. A program that asks about tokens (POST /auth/introspect) needs a secret, and so does
one with a server of its own that shall prove itself when it refreshes; an app on a device keeps no secret and is public.
Refresh tokens of a registered program are good in no other's hands.

Clients stand in keyturn.toml ([[clients]]), and beside them in the database, which these commands change. A running
server knows a new one at its first use, and feels a removal within seconds.
"""

_ADD_HELP: Final = """Register a program, and print its secret: once, alone on its line, on standard output.

Only the secret's SHA-256 is kept. Who lost it removes the client and adds it again.

\b
    keyturn clients add shop-api --name "The shop"
    keyturn clients add shop-api > secret.txt
    keyturn clients add phone-app --public
"""

_LIST_HELP: Final = """List the registered programs, those of the configuration first.

SOURCE is "file" for the configuration's, "database" for those that were added here, and "unused" for one of the
database whose id the configuration has too: the configuration's is the one that counts. "damaged" is one of the
database whose row cannot be understood: no server knows it, until it is removed and added again.
"""


@click.group(cls=Noun, help=_HELP, short_help="Programs with an id and a secret of their own.")
def clients() -> None:
    """Gather the commands."""


@clients.command("add", help=_ADD_HELP, short_help="Register a program, and print its secret once.")
@config_option
@click.argument("id", metavar="ID")
@click.option("--public", is_flag=True, help="It can keep no secret, and gets none.")
@click.option("--name", default="", metavar="TEXT", help="For people to read.")
def add(config: ConfigFile, id: str, public: bool, name: str) -> None:  # noqa: A002, FBT001 - the protocol's word; a flag
    """Register a program."""
    if len(name) > _LONGEST_NAME or printable(name) != name:
        raise click.BadParameter(
            f"write at most {_LONGEST_NAME} characters that can be printed.", param_hint="'--name'"
        )
    with installed(config) as opened:
        chance = opened.chance
        client, secret = new_client(id=id, name=name, public=public, entropy=chance.entropy, now=chance.clock())
        drive(opened.clients.add(client))
    if secret is None:
        say(f"{id} is registered. It is public: it has no secret.")
    else:
        lost = f"{id} is registered all the same, but its secret is lost: remove it and add it again."
        with made(lost):
            click.echo(secret)
        say(f"{id} is registered. Its secret is shown this once; only the SHA-256 of it is kept.")


@clients.command("list", help=_LIST_HELP, short_help="List the registered programs.")
@config_option
@json_option
def list_(config: ConfigFile, as_json: bool) -> None:  # noqa: FBT001 - a flag
    """List the registered programs."""
    damaged: list[str] = []
    with installed(config, makes=False) as opened:
        empty = "No program is registered. `keyturn clients add ID` registers one."
        table(COLUMNS, _rows(opened, damaged), as_json, empty=empty)
    if damaged:
        refuse(f"{counted(len(damaged), 'client')} cannot be read: remove what is listed as damaged, and add it again.")


def _rows(opened: Installation, damaged: list[str]) -> Iterator[tuple[Any, ...]]:
    configured = opened.config.configuration.clients
    for client in configured:
        yield (client.id, client.secret_digest is None, "", "file", None)
    in_file = {client.id for client in configured}
    for record in drive(opened.records.clients()):
        if isinstance(record, str):
            damaged.append(record)
            yield (record, None, "", "damaged", None)
            continue
        source = "unused" if record.id in in_file else "database"
        yield (record.id, record.secret_digest is None, record.name, source, record.created_at)


@clients.command("remove", short_help="Remove a registered program.")
@config_option
@click.argument("id", metavar="ID")
def remove(config: ConfigFile, id: str) -> None:  # noqa: A002 - the protocol's own word
    """Remove a registered program.

    Within seconds no running server knows it any more: its sessions refresh no more, its access tokens run out. One of
    the configuration can be removed only there.
    """
    with installed(config, makes=False) as opened:
        if not drive(opened.clients.remove(id)):
            refuse(f"There is no registered client {printable(id)}. Nothing was changed.")
    click.echo(f"{printable(id)} is removed.")
