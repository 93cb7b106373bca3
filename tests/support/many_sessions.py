"""Many sessions and many accounts in a SQLite file, made by the database itself."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ROWS = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
INSERT INTO keyturn_session (
    id, realm, subject, client_id, transport, remember, seed_digest, binding, generation, delivered, floor,
    access_floor, rotated_at, recovered_at, recoveries, authenticated_at, amr, created_at, idle_expires_at, expires_at,
    ended_at, end_reason, scope, claims, user_agent, ip, device_name
)
SELECT
    randomblob(16), 'default', 'user ' || (n % 1000), 'default', 'body', 1, randomblob(32), NULL, 3, 3, 0,
    0, ?2, NULL, 0, ?2, '["pwd"]', ?2, ?3, ?3, NULL, NULL, NULL, '{}', 'Mozilla/5.0 (X11; Linux x86_64)', '192.0.2.1', ''
FROM numbers
"""


def fill(path: Path, *, over: int, living: int) -> None:
    """Add sessions to a file that has the tables: those that are over idled out yesterday."""
    now = datetime.now(UTC)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for count, end in ((over, now - timedelta(days=1)), (living, now + timedelta(days=1))):
            if count:
                connection.execute(_ROWS, (count, _micros(now - timedelta(days=2)), _micros(end)))
        connection.execute("COMMIT")


def fill_accounts(path: Path, *, like: str, count: int) -> None:
    """Add accounts to a file that has one to be copied."""
    own = {
        "subject": "printf('usr_%020d', n)",
        "username": "printf('user%08d', n)",
        "name_key": "printf('user%08d', n)",
    }
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(keyturn_account)")]
        connection.execute(
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
            f" INSERT INTO keyturn_account ({', '.join(names)})"
            f" SELECT {', '.join(own.get(name, name) for name in names)} FROM numbers"
            f" CROSS JOIN (SELECT * FROM keyturn_account WHERE name_key = ?)",
            [like],
        )
        connection.commit()


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
