"""The least that can turn a refresh token over HTTP: Starlette, one statement, one signature.

It has our table and our statement, and nothing else of ours: no seal, no user, no events, no error handling worth the
name. What we take more than this is what a real product costs. How the statement is run is each prototype's own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .. import people

_IDLE = 30 * 86_400_000_000
_SCOPE = " ".join(sorted(people.PRINCIPAL.scopes))
_ECDSA = ec.ECDSA(SHA256())


class Turn(NamedTuple):
    """What the statement needs; times in microseconds."""

    id: bytes
    generation: int
    digest: bytes
    now: int
    idle: int


def turn_of(id_: bytes, generation: int, seed: bytes) -> Turn:
    """Give what the statement needs now for a token."""
    now = time.time_ns() // 1000
    return Turn(id_, generation, hashlib.sha256(seed).digest(), now, now + _IDLE)


#: Runs the statement; gives all columns of the row after, None where nothing was turned.
Advance: TypeAlias = Callable[[Turn], Awaitable[Sequence[Any] | None]]


def application(advance: Advance, lifespan: Any = None) -> Starlette:
    """Give the prototype around a statement."""
    private = ec.generate_private_key(ec.SECP256R1())
    header = _encoded(json.dumps({"alg": "ES256", "kid": secrets.token_urlsafe(32), "typ": "at+jwt"}).encode())

    async def refresh(request: Request) -> JSONResponse:
        token = (await request.json())["refresh_token"]
        raw = urlsafe_b64decode(token + "==")
        id_, generation, seed = raw[:16], int.from_bytes(raw[16:20]), raw[20:]
        turn = turn_of(id_, generation, seed)
        row = await advance(turn)
        if row is None:
            return JSONResponse({"error": "invalid_grant"}, status_code=401)
        return JSONResponse(
            {
                "access_token": _signed(header, _claims(row, turn.now // 1_000_000), private),
                "token_type": "Bearer",
                "expires_in": 3600,
                "scope": _SCOPE,
                "refresh_token": token_of(id_, generation + 1, seed),
            },
            headers={"cache-control": "no-store"},
        )

    return Starlette(routes=[Route("/auth/refresh", refresh, methods=["POST"])], lifespan=lifespan)


def token_of(id_: bytes, generation: int, seed: bytes) -> str:
    """Give a token: what is needed to find the row and to know that it is its bearer's."""
    return _encoded(id_ + generation.to_bytes(4) + seed)


def _claims(row: Sequence[Any], now: int) -> dict[str, Any]:
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
