"""A PostgreSQL database of ours, filled with sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import psycopg

from keyturn import Session
from keyturn.stores._rows import COLUMNS, session_row
from keyturn.stores.sqlalchemy import migrations

from .generated import settle

_COPY = f"COPY keyturn_session (bucket, {COLUMNS}) FROM STDIN"


def with_driver(url: str, driver: str) -> str:
    """Give an address as SQLAlchemy reads it, with the driver's name."""
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def make_tables(url: str) -> None:
    """Make the tables of an empty database."""
    migrations.upgrade(with_driver(url, "psycopg"))


def fill(url: str, some: Iterable[tuple[Session, bytes]], seen: Callable[[Session, bytes], None] | None = None) -> None:
    """Make the tables with these sessions; `seen` is told of each."""
    make_tables(url)
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor().copy(_COPY) as copy:
        for one, seed in some:
            row = session_row(one)
            copy.write_row((int.from_bytes(row[0][:2]), *row))
            if seen is not None:
                seen(one, seed)
    settle(url)
