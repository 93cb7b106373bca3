"""What all that speaks to PostgreSQL and MariaDB shares: how addresses begin, what errors mean, what a fork leaves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from ...errors import ConfigurationError

#: Schemes of addresses that SQLAlchemy reads.
SCHEMES: Final = frozenset({"postgresql", "postgres", "mysql", "mariadb"})


@contextmanager
def needing_sqlalchemy(scheme: str) -> Generator[None]:
    """Import what stands on SQLAlchemy, for an address that begins with this scheme.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"sqlalchemy", "alembic", "greenlet"}:
            raise
        extra = "postgresql" if scheme.startswith("postgres") else "mariadb"
        raise ConfigurationError([f"{scheme}:// needs SQLAlchemy: pip install 'keyturn[{extra}]'"]) from None
