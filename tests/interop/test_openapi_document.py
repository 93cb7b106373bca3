"""The OpenAPI document of a running server: put to the test by schemathesis, and every good answer held against it."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.serving import wait_until
from tests.interop.issuers import PASSWORD, PROVED, PUBLIC, SECRET, Issuer, issuing
from tests.support.serve_process import run_keyturn

# With the lowest versions of what users install goes an older one, which cannot read our document. CI has the newest.
if version("schemathesis").startswith("3.") and not os.environ.get("CI"):
    pytest.skip(
        "schemathesis 4 is needed: pip install --constraint constraints.txt schemathesis", allow_module_level=True
    )
import schemathesis

HERE = Path(__file__).parent
#: Any will do; a fixed one asks the same questions at every run.
SEED = "20260101"


@pytest.mark.ids("HT-04", "HT-06", "OA-04")
@pytest.mark.timeout(400)  # it takes a minute, and one of its processors may be another's
def test_schemathesis_finds_nothing(plain_issuer):
    command = ["schemathesis", "--config-file", HERE / "schemathesis.toml", "run", f"{plain_issuer.url}/openapi.json",
               "--phases", "examples,coverage,fuzzing", "--checks", "all", "--seed", SEED, "--continue-on-failure",
               "--no-color"]  # fmt: skip
    environment = {
        **os.environ, "KEYTURN_ADDRESS": plain_issuer.url, "PYTHONPATH": str(HERE.parents[1]),
        "SCHEMATHESIS_HOOKS": "tests.interop.schemathesis_callers", "COLUMNS": "200",
    }  # fmt: skip
    told = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), *command[1:]], cwd=plain_issuer.folder, env=environment,
        capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout
    assert "20 selected" in told.stdout, told.stdout
    assert "Traceback" not in plain_issuer.server.output


class Walk:
    """A client that holds every answer against the document, and notes which operation gave which."""

    def __init__(self, issuer: Issuer, client: httpx.Client) -> None:
        self.document = issuer.fetch(f"{issuer.url}/openapi.json")
        self.schema = schemathesis.openapi.from_dict(self.document)
        self.client = client
        self.seen: set[tuple[str, str, int]] = set()

    def __call__(self, method: str, path: str, expected: int, *, at: str = "", token: str = "", **more: Any) -> Any:
        headers = {"Keyturn-Client": "walk", **more.pop("headers", {})}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        answer = self.client.request(method, path, headers=headers, **more)
        assert answer.status_code == expected, answer.text
        self.schema[at or path][method].validate_response(answer)
        self.seen.add((at or path, method.lower(), expected))
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer

    def sign_in(self, **more: Any) -> Any:
        who = {"username": "ada", "password": PASSWORD, "transport": "body", **more}
        return self("POST", "/auth/login", 200, json=who)


@pytest.mark.ids("HT-03", "HT-04")
def test_every_good_answer_is_as_the_document_says(tmp_path):
    with issuing(tmp_path) as issuer, httpx.Client(base_url=issuer.url, trust_env=False, timeout=60) as client:
        walk = Walk(issuer, client)
        call_everything(issuer, walk)
    good = {
        (path, method, int(status))
        for path, methods in walk.document["paths"].items()
        for method, operation in methods.items()
        for status in operation["responses"]
        if status.startswith("2")
    }
    assert walk.seen >= good


def call_everything(issuer: Issuer, walk: Walk) -> None:
    secret = {"client_id": PROVED, "client_secret": SECRET}
    own = walk.sign_in(scope="read")
    own = walk("POST", "/auth/refresh", 200, json={"refresh_token": own["refresh_token"]})
    own = walk("POST", "/auth/step-up", 200, token=own["access_token"],
               json={"password": PASSWORD, "refresh_token": own["refresh_token"]})  # fmt: skip
    token = own["access_token"]
    walk("GET", "/auth/session", 200, token=token)
    other = walk.sign_in(device_name="a tablet")
    assert len(walk("GET", "/auth/sessions", 200, token=token)["sessions"]) >= 2
    walk("DELETE", f"/auth/sessions/{other['session_id']}", 204, at="/auth/sessions/{id}", token=token)
    walk("DELETE", "/auth/sessions", 200, token=token)

    proved = walk.sign_in(client_id=PROVED)
    assert walk("POST", "/auth/introspect", 200, data={"token": proved["refresh_token"], **secret})["active"] is True
    proved = walk("POST", "/auth/token", 200,
                  data={"grant_type": "refresh_token", "refresh_token": proved["refresh_token"], **secret})  # fmt: skip
    assert walk("POST", "/auth/introspect", 200, data={"token": proved["access_token"], **secret})["active"] is True
    walk("POST", "/auth/revoke", 200, data={"token": proved["refresh_token"], **secret})
    assert walk("POST", "/auth/introspect", 200, data={"token": "nonsense", **secret}) == {"active": False}
    walk("POST", "/auth/revoke", 200, data={"token": "nonsense", "client_id": PUBLIC})

    change = {"current_password": PASSWORD, "new_password": "a lake, a boat, an oar"}
    own = walk("POST", "/account/password", 200, token=token, json={**change, "refresh_token": own["refresh_token"]})
    reset = run_keyturn(issuer.folder, "users", "reset", "ada")
    assert reset.returncode == 0, reset.stderr
    once = {"token": reset.stdout.split()[-1], "new_password": PASSWORD}
    walk("POST", "/account/password-reset", 204, json=once)

    own = walk.sign_in(remember=False)
    walk("POST", "/auth/logout", 204, json={"refresh_token": own["refresh_token"]})
    walk("POST", "/auth/logout-all", 200, token=walk.sign_in()["access_token"])
    # A busy machine may keep it from answering in time; what it found is good for a second.
    wait_until(lambda: walk.client.get("/health/ready").status_code == 200)
    for path in ("/auth/jwks.json", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server",
                 "/health/live", "/health/ready", "/metrics", "/openapi.json"):  # fmt: skip
        walk("GET", path, 200)


def test_the_document_of_an_issuer_with_a_path_says_where_its_metadata_is(issuer_behind_tls):
    document = issuer_behind_tls.fetch(f"{issuer_behind_tls.url}/openapi.json")
    assert document["servers"] == [{"url": issuer_behind_tls.url}]
    (path,) = (path for path in document["paths"] if "oauth-authorization-server" in path)
    (server,) = document["paths"][path]["servers"]
    assert server["url"] + path == issuer_behind_tls.metadata_url
