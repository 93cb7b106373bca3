"""The tables as they first were.

A migration spells its tables out: what it makes does not change when `tables.metadata` does later.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

_MARIADB = ("mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    f"{engine}_{option}": value
    for engine in _MARIADB
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_nopad_bin"))
}


def _binary(length: int) -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.BINARY(length), *_MARIADB)


def _word(length: int) -> TypeEngine[str]:
    return sa.Text(collation="C").with_variant(sa.String(length), *_MARIADB)


def _json() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(), *_MARIADB)


def upgrade(op: Operations) -> None:
    """Make the tables, and the log's one row."""
    # Where every statement commits itself, a migration that was killed half way is done again, over what it left.
    again = not op.get_context().impl.transactional_ddl
    _make_session(op, again=again)
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE keyturn_session SET (fillfactor = 80)")
    op.create_index("keyturn_session_subject", "keyturn_session", ["realm", "subject"], if_not_exists=again)
    _make_log(op, again=again)
    op.create_index("keyturn_revocation_until", "keyturn_revocation", ["until"], if_not_exists=again)
    _begin_log(op)
    _make_throttle(op, again=again)
    op.create_index("keyturn_throttle_until", "keyturn_throttle", ["until"], if_not_exists=again)


def downgrade(op: Operations) -> None:
    """Drop the tables and everything in them."""
    for table in ("keyturn_throttle", "keyturn_revocation", "keyturn_log", "keyturn_session"):
        op.drop_table(table, if_exists=not op.get_context().impl.transactional_ddl)


def _make_session(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_session",
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", _binary(16), primary_key=True),
        sa.Column("realm", _word(32), nullable=False),
        sa.Column("subject", _word(255), nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("transport", _word(16), nullable=False),
        sa.Column("remember", sa.Boolean, nullable=False),
        sa.Column("seed_digest", _binary(32), nullable=False),
        sa.Column("binding", _binary(32)),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("access_floor", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("recovered_at", sa.BigInteger),
        sa.Column("recoveries", sa.Integer, nullable=False),
        sa.Column("authenticated_at", sa.BigInteger, nullable=False),
        sa.Column("amr", _json(), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("idle_expires_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", _word(32)),
        sa.Column("scope", sa.Text),
        sa.Column("claims", _json(), nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("device_name", sa.Text, nullable=False),
        **_OPTIONS,
        if_not_exists=again,
    )


def _make_log(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_log",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("epoch", _word(16), nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="keyturn_log_one_row"),
        **_OPTIONS,
        if_not_exists=again,
    )
    op.create_table(
        "keyturn_revocation",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("session_id", _binary(16), nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        **_OPTIONS,
        if_not_exists=again,
    )


def _begin_log(op: Operations) -> None:
    """Write the log's one row, with an epoch that the server draws: a script in SQL may run on many databases."""
    drawn = "gen_random_uuid()::text" if op.get_context().dialect.name == "postgresql" else "uuid()"
    op.execute(
        "INSERT INTO keyturn_log (id, version, epoch, head, dropped)"  # noqa: S608 - constants
        f" SELECT 1, 1, substr(md5({drawn}), 1, 16), 0, 0 FROM (SELECT 1 AS one) AS just"
        " WHERE NOT EXISTS (SELECT 1 FROM keyturn_log WHERE id = 1)"
    )


def _make_throttle(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_throttle",
        sa.Column("id", _binary(16), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("browsers", sa.LargeBinary().with_variant(mysql.VARBINARY(128), *_MARIADB)),
        if_not_exists=again,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
