"""A SQLite file of ours, filled with sessions."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from keyturn import Session
from keyturn.session import new_session_id
from keyturn.stores._rows import session_row
from keyturn.stores._sqlite_schema import open_database
from keyturn.stores._sqlite_statements import add

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LIFETIME = timedelta(days=90)


def session(subject: str, started_at: datetime, seed: bytes) -> Session:
    """Give a session as a program's sign-in leaves it."""
    end = started_at + LIFETIME
    return Session(
        id=new_session_id(end, secrets.token_bytes(14)), realm="default", subject=subject, client_id="default",
        transport="body", remember=True, seed_digest=hashlib.sha256(seed).digest(), rotated_at=started_at,
        authenticated_at=started_at, amr=("pwd",), created_at=started_at, idle_expires_at=end, expires_at=end,
        user_agent=AGENT, ip="192.0.2.7",
    )  # fmt: skip


def sessions(count: int, started_at: datetime) -> Iterator[tuple[Session, bytes]]:
    """Give so many sessions of as many users, each with its seed."""
    for number in range(count):
        seed = secrets.token_bytes(16)
        yield session(f"user-{number}", started_at, seed), seed


def fill(
    path: Path, some: Iterable[tuple[Session, bytes]], seen: Callable[[Session, bytes], None] | None = None
) -> None:
    """Make the file with these sessions; `seen` is told of each."""
    connection = open_database(str(path), synchronous="NORMAL", busy_timeout=timedelta(seconds=5))
    connection.execute("BEGIN IMMEDIATE")
    for one, seed in some:
        add(connection, session_row(one))
        if seen is not None:
            seen(one, seed)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
