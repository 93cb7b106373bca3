"""Purging a million rows of PostgreSQL while users refresh."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc
from keyturn.stores.sqlalchemy import SqlAlchemyStore

from . import people
from .measure import Effort
from .postgresql import is_installed, postgresql
from .purging import KINDS, LIVING, LONG_AGO, Found, Purge, Stage, table
from .report import Table
from .serving.generated import Generation, settle
from .serving.postgresql import make_tables

NAME = "purge_postgresql"
DEAD = 1_000_000


def run(effort: Effort) -> list[Table]:
    """Refresh undisturbed, then while this process purges, then while another one does."""
    if not is_installed():
        return [Table(title="Purging on PostgreSQL", rows={"PostgreSQL is not installed here": {}})]
    dead = effort.of(DEAD, least=3000)
    found: dict[str, Found] = {}
    for name, purge in KINDS.items():
        with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder:
            found[name] = _measured(Path(folder), dead, purge, effort)
    return [table(found, dead, "PostgreSQL", SqlAlchemyStore.purge_step)]


def _measured(folder: Path, dead: int, purge: Callable[[Stage], Purge], effort: Effort) -> Found:
    with postgresql(folder, "purge") as database:
        make_tables(database.url)
        ring, now = people.keys(), now_utc()
        living = Generation(dead, LIVING, now)
        for generation in (Generation(0, dead, now - LONG_AGO), living):
            generation.make(database.url)
        settle(database.url)
        seals = SealedRing(ring, "default")
        known = map(living.known, range(dead, dead + LIVING))
        tokens = [seals.seal(id_, 0, seed, now) for id_, seed in known]
        return Stage(database.url, ring, tokens).measure(purge, effort)
