"""The tables as they first were.

A migration spells its tables out: what it makes does not change when `tables.metadata` does later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import mysql

from keyturn.stores.sqlalchemy.migrations._columns import MARIADB, OPTIONS, binary, json, word

revision = "0001"
down_revision = None


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
        sa.Column("id", binary(16), primary_key=True),
        sa.Column("realm", word(32), nullable=False),
        sa.Column("subject", word(255), nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("transport", word(16), nullable=False),
        sa.Column("remember", sa.Boolean, nullable=False),
        sa.Column("seed_digest", binary(32), nullable=False),
        sa.Column("binding", binary(32)),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("access_floor", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("recovered_at", sa.BigInteger),
        sa.Column("recoveries", sa.Integer, nullable=False),
        sa.Column("authenticated_at", sa.BigInteger, nullable=False),
        sa.Column("amr", json(), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("idle_expires_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", word(32)),
        sa.Column("scope", sa.Text),
        sa.Column("claims", json(), nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("device_name", sa.Text, nullable=False),
        **OPTIONS,
        if_not_exists=again,
    )


def _make_log(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_log",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("epoch", word(16), nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="keyturn_log_one_row"),
        **OPTIONS,
        if_not_exists=again,
    )
    op.create_table(
        "keyturn_revocation",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("session_id", binary(16), nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        **OPTIONS,
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
        sa.Column("id", binary(16), primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("browsers", sa.LargeBinary().with_variant(mysql.VARBINARY(128), *MARIADB)),
        if_not_exists=again,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
