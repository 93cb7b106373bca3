"""flask-jwt-extended in a process of its own: told how many calls to make on standard input, it tells their CPU time.

Each line in is ``{"side": NAME, "calls": N}``, each line out the CPU microseconds of one call.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required

from benchmarks.asgi import headers_of
from benchmarks.measure import cpu_micros
from benchmarks.wsgi import Caller

#: As many clients as the sides in the other process have.
CLIENTS = 64


def application() -> Flask:
    """Give the same route bare and guarded, set up as the package's documentation has it, with ES256."""
    private = ec.generate_private_key(ec.SECP256R1())
    app = Flask(__name__)
    app.config["JWT_ALGORITHM"] = "ES256"
    app.config["JWT_PRIVATE_KEY"] = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    app.config["JWT_PUBLIC_KEY"] = (
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
    JWTManager(app)

    @app.get("/bare")
    def bare() -> dict[str, str]:
        return {"subject": "user-4711"}

    @app.get("/guarded")
    @jwt_required()
    def guarded() -> dict[str, str]:
        return {"subject": get_jwt_identity()}

    return app


def main() -> None:
    """Serve measurements until standard input ends."""
    app = application()
    more: dict[str, Any] = {"scope": "orders:read orders:write", "client_id": "default", "sid": "A" * 22}
    with app.app_context():
        tokens = [create_access_token("user-4711", additional_claims=more) for _ in range(CLIENTS)]
    clients = [headers_of(token) for token in tokens]
    sides = {name: Caller(app, f"/{name}", clients) for name in ("bare", "guarded")}
    print(json.dumps({"token_bytes": len(tokens[0])}), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        print(json.dumps(cpu_micros(sides[wish["side"]], wish["calls"])), flush=True)


if __name__ == "__main__":
    main()
