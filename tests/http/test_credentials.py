"""Where an access token is looked for, and what counts as two at once."""

from datetime import timedelta

import pytest

from keyturn._colour import drive
from keyturn.errors import RequestError, TokenError
from keyturn.http import credentials
from keyturn.http.guard import Need
from keyturn.settings import CookieSettings
from tests.support.front import ACCESS, BIND, PAGE, PASSWORD, REFRESH, a_front, bearer, settings_with

IN_COOKIE = settings_with(cookie=CookieSettings(access_in_cookie=True))


def found(front, headers=(), cookies={}, **more):  # noqa: B006
    request = front.request("GET", "/me", headers=headers, cookies=cookies, **more)
    return credentials.access_token(request, front.service.settings)


@pytest.mark.ids("TOK-24")
@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"BeArEr ", b"Bearer  "])
def test_the_schemes_case_does_not_matter(scheme):
    assert found(a_front(), [(b"authorization", scheme + b"abc.def.ghi")]) == ("abc.def.ghi", False)


@pytest.mark.ids("TOK-24")
@pytest.mark.parametrize(
    "value", [b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b", b"Bearer a, Bearer b", b"Bearer \xff", b"Bearer =a",
              b"Bearer a\tb", b'Bearer "a"', b"Bearer realm=x"]
)  # fmt: skip
def test_what_is_not_one_token68_is_no_token(value):
    answer = a_front().send("GET", "/auth/session", headers=[(b"authorization", value)])
    assert answer.seen == (401, "token_invalid")
    assert 'error="invalid_token"' in answer.header("WWW-Authenticate")


@pytest.mark.ids("TOK-23", "TOK-24")
@pytest.mark.parametrize("value", [b"Basic abc", b"", b"abc", b"Bearerabc", b"Digest x", b"Bearer\tabc"])
def test_another_scheme_is_not_ours(value):
    assert found(a_front(), [(b"authorization", value)]) is None


@pytest.mark.ids("TOK-23", "HT-02")
@pytest.mark.parametrize("second", [b"Bearer b", b"Basic b", b""])
def test_two_authorization_fields_are_refused(second):
    front = a_front()
    with pytest.raises(RequestError):
        found(front, [(b"authorization", b"Bearer a"), (b"authorization", second)])
    answer = front.send("GET", "/auth/session", headers=[(b"authorization", b"Bearer a"), (b"authorization", second)])
    assert answer.seen == (400, "invalid_request")


@pytest.mark.ids("TOK-23")
def test_a_token_in_the_query_or_the_body_is_not_looked_at():
    front = a_front()
    token = front.device(page=False).access_token
    form = {"access_token": token}
    answer = front.send("POST", "/auth/logout-all", form=form)
    assert answer.seen == (401, "token_missing")
    assert front.send("POST", "/auth/logout-all", json=form).seen == (401, "token_missing")


@pytest.mark.ids("TOK-23")
def test_header_and_cookie_at_once_are_refused():
    front = a_front(IN_COOKIE)
    with pytest.raises(RequestError):
        found(front, [bearer("a.b.c")], {ACCESS: "a.b.c"})


@pytest.mark.ids("TOK-23", "M47")
def test_the_access_cookie_counts_only_where_it_is_configured():
    assert found(a_front(), (), {ACCESS: "a.b.c"}) is None
    assert found(a_front(), [bearer("d")], {ACCESS: "a.b.c"}) == ("d", False)
    assert found(a_front(IN_COOKIE), (), {ACCESS: "a.b.c"}) == ("a.b.c", True)


@pytest.mark.ids("M41")
def test_an_empty_access_cookie_is_no_token():
    front = a_front(IN_COOKIE)
    assert found(front, (), {ACCESS: ""}) is None
    assert front.send("GET", "/auth/session", cookies={ACCESS: ""}).seen == (401, "token_missing")


