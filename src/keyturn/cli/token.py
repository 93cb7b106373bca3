"""``keyturn token``: a token for trying something out, and what the server would say of one."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, Final

import click

from .._build import utc_now
from .._colour import drive
from ..keyrings.directory import look
from ..keyrings.static import StaticKeys
from ..server.account_values import NotFoundError
from ..server.installation import Installation
from ..server.records import Account, ClientRecord
from ..server.token_inspection import Report, inspect as inspected
from ..server.users import principal_of
from ..session import Client
from ..tokens import TokenPair
from ..users import DEFAULT_CLIENT
from ._common import (
    ConfigFile,
    Noun,
    config_option,
    installed,
    json_option,
    missing_database,
    printable,
    refuse,
    say,
    show,
    standard_input,
)
from ._tables import cell, json_value

#: Longer than any token.
_LONGEST: Final = 65536

_HELP: Final = """Issue a token for trying something out, or ask what the server would say of one.

\b
    TOKEN=$(keyturn token issue ada)
    echo "$TOKEN" | keyturn token inspect
"""

_ISSUE: Final = """Start a session for a user, without a password, and print its access token.

For trying out an API, and for programs that run beside the server: whoever can run this can read the keys anyway.
SUBJECT is the subject that tokens bear, a user name, or an e-mail address; the account must be active. It is a session
like any other: it is listed, it can be ended, and unless it is refreshed it is over within a day. The token alone goes
to standard output; standard error says which session it is and how to end it.

\b
    TOKEN=$(keyturn token issue ada)
    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api
    keyturn token issue ada --scope read --json    the refresh token too
"""

_INSPECT: Final = """Say whether a token is good, and whose it is.

TOKEN is an access token or a refresh token; without it, or with -, it is read from standard input. That is the better
way: arguments are seen by all users of the machine, and stay in the shell's history. It is checked as the server would
check it, with the keys and the store of the configuration. Claims are shown of a good token only: of one that is
forged, expired or overtaken, nothing that it says is repeated, and the token itself never is. Nothing is changed, so a
refresh token is not used up. The exit code is 1 where the token is not good.

\b
    echo "$TOKEN" | keyturn token inspect
    keyturn token inspect --json < token.txt | jq .session.state
"""


@click.group(cls=Noun, help=_HELP, short_help="Issue a token, or inspect one.")
def token() -> None:
    """Gather the commands."""


@token.command(help=_ISSUE, short_help="Start a session and print its access token.")
@click.argument("subject")
@config_option
@click.option(
    "--scope", multiple=True, metavar="SCOPE", help="Grant only this; may be given again. All where left out."
)
@click.option(
    "--client", "client_id", default=DEFAULT_CLIENT, metavar="ID", help="The registered client to issue it to."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer, the refresh token included.")
def issue(subject: str, config: ConfigFile, scope: tuple[str, ...], client_id: str, as_json: bool) -> None:  # noqa: FBT001 - click hands it by name
    """Start a session."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # `>&-` leaves none
        refuse("Standard output is closed, and that is where the token would go.")
    with installed(config, makes=False) as opened:
        account = _active(opened, subject)
        _refuse_unknown_client(opened, client_id)
        pair: TokenPair = opened.sessions.start(
            principal_of(account), transport="body", remember=False, client_id=client_id,
            scope=" ".join(scope) or None, client=Client(device_name="keyturn token issue"),
        )  # fmt: skip
        try:
            click.echo(json.dumps(_answer(pair), indent=1) if as_json else pair.access_token)
            sys.stdout.flush()
        except OSError:
            # Nobody has the token, so the session is of no use.
            opened.sessions.end(pair.session_id)
            raise
        say(f"Session {pair.session_id} of {account.username}; to end it: keyturn sessions end {pair.session_id}")


@token.command("inspect", help=_INSPECT, short_help="Say whether a token is good, and whose.")
@click.argument("text", metavar="[TOKEN]", required=False)
@config_option
@json_option
def inspect_token(text: str | None, config: ConfigFile, as_json: bool) -> None:  # noqa: FBT001 - click hands it by name
    """Report on a token."""
    presented = _presented(text)
    read = config.load()
    if (missing := missing_database(read)) is not None:
        refuse(missing)
    keys = StaticKeys(look(read.keys))
    if not keys.ring.has("access") or not keys.ring.has("refresh"):
        refuse(f"There are no keys in {read.keys} to check it with.")
    with closing(Installation(read)) as opened:
        report = inspected(presented, read.settings, keys, opened.store, utc_now)
    _tell(report, as_json=as_json)
    if not report.good:
        raise click.exceptions.Exit(1)


def _active(opened: Installation, subject: str) -> Account:
    try:
        account: Account = opened.accounts.find(subject)
    except NotFoundError:
        refuse(f"There is no user '{printable(subject)}'. `keyturn users list` shows them all.")
    if account.state != "active":
        refuse(f"{account.username} is {account.state} and may not sign in: keyturn users activate {account.username}")
    return account


def _refuse_unknown_client(opened: Installation, client_id: str) -> None:
    known = {client.id for client in opened.config.configuration.clients}
    known |= {each.id for each in drive(opened.records.clients()) if isinstance(each, ClientRecord)} | {DEFAULT_CLIENT}
    if client_id not in known:
        refuse(f"There is no client '{printable(client_id)}'. `keyturn clients list` shows them all.")


def _answer(pair: TokenPair) -> dict[str, Any]:
    """Give the answer to a sign-in over HTTP."""
    return {
        "access_token": pair.access_token, "token_type": "Bearer",
        "expires_in": _seconds(pair.expires_at, pair.issued_at), "session_id": pair.session_id,
        "scope": " ".join(sorted(pair.scope)), "refresh_expires_in": _seconds(pair.refresh_expires_at, pair.issued_at),
        "refresh_token": pair.refresh_token,
    }  # fmt: skip


def _seconds(until: datetime, since: datetime) -> int:
    return (until - since) // timedelta(seconds=1)


def _presented(text: str | None) -> str:
    presented = (_line_of_input() if text is None or text == "-" else text).strip()
    if not presented:
        refuse("There is no token: give one on standard input.")
    return presented


def _line_of_input() -> str:
    if standard_input().isatty():
        say("Paste the token, then press Enter.")
    return standard_input().buffer.readline(_LONGEST).decode("ascii", "replace")


def _tell(report: Report, *, as_json: bool) -> None:
    parts = {"claims": report.claims, "session": report.session}
    if as_json:
        told = {name: {key: json_value(value) for key, value in part.items()} for name, part in parts.items()}
        click.echo(json.dumps({"kind": report.kind, "good": report.good, "verdict": report.verdict, **told}, indent=1))
        return
    show(f"{report.kind} token: {report.verdict}")
    for name, part in parts.items():
        for key, value in part.items():
            show(f"  {name:<8} {printable(key):<16} {cell(value)}")
