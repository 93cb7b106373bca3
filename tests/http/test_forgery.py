"""Who may act with cookies: the truth table of browsers' words, for every route that trusts a cookie."""

from itertools import product

import pytest

from keyturn.errors import ForgeryError
from keyturn.http.forgery import require_own_page
from keyturn.http.routes import ROUTES
from keyturn.settings import CookieSettings, Settings
from tests.support.front import (
    ACCESS,
    APP,
    BIND,
    ISSUER,
    PAGE,
    PASSWORD,
    PROGRAM,
    a_front,
    settings_with,
)  # fmt: skip

SITES = [None, b"same-origin", b"same-site", b"cross-site", b"none"]
ORIGINS = [None, ISSUER.encode(), APP.encode(), b"null", b"https://evil.example", b"https://shop.example.org"]
OWN = {ISSUER.encode(), APP.encode()}
EXPECTED_TO_PASS = {
    (site, origin) for site, origin in product(SITES, ORIGINS) if site == b"same-origin" or origin in OWN
}


def said(site, origin, *more):
    fields = [(b"sec-fetch-site", site)] if site is not None else []
    fields += [(b"origin", origin)] if origin is not None else []
    return [*fields, *more]


def passes(front, headers, **more):
    try:
        require_own_page(front.request("POST", "/x", headers=headers, **more), front.service.settings)
    except ForgeryError:
        return False
    return True


@pytest.mark.ids("XS-01", "XS-02", "XS-04", "XS-05")
@pytest.mark.parametrize("program", [False, True])
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("site", SITES)
def test_a_cookie_passes_only_from_our_own_pages_or_from_a_program(site, origin, program):
    front = a_front()
    expected = (site, origin) in EXPECTED_TO_PASS or (program and site is None and origin is None)
    assert passes(front, said(site, origin, *(PROGRAM if program else ()))) is expected


@pytest.mark.ids("XS-01", "XS-04")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("site", SITES)
def test_a_guarded_route_follows_the_same_table_where_the_access_token_is_a_cookie(site, origin, method):
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    device = front.device()
    request = front.request(method, "/orders", headers=said(site, origin), cookies=device.jar)
    if (site, origin) in EXPECTED_TO_PASS:
        assert front.service.guard.identify(request).subject == "u-alice"
    else:
        with pytest.raises(ForgeryError):
            front.service.guard.identify(request)


@pytest.mark.ids("XS-01", "XS-08")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_with_the_access_cookie_needs_no_word_about_its_page(method):
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    request = front.request(method, "/orders", headers=said(b"cross-site", None), cookies=front.device().jar)
    assert front.service.guard.identify(request).subject == "u-alice"


@pytest.mark.ids("XS-01")
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_bearer_header_whose_binding_a_cookie_proves_is_not_ambient(method):
    front = a_front()
    device = front.device()
    request = front.request(
        method, "/orders", headers=[(b"authorization", b"Bearer " + device.access_token.encode())], cookies=device.jar
    )
    assert front.service.guard.identify(request).subject == "u-alice"


@pytest.mark.ids("XS-05")
@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.org.evil.example", "https://evil-app.example.org", "https://app.example.org:8443",
        "http://app.example.org", "HTTPS://APP.EXAMPLE.ORG", "https://app.example.org/", "https://app.example.org ",
        "https://user@app.example.org", "https://app.example.org, https://evil.example", "*", "",
        "https://app.example.orgé",
    ],
)  # fmt: skip
def test_an_origin_that_only_looks_like_ours_is_refused(origin):
    assert not passes(a_front(), [(b"origin", origin.encode())])


@pytest.mark.ids("XS-05")
def test_two_origins_are_none_and_the_host_field_is_no_origin():
    front = a_front()
    assert not passes(front, [(b"origin", APP.encode()), (b"origin", APP.encode())])
    assert not passes(front, [(b"host", b"evil.example"), (b"origin", b"https://evil.example")])


@pytest.mark.ids("XS-01")
def test_two_words_about_the_site_are_not_same_origin():
    assert not passes(a_front(), [*PAGE, *PAGE])
    assert not passes(a_front(), [*PAGE, (b"sec-fetch-site", b"cross-site")])