@pytest.mark.ids("TOK-23")
@pytest.mark.parametrize(
    ("offered", "token"),
    [
        (b"keyturn, abc", "abc"), (b"keyturn,abc", "abc"), (b"keyturn", None), (b"abc, keyturn", None),
        (b"keyturn, abc, def", None), (b"chat, abc", None), (b"KEYTURN, abc", None), (b"", None),
    ],
)  # fmt: skip
def test_a_handshake_may_carry_the_token_as_second_subprotocol(offered, token):
    front = a_front()
    headers = [(b"sec-websocket-protocol", offered)]
    expected = None if token is None else (token, False)
    assert found(front, headers, websocket=True) == expected
    assert found(front, headers) is None


def test_further_readers_are_asked_after_the_standard_places():
    asked = []

    def reader(request):
        asked.append(request.path)
        return request.header(b"x-api-token")

    front = a_front(readers=(lambda request: None, reader))
    device = front.device(page=False)
    headers = [(b"x-api-token", device.access_token.encode())]
    claims = front.service.guard.identify(front.request("GET", "/me", headers=headers))
    assert claims.subject == "u-alice"
    asked.clear()
    front.service.guard.identify(front.request("GET", "/me", headers=[bearer(device.access_token)]))
    assert asked == []


@pytest.mark.ids("M47", "CK-10")
@pytest.mark.parametrize(
    "headers", [[bearer("garbage")], [bearer("a"), bearer("b")], [(b"authorization", b"Bearer")], []]
)
@pytest.mark.parametrize("cookies", [{}, {ACCESS: "garbage"}, {REFRESH: "garbage", BIND: "garbage"}])
@pytest.mark.parametrize("settings", [settings_with(), IN_COOKIE])
def test_bad_credentials_lock_nobody_out_of_a_public_page(headers, cookies, settings):
    front = a_front(settings)
    request = front.request("GET", "/", headers=headers, cookies=cookies)
    assert drive(front.service.check(request, Need(optional=True))) is None


@pytest.mark.ids("M47")
@pytest.mark.parametrize("what", ["expired", "ended", "stale", "unbound"])
def test_a_token_that_is_no_longer_good_is_nobody_on_a_public_page_and_refused_on_others(what):
    front = a_front()
    device = front.device()
    if what == "expired":
        front.advance(timedelta(minutes=6))
    elif what == "ended":
        device.send("POST", "/auth/logout", cookies=dict(device.jar))
    elif what == "stale":
        front.service._blocking_sessions().require("u-alice")
    else:
        device.jar.clear()
    assert front.check(device, Need(optional=True)) is None
    with pytest.raises(TokenError):
        front.check(device)


@pytest.mark.ids("M47")
@pytest.mark.parametrize(
    "headers", [[bearer("garbage")], [bearer("a"), bearer("b")], [(b"authorization", b"Negotiate x")]]
)
@pytest.mark.parametrize("cookies", [{REFRESH: "garbage", BIND: "old", ACCESS: "old"}, {REFRESH: "kt1." + "A" * 71}])
def test_stale_credentials_do_not_keep_anybody_from_signing_in(headers, cookies):
    for settings in (settings_with(), IN_COOKIE):
        answer = a_front(settings).send(
            "POST", "/auth/login", json={"username": "alice", "password": PASSWORD},
            headers=[*PAGE, *headers], cookies=cookies,
        )  # fmt: skip
        assert answer.status == 200


@pytest.mark.ids("M48", "RT-15")
@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_an_expired_access_token_in_the_header_does_not_block_the_refresh(transport):
    front = a_front()
    device = front.device(transport=transport)
    front.advance(timedelta(minutes=30))
    body = {"refresh_token": device.refresh_token} if transport == "body" else None
    assert device.call("POST", "/auth/refresh", json=body).status == 200
    assert device.send("POST", "/auth/refresh", json=body, headers=[bearer("a"), bearer("b")]).status == 200


@pytest.mark.ids("RT-15")
def test_an_access_token_never_refreshes():
    front = a_front()
    device = front.device(page=False)
    answer = front.send("POST", "/auth/refresh", headers=[bearer(device.access_token)])
    assert answer.seen == (401, "token_missing")
    assert front.send("POST", "/auth/refresh", json={"refresh_token": device.access_token}).seen == (
        401,
        "token_invalid",
    )


