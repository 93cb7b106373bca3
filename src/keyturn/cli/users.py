"""``keyturn users``: the accounts of the stand-alone server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import click

from ..server.account_values import Change, NotFoundError
from ..server.records import Account
from ._common import (
    ConfigFile,
    Noun,
    ask_password,
    config_option,
    installed,
    json_option,
    made,
    printable,
    refuse,
    say,
    table,
)
from ._who import counted

if TYPE_CHECKING:
    from ..server.accounts import Accounts

#: Members of the objects that ``list --json`` prints.
COLUMNS: Final = ("username", "email", "state", "roles", "subject", "created_at", "password_changed_at")
#: So many accounts are in memory at a time.
_PAGE: Final = 500
#: Stands for the state of a row that cannot be understood.
_UNREADABLE: Final = "unreadable"

_name = click.argument("name", metavar="NAME")


@click.group(cls=Noun, short_help="The accounts of the stand-alone server.")
def users() -> None:
    """Make, look at and change the accounts of the stand-alone server.

    NAME is a user name, an e-mail address or a subject. A user's roles are the scopes that their tokens may bear.
    Passwords are asked for on a terminal, or read as one line of standard input; they never stand on a command line.

    An application with a user model of its own has no accounts here: it supplies `Users`, and calls
    `sessions.end_user` itself.
    """


# --- create -------------------------------------------------------------------------------------------------------------

_CREATE_HELP: Final = """Make an account, active at once, and print its subject: the id that its tokens bear, for good.

A name or an address that another account has, as a name or as an address, is refused; so is a password of fewer than 8
characters, or one that everybody tries first.

\b
    keyturn users create ada --email ada@example.org --role editor --role billing:read
    keyturn users create ada < password.txt
    keyturn users create ada --no-password && keyturn users reset ada
"""


@users.command("create", help=_CREATE_HELP, short_help="Make an account.")
@config_option
@_name
@click.option("--email", metavar="ADDRESS", help="An e-mail address, to sign in with as well.")
@click.option("--role", "roles", metavar="ROLE", multiple=True, help="A scope that it may be granted; repeat it.")
@click.option("--unverified", is_flag=True, help="Nobody signs in until it is activated.")
@click.option("--no-password", is_flag=True, help="Ask for none: it is chosen later by `keyturn users reset`.")
def create(
    config: ConfigFile, name: str, email: str | None, roles: tuple[str, ...], unverified: bool, no_password: bool  # noqa: FBT001 - flags
) -> None:  # fmt: skip
    """Make an account."""
    with installed(config) as opened:
        # Before a password is typed in vain; that nobody is faster is seen to when it is kept.
        for taken in filter(None, (name, email)):
            _refuse_taken(opened.accounts, taken)
        account = opened.accounts.create(
            name, email=email, roles=roles, password=None if no_password else ask_password(confirm=True),
            state="unverified" if unverified else "active",
        )  # fmt: skip
    with made(f"The account {_shown(account)} was made all the same: `keyturn users list` shows its subject."):
        click.echo(account.subject)
    say(f"{_shown(account)} {_may(account)}.")


def _refuse_taken(accounts: Accounts, name: str) -> None:
    with suppress(NotFoundError):
        accounts.find(name)
        refuse(f"There is an account of the name or address {printable(name)} already. Nothing was changed.")


def _may(account: Account) -> str:
    if account.state != "active":
        return "is unverified: nobody signs in until `keyturn users activate`"
    if account.password_hash is None:
        return "has no password yet: `keyturn users reset` lets one be chosen"
    return "may sign in"


# --- list ---------------------------------------------------------------------------------------------------------------

_LIST_HELP: Final = """List all accounts, by name.

It is read page by page, however many there are. A row that cannot be understood is listed by its name with the state
"unreadable", and makes the exit code 1: restore it from a copy of the database. The accounts around it are unharmed.

\b
    keyturn users list
    keyturn users list --json | jq '.[] | select(.state == "suspended")'
