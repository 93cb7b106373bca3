"""The least that can turn a refresh token: Starlette, one statement, one thread with grouped commits, one signature.

It has our table and our statement, and nothing else of ours: no seal, no user, no events, no error handling worth the
name. What we take more than this is what a real product costs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sqlite3
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn.stores._sqlite_schema import open_database
from keyturn.stores._sqlite_statements import _ADVANCE

from .. import people

_GROUP = 64
_IDLE = 30 * 86_400_000_000
_SCOPE = " ".join(sorted(people.PRINCIPAL.scopes))
_ECDSA = ec.ECDSA(SHA256())


class Writer:
    """A thread that turns what waits in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[tuple[tuple[Any, ...], asyncio.Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    async def advance(self, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Turn one row."""
        future: asyncio.Future[tuple[Any, ...] | None] = asyncio.get_running_loop().create_future()
        self._queue.put((parameters, future))
        return await future

    def _run(self) -> None:
        connection = open_database(str(self._path), synchronous="FULL", busy_timeout=timedelta(seconds=5))
        while True:
            group = self._take()
            connection.execute("BEGIN IMMEDIATE")
            rows = [_turn(connection, parameters) for parameters, _ in group]
            connection.execute("COMMIT")
            answers = [(future, row) for (_, future), row in zip(group, rows, strict=True)]
            group[0][1].get_loop().call_soon_threadsafe(_deliver, answers)

    def _take(self) -> list[tuple[tuple[Any, ...], asyncio.Future[Any]]]:
        group = [self._queue.get()]
        try:
            while len(group) < _GROUP:
                group.append(self._queue.get_nowait())
        except Empty:
            pass
        return group


def _turn(connection: sqlite3.Connection, parameters: tuple[Any, ...]) -> Any:
    rows = connection.execute(_ADVANCE, parameters).fetchall()
    return rows[0] if rows else None


def _deliver(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, row in answers:
        if not future.done():
            future.set_result(row)


def application(path: Path) -> Starlette:
    """Give the prototype over a file of ours."""
    writer = Writer(path)
    private = ec.generate_private_key(ec.SECP256R1())
    header = _encoded(json.dumps({"alg": "ES256", "kid": secrets.token_urlsafe(32), "typ": "at+jwt"}).encode())

    async def refresh(request: Request) -> JSONResponse:
        token = (await request.json())["refresh_token"]
        raw = urlsafe_b64decode(token + "==")
        id_, generation, seed = raw[:16], int.from_bytes(raw[16:20]), raw[20:]
        now = time.time_ns() // 1000
        row = await writer.advance(_parameters(id_, generation, seed, now))
        if row is None:
            return JSONResponse({"error": "invalid_grant"}, status_code=401)
        return JSONResponse(
            {
                "access_token": _signed(header, _claims(row, now // 1_000_000), private),
                "token_type": "Bearer",
                "expires_in": 3600,
                "scope": _SCOPE,
                "refresh_token": token_of(id_, generation + 1, seed),
            },
            headers={"cache-control": "no-store"},
        )

    return Starlette(routes=[Route("/auth/refresh", refresh, methods=["POST"])])


def token_of(id_: bytes, generation: int, seed: bytes) -> str:
    """Give a token: what is needed to find the row and to know that it is its bearer's."""
    return _encoded(id_ + generation.to_bytes(4) + seed)


def _parameters(id_: bytes, generation: int, seed: bytes, now: int) -> tuple[Any, ...]:
    digest, idle = hashlib.sha256(seed).digest(), now + _IDLE
    return (generation + 1, now, idle, idle, id_, "default", "body", None, digest, None, generation, None)


def _claims(row: tuple[Any, ...], now: int) -> dict[str, Any]:
    return {
        "iss": people.ISSUER, "sub": row[2], "aud": people.ISSUER, "client_id": row[3], "iat": now, "exp": now + 3600,
        "jti": secrets.token_urlsafe(16), "sid": _encoded(row[0]), "gen": row[8], "auth_time": row[15] // 1_000_000,
        "scope": _SCOPE,
    }  # fmt: skip


def _signed(header: str, claims: dict[str, Any], private: ec.EllipticCurvePrivateKey) -> str:
    signed = f"{header}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
    r, s = decode_dss_signature(private.sign(signed.encode(), _ECDSA))
    return f"{signed}.{_encoded(r.to_bytes(32) + s.to_bytes(32))}"


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