@pytest.mark.ids("XS-02")
def test_an_empty_word_is_a_word_and_an_empty_keyturn_client_is_none():
    assert not passes(a_front(), [(b"sec-fetch-site", b""), *PROGRAM])
    assert not passes(a_front(), [(b"origin", b""), *PROGRAM])
    assert not passes(a_front(), [(b"keyturn-client", b"")])


@pytest.mark.ids("XS-10")
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("site", SITES)
def test_a_websocket_handshake_with_cookies_needs_an_exact_origin_and_nothing_else_will_do(site, origin):
    assert passes(a_front(), said(site, origin, *PROGRAM), websocket=True) is (origin in OWN)


# --- our own routes ------------------------------------------------------------------------------------------------

FORGED = [said(site, origin) for site, origin in product(SITES, ORIGINS) if (site, origin) not in EXPECTED_TO_PASS]


@pytest.mark.ids("XS-06", "XS-08")
@pytest.mark.parametrize("headers", FORGED)
def test_nobody_is_signed_in_from_a_page_that_is_not_ours(headers):
    front = a_front()
    before = front.picture()
    body = {"username": "alice", "password": PASSWORD}
    answer = front.send("POST", "/auth/login", json=body, headers=headers)
    assert answer.seen == (403, "cross_site")
    assert (answer.set_cookies, front.members.hashed, front.picture()) == ([], 0, before)
    assert "Keyturn-Client" in answer.json["detail"]
    assert "origins" in answer.json["detail"]


@pytest.mark.ids("XS-06")
def test_a_login_that_sets_no_cookies_needs_no_page_of_ours():
    body = {"username": "alice", "password": PASSWORD, "transport": "body"}
    assert a_front().send("POST", "/auth/login", json=body).status == 200


@pytest.mark.ids("XS-01", "XS-07", "XS-08")
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("headers", FORGED)
def test_nobody_is_refreshed_or_signed_out_from_a_page_that_is_not_ours(path, headers):
    front = a_front()
    device = front.device()
    front.advance(60)
    before = front.picture()
    answer = front.send("POST", path, headers=headers, cookies=device.jar)
    assert answer.seen == (403, "cross_site")
    assert (answer.set_cookies, front.picture()) == ([], before)


@pytest.mark.ids("XS-07")
@pytest.mark.parametrize("headers", [headers for headers in FORGED if headers])
@pytest.mark.parametrize("cookies", [{}, {BIND: "x"}, {ACCESS: "x"}])
def test_a_foreign_page_cannot_make_a_browser_drop_the_cookies_that_it_does_not_even_send(headers, cookies):
    """SameSite=Strict keeps the cookies back, yet a top-level answer to a forged form may still clear them."""
    front = a_front()
    answer = front.send("POST", "/auth/logout", headers=headers, cookies=cookies)
    assert answer.status in {204, 403}
    assert answer.set_cookies == []


@pytest.mark.ids("XS-07")
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all", "/auth/refresh", "/auth/step-up"])
def test_the_access_cookie_is_held_to_the_rule_on_every_unsafe_route(path):
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    device = front.device()
    before = front.picture()
    answer = front.send(
        "POST", path, json={"password": PASSWORD}, headers=said(b"cross-site", None),
        cookies={name: device.jar[name] for name in (ACCESS, BIND)},
    )  # fmt: skip
    assert answer.status in {401, 403}
    assert (answer.set_cookies, front.picture()) == ([], before)


@pytest.mark.ids("XS-01")
@pytest.mark.parametrize("path", ["/auth/sessions", "/auth/sessions/{}"])
def test_ending_sessions_with_the_access_cookie_is_held_to_the_rule(path):
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True)))
    device = front.device()
    path = path.format(device.session_id)
    assert front.send("DELETE", path, headers=said(b"same-site", None), cookies=device.jar).seen == (403, "cross_site")
    assert front.send("DELETE", path, headers=PAGE, cookies=device.jar).status in {200, 204}


