"""A million sessions in a few seconds: made by the database itself, the indexes last."""

from urllib.parse import urlsplit

from tests.support.servers import DatabaseServer, MariadbServer

ROWS = 1_000_000
USERS = 200_000
MONTHS = 12
#: The month of the first sessions' end: March 2029, since January 2000.
FIRST_BUCKET = 350
ENTRIES = 20_000

# One user in five times two hundred thousand has five sessions; ids are in no order within their month.
_REST = """'default', 'cookie', true, {seed}, null, 3, 3, 0, 0, 1900000000000000, null, 0, 1890000000000000, '["pwd"]',
    1890000000000000 + {n}, 1900000000000000 + {n}, 1950000000000000 + {n}, null, null, null, '{{}}',
    'Mozilla/5.0 (X11; Linux x86_64)', '192.0.2.1', ''"""

_POSTGRESQL = (
    "SET maintenance_work_mem = '512MB'",
    "ALTER TABLE keyturn_session SET UNLOGGED",  # nobody kills this server
    "DROP INDEX keyturn_session_subject",
    "ALTER TABLE keyturn_session DROP CONSTRAINT keyturn_session_pkey",
    f"""
    INSERT INTO keyturn_session
    SELECT {FIRST_BUCKET} + n * {MONTHS} / {ROWS},
        int2send(({FIRST_BUCKET} + n * {MONTHS} / {ROWS})::smallint) || substr(sha224(int8send(n)), 1, 14),
        'shop', 'user ' || n % {USERS}, {_REST.format(n="n", seed="sha256('')")}
    FROM generate_series(0::bigint, {ROWS - 1}) AS n
    """,
    "ALTER TABLE keyturn_session ADD PRIMARY KEY (bucket, id)",
    "CREATE INDEX keyturn_session_subject ON keyturn_session (realm, subject)",
    (
        f"INSERT INTO keyturn_revocation SELECT n, sha224(int8send(n)), 1, 1900000000000000 + n"
        f" FROM generate_series(1::bigint, {ENTRIES}) AS n"
    ),
    f"UPDATE keyturn_log SET head = {ENTRIES}",
    "VACUUM ANALYZE",
)
_MARIADB = (
    "SET sort_buffer_size = 268435456",
    "SET unique_checks = 0",
    "SET foreign_key_checks = 0",
    "ALTER TABLE keyturn_session DROP INDEX keyturn_session_subject",
    f"""
    INSERT INTO keyturn_session
    SELECT {FIRST_BUCKET} + (seq * {MONTHS}) DIV {ROWS},
        concat(unhex(lpad(hex({FIRST_BUCKET} + (seq * {MONTHS}) DIV {ROWS}), 4, '0')), left(unhex(sha1(seq)), 14)),
        'shop', concat('user ', seq MOD {USERS}), {_REST.format(n="seq", seed="repeat('x', 32)")}
    FROM seq_0_to_{ROWS - 1} ORDER BY 1, 2
    """,
    "CREATE INDEX keyturn_session_subject ON keyturn_session (realm, subject)",
    (
        f"INSERT INTO keyturn_revocation SELECT seq, left(unhex(sha1(seq)), 16), 1, 1900000000000000 + seq"
        f" FROM seq_1_to_{ENTRIES}"
    ),
    f"UPDATE keyturn_log SET head = {ENTRIES}",
    "ANALYZE TABLE keyturn_session, keyturn_revocation",
)


def fill(server: DatabaseServer, url: str) -> None:
    """Fill a database that has our tables and nothing in them."""
    statements = _MARIADB if isinstance(server, MariadbServer) else _POSTGRESQL
    server.execute(*statements, database=urlsplit(url).path[1:])
