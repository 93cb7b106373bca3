"""Sessions by the million: made by the database itself, and known here by their numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import psycopg

from keyturn.session import new_session_id, session_id_bytes, session_id_text
from keyturn.stores._rows import micros

from .sessions import AGENT, LIFETIME

#: Rows that one statement makes.
_STEP = 100_000
_MAKE = """
INSERT INTO keyturn_session
    (bucket, id, realm, subject, client_id, transport, remember, seed_digest, generation, delivered, floor,
    access_floor, rotated_at, recoveries, authenticated_at, amr, created_at, idle_expires_at, expires_at, claims,
    user_agent, ip, device_name)
SELECT %(bucket)s, %(prefix)s || substring(sha256(convert_to('id ' || n, 'UTF8')) FOR 14), 'default', 'user-' || n,
    'default', 'body', true, sha256(substring(sha256(convert_to('seed ' || n, 'UTF8')) FOR 16)), 0, 0, 0,
    0, %(at)s, 0, %(at)s, '["pwd"]', %(at)s, %(end)s, %(end)s, '{}',
    %(agent)s, '192.0.2.7', ''
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""


@dataclass(frozen=True, slots=True)
class Generation:
    """So many sessions that began at one moment, numbered from `first`."""

    first: int
    count: int
    started_at: datetime

    def known(self, number: int) -> tuple[str, bytes]:
        """Give the id and the seed of one of them."""
        raw = self._prefix() + _sum("id", number)[:14]
        return session_id_text(raw), _sum("seed", number)[:16]

    def make(self, url: str) -> None:
        """Have the database make them."""
        prefix, end = self._prefix(), self.started_at + LIFETIME
        values = {"bucket": int.from_bytes(prefix), "prefix": prefix, "at": micros(self.started_at)}
        values |= {"end": micros(end), "agent": AGENT}
        with psycopg.connect(url, autocommit=True) as connection:
            for first in range(self.first, self.first + self.count, _STEP):
                last = min(first + _STEP, self.first + self.count) - 1
                connection.execute(_MAKE, {**values, "first": first, "last": last})

    def _prefix(self) -> bytes:
        """Give the first two bytes of their ids, which say in which month they end."""
        return (session_id_bytes(new_session_id(self.started_at + LIFETIME, bytes(14))) or b"")[:2]


def _sum(what: str, number: int) -> bytes:
    return hashlib.sha256(f"{what} {number}".encode()).digest()


def settle(url: str) -> None:
    """Have the database tidy up, so that it does not do so while something is measured."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) keyturn_session")
        connection.execute("CHECKPOINT")