"""


@users.command("list", help=_LIST_HELP, short_help="List all accounts.")
@config_option
@json_option
def list_(config: ConfigFile, as_json: bool) -> None:  # noqa: FBT001 - a flag
    """List all accounts."""
    unreadable: list[str] = []
    with installed(config, makes=False) as opened:
        rows = (_row(found, unreadable) for found in _all(opened.accounts))
        table(COLUMNS, rows, as_json, empty="There are no accounts. `keyturn users create NAME` makes one.")
    if unreadable:
        refuse(f"{counted(len(unreadable), 'account')} cannot be read; restore what is listed as {_UNREADABLE}.")


def _all(accounts: Accounts) -> Iterator[Account | str]:
    after: str | None = None
    while page := accounts.list(after=after, limit=_PAGE):
        yield from page
        last = page[-1]
        after = last if isinstance(last, str) else last.name_key


def _row(found: Account | str, unreadable: list[str]) -> tuple[Any, ...]:
    if isinstance(found, str):
        unreadable.append(found)
        return (found, None, _UNREADABLE, (), None, None, None)
    return (
        found.username, found.email, found.state, found.roles, found.subject, found.created_at,
        found.password_changed_at,
    )  # fmt: skip


# --- states and roles ---------------------------------------------------------------------------------------------------


@users.command("activate", short_help="Let an account sign in.")
@config_option
@_name
def activate(config: ConfigFile, name: str) -> None:
    """Let an account sign in, whether it was unverified or suspended."""
    with installed(config, makes=False) as opened:
        change = opened.accounts.activate(name)
    click.echo(f"{_shown(change.account)} {'is active' if change.changed else 'was active already'}.")


@users.command("suspend", short_help="Keep an account from signing in, and end its sessions.")
@config_option
@_name
def suspend(config: ConfigFile, name: str) -> None:
    """Keep an account from signing in until it is activated, and end its sessions.

    A running server feels it within the staleness bound (5 s by default). Doing it again ends sessions again.
    """
    with installed(config, makes=False) as opened:
        change = opened.accounts.suspend(name)
    state = "is suspended" if change.changed else "was suspended already"
    click.echo(f"{_shown(change.account)} {state}; {_ended(change)}.")


@users.command("promote", short_help="Give an account roles.")
@config_option
@_name
@click.argument("roles", metavar="ROLE…", nargs=-1, required=True)
def promote(config: ConfigFile, name: str, roles: tuple[str, ...]) -> None:
    """Give an account roles: scopes that its tokens may bear.

    Who is signed in with them stays signed in: clients refresh silently and hold what their sign-in asked for.
    """
    with installed(config, makes=False) as opened:
        click.echo(_told_roles(opened.accounts.promote(name, *roles)))


@users.command("demote", short_help="Take roles from an account.")
@config_option
@_name
@click.argument("roles", metavar="ROLE…", nargs=-1, required=True)
def demote(config: ConfigFile, name: str, roles: tuple[str, ...]) -> None:
    """Take roles from an account.

    Who is signed in stays signed in: access tokens that bear them are refused within the staleness bound, and clients
    get others silently.
    """
    with installed(config, makes=False) as opened:
        click.echo(_told_roles(opened.accounts.demote(name, *roles)))


def _told_roles(change: Change) -> str:
    held = " ".join(sorted(change.account.roles)) or "none"
    verb = "has now" if change.changed else "has still"
    return f"{_shown(change.account)} {verb} the roles: {held}; {counted(change.sessions, 'session')} told to refresh."


# --- passwords ----------------------------------------------------------------------------------------------------------


_SETTING_HELP: Final = """Set an account's password, and end its sessions. A suspended account stays suspended.

\b
    keyturn users set-password ada
    keyturn users set-password ada < password.txt
"""


@users.command("set-password", help=_SETTING_HELP, short_help="Set an account's password, and end its sessions.")
@config_option
@_name
def set_password(config: ConfigFile, name: str) -> None:
    """Set an account's password, and end its sessions."""
    with installed(config, makes=False) as opened:
        subject = opened.accounts.find(name).subject
        change = opened.accounts.set_password(subject, ask_password("New password", confirm=True))
    click.echo(f"{_shown(change.account)} has another password; {_ended(change)}.")


@users.command("reset", short_help="Print a token that lets a user choose a password once.")
@config_option
@_name
def reset(config: ConfigFile, name: str) -> None:
    """Print a token with which the user may choose a password once, within an hour, without knowing the old one.

    Hand it to nobody else: whoever has it has the account. An earlier one of the same account is void. The user's
    sessions end when it is used, not before.
    """
    from ..server.account_routes import RESET

    with installed(config, makes=False) as opened:
        token = opened.accounts.reset(name)
        route = f"{opened.config.settings.issuer.rstrip('/')}{RESET}"
    with made("The token is lost, and any earlier one is void: run this once more for another."):
        click.echo(token.token)
    say(f"For {_shown(token.account)}, until {token.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, at POST {route}")


def _ended(change: Change) -> str:
    return f"{counted(change.sessions, 'session')} ended"


def _shown(account: Account) -> str:
    return printable(account.username)