@pytest.mark.ids("XS-08", "RT-14")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("override", [b"x-http-method-override", b"x-http-method", b"x-method-override"])
def test_no_safe_method_changes_anything(method, override):
    front = a_front(settings_with(cookie=CookieSettings(access_in_cookie=True), docs_login=True))
    device = front.device()
    front.advance(60)
    before = front.picture()
    more = [*PAGE, (override, b"POST"), (b"authorization", b"Bearer x")]
    for route in ROUTES:
        path = "/auth" + route.path + (device.session_id if route.path.endswith("/") else "")
        for headers in (PAGE, [*PAGE, (override, b"POST"), (override, b"DELETE")], more):
            answer = front.send(
                method, path + "", json={"_method": "POST", "password": PASSWORD}, headers=headers, cookies=device.jar
            )
            if method != "OPTIONS" and "GET" not in route.methods:
                assert answer.status == 405, path
                assert answer.header("Allow") is not None
            assert front.picture() == before, (method, path)
            assert not any(answer.cookies.values()), (method, path)


@pytest.mark.ids("RT-14", "HT-06")
@pytest.mark.parametrize("path", ["/refresh", "/revoke", "/logout", "/logout-all", "/login", "/token", "/step-up"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_what_changes_sessions_is_post_only(path, method):
    answer = a_front().send(method, "/auth" + path, headers=PAGE)
    assert (answer.status, answer.header("Allow")) == (405, "OPTIONS, POST")


# --- the development profile ---------------------------------------------------------------------------------------


@pytest.mark.ids("CK-12", "XS-05")
@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        (b"http://localhost:5173", True), (b"http://127.0.0.1:3000", True), (b"http://[::1]:3000", True),
        (b"http://app.localhost:3000", True), (b"https://evil.example", False), (b"http://localhost.evil.example", False),
        (b"http://localhost@evil.example", False), (b"http://evil.example/localhost", False), (b"null", False),
    ],
)  # fmt: skip
def test_in_development_every_loopback_origin_is_ours_and_no_other(origin, ours):
    assert passes(a_front(Settings(profile="development")), [(b"origin", origin)]) is ours


@pytest.mark.ids("CK-12")
@pytest.mark.parametrize("host", [b"evil.example", b"rebound.evil.example:8000", b"localhost.evil.example", None])
def test_in_development_another_host_name_is_misdirected(host):
    front = a_front(Settings(profile="development"))
    headers = [*PAGE, *([(b"host", host)] if host else [])]
    for method, path in (("POST", "/auth/login"), ("GET", "/auth/session"), ("GET", "/auth/jwks.json")):
        assert front.send(method, path, headers=headers).seen == (421, "misdirected_request")


@pytest.mark.ids("CK-12")
@pytest.mark.parametrize("host", [b"localhost:8000", b"127.0.0.1:8000", b"[::1]:8000", b"LOCALHOST"])
def test_in_development_this_machine_is_served(host):
    front = a_front(Settings(profile="development"))
    body = {"username": "alice", "password": PASSWORD}
    assert front.send("POST", "/auth/login", json=body, headers=[*PAGE, (b"host", host)]).status == 200


@pytest.mark.ids("CK-12")
def test_outside_development_the_host_is_nobodys_business():
    assert a_front().send("GET", "/auth/jwks.json", headers=[(b"host", b"whatever.example")]).status == 200


@pytest.mark.ids("HT-08", "XS-05")
def test_forwarded_fields_are_nobodys_word_here():
    """A server that stands behind a proxy sets the address itself; we read none of these."""
    front = a_front()
    forwarded = [
        (b"x-forwarded-host", b"evil.example"), (b"x-forwarded-proto", b"http"), (b"forwarded", b"for=10.0.0.1;host=evil.example"),
        (b"x-forwarded-for", b"10.0.0.1"), (b"x-real-ip", b"10.0.0.1"), (b"host", b"evil.example"),
    ]  # fmt: skip
    assert not passes(front, [(b"origin", b"https://evil.example"), *forwarded])
    body = {"username": "alice", "password": PASSWORD}
    answer = front.send("POST", "/auth/login", json=body, headers=[*PAGE, *forwarded])
    (row,) = front.picture()[0].values()
    assert row.ip == "192.0.2.7"
    assert all("Secure" in line for line in answer.set_cookies)
