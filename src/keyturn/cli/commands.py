"""The program's commands, one noun a file."""

from __future__ import annotations

import click

from .. import __version__
from ._common import Program
from .clients import clients
from .demo import demo
from .doctor import doctor
from .init import init
from .keys import keys
from .purge import purge
from .serve import serve
from .sessions import sessions
from .token import token
from .users import users


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: keyturn demo",
)
@click.version_option(__version__, "-V", "--version", prog_name="keyturn", message="%(prog)s %(version)s")
def keyturn() -> None:
    """Sessions for web applications: short access tokens, turning refresh tokens, and logout that works.

    Exit codes: 0 done, 1 refused or not found, 2 wrong usage.
    """


keyturn.add_command(clients)
keyturn.add_command(demo)
keyturn.add_command(doctor)
keyturn.add_command(keys)
keyturn.add_command(purge)
keyturn.add_command(sessions)
keyturn.add_command(serve)
keyturn.add_command(users)
keyturn.add_command(init)
keyturn.add_command(token)
