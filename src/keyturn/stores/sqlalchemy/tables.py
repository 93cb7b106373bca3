"""The tables, as SQLAlchemy's metadata: what the migrations make and what `alembic check` compares a database with.

Times are integers: microseconds since 1970, UTC. So they come back exactly as they were given, whatever the driver, the
session's time zone and the server's idea of summer time; a person reads them with ``to_timestamp(expires_at / 1e6)``
or ``from_unixtime(expires_at / 1e6)``.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from ...throttle.sqlalchemy.table import throttle_table

#: Counted up by each migration that changes a table of the sessions, and kept in `log`: a program refuses tables that
#: it does not know.
VERSION: Final = 1
#: The same for accounts, clients and resets, which only the stand-alone server and its commands look at; in `records`.
RECORDS_VERSION: Final = 1

#: Percent. An update stays on its page, and no index hears of it, where the page has room for the row's next version;
#: a fifth of a page is room for four or five rows, and old versions are swept out when the page is next visited.
_FILL_FACTOR: Final = 80

_MARIADB: Final = ("mysql", "mariadb")

metadata: Final = MetaData()


def _binary(length: int) -> TypeEngine[bytes]:
    return LargeBinary().with_variant(mysql.BINARY(length), *_MARIADB)


def _word(length: int) -> TypeEngine[str]:
    """Give the type of a text that is compared or indexed; "C" is an order that no update of a C library changes."""
    return Text(collation="C").with_variant(String(length), *_MARIADB)


def _json() -> TypeEngine[str]:
    """Give the type of JSON in ASCII: engines' own JSON types change numbers, keys' order and lone surrogates."""
    return Text().with_variant(mysql.MEDIUMTEXT(), *_MARIADB)


#: Texts are compared octet by octet: "Ana" is not "ana", and "ana " is not "ana".
_OPTIONS: Final[dict[str, Any]] = {
    f"{engine}_{option}": value
    for engine in _MARIADB
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_nopad_bin"))
}

# The primary key begins with the month in which a session ends at the latest: old months lie together at its beginning,
# and a table may be partitioned by it. The id repeats it in its first two bytes. Nothing that a refresh changes is
# indexed.
session: Final = Table(
    "keyturn_session",
    metadata,
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("id", _binary(16), primary_key=True),
    Column("realm", _word(32), nullable=False),
    Column("subject", _word(255), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("transport", _word(16), nullable=False),
    Column("remember", Boolean, nullable=False),
    Column("seed_digest", _binary(32), nullable=False),
    Column("binding", _binary(32)),
    Column("generation", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("access_floor", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("recovered_at", BigInteger),
    Column("recoveries", Integer, nullable=False),
    Column("authenticated_at", BigInteger, nullable=False),
    Column("amr", _json(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("idle_expires_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", _word(32)),
    Column("scope", Text),
    Column("claims", _json(), nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("ip", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Index("keyturn_session_subject", "realm", "subject"),
    **_OPTIONS,
)


def _leave_room(table: Table, connection: Connection, **_: object) -> None:
    """Say it as a statement of its own: SQLAlchemy 2.0 does not know the option."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER TABLE {table.name} SET (fillfactor = {_FILL_FACTOR})"))


event.listen(session, "after_create", _leave_room)

# One row. Every transaction that appends to the revocation log increments `head` first and so waits for those that did
# before: numbers are in commit order, which a sequence's are not. Ends are rare; refreshes never come here.
log: Final = Table(
    "keyturn_log",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("epoch", _word(16), nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="keyturn_log_one_row"),
    **_OPTIONS,
)

revocation: Final = Table(
    "keyturn_revocation",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("session_id", _binary(16), nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("keyturn_revocation_until", "until"),
    **_OPTIONS,
)

# Not the store's own: counters that the workers of one database share, made and changed by the same migrations.
throttle: Final = throttle_table(metadata)

# What the stand-alone server keeps besides. An application with users of its own leaves these tables empty.
account: Final = Table(
    "keyturn_account",
    metadata,
    Column("subject", _word(255), primary_key=True),
    Column("username", _word(255), nullable=False),
    Column("name_key", _word(255), nullable=False),
    Column("email", _word(255)),
    Column("email_key", _word(255)),
    Column("password_hash", Text),
    Column("state", _word(16), nullable=False),
    Column("roles", _json(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("password_changed_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    Index("keyturn_account_name_key", "name_key", unique=True),
    **_OPTIONS,
)

# A name key and an e-mail key are of one kind: what one account is found by, no other is. So they share a primary key.
account_key: Final = Table(
    "keyturn_account_key",
    metadata,
    Column("name", _word(255), primary_key=True),
    Column("subject", _word(255), nullable=False),
    **_OPTIONS,
)

client: Final = Table(
    "keyturn_client",
    metadata,
    Column("id", _word(255), primary_key=True),
    Column("secret_digest", _word(64)),
    Column("name", _word(255), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    **_OPTIONS,
)

# One for each account: whoever asks for another reset makes the one before void.
reset: Final = Table(
    "keyturn_reset",
    metadata,
    Column("subject", _word(255), primary_key=True),
    Column("digest", _word(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("keyturn_reset_digest", "digest"),
    **_OPTIONS,
)

records: Final = Table(
    "keyturn_records",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("id = 1", name="keyturn_records_one_row"),
    **_OPTIONS,
)
