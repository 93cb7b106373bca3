"""Whatever goes wrong, no secret that was ever issued or presented is in a log, a repr or a traceback."""

import hashlib
import logging
import re
from base64 import urlsafe_b64encode

import pytest

from keyturn._colour import drive
from keyturn.errors import KeyturnError
from keyturn.http.guard import Need
from keyturn.http.routes import ROUTES
from keyturn.settings import CookieSettings
from tests.support.front import PAGE, PASSWORD, SECRET, BrokenStore, Members, a_front, basic, bearer, settings_with
from tests.support.recorder import Recorder, recording

PRESENTED = "Tr0ub4dor&3-never-shown"
TOKENS = re.compile(r"kt1\.[\w-]{8,}|eyJ[\w-]{8,}")


@pytest.fixture
def log():
    with recording("keyturn") as recorder:
        yield recorder


class Leaky:
    """What an application does wrong: an exception whose message repeats what it was given."""

    def __init__(self, behind):
        self.behind = behind
        self.trouble = False

    def authenticate(self, username, password, request):
        if self.trouble:
            raise ValueError(f"cannot check {password}")
        return self.behind.authenticate(username, password, request)

    def reauthenticate(self, subject, password, request):
        if self.trouble:
            raise ValueError(f"cannot check {password}")
        return self.behind.reauthenticate(subject, password, request)

    def load(self, subject):
        if self.trouble:
            raise ValueError(f"cannot load {subject}")
        return self.behind.load(subject)


class BuggyStore(BrokenStore):
    """A store with a fault of its own: what it raises is no StoreError."""

    def __getattr__(self, name):
        ask = super().__getattr__(name)
        if name.startswith("_"):
            return ask

        async def fail_or_ask(*args, **kwargs):
            if self.broken:
                raise LookupError("a driver's fault")
            return await ask(*args, **kwargs)

        return fail_or_ask


def requests_of(device, path):
    """What clients send to a route: right, wrong, and with secrets in places where none belong."""
    body = {"username": "alice", "password": PRESENTED, "refresh_token": device.current}
    form = {"grant_type": "refresh_token", "refresh_token": device.current, "token": device.access_token,
            "client_id": "shop-api", "client_secret": SECRET, "username": "alice", "password": PRESENTED}  # fmt: skip
    for cookies in (device.jar, {}):
        for headers in (PAGE, [*PAGE, bearer(device.access_token)], [*PAGE, basic("alice", PRESENTED)]):
            for method in ("GET", "POST", "DELETE"):
                yield method, path, {"json": body, "headers": headers, "cookies": cookies}
                yield method, path, {"form": form, "headers": headers, "cookies": cookies}
                yield method, path, {"headers": headers, "cookies": cookies}
                yield (
                    method,
                    path,
                    {"json": {"password": PASSWORD, "username": "alice"}, "headers": headers, "cookies": cookies},
                )


def secrets_of(front, devices):
    found = {PRESENTED, PASSWORD, SECRET}
    for device in devices:
        found |= {device.access_token, device.current, *device.jar.values()}
    for row in front.picture()[0].values():
        found |= {row.seed_digest.hex(), urlsafe_b64encode(row.seed_digest).decode().rstrip("=")}
    found |= {hashlib.sha256(value.encode()).hexdigest() for value in list(found)}
    found |= {value.rpartition(".")[2] for value in found if value.count(".") == 2}
    return {value for value in found if len(value) > 8}


@pytest.mark.ids("ST-01", "M32", "KEY-06")
@pytest.mark.parametrize("trouble", ["none", "store", "store's own fault", "users"])
@pytest.mark.parametrize(
    "settings", [settings_with(docs_login=True), settings_with(cookie=CookieSettings(access_in_cookie=True))]
)
def test_nothing_secret_is_ever_logged(log, trouble, settings):
    members = Leaky(Members())
    front = a_front(settings, members=members, store=BuggyStore() if "own" in trouble else BrokenStore())
    devices = [front.device(), front.device(page=False)]
    issued = secrets_of(front, devices)
    front.store.broken = "store" in trouble
    members.trouble = trouble == "users"
    statuses = set()
    for device in devices:
        for route in ROUTES:
            path = "/auth" + route.path + (device.session_id if route.path.endswith("/") else "")
            for method, where, request in requests_of(device, path):
                front.advance(3)
                answer = front.send(method, where, **request)
                statuses.add(answer.status)
                shown = answer.body.decode()
                assert PRESENTED not in shown
                assert SECRET not in shown
    text = "\n".join(log.lines)
    if trouble != "none":
        assert 503 in statuses or 500 in statuses
        assert text
    assert not [secret for secret in issued if secret in text]
    assert not TOKENS.search(text)


@pytest.mark.ids("ST-01", "M32")
def test_what_a_failing_hook_or_listener_had_in_hand_is_not_logged(log):
    def hook(request, reply, principal, session):
        raise ValueError(f"cannot use {reply.body} and {[cookie.value for cookie in reply.cookies]}")

    def listener(fact):
        secret = PASSWORD
        raise LookupError(f"cannot send {secret}")

    front = a_front(reply_hooks=(hook,), more_listeners=(listener,))
    devices = [front.device(), front.device(page=False)]
    devices[0].refresh()
    devices[0].send("POST", "/auth/logout")
    text = "\n".join(log.lines)
    assert "hook failed with ValueError" in text
    assert "listener failed on SessionStarted with LookupError" in text
    assert __file__ in text
    assert not TOKENS.search(text)
    assert PASSWORD not in text


@pytest.mark.ids("ST-01", "KEY-06")
def test_no_repr_shows_a_secret():
    front = a_front()
    device = front.device()
    request = front.request(
        "POST",
        "/auth/refresh",
        json={"password": PRESENTED},
        headers=[*PAGE, bearer(device.access_token)],
        cookies=device.jar,
    )
    reply = drive(front.service.handle(request))
    core = front.service._parts.core
    shown = " ".join(map(repr, [request, request.cookies, reply, *reply.cookies, *front.facts, core.flows.issuer, core.guard, core.clients,
                                front.row(device), front.service.guard.identify(request)]))  # fmt: skip
    assert not [secret for secret in secrets_of(front, [device]) if secret in shown]


@pytest.mark.ids("ST-01")
def test_a_guards_exception_holds_no_token_in_its_text_or_arguments():
    front = a_front()
    device = front.device()
    tokens = [device.access_token, device.access_token[:-2] + "AA", "a.b.c", device.current]
    for token in tokens:
        with pytest.raises(KeyturnError) as caught:
            drive(front.service.check(front.request("GET", "/", headers=[bearer(token)]), Need()))
        told = repr(caught.value) + str(caught.value) + repr(caught.value.args) + repr(vars(caught.value))
        assert token not in told


@pytest.mark.ids("ST-01", "ST-03")
def test_a_path_of_the_callers_choosing_is_not_logged():
    front = a_front()
    device = front.device()
    front.store.broken = True
    recorder = Recorder()
    logging.getLogger("keyturn").addHandler(recorder)
    try:
        front.advance(60)
        device.call("DELETE", "/auth/sessions/evil\nINFO:root:forged")
    finally:
        logging.getLogger("keyturn").removeHandler(recorder)
    assert recorder.lines
    assert "forged" not in "".join(recorder.lines)
