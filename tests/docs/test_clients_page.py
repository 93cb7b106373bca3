"""What docs/how-to/clients.md tells people to type, typed."""

import json
import re
import subprocess
from datetime import timedelta

import pytest

from keyturn import RegisteredClient
from keyturn.starlette import Keyturn
from keyturn.testing.http_conformance import served_by_uvicorn
from scripts import pages
from tests.support import site
from tests.support.front import PASSWORD, settings_with
from tests.support.programs import find_program

PAGE = pages.ROOT / "docs/how-to/clients.md"
COMMANDS = [line[2:] for line in PAGE.read_text().splitlines() if line.startswith("$ ")]
ADDRESS = "https://id.example.org"


def test_the_page_has_the_commands_that_are_tried_here():
    programs = [re.split(r"[ =]", command)[0] for command in COMMANDS]
    assert programs == ["secret", "printf", "curl", "curl"]


def typed(commands, **changes):
    for program in ("curl", "openssl", "sha256sum"):
        find_program(program)
    script = "\n".join(commands)
    for old, new in changes.get("with_", {}).items():
        assert old in script
        script = script.replace(old, new)
    done = subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", **changes.get("env", {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ids("OA-02", "OA-04")
def test_a_secret_made_by_hand_refreshes_and_asks_as_the_page_says():
    make, digest, refresh, ask = COMMANDS
    secret, told = typed([make, 'echo "$secret"', digest]).split()[:2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    client = RegisteredClient(id="shop-api", secret_digest=told)
    front = site.a_site(
        settings_with(leeway=timedelta(0), recovery_window=timedelta(0)), kind=Keyturn, clients=[client]
    )
    app = site.starlette_app(front.service)
    how = {"username": "alice", "password": PASSWORD, "transport": "body", "client_id": "shop-api"}
    tokens = site.visitor(app).post("/auth/login", json=how).json()
    shell = {"env": {"secret": secret}}
    with served_by_uvicorn(app) as (host, port):
        here = {ADDRESS: f"http://{host}:{port}"}
        answer = json.loads(typed([ask], with_={**here, "eyJ…": tokens["access_token"]}, **shell))
        turned = json.loads(typed([refresh], with_={**here, "kt1.…": tokens["refresh_token"]}, **shell))
        spent = json.loads(typed([ask], with_={**here, "eyJ…": tokens["refresh_token"]}, **shell))
    shown = json.loads(re.search(r"```json\n(\{.*?\})\n```", PAGE.read_text(), re.DOTALL)[1])
    assert list(answer) == list(shown), "the page shows these names in this order"
    assert turned["refresh_token"] != tokens["refresh_token"]
    assert spent == {"active": False}
