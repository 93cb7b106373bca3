"""``keyturn purge``: delete the rows of sessions that are over, in bounded steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from ..keyrings import now_utc
from ._common import ConfigFile, config_option, confirm, installed, progress, say, yes_option
from ._moments import EXAMPLES, read_moment

if TYPE_CHECKING:
    from ..sessions import Sessions

_HELP: Final = f"""Delete the rows of sessions that are over: signed out, ended, idle for too long, or past their end.

A running server does so by itself every hour, for what has been over for a day (purge in [server] says how often). This
is for all the rest: now, without a server, or as far back as you say. The work is done in small steps, each committed
at once: those who refresh meanwhile hardly wait, memory stays flat, and a purge that is stopped (Ctrl-C) has done what
it has done. Begin it again and it goes on.

--before keeps what was over more recently, for those who look into incidents. It takes {EXAMPLES}. A date
in the future deletes sessions that live: their users are signed out with the next refresh and nobody is told. So it has
to be confirmed, with --yes where nobody can be asked; `keyturn sessions end-all` does such a thing in an orderly way.

\b
    keyturn purge --dry-run           how many would go? nothing is changed
    keyturn purge                     what is over now
    keyturn purge --before 30d        what was over thirty days ago
    keyturn purge --before 2026-01-31
"""


@click.command(help=_HELP, short_help="Delete the rows of sessions that are over.")
@config_option
@click.option("--before", metavar="DATE", help="Only what was over before then; now where left out.")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@yes_option
def purge(config: ConfigFile, before: str | None, dry_run: bool, yes: bool) -> None:  # noqa: FBT001 - flags
    """Delete, or count."""
    now = now_utc()
    when = now if before is None else read_moment(before, now)
    if when is None:
        raise click.BadParameter(f"no date can be read there. Write {EXAMPLES}.", param_hint="'--before'")
    with installed(config, makes=False) as opened:
        if dry_run:
            _count(opened.sessions, when, now)
        else:
            _delete(opened.sessions, when, now, yes=yes)


def _count(sessions: Sessions, when: datetime, now: datetime) -> None:
    with progress("Counting") as told:
        count = sessions.purgeable(before=when, progress=told)
        living = _living(sessions, when, now, count)
    whose = f", {living:,} of them of people who are signed in" if living else ""
    click.echo(f"{_rows(count)} would be deleted{whose}. Nothing was changed.")


def _delete(sessions: Sessions, when: datetime, now: datetime, *, yes: bool) -> None:
    if when > now and not yes:
        living = _living(sessions, when, now, None)
        confirm(f"{_date(when)} lies in the future: {_rows(living)} of people who are signed in would go.", yes=False)
    finished = [0]
    try:
        with progress("Deleting") as told:
            count = sessions.purge(before=when, progress=partial(_note, finished, told))
    except KeyboardInterrupt:
        say(
            f"Stopped: {_rows(finished[0])} or a few more are deleted, all others are as they were. Begin again to go on."
        )
        raise
    click.echo(f"{_rows(count)} deleted.")


def _living(sessions: Sessions, when: datetime, now: datetime, over: int | None) -> int:
    """Say how many sessions that are not over now a purge would delete."""
    if when <= now:
        return 0
    return (sessions.purgeable(before=when) if over is None else over) - sessions.purgeable(before=now)


def _note(finished: list[int], told: Callable[[int], None], count: int) -> None:
    finished[0] = count
    told(count)


def _rows(count: int) -> str:
    return f"{count:,} session" if count == 1 else f"{count:,} sessions"


def _date(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
