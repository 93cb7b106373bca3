"""Sign-ins that took long: a session is ended at once where its account changed between the proof and the row.

Whoever suspends an account or sets a password ends the sessions that are there; one whose row comes a moment later would
outlive that. So the account is looked at once more when the row is there: what was changed before is seen here, and what
is changed from now on ends this session with the others.
"""

from __future__ import annotations

from collections.abc import Callable

from .._colour import Colour, drive
from ..events import Event, Listener, SessionStarted
from ..session import EndReason
from ..sessions import AsyncSessions, Sessions
from .account_rules import may_sign_in
from .records import Account, Records


def ending_late_ones(
    records: Records, colour: Colour, *, awaiting: Callable[[], AsyncSessions], blocking: Callable[[], Sessions]
) -> Listener:
    """Give the listener that does so.

    Args:
        records: where the accounts are.
        colour: of the session store, which says where listeners are called: neither kind pays for a change of threads.
        awaiting: gives the server's own door to its sessions.
        blocking: gives the same for a thread.
    """

    async def in_loop(event: Event) -> None:
        if (late := await _late(event, records)) is not None:
            await awaiting().end(late[0], reason=late[1])

    def in_thread(event: Event) -> None:
        if isinstance(event, SessionStarted) and (late := drive(_late(event, records))) is not None:
            blocking().end(late[0], reason=late[1])

    return in_thread if colour == "sync" else in_loop


async def _late(event: Event, records: Records) -> tuple[str, EndReason] | None:
    """Give the session to be ended, and why; None where there is none."""
    if not isinstance(event, SessionStarted) or event.session is None:
        return None
    proved = event.principal.source
    if not isinstance(proved, Account) or await records.is_current(proved):
        return None
    reason = late_reason(proved, await records.account(proved.subject))
    return (event.session.id, reason) if reason is not None else None


def late_reason(proved: Account, now: Account | None) -> EndReason | None:
    """Say why a session may not stand whose user proved a password; None where it may.

    Args:
        proved: the account as it was then.
        now: as it is.
    """
    if now is None or not may_sign_in(now):
        return EndReason.USER_DISABLED
    return EndReason.CREDENTIALS_CHANGED if now.password_hash != proved.password_hash else None
