"""Who is meant by a name on a command line, and how many there are of something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..server.account_values import NotFoundError
from ..server.names import SUBJECT_PREFIX
from ..server.records import UnreadableError
from ._common import printable, refuse

if TYPE_CHECKING:
    from ..server.installation import Installation


@dataclass(frozen=True, kw_only=True, slots=True)
class Somebody:
    """Whose sessions are meant.

    Args:
        name: for people, safe for a terminal.
        subject: as sessions bear it.
        known: whether there is such an account; else `subject` is what was typed, for an application's own users.
    """

    name: str
    subject: str
    known: bool

    def refuse_unknown(self) -> None:
        """End the command with exit code 1 where nobody knows the name: it is more likely mistyped than without a session."""
        if not self.known:
            refuse(f"There is no user {self.name}, and no session of a subject of this name.")


def somebody(opened: Installation, typed: str) -> Somebody:
    """Find who is meant by a user name, an e-mail address or a subject.

    Raises:
        UnreadableError: a name's account cannot be read; by its subject its sessions are found all the same.
    """
    try:
        account = opened.accounts.find(typed)
    except NotFoundError:
        return Somebody(name=printable(typed), subject=typed, known=False)
    except UnreadableError:
        if not typed.startswith(SUBJECT_PREFIX):
            raise
        return Somebody(name=printable(typed), subject=typed, known=True)
    return Somebody(name=printable(account.username), subject=account.subject, known=True)


def counted(count: int, noun: str) -> str:
    """Give a number with its noun: ``1 session``, ``3,120 sessions``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
