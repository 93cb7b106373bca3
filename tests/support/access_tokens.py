"""Access tokens as tests need them: good ones, and whatever somebody who holds a key could sign."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any

from keyturn._binding import binding_digest, new_binding
from keyturn.keys import Key
from keyturn.session import new_session_id
from keyturn.settings import Settings
from keyturn.testing.clock import START
from keyturn.tokens import Claims

ISSUER = "https://id.example.org"
SETTINGS = Settings(issuer=ISSUER, audience="https://api.example.org")
BINDING = new_binding(b"b" * 32)
SESSION = new_session_id(START, b"session number")


def claims(**changes: Any) -> Claims:
    """Claims of a bound token, issued at the start of the manual clock."""
    usual = Claims(
        issuer=ISSUER,
        realm="default",
        subject="user-1",
        audience=(SETTINGS.audience,),
        client_id="default",
        session_id=SESSION,
        generation=3,
        token_id="t" * 22,
        issued_at=START,
        expires_at=START + timedelta(minutes=5),
        scope=frozenset({"read", "write"}),
        authenticated_at=START - timedelta(hours=1),
        amr=("pwd",),
        binding=binding_digest(BINDING),
    )
    return replace(usual, **changes)


def body(**changes: Any) -> dict[str, Any]:
    """The same as JSON; a change to ... leaves the claim out."""
    usual = {
        "iss": ISSUER,
        "sub": "user-1",
        "aud": SETTINGS.audience,
        "client_id": "default",
        "iat": int(START.timestamp()),
        "exp": int(START.timestamp()) + 300,
        "jti": "t" * 22,
        "sid": SESSION,
        "gen": 3,
        "auth_time": int(START.timestamp()) - 3600,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def header(key: Key, **changes: Any) -> dict[str, Any]:
    """The header that we issue, in our order; a change to ... leaves a member out."""
    usual = {"alg": key.algorithm, "kid": key.id, "typ": "at+jwt"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def compact(value: Any) -> bytes:
    """JSON as we write it; bytes stay as they are."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(key: Key, payload: Any, head: Any = None) -> str:
    """What the holder of a key can sign: any payload, any header, JSON or bytes."""
    data = f"{b64(compact(header(key) if head is None else head))}.{b64(compact(payload))}"
    return f"{data}.{b64(key.sign(data.encode()))}"
