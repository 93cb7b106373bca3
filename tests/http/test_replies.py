"""What every answer carries: hardening, challenges, cookies, problem documents."""

import json
import re
from datetime import timedelta

import pytest

from keyturn._colour import drive
from keyturn.errors import KeyturnError, ReauthenticationError, ScopeError, TokenInvalidError
from keyturn.http.guard import Need
from keyturn.http.routes import ROUTES, error_reply
from keyturn.messages import Cookie
from keyturn.settings import CookieSettings, Settings
from keyturn.users import Principal
from tests.support.front import (
    ACCESS,
    BIND,
    PAGE,
    PASSWORD,
    PROGRAM,
    REFRESH,
    Members,
    a_front,
    bearer,
    settings_with,
)  # fmt: skip

REALM = 'Bearer realm="https://id.example.org"'
COOKIES = [
    CookieSettings(), CookieSettings(access_in_cookie=True), CookieSettings(suffix="shop"), CookieSettings(same_site="Lax"),
    CookieSettings(same_site="None", partitioned=True, access_in_cookie=True),
]  # fmt: skip


SCRIPT = "text/javascript; charset=utf-8"
#: What is the same for everybody, by its type, and how long it is kept.
FOR_EVERYBODY = {"application/jwk-set+json": "public, max-age=300", SCRIPT: "no-cache"}


def every_answer(front):
    """Answers of every kind that the routes give."""
    device, program = front.device(), front.device(page=False)
    bob = front.device("bob")
    yield front.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE)
    yield front.send("POST", "/auth/login", json={"username": "alice", "password": "x"}, headers=PAGE)
    yield front.send("POST", "/auth/login", json={}, headers=PAGE)
    for path in ("/session", "/sessions", "/jwks.json"):
        for method in ("GET", "HEAD", "OPTIONS"):
            yield device.call(method, "/auth" + path)
    yield device.call("DELETE", "/auth/sessions/" + bob.session_id)
    for route in ROUTES:
        for method in ("GET", "POST", "PUT", "TRACE", "OPTIONS"):
            yield front.send(method, "/auth" + route.path)
        yield front.send("POST", "/auth" + route.path, body=b"x" * 20000)
        yield front.send("POST", "/auth" + route.path, body=b"x", content_type="text/plain")
    yield front.send("GET", "/auth/nothing")
    yield front.send(
        "POST", "/auth/token", form={"grant_type": "refresh_token", "refresh_token": program.refresh_token}
    )
    yield front.send("POST", "/auth/revoke", form={"token": "x"})
    yield device.refresh()
    yield device.call("POST", "/auth/step-up", json={"password": PASSWORD})
    yield front.send("POST", "/auth/refresh", cookies=dict(device.jar))
    yield front.send("POST", "/auth/refresh", headers=PAGE, cookies=f"{REFRESH}=a; {REFRESH}=b".encode())
    yield bob.call("POST", "/auth/logout-all")
    yield device.send("POST", "/auth/logout")
    front.store.broken = True
    yield program.refresh()


@pytest.mark.ids("HT-01", "HT-05", "HT-09", "HT-10", "XS-12", "XS-13")
def test_every_answer_is_hardened():
    seen = set()
    for answer in every_answer(a_front()):
        seen.add(answer.status)
        kind = answer.header("Content-Type")
        assert answer.header("Cache-Control") == FOR_EVERYBODY.get(kind, "no-store")
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer.header("Referrer-Policy") == "no-referrer"
        assert "frame-ancestors 'none'" in answer.header("Content-Security-Policy")
        assert answer.header("Strict-Transport-Security") == "max-age=31536000"
        assert (answer.header("WWW-Authenticate") is not None) is (answer.status == 401)
        assert not 300 <= answer.status < 400
        if answer.body and kind != SCRIPT:
            assert isinstance(answer.json, dict)  # an object, never an array or a script
    assert seen == {200, 204, 400, 401, 403, 404, 405, 413, 415, 503}


