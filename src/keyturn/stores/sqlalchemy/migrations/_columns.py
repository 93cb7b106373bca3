"""What the columns of all revisions are made of; what is here never changes, for old revisions stand on it."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

MARIADB: Final = ("mysql", "mariadb")
#: Texts are compared octet by octet.
OPTIONS: Final[dict[str, Any]] = {
    f"{engine}_{option}": value
    for engine in MARIADB
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_nopad_bin"))
}


def binary(length: int) -> TypeEngine[bytes]:
    """Give the type of so many bytes."""
    return sa.LargeBinary().with_variant(mysql.BINARY(length), *MARIADB)


def word(length: int) -> TypeEngine[str]:
    """Give the type of a text that is compared or indexed."""
    return sa.Text(collation="C").with_variant(sa.String(length), *MARIADB)


def json() -> TypeEngine[str]:
    """Give the type of JSON in ASCII."""
    return sa.Text().with_variant(mysql.MEDIUMTEXT(), *MARIADB)
