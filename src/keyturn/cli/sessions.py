"""``keyturn sessions``: where somebody is signed in, and ending that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from getpass import getpass
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import TokenInvalidError
from ..server.logs import session_mark
from ..session import EndReason, Session
from ._common import (
    ConfigFile,
    Noun,
    config_option,
    confirm,
    installed,
    json_option,
    printable,
    progress,
    refuse,
    say,
    standard_input,
    table,
    yes_option,
)
from ._who import Somebody, counted, somebody

if TYPE_CHECKING:
    from ..sessions import Sessions

#: As GET /sessions names them, but for what only its caller can ask, which one is the current; and as logs name them.
COLUMNS: Final = (
    "id", "created_at", "refreshed_at", "expires_at", "idle_expires_at", "client_id", "device_name", "ip", "user_agent",
    "log_mark",
)  # fmt: skip
#: For people: the moment after which no refresh is possible any more is enough.
_SHOWN: Final = ("id", "created", "refreshed", "expires", "device", "address", "browser")
_WIDEST_BROWSER: Final = 60
#: Far longer than any refresh token.
_LONGEST_LINE: Final = 4096
_NO_SUCH: Final = "There is no session to end with this id. `keyturn sessions list USER` shows those that live."
_FORGED: Final = "Nothing was ended: what came on standard input is no refresh token of this installation."


@click.group(cls=Noun, short_help="Where somebody is signed in, and ending that.")
def sessions() -> None:
    """List where somebody is signed in, and end sessions.

    USER is a user name, an e-mail address, or the subject that tokens bear. An ended session's refresh token is dead at
    once, its access token within the staleness bound (5 s by default), in all processes that check with it.
    """


_LIST_HELP: Final = """List the live sessions of a user, oldest first.

EXPIRES is the moment after which no refresh is possible any more, unless one comes before. Names of devices and
browsers were chosen by clients: what a terminal would obey is spelled out. --json has besides what logs call a session
(log_mark).

\b
    keyturn sessions list ada
    keyturn sessions list ada@example.org --json
"""


@sessions.command("list", help=_LIST_HELP, short_help="List a user's live sessions.")
@config_option
@json_option
@click.argument("user")
def list_(config: ConfigFile, user: str, as_json: bool) -> None:  # noqa: FBT001 - a flag
    """List the live sessions of a user."""
    with installed(config, makes=False) as opened:
        who = somebody(opened, user)
        found: Sequence[Session] = opened.sessions.list(who.subject)
        if not found:
            who.refuse_unknown()
        if as_json:
            table(COLUMNS, _rows(found), as_json=True)
        else:
            table(_SHOWN, _shown(found), empty=f"{who.name} is not signed in anywhere.")


def _rows(found: Sequence[Session]) -> Iterator[tuple[Any, ...]]:
    for one in found:
        yield (
            one.id, one.created_at, one.rotated_at, one.expires_at, one.idle_expires_at, one.client_id,
            one.device_name, one.ip, one.user_agent, session_mark(one.id),
        )  # fmt: skip


def _shown(found: Sequence[Session]) -> Iterator[tuple[Any, ...]]:
    for one in found:
        yield (
            one.id, one.created_at, one.rotated_at, _over(one), one.device_name, one.ip,
            _short(printable(one.user_agent)),
        )  # fmt: skip


def _over(session: Session) -> datetime:
    return min(session.idle_expires_at, session.expires_at)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST_BROWSER else text[: _WIDEST_BROWSER - 1] + "…"


_END_HELP: Final = """End one session, by its id.

With - the session is told on standard input: by a refresh token of any age (kt1.…), its current one or a spent one, or
by an id. A token never belongs on a command line, where other programs of this machine can read it. It is not shown
again; you are told which session it was.

\b
    keyturn sessions end AXrP0sB4Qm2x5o1mG8yFhA
    keyturn sessions end - < stolen-token.txt

Exit code 1 where there is no such session, or it had ended before.
"""


@sessions.command("end", help=_END_HELP, short_help="End one session, by its id or its refresh token.")
@config_option
@click.argument("id", metavar="ID|-")
def end(config: ConfigFile, id: str) -> None:  # noqa: A002 - the protocol's own word
    """End one session."""
    if _is_token(id):
        raise click.UsageError(
            "A refresh token must not stand on a command line, where other programs can read it, and where your shell "
            "remembers it. Write - instead, and give the token on standard input. Then end its session: others may "
            "have seen it by now."
        )
    told = _line_of_input() if id == "-" else id
    with installed(config, makes=False) as opened:
        click.echo(_ended_by_token(opened.sessions, told) if _is_token(told) else _ended(opened.sessions, told))


def _is_token(text: str) -> bool:
    return text.strip().startswith("kt1.")


def _line_of_input() -> str:
    if standard_input().isatty():
        line = _typed()
    else:
        line = standard_input().buffer.readline(_LONGEST_LINE).decode("ascii", "replace").strip()
    return line or refuse("Nothing was ended: standard input was empty.")


def _typed() -> str:
    with suppress(EOFError):
        return getpass("Refresh token or session id (it is not shown): ").strip()
    return ""


def _ended(door: Any, session_id: str) -> str:
    if not door.end(session_id):
        refuse(_NO_SUCH)
    return f"Session {session_id} ended."


def _ended_by_token(door: Any, token: str) -> str:
    try:
        ended: Session | None = door.revoke(token, reason=EndReason.ENDED)
    except TokenInvalidError:
        refuse(_FORGED)
    if ended is None:
        refuse("The token is genuine, but its session had ended before, or is gone. Nothing was changed.")
    return f"Session {ended.id} of {printable(ended.subject)} ended."


@sessions.command("end-user", short_help="End all sessions of a user.")
@config_option
@click.argument("user")
def end_user(config: ConfigFile, user: str) -> None:
    """End all sessions of a user: sign them out everywhere.

    They can sign in again at once; to keep them out, `keyturn users suspend` instead.
    """
    with installed(config, makes=False) as opened:
        who = somebody(opened, user)
        count: int = opened.sessions.end_user(who.subject, reason=EndReason.ENDED)
        if not count:
            who.refuse_unknown()
        click.echo(_told(who, count))


def _told(who: Somebody, count: int) -> str:
    return f"{who.name}: {counted(count, 'session')} ended."


@sessions.command("end-all", short_help="End every session of the installation.")
@config_option
@yes_option
def end_all(config: ConfigFile, yes: bool) -> None:  # noqa: FBT001 - a flag
    """End every session: everybody has to sign in again.

    For the day after a break-in. It is asked for on a terminal and needs --yes elsewhere. The work is done in small
    steps, each committed at once, and memory stays flat; one that is stopped in its midst (Ctrl-C) has done what it has
    done. Begin it again and it goes on. Who signs in while it runs may have to do so once more.
    """
    with installed(config, makes=False) as opened:
        confirm(f"Everybody who is signed in at {opened.config.settings.issuer} will have to sign in again.", yes=yes)
        click.echo(f"{counted(_end_all(opened.sessions), 'session')} ended.")


def _end_all(door: Sessions) -> int:
    finished = 0

    def note(told: Callable[[int], None], count: int) -> None:
        nonlocal finished
        finished = count
        told(count)

    try:
        with progress("Ending sessions") as told:
            return door.end_all(progress=partial(note, told))
    except KeyboardInterrupt:
        say(f"Stopped: {counted(finished, 'session')} or a few more ended. All others are as they were.")
        raise
