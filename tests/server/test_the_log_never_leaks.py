"""With every logger at its lowest level, and a failure in every route of the running server, no secret is in its log."""

import hashlib
import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode

import pytest

from keyturn.http import routes as http_routes
from keyturn.http.routes import ROUTES
from keyturn.server import app as server_app
from keyturn.server.health import Readiness
from keyturn.server.metrics import Metrics
from tests.support.observed import PASSWORD, a_server, configured

PRESENTED = "Tr0ub4dor-never-shown"
SECRET = "a-client-secret-with-signs-0123456789-abcdefg"
CLIENTS = f"""
[[clients]]
id = "shop-api"
secret_digest = "{hashlib.sha256(SECRET.encode()).hexdigest()}"
[[clients]]
id = "shop-web"
[throttle]
login_per_user = ""
login_per_user_and_address = ""
login_per_address = ""
"""
LIKE_A_TOKEN = re.compile(r"kt1\.[\w-]{4,}|eyJ[\w-]{6,}|\$argon2\w*\$")
PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def loud():
    """Set every logger to its lowest level, whatever was configured."""

    def shout():
        for logger in [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]:
            logger.setLevel(1)
            logger.disabled = False

    return shout


class Device:
    """What one sign-in gave: tokens in the body, or cookies."""

    def __init__(self, client, *, page):
        self.headers = dict(PAGE) if page else {"Keyturn-Client": "test"}
        body = {"username": "ada", "password": PASSWORD, "transport": "cookie" if page else "body"}
        client.cookies.clear()
        answer = client.post("/auth/login", json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        self.cookies = dict(answer.cookies)
        client.cookies.clear()
        self.access = answer.json()["access_token"]
        self.refresh = answer.json().get("refresh_token") or self.cookies["__Host-Http-kt_refresh"]
        self.session_id = answer.json()["session_id"]


def secrets_of(devices, folder):
    found = {PRESENTED, PASSWORD, SECRET}
    for device in devices:
        found |= {device.access, device.refresh, *device.cookies.values(), device.session_id}
        found |= {device.access.rpartition(".")[2], device.access.split(".")[1], device.refresh[4:]}
    for file in folder.glob("keys/*.json"):
        jwk = json.loads(file.read_text())
        found |= {jwk[name] for name in ("d", "k") if name in jwk}
    found |= {b64encode(f"ada:{PRESENTED}".encode()).decode(), b64encode(f"shop-api:{SECRET}".encode()).decode()}
    digests = [hashlib.sha256(value.encode()).digest() for value in found]
    return (
        found | {digest.hex() for digest in digests} | {urlsafe_b64encode(digest).decode()[:43] for digest in digests}
    )


def requests_to(device, path):
    """What clients send to a route: right, wrong, and with secrets in places where none belong."""
    body = {"username": "ada", "password": PRESENTED, "refresh_token": device.refresh, "token": device.refresh,
            "new_password": PRESENTED, "current_password": PASSWORD}  # fmt: skip
    form = {"grant_type": "refresh_token", "refresh_token": device.refresh, "token": device.access,
            "client_id": "shop-api", "client_secret": SECRET, "username": "ada", "password": PRESENTED}  # fmt: skip
    query = f"?token={device.access}&password={PRESENTED}&refresh_token={device.refresh}"
    bearer = {"Authorization": f"Bearer {device.access}"}
    basic = {"Authorization": "Basic " + b64encode(f"ada:{PRESENTED}".encode()).decode()}
    proof = {"Authorization": "Basic " + b64encode(f"shop-api:{SECRET}".encode()).decode()}
    for more in ({}, bearer, basic, proof):
        headers = {**device.headers, **more}
        if device.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in device.cookies.items())
        for method in ("GET", "POST", "DELETE"):
            yield method, path + query, {"headers": headers}
        yield "POST", path, {"headers": headers, "json": body}
        yield "POST", path, {"headers": headers, "data": form}


def paths_of(app, device):
    ours = ["/auth" + route.path + (device.session_id if route.path.endswith("/") else "") for route in ROUTES]
    around = [route.path for route in server_app._routes(app.installation, app.auth, Metrics())]
    return [*ours, *around, "/.well-known/jwks.json", f"/nowhere/{device.refresh}/{PRESENTED}"]


def fail_everywhere(monkeypatch):
    """Let every route raise what a careless programmer writes: an exception that repeats all of the request."""

    async def endpoint(core, request, last):
        body = await request.read(10_000)
        raise ValueError(f"cannot handle {request.headers} {dict(request.cookies.values)} {body} {last}", body)

    monkeypatch.setattr(http_routes, "_endpoint", lambda request, route: endpoint)

    async def look(self):
        raise LookupError(f"cannot look, {PRESENTED}")

    def text(self, accept):
        raise LookupError(f"cannot show, {PRESENTED}")

    monkeypatch.setattr(Readiness, "look", look)
    monkeypatch.setattr(Metrics, "text", text)


@pytest.mark.ids("ST-01", "M32", "KEY-06")
@pytest.mark.parametrize(
    ("database", "trouble", "form"),
    [
        ("sqlite", "none", "json"),
        ("sqlite", "store", "text"),
        ("sqlite", "every route", "json"),
        ("postgresql", "none", "text"),  # SQLAlchemy logs statements and rows
        ("postgresql", "store", "json"),
        ("postgresql", "every route", "text"),
    ],
)
def test_nothing_secret_is_in_the_log_of_the_server(request, tmp_path, monkeypatch, loud, database, trouble, form):
    store = "sqlite:///keyturn.db"
    if database == "postgresql":
        store = request.getfixturevalue("postgresql").new_database()
    statuses = {}
    with configured(form, "debug") as stream:
        loud()
        with a_server(tmp_path, tables=CLIENTS, store=store) as (client, app):
            loud()
            devices = [Device(client, page=True), Device(client, page=False)]
            issued = secrets_of(devices, tmp_path)
            if trouble == "store":
                break_store(monkeypatch, app)
            if trouble == "every route":
                fail_everywhere(monkeypatch)
            for device in devices:
                for path in paths_of(app, device):
                    for method, where, sent in requests_to(device, path):
                        answer = client.request(method, where, **sent)
                        statuses.setdefault(path, set()).add(answer.status_code)
                        assert not any(secret in answer.text for secret in (PRESENTED, SECRET, PASSWORD))
                        client.cookies.clear()
    said = "".join(line for line in stream.getvalue().splitlines(keepends=True) if "httpx" not in line)
    failed = {path for path, seen in statuses.items() if 500 in seen}
    if trouble == "every route":
        # The others have nothing that could fail: they look at nothing of a request.
        assert failed >= {path for path in statuses if not path.startswith(("/nowhere", "/health/live", "/openapi"))}
        assert "ValueError" in said
    elif trouble == "store":
        assert {"/auth/refresh", "/auth/logout", "/auth/sessions"} <= failed
        assert "LookupError" in said
    else:
        assert not failed
    assert "keyturn.requests" in said
    assert [secret for secret in issued if secret in said] == []
    assert not LIKE_A_TOKEN.search(said)


def break_store(monkeypatch, app):
    """Let the store fail with a driver's fault that repeats what it was given."""
    store = app.installation.store

    def fail(name):
        async def verb(*args, **kwargs):
            raise LookupError(f"{name} {args} {kwargs} {PRESENTED}")

        return verb

    verbs = ("get", "advance", "find", "end", "end_all", "add", "add_among", "revocations", "recover")
    for name in [verb for verb in verbs if hasattr(store, verb)]:
        monkeypatch.setattr(type(store), name, lambda self, *args, name=name, **more: fail(name)(*args, **more))
