"""Everything that the doctor's checks judge, gathered before; the checks themselves look at nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ...keys import KeyRing
from ..config import ServerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFacts:
    """The key ring on disk.

    Args:
        ring: what is there; None where it cannot be read.
        faults: why not, a sentence each.
        failed: keys that did not do what they are for: id -> what went wrong.
        owners: users, other than the one who runs the doctor, to whom key files belong.
    """

    ring: KeyRing | None = None
    faults: Sequence[str] = ()
    failed: Sequence[tuple[str, str]] = ()
    owners: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionFacts:
    """The sessions' table.

    Args:
        live: sessions that can be refreshed.
        orphans: those among them that were last sealed before any refresh key that is there began to seal.
        over: sessions that have been over for a week.
        announcements: entries of the revocation log that no token needs any more.
    """

    live: int = 0
    orphans: int = 0
    over: int = 0
    announcements: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountFacts:
    """The accounts' table.

    Args:
        count: how many.
        active: how many may sign in.
        corrupt: how many rows cannot be understood, and
        damaged: the names of the first of them.
        without_password: active ones that nobody can sign in to.
        hashed_weakly: passwords whose hash costs an attacker less than today's do.
        subjects_like_clients: ids of clients that an account has as its subject, too.
    """

    count: int = 0
    active: int = 0
    corrupt: int = 0
    damaged: Sequence[str] = ()
    without_password: int = 0
    hashed_weakly: int = 0
    subjects_like_clients: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientFacts:
    """One registered client, from the file or the table.

    Args:
        id: its client_id.
        digest: SHA-256 of its secret in hexadecimal; None for a public one.
        is_damaged: whether its row in the table cannot be understood.
    """

    id: str
    digest: str | None = field(default=None, repr=False)
    is_damaged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseFacts:
    """The database.

    Args:
        exists: whether there is one.
        trouble: why it cannot be asked; None where it can.
        at: the version of its tables; None where there are none.
        newest: the version that this program makes.
        clock_off: how far its clock is before this machine's (negative: behind).
        all_powerful: whether the user of its address may do anything in it.
        lacking: what that user may not do, and must: ``DELETE on keyturn_session``.
        sessions: None where they could not be counted; accounts likewise.
    """

    exists: bool = True
    trouble: str | None = None
    at: str | None = None
    newest: str = ""
    clock_off: timedelta | None = None
    all_powerful: bool = False
    lacking: Sequence[str] = ()
    sessions: SessionFacts | None = None
    accounts: AccountFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """A file or folder that others should not read or change.

    Args:
        path: where it is.
        mode: its permission bits.
        kind: ``database``, ``folder`` or ``configuration``.
    """

    path: Path
    mode: int
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All facts about one installation at one moment."""

    config: ServerConfig
    now: datetime
    keys: KeyFacts = KeyFacts()
    database: DatabaseFacts = DatabaseFacts()
    clients: Sequence[ClientFacts] = ()
    files: Sequence[FileFacts] = ()
