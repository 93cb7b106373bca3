"""AuthX in a process of its own: told how many calls to make on standard input, it tells their CPU time.

Each line in is ``{"side": NAME, "calls": N}``, each line out the CPU microseconds of one call.
"""

# No `from __future__ import annotations`: FastAPI could not find the local names in the annotations of routes.

import asyncio
import json
import sys
from typing import Annotated, Any

from authx import AuthX, AuthXConfig, TokenPayload
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import Depends, FastAPI

from benchmarks.asgi import Caller, headers_of
from benchmarks.measure import cpu_micros_awaited

#: As many clients as the sides in the other process have.
CLIENTS = 64


def security() -> AuthX:
    """Give AuthX as its documentation sets it up, with ES256."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    config = AuthXConfig(
        JWT_ALGORITHM="ES256", JWT_DECODE_ALGORITHMS=["ES256"], JWT_PRIVATE_KEY=pem, JWT_PUBLIC_KEY=public,
        JWT_TOKEN_LOCATION=["headers"],
    )  # fmt: skip
    return AuthX(config=config)


def application(auth: AuthX) -> FastAPI:
    """Give the same route bare and guarded."""
    app = FastAPI()
    auth.handle_errors(app)

    @app.get("/bare")
    async def bare() -> dict[str, str]:
        return {"subject": "user-4711"}

    @app.get("/guarded")
    async def guarded(payload: Annotated[TokenPayload, Depends(auth.access_token_required)]) -> dict[str, str]:
        return {"subject": payload.sub}

    return app


def main() -> None:
    """Serve measurements until standard input ends."""
    auth = security()
    more: dict[str, Any] = {"scope": "orders:read orders:write", "client_id": "default", "sid": "A" * 22}
    tokens = [auth.create_access_token(uid="user-4711", data=more) for _ in range(CLIENTS)]
    clients = [headers_of(token) for token in tokens]
    app = application(auth)
    sides = {name: Caller(app, f"/{name}", clients) for name in ("bare", "guarded")}
    print(json.dumps({"token_bytes": len(tokens[0])}), flush=True)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            wish = json.loads(line)
            found = runner.run(cpu_micros_awaited(sides[wish["side"]], wish["calls"]))
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
