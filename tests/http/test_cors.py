"""CORS on our own routes: configured origins get exactly themselves, nobody else anything."""

import pytest

from keyturn.http.forgery import CORS_ARGUMENTS
from keyturn.settings import Settings
from tests.support.front import APP, ISSUER, PASSWORD, a_front, settings_with

PREFLIGHT = (b"access-control-request-method", b"POST")
PATHS = [
    "/auth/login",
    "/auth/refresh",
    "/auth/session",
    "/auth/sessions/x",
    "/auth/token",
    "/auth/jwks.json",
    "/auth/nothing",
]


def fields(answer):
    return {name: value for name, value in answer.reply.headers if name.startswith("Access-Control") or name == "Vary"}


@pytest.mark.ids("XS-09")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [APP, ISSUER])
def test_a_configured_origins_preflight_is_answered_without_a_sign_in(path, origin):
    answer = a_front().send("OPTIONS", path, headers=[(b"origin", origin.encode()), PREFLIGHT])
    assert (answer.status, answer.body) == (204, b"")
    assert fields(answer) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Keyturn-Client",
        "Access-Control-Max-Age": "7200",
    }


@pytest.mark.ids("XS-09", "XS-05")
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "*", APP + ".evil.example", APP + "/", APP.upper(), "http://app.example.org"],
)
def test_any_other_origin_gets_nothing(origin):
    front = a_front()
    for headers in ([(b"origin", origin.encode()), PREFLIGHT], [(b"origin", origin.encode())]):
        for method, path in (("OPTIONS", "/auth/login"), ("GET", "/auth/session")):
            assert fields(front.send(method, path, headers=headers)) == {"Vary": "Origin"}


@pytest.mark.ids("XS-09")
def test_answers_vary_by_origin_even_where_none_was_sent():
    front = a_front()
    assert fields(front.send("GET", "/auth/session")) == {"Vary": "Origin"}
    assert fields(front.send("GET", "/auth/jwks.json")) == {"Vary": "Origin"}


@pytest.mark.ids("XS-09")
def test_errors_can_be_read_by_a_configured_origin_too():
    front = a_front()
    origin = [(b"origin", APP.encode())]
    for answer in (
        front.send("POST", "/auth/login", json={"username": "alice", "password": "x"}, headers=origin),
        front.send("GET", "/auth/session", headers=origin),
        front.send("POST", "/auth/refresh", headers=origin),
        front.send("GET", "/auth/nothing", headers=origin),
        front.send("PUT", "/auth/login", headers=origin),
    ):
        assert fields(answer)["Access-Control-Allow-Origin"] == APP
        assert "*" not in str(fields(answer))


@pytest.mark.ids("XS-09", "M53")
def test_without_origins_there_is_no_cors():
    front = a_front(settings_with(origins=()))
    for method, path in (("OPTIONS", "/auth/login"), ("GET", "/auth/session")):
        assert fields(front.send(method, path, headers=[(b"origin", APP.encode()), PREFLIGHT])) == {}


@pytest.mark.ids("XS-09", "CK-12")
def test_development_lets_every_loopback_origin_in_and_no_other():
    front = a_front(Settings(profile="development"))
    host = (b"host", b"localhost:8000")
    inside = front.send("OPTIONS", "/auth/login", headers=[(b"origin", b"http://localhost:5173"), PREFLIGHT, host])
    assert fields(inside)["Access-Control-Allow-Origin"] == "http://localhost:5173"
    outside = front.send("OPTIONS", "/auth/login", headers=[(b"origin", b"https://evil.example"), PREFLIGHT, host])
    assert fields(outside) == {"Vary": "Origin"}


@pytest.mark.ids("XS-09", "XS-06")
def test_a_page_of_a_configured_origin_signs_in_with_cookies():
    body = {"username": "alice", "password": PASSWORD}
    headers = [(b"origin", APP.encode()), (b"sec-fetch-site", b"same-site")]
    answer = a_front().send("POST", "/auth/login", json=body, headers=headers)
    assert (answer.status, len(answer.set_cookies)) == (200, 2)
    assert fields(answer)["Access-Control-Allow-Origin"] == APP


@pytest.mark.ids("XS-09")
def test_options_without_a_preflight_lists_the_methods():
    front = a_front()
    answer = front.send("OPTIONS", "/auth/sessions")
    assert (answer.status, answer.header("Allow"), answer.header("Cache-Control")) == (
        204,
        "DELETE, GET, HEAD, OPTIONS",
        "no-store",
    )
    assert front.send("OPTIONS", "/auth/login").header("Allow") == "OPTIONS, POST"


@pytest.mark.ids("XS-09", "HT-05")
def test_a_preflight_is_not_stored_by_others():
    for origin in (APP, "https://evil.example"):
        answer = a_front().send("OPTIONS", "/auth/login", headers=[(b"origin", origin.encode()), PREFLIGHT])
        assert answer.header("Cache-Control") == "no-store"


@pytest.mark.ids("XS-09")
def test_what_the_application_is_offered_for_its_own_routes_allows_no_wildcard():
    assert "*" not in str(CORS_ARGUMENTS)