@pytest.mark.ids("HT-04")
def test_every_error_but_oauths_is_a_problem_document():
    codes = set()
    for answer in every_answer(a_front()):
        if answer.status >= 400 and answer.body and "error" not in answer.json:
            problem = answer.json
            assert answer.header("Content-Type") == "application/problem+json"
            assert sorted(problem) == ["code", "detail", "status", "title", "type"]
            assert problem["status"] == answer.status
            assert problem["type"] == "urn:keyturn:problem:" + problem["code"]
            codes.add(problem["code"])
    assert codes >= {"invalid_request", "token_missing", "not_found", "method_not_allowed", "body_too_large"}


@pytest.mark.ids("CK-01", "CK-02", "CK-03", "CK-05", "M46", "M49", "CK-11", "CK-13")
@pytest.mark.parametrize("cookie", COOKIES)
def test_every_cookie_of_every_route_has_every_attribute(cookie):
    count = 0
    for answer in every_answer(a_front(settings_with(cookie=cookie))):
        for line in answer.set_cookies:
            count += 1
            pair, *attributes = line.split("; ")
            name = pair.partition("=")[0]
            assert re.fullmatch(
                r"__Host-Http-kt_(refresh|bind|access)" + (f"_{cookie.suffix}" if cookie.suffix else ""), name
            )
            assert {"Path=/", "HttpOnly", "Secure", f"SameSite={cookie.same_site}"} <= set(attributes)
            assert not any(part.lower().startswith(("domain", "expires")) for part in attributes)
            assert ("Partitioned" in attributes) is cookie.partitioned or "Max-Age=0" in attributes
            assert len(pair) <= (4096 if "access" in name else 200)
            assert len(set(attributes)) == len(attributes)
    assert count >= 10


@pytest.mark.ids("CK-12")
def test_development_drops_secure_and_the_prefix_and_nothing_else():
    front = a_front(Settings(profile="development"))
    host = (b"host", b"localhost:8000")
    body = {"username": "alice", "password": PASSWORD}
    answer = front.send("POST", "/auth/login", json=body, headers=[*PAGE, host])
    assert [re.sub(r"=[\w.-]{40,}", "=…", line) for line in answer.set_cookies] == [
        "kt_refresh=…; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict",
        "kt_bind=…; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict",
    ]
    assert answer.header("Strict-Transport-Security") is None


@pytest.mark.ids("CK-05", "ATP-07")
def test_an_access_token_too_long_for_a_cookie_is_never_sent_as_one():
    members = Members()
    members.known["alice"] = Principal(subject="u-alice", claims={"x": "y" * 3000})
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)), members=members)
    answer = front.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE)
    assert (answer.seen, answer.set_cookies) == ((500, "error"), [])
    assert front.picture()[0] == {}


def test_a_cookie_shows_no_value():
    assert "secret" not in repr(Cookie(name="a", value="secret"))


# --- challenges ----------------------------------------------------------------------------------------------------


def challenge(front, device, need=Need(), headers=()):  # noqa: B008
    try:
        front.check(device, need, headers=headers)
    except KeyturnError as error:
        reply = error_reply(error, front.service.settings)
        return reply.status, reply.header("WWW-Authenticate")
    return None


@pytest.mark.ids("HT-01", "HT-02")
def test_the_challenges_of_guarded_routes():
    front = a_front()
    device, nobody = front.device(scope="read"), front.device()
    nobody.access_token = ""
    invalid = REALM + ', error="invalid_token", error_description="'
    assert challenge(front, nobody) == (401, REALM)
    scopes = Need(scopes=frozenset({"write", "admin"}))
    assert challenge(front, device, scopes) == (403, REALM + ', error="insufficient_scope", scope="admin write"')
    assert challenge(front, device, headers=[bearer("a.b.c")]) == (400, None)
    jar, device.jar = device.jar, {}
    status, field = challenge(front, device)
    assert (status, field.startswith(invalid)) == (401, True)
    device.jar = jar
    front.advance(timedelta(minutes=4))
    again = REALM + ', error="insufficient_user_authentication"'
    assert challenge(front, device, Need(within=timedelta(minutes=3))) == (401, again + ", max_age=180")
    strong = Need(amr=frozenset({"otp", "hwk"}))
    assert challenge(front, device, strong) == (401, again + ', acr_values="hwk otp"')
    front.advance(timedelta(minutes=2))
    status, field = challenge(front, device)
    assert (status, field.startswith(invalid)) == (401, True)
    assert re.fullmatch(r"[ !#-\[\]-~]*", field.replace('"', ""))


