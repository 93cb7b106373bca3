"""Who asks, where an operation wants a caller: a user who is signed in, or a client with a secret. For schemathesis."""

import base64
import os
from urllib.parse import quote_plus

import httpx
import schemathesis

from tests.interop.issuers import PASSWORD, PROVED, SECRET


def proofs_of(case) -> set[str]:
    return {name for needed in case.operation.definition.raw.get("security", ()) for name in needed}


@schemathesis.auth(refresh_interval=None)
class Callers:
    """Signs in anew when a request has ended the session that it used."""

    token = "none"

    def get(self, case, context):
        if "Keyturn" not in proofs_of(case):
            return base64.b64encode(f"{PROVED}:{quote_plus(SECRET)}".encode()).decode()  # RFC 6749 section 2.3.1
        with httpx.Client(base_url=os.environ["KEYTURN_ADDRESS"], trust_env=False, timeout=60) as client:
            if client.get("/auth/session", headers={"Authorization": f"Bearer {self.token}"}).status_code != 200:
                who = {"username": "ada", "password": PASSWORD, "transport": "body"}
                self.token = client.post("/auth/login", json=who).json()["access_token"]
        return self.token

    def set(self, case, data, context):
        proofs = proofs_of(case)
        if "Keyturn" in proofs:
            case.headers["Authorization"] = f"Bearer {data}"
        elif "Client" in proofs and not (isinstance(case.body, dict) and {"client_id", "client_secret"} & {*case.body}):
            case.headers["Authorization"] = f"Basic {data}"
