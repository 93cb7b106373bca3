"""Accounts, clients and resets of the stand-alone server; the sessions' tables stay as they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

from keyturn.stores.sqlalchemy.migrations._columns import OPTIONS, json, word

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    """Make the tables, and the row that bears their version."""
    # Where every statement commits itself, a migration that was killed half way is done again, over what it left.
    again = not op.get_context().impl.transactional_ddl
    _make_accounts(op, again=again)
    op.create_index("keyturn_account_name_key", "keyturn_account", ["name_key"], unique=True, if_not_exists=again)
    _make_the_rest(op, again=again)
    op.create_index("keyturn_reset_digest", "keyturn_reset", ["digest"], if_not_exists=again)
    op.execute(
        "INSERT INTO keyturn_records (id, version) SELECT 1, 1 FROM (SELECT 1 AS one) AS just"
        " WHERE NOT EXISTS (SELECT 1 FROM keyturn_records WHERE id = 1)"
    )


def downgrade(op: Operations) -> None:
    """Drop the tables and everything in them."""
    for table in ("keyturn_records", "keyturn_reset", "keyturn_client", "keyturn_account_key", "keyturn_account"):
        op.drop_table(table, if_exists=not op.get_context().impl.transactional_ddl)


def _make_accounts(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_account",
        sa.Column("subject", word(255), primary_key=True),
        sa.Column("username", word(255), nullable=False),
        sa.Column("name_key", word(255), nullable=False),
        sa.Column("email", word(255)),
        sa.Column("email_key", word(255)),
        sa.Column("password_hash", sa.Text),
        sa.Column("state", word(16), nullable=False),
        sa.Column("roles", json(), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("password_changed_at", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        **OPTIONS,
        if_not_exists=again,
    )
    op.create_table(
        "keyturn_account_key",
        sa.Column("name", word(255), primary_key=True),
        sa.Column("subject", word(255), nullable=False),
        **OPTIONS,
        if_not_exists=again,
    )


def _make_the_rest(op: Operations, *, again: bool) -> None:
    op.create_table(
        "keyturn_client",
        sa.Column("id", word(255), primary_key=True),
        sa.Column("secret_digest", word(64)),
        sa.Column("name", word(255), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        **OPTIONS,
        if_not_exists=again,
    )
    op.create_table(
        "keyturn_reset",
        sa.Column("subject", word(255), primary_key=True),
        sa.Column("digest", word(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        **OPTIONS,
        if_not_exists=again,
    )
    op.create_table(
        "keyturn_records",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1", name="keyturn_records_one_row"),
        **OPTIONS,
        if_not_exists=again,
    )