@pytest.mark.ids("HT-01", "HT-02")
@pytest.mark.parametrize(
    "error",
    [
        ScopeError(['a"b', "c\\", "\u20ac\r\nSet-Cookie: x=1"]),
        TokenInvalidError('no "such"\r\nSet-Cookie: x=1\u20ac'),
        ReauthenticationError(amr=['otp", error="none', "\u20ac\n"]),
    ],
)
def test_whatever_an_application_names_a_challenge_is_one_field(error):
    reply = error_reply(error, settings_with())
    challenge = dict(reply.raw_headers())[b"www-authenticate"].decode()
    assert challenge.isprintable()
    assert re.fullmatch(r'Bearer [a-z_]+="[^"\\]*"(, [a-z_]+="[^"\\]*")*', challenge)


@pytest.mark.ids("HT-02")
def test_a_guard_grants_what_is_held():
    front = a_front()
    device = front.device()
    need = Need(scopes=frozenset({"read", "write"}), within=timedelta(minutes=3), amr=frozenset({"pwd", "otp"}))
    assert front.check(device, need).subject == "u-alice"
    front.advance(180)
    assert front.check(device, need).subject == "u-alice"
    front.advance(1)
    assert challenge(front, device, need)[0] == 401


@pytest.mark.ids("HT-05")
def test_a_guards_errors_clear_no_cookies_and_are_not_stored():
    front = a_front()
    device = front.device()
    device.send("POST", "/auth/logout", cookies=dict(device.jar))
    try:
        front.check(device)
    except KeyturnError as error:
        reply = error_reply(error, front.service.settings)
    assert (reply.status, reply.cookies, reply.header("Cache-Control")) == (401, (), "no-store")


# --- HEAD and Content-Length ---------------------------------------------------------------------------------------


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("path", ["/auth/session", "/auth/sessions", "/auth/jwks.json", "/auth/nothing", "/auth/login"])
def test_head_is_get_without_the_body(path):
    front = a_front()
    device = front.device()
    get, head = device.call("GET", path), device.call("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    if get.status != 405:
        get_fields, head_fields = dict(get.reply.raw_headers()), dict(head.reply.raw_headers())
        assert head_fields == get_fields


@pytest.mark.ids("HT-06")
def test_no_answer_has_two_lengths_and_204_has_none():
    for answer in every_answer(a_front()):
        lengths = [value for name, value in answer.reply.raw_headers() if name == b"content-length"]
        assert len(lengths) == (0 if answer.status == 204 else 1)


@pytest.mark.ids("RT-13", "CK-07")
@pytest.mark.parametrize("cookie", COOKIES)
def test_no_cookies_value_is_in_any_body_or_other_header(cookie):
    front = a_front(settings_with(cookie=cookie))
    device = front.device()
    values = set(device.jar.values())
    for path in ("/session", "/sessions"):
        answer = device.send("GET", "/auth" + path, bearer=not cookie.access_in_cookie)
        assert answer.status == 200
        assert not any(value in answer.body.decode() + json.dumps(answer.reply.headers) for value in values)
    front.advance(60)
    answer = device.refresh()
    values |= set(device.jar.values())
    assert not any(value in answer.body.decode() + json.dumps(answer.reply.headers) for value in values)
    assert {ACCESS, BIND, REFRESH} >= {
        "__Host-Http-" + name.split("-")[-1].removesuffix("_shop") for name in answer.cookies
    }


@pytest.mark.ids("XS-12")
def test_tokens_come_only_from_unsafe_methods():
    front = a_front()
    device = front.device()
    for route in ROUTES:
        answer = device.call("GET", "/auth" + route.path)
        assert b"eyJ" not in answer.body
        assert not any(answer.cookies.values())


def test_a_reply_hides_its_body_in_its_repr():
    front = a_front()
    reply = drive(
        front.service.handle(
            front.request(
                "POST",
                "/auth/login",
                json={"username": "alice", "password": PASSWORD, "transport": "body"},
                headers=PROGRAM,
            )
        )
    )
    assert b"kt1." in reply.body
    assert "kt1." not in repr(reply)
