"""Which endpoint answers what; and that no setting is declared without being read."""

import json
from datetime import timedelta

import pytest

from keyturn._colour import drive
from keyturn.errors import ConfigurationError
from keyturn.http.routes import ROUTES
from keyturn.service import Service
from keyturn.settings import SETTING_NAMES, CookieSettings, Settings
from keyturn.users import RegisteredClient
from tests.support.front import APP, BIND, ISSUER, KEYS, PAGE, PASSWORD, REFRESH, Members, a_front, settings_with

MINUTE = timedelta(minutes=1)


@pytest.mark.ids("HT-06", "HT-10")
@pytest.mark.parametrize(
    "path",
    ["/auth", "/auth/", "/auth/nope", "/auth/login/", "/auth/login/x", "/auth//login", "/auth/LOGIN", "/auth/sessions/",
     "/auth/sessions/a/b", "/auth/session/x", "/auth/../auth/login", "/auth/sessions//", "/auth/jwks.json/", "/auth/\x00",
     "/auth/é", "/auth/token.json", "/auth/introspect/x"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_the_whole_space_under_the_prefix_is_answered_and_never_redirected(path, method):
    front = a_front()
    assert front.service.answers(path)
    answer = front.send(method, path, headers=PAGE)
    assert answer.status == 404
    if method != "HEAD":
        assert answer.code == "not_found"


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("path", ["/", "/authx", "/authx/login", "/login", "/Auth/login", "/x/auth/login", "/.well-known/other",
                                  "/.well-known/jwks.json/", "/.well-known/", "", "/aut"])  # fmt: skip
def test_what_lies_outside_is_the_applications(path):
    assert not a_front().service.answers(path)


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "BREW", "get", "Post"])
def test_a_method_that_a_route_does_not_know_is_405_with_what_it_knows(method):
    for route in ROUTES:
        path = "/auth" + route.path + ("x" if route.path.endswith("/") else "")
        answer = a_front().send(method, path, headers=PAGE)
        assert answer.seen == (405, "method_not_allowed")
        allowed = answer.header("Allow").split(", ")
        assert allowed == sorted(allowed)
        assert set(allowed) == {*route.methods, "OPTIONS", *(["HEAD"] if "GET" in route.methods else [])}


@pytest.mark.ids("HT-04")
def test_every_route_has_its_endpoint_tested_for_an_unexpected_fault(monkeypatch):
    """Whatever goes wrong is our plain 500: no framework's page shows what was in the request."""
    front = a_front(settings_with(docs_login=True))
    device = front.device()

    def explode(*args, **kwargs):
        raise LookupError("secret of the house")

    monkeypatch.setattr(type(front.store), "__getattr__", explode)
    monkeypatch.setattr(front.members, "authenticate", lambda *args: object())
    answers = [
        front.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE),
        front.send("POST", "/auth/refresh", headers=PAGE, cookies=dict(device.jar)),
        front.send("POST", "/auth/logout", headers=PAGE, cookies=dict(device.jar)),
        device.call("GET", "/auth/sessions"),
        device.call("POST", "/auth/logout-all"),
        device.call("DELETE", "/auth/sessions/x"),
    ]
    for answer in answers:
        assert answer.status == 500, answer.body
        assert b"secret" not in answer.body
        assert answer.set_cookies == []


# --- M53 -----------------------------------------------------------------------------------------------------------


def signed_in(front, **how):
    answer = front.send(
        "POST", front.service.settings.prefix + "/login", json={"username": "alice", "password": PASSWORD, **how},
        headers=[*PAGE, (b"host", b"localhost")],
    )  # fmt: skip
    return answer.status, answer.body.decode(), answer.set_cookies


def told(front):
    return front.send("GET", "/.well-known/oauth-authorization-server", headers=[(b"host", b"localhost")]).body


def refreshed_twice(front, gap=timedelta(seconds=11)):
    device = front.device()
    front.advance(gap)
    lost = dict(device.jar)
    first = device.refresh()
    front.advance(gap)
    second = front.send("POST", "/auth/refresh", headers=PAGE, cookies=lost)
    return first.status, first.json.get("refresh_expires_in"), second.status


def three_sign_ins(front):
    statuses = []
    for _ in range(3):
        front.advance(1)
        statuses.append(signed_in(front)[0])
    return statuses, [row.ended_at is None for row in front.picture()[0].values()]


def aged_token(front, age):
    device = front.device(page=False)
    front.advance(age)
    return device.call("GET", "/auth/session").status


def stale_log(front):
    device = front.device(page=False)
    device.call("GET", "/auth/session")
    front.store.broken = True
    front.advance(timedelta(seconds=20))
    return device.call("POST", "/auth/logout-all").code, aged_log(front)


def aged_log(front):
    return front.service.guard.is_due()


def ending_others(front):
    device, other = front.device(), front.device()
    front.advance(2 * MINUTE)
    return device.call("DELETE", "/auth/sessions/" + other.session_id).status


def docs(front):
    form = {"username": "alice", "password": PASSWORD}
    return front.send("POST", "/auth/docs-token", form=form, headers=PAGE).status


def signing_key(front):
    service = Service(front.service.settings, store="memory:", keys=front.keys_folder, users=Members())
    reply = drive(service.handle(front.request("GET", "/auth/jwks.json")))
    return [key["alg"] for key in json.loads(reply.body)["keys"]]


