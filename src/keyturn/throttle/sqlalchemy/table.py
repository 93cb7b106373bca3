"""The table of a shared throttle, for the metadata of whoever keeps the schema.

``throttle_table(metadata)`` adds it: the stores' own metadata has it, and so their migrations make it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table
from sqlalchemy.dialects import mysql

from .._keys import DIGEST
from .._known import MOST_BROWSERS

_MARIADB: Final = ("mysql", "mariadb")


def throttle_table(metadata: MetaData) -> Table:
    """Add the table to a metadata and give it.

    A row is a counter: ``until`` says when all that it counted is forgotten, in microseconds since 1970, UTC; or it is
    what a user's browsers are known by. Names and addresses stand nowhere in it, only digests. Rows whose ``until`` has
    passed mean nothing and are deleted by and by.
    """
    return Table(
        "keyturn_throttle",
        metadata,
        Column("id", LargeBinary().with_variant(mysql.BINARY(DIGEST), *_MARIADB), primary_key=True),
        Column("until", BigInteger, nullable=False),
        Column("browsers", LargeBinary().with_variant(mysql.VARBINARY(DIGEST * MOST_BROWSERS), *_MARIADB)),
        Index("keyturn_throttle_until", "until"),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
