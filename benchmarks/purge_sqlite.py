"""Purging a SQLite file while its users refresh: how long a refresh waits meanwhile, and whether memory stays flat."""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

from keyturn import Session
from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc

from . import people
from .measure import Effort
from .purging import KINDS, LIVING, LONG_AGO, Stage, table
from .report import Table
from .serving.sessions import fill, sessions

NAME = "purge_sqlite"
DEAD = 300_000


def run(effort: Effort) -> list[Table]:
    """Refresh undisturbed, then while this process purges, then while another one does."""
    dead = effort.of(DEAD, least=600)
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
        found = {
            name: _stage(Path(folder) / f"{number}.sqlite3", dead).measure(purge, effort)
            for number, (name, purge) in enumerate(KINDS.items())
        }
    return [table(found, dead, "SQLite")]


def _stage(path: Path, dead: int) -> Stage:
    ring, now = people.keys(), now_utc()
    seals, tokens = SealedRing(ring, "default"), list[str]()

    def seen(session: Session, seed: bytes) -> None:
        if session.created_at == now:
            tokens.append(seals.seal(session.id, 0, seed, now))

    fill(path, chain(sessions(dead, now - LONG_AGO), sessions(LIVING, now)), seen)
    return Stage(f"sqlite:///{path}", ring, tokens)