#: setting -> (another value, what is looked at, what else must be set for it).
CHANGES = {
    "issuer": ("https://other.example.org", told, {}),
    "audience": ("https://api.example.org", signed_in, {}),
    "realm": ("staff", signed_in, {}),
    "profile": ("strict", signed_in, {}),
    "access_token_lifetime": (MINUTE, signed_in, {}),
    "idle_lifetime": (timedelta(days=3), signed_in, {}),
    "session_lifetime": (timedelta(days=30), lambda front: front.row(front.device()).expires_at, {}),
    "sliding": (False, refreshed_twice, {}),
    "leeway": (timedelta(seconds=30), refreshed_twice, {"recovery_window": timedelta(0)}),
    "recovery_window": (timedelta(0), refreshed_twice, {}),
    "clock_skew": (timedelta(0), lambda front: aged_token(front, timedelta(minutes=5, seconds=10)), {}),
    "max_sessions": (2, three_sign_ins, {}),
    "on_limit": ("refuse", three_sign_ins, {"max_sessions": 2}),
    "recent_auth": (MINUTE, ending_others, {}),
    "transports": (("body",), signed_in, {}),
    "binding": ("none", signed_in, {}),
    "cookie": (CookieSettings(suffix="shop"), signed_in, {}),
    "origins": (
        (),
        lambda front: front.send("GET", "/auth/session", headers=[(b"origin", APP.encode())]).reply.headers,
        {},
    ),
    "algorithm": ("Ed25519", signing_key, {}),
    "staleness_bound": (timedelta(minutes=1), stale_log, {}),
    "prefix": ("/api/session", told, {}),
    "docs_login": (True, docs, {}),
}
#: One value only, until there is a second.
SINGLE = {"wire_format"}


@pytest.mark.ids("M53")
def test_every_setting_is_in_the_table():
    assert set(CHANGES) | SINGLE == set(SETTING_NAMES)


@pytest.mark.ids("M53")
@pytest.mark.parametrize("name", list(CHANGES))
def test_every_setting_changes_something_that_can_be_seen(name, tmp_path):
    value, look, needed = CHANGES[name]
    plain = {"issuer": ISSUER, "origins": (APP,), **needed}
    seen = []
    for number, settings in enumerate((Settings(**plain), Settings(**{**plain, name: value}))):
        front = a_front(settings)
        front.keys_folder = tmp_path / str(number)
        seen.append(look(front))
    assert seen[0] != seen[1]


@pytest.mark.ids("M53")
@pytest.mark.parametrize(
    "cookie",
    [CookieSettings(suffix="shop"), CookieSettings(access_in_cookie=True), CookieSettings(same_site="Lax"),
     CookieSettings(same_site="None", partitioned=True)],
)  # fmt: skip
def test_every_cookie_setting_changes_something_that_can_be_seen(cookie):
    assert signed_in(a_front(settings_with(cookie=cookie)))[2] != signed_in(a_front())[2]


@pytest.mark.ids("M53")
@pytest.mark.parametrize("profile", ["native", "strict", "development"])
def test_every_profile_differs_from_the_default(profile):
    issuer = {"issuer": "http://localhost:8000"} if profile == "development" else {"issuer": ISSUER}
    assert signed_in(a_front(Settings(profile=profile, **issuer))) != signed_in(a_front(Settings(**issuer)))


# --- building ------------------------------------------------------------------------------------------------------


@pytest.mark.ids("M54")
def test_all_faults_of_the_parts_are_told_at_once():
    class Async:
        async def authenticate(self, username, password, request): ...
        async def load(self, subject): ...

    async def listener(fact): ...

    front = a_front()
    twice = (*front.service._parts.inputs.clients, front.service._parts.inputs.clients[0])
    with pytest.raises(ConfigurationError) as caught:
        Service(front.service.settings, store="memory:", keys=KEYS, users=Async(), clients=twice, listeners=[listener])
    assert len(caught.value.faults) == 4


@pytest.mark.ids("M54")
def test_a_blocking_door_refuses_every_function_of_the_users_that_awaits():
    class Half(Members):
        async def reauthenticate(self, subject, password, request): ...  # type: ignore[override]

    with pytest.raises(ConfigurationError, match="reauthenticate is async"):
        a_front(members=Half())


@pytest.mark.ids("M54", "OA-02")
@pytest.mark.parametrize(
    ("client", "fault"),
    [
        (RegisteredClient(id="shop", secret_digest="the secret itself"), "64 hexadecimal digits"),
        (RegisteredClient(id="shop", secret_digest=""), "64 hexadecimal digits"),
        (RegisteredClient(id=""), "no id"),
        (RegisteredClient(id="default", secret_digest="0" * 64), "'default'"),
    ],
)
def test_a_client_that_could_never_prove_itself_or_need_not_is_refused(client, fault):
    with pytest.raises(ConfigurationError, match=fault) as caught:
        a_front(clients=[client])
    assert "the secret itself" not in str(caught.value)


@pytest.mark.ids("M54")
def test_parts_can_be_replaced_for_the_length_of_a_block_and_come_back():
    front = a_front()
    device = front.device()
    with front.service.override(store="memory:", settings=settings_with(cookie=CookieSettings(suffix="x"))):
        assert (
            front.send(
                "POST",
                "/auth/refresh",
                headers=PAGE,
                cookies={f"{REFRESH}_x": device.jar[REFRESH], f"{BIND}_x": device.jar[BIND]},
            ).code
            == "session_ended"
        )
    assert device.refresh().status == 200