@pytest.mark.ids("M41")
def test_an_empty_body_value_does_not_hide_a_good_cookie():
    front = a_front()
    device = front.device()
    for body in ({"refresh_token": ""}, {"refresh_token": None}, {}):
        assert device.send("POST", "/auth/refresh", json=body).status == 200


@pytest.mark.ids("M41", "TOK-23")
def test_a_token_in_the_body_beside_one_in_the_cookie_is_refused_and_nothing_turns():
    front = a_front()
    device = front.device()
    before = front.picture()
    answer = device.send("POST", "/auth/refresh", json={"refresh_token": device.jar[REFRESH]})
    assert answer.seen == (400, "invalid_request")
    assert (front.picture(), answer.set_cookies) == (before, [])


def test_the_binding_may_be_forwarded_by_a_service_that_calls_for_the_user():
    front = a_front()
    device = front.device()
    forwarded = [bearer(device.access_token), (b"keyturn-binding", device.jar[BIND].encode())]
    assert front.service.guard.identify(front.request("GET", "/me", headers=forwarded)).subject == "u-alice"


@pytest.mark.ids("ST-01")
def test_a_credential_does_not_show_its_token():
    assert "secret" not in repr(credentials.Credential("secret", ambient=False))


@pytest.mark.ids("TOK-19", "M56")
@pytest.mark.parametrize("size", [8193, 20_000_000])
def test_a_huge_bearer_is_refused_by_its_length_alone(size, monkeypatch):
    front = a_front()
    front.send("GET", "/auth/session", headers=[bearer("a.b.c")])

    def no_work(*args, **kwargs):
        raise AssertionError("it was worked on")

    monkeypatch.setattr("keyturn.keys.Key.verify", no_work)
    monkeypatch.setattr("keyturn._access_token.canonical", no_work)
    for token in ("A" * size, "eyJ." * (size // 4 + 1), "a." + "b" * size + ".c"):
        assert front.send("GET", "/auth/session", headers=[bearer(token)]).seen == (401, "token_invalid")


@pytest.mark.ids("TOK-20", "TOK-01", "M45")
def test_every_malformed_token_gets_one_and_the_same_answer():
    front = a_front()
    token = front.device(page=False).access_token
    head, body, signature = token.split(".")
    wrong = [
        "x", "a.b", "a.b.c.d", "..", f"{head}.{body}.", f"{head}.{body}.{signature}=", f"{head}.{body}.{signature[:-1]}", f".{body}.{signature}",
        f"{head}.{body}", f"{body}.{head}.{signature}", token + "A", token[:-3], token.swapcase(), "eyJhbGciOiJub25lIn0.e30.", f"{token}.{token}",
    ]  # fmt: skip
    wrong += [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        for place in range(0, len(token) - 1, 7)
        if token[place] != "."
    ]
    front.advance(timedelta(hours=5))  # long expired: said only of what is genuine
    answers = [front.send("GET", "/auth/session", headers=[bearer(value)]) for value in wrong]
    assert {answer.seen for answer in answers} == {(401, "token_invalid")}
    assert len({(answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1
    assert front.send("GET", "/auth/session", headers=[bearer(token)]).seen == (401, "token_expired")


@pytest.mark.ids("CK-08", "CK-09", "DS-01")
def test_a_flood_of_headers_and_cookies_is_read_once_and_changes_no_answer():
    front = a_front()
    device = front.device()
    noise = [(b"x-%d" % number, b"v" * 50) for number in range(2000)]
    crumbs = "; ".join(f"c{number}=kt_refresh" for number in range(3000))
    jar = "; ".join(f"{name}={value}" for name, value in device.jar.items())
    cookies = f"{crumbs}; {jar}; {crumbs}".encode()
    headers = [*noise, (b"authorization", b"Bearer " + device.access_token.encode()), *noise]
    answer = front.send("GET", "/auth/session", headers=headers, cookies=cookies)
    assert answer.status == 200
    assert front.send("GET", "/auth/session", headers=[*headers, headers[2000]], cookies=cookies).status == 400
