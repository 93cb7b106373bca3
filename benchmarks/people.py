"""The user, the settings and the tokens that the benchmarks share."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from keyturn import AsyncSessions, Principal, Settings, TokenPair
from keyturn.keyrings import now_utc
from keyturn.keyrings.static import StaticKeys
from keyturn.keys import new_ring
from keyturn.stores.memory import MemoryStore

ISSUER = "https://app.example.org"
PRINCIPAL = Principal(subject="user-4711", scopes=frozenset({"orders:read", "orders:write"}))


@lru_cache(maxsize=100_000)
def principal_of(subject: str) -> Principal:
    """Give a user by name."""
    return replace(PRINCIPAL, subject=subject)


class Users:
    """Whoever is asked for; asking costs next to nothing, since the prototype does not ask at all."""

    async def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        """Believe everybody."""
        return PRINCIPAL

    async def load(self, subject: str) -> Principal | None:
        """Give whoever it is."""
        return principal_of(subject)


def settings(algorithm: str = "ES256") -> Settings:
    """Give settings as an application would have them; tokens outlive the benchmark, and one user has many sessions."""
    return Settings(
        issuer=ISSUER, algorithm=algorithm, access_token_lifetime=timedelta(hours=1), max_sessions=1_000_000
    )


def keys(algorithm: str = "ES256") -> StaticKeys:
    """Give a fresh ring."""
    return StaticKeys(new_ring(algorithm=algorithm, now=now_utc(), entropy=secrets.token_bytes))


def sign_in(chosen: Settings, ring: StaticKeys, count: int) -> list[TokenPair]:
    """Give the tokens of so many cookie sessions, in a store that nobody else sees."""
    sessions = AsyncSessions(chosen, MemoryStore(), ring, users=Users())

    async def start() -> list[TokenPair]:
        return [await sessions.start(PRINCIPAL, transport="cookie") for _ in range(count)]

    return asyncio.run(start())
