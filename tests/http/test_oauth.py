"""token, revoke, docs-token: what programs of any make rely on."""

import json
import string
from base64 import b64encode
from urllib.parse import quote_plus

import pytest

from keyturn.events import LoginFailed, SessionEnded
from tests.support.front import BIND, PAGE, PASSWORD, REFRESH, SECRET, a_front, basic, bearer, settings_with, snapshot

GRANT = {"grant_type": "refresh_token"}
ALLOWED = set(string.printable) - set('"\\\t\n\r\x0b\x0c')


def token(front, refresh_token, *, headers=(), cookies={}, **more):  # noqa: B006
    form = {**GRANT, **({"refresh_token": refresh_token} if refresh_token else {}), **more}
    return front.send("POST", "/auth/token", form=form, headers=headers, cookies=cookies)


def revoke(front, value, *, headers=(), **more):
    return front.send("POST", "/auth/revoke", form={"token": value, **more}, headers=headers)


def a_program(front, client_id="default", **more):
    return front.device(page=False, client_id=client_id, **more)


def authenticated(client_id="shop-api", secret=SECRET):
    return basic(quote_plus(client_id), quote_plus(secret))


def is_oauth_error(answer, status, error):
    assert (answer.status, answer.error) == (status, error)
    assert answer.header("Content-Type") == "application/json"
    assert set(answer.json) == {"error", "error_description"}
    assert set(answer.json["error_description"]) <= ALLOWED
    assert answer.header("Cache-Control") == "no-store"
    return True


@pytest.mark.ids("RT-03", "HT-05")
def test_the_refresh_grant_turns_the_key():
    front = a_front()
    device = a_program(front)
    front.advance(60)
    answer = token(front, device.refresh_token)
    assert answer.status == 200
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["refresh_token"] != device.refresh_token
    assert answer.header("Cache-Control") == "no-store"
    assert answer.set_cookies == []


@pytest.mark.ids("OA-01", "HT-03")
@pytest.mark.parametrize("grant", ["password", "client_credentials", "authorization_code", "implicit", "REFRESH_TOKEN",
                                   "urn:ietf:params:oauth:grant-type:token-exchange"])  # fmt: skip
def test_no_other_grant_is_offered(grant):
    front = a_front()
    form = {"grant_type": grant, "username": "alice", "password": PASSWORD, "code": "x"}
    answer = front.send("POST", "/auth/token", form=form)
    assert is_oauth_error(answer, 400, "unsupported_grant_type")
    assert front.members.hashed == 0


@pytest.mark.ids("HT-03", "HT-07")
@pytest.mark.parametrize(
    "form", [{}, {"refresh_token": "x"}, {"grant_type": ""}, GRANT, {**GRANT, "refresh_token": ""}]
)
def test_a_missing_parameter_is_an_invalid_request(form):
    assert is_oauth_error(a_front().send("POST", "/auth/token", form=form), 400, "invalid_request")


@pytest.mark.ids("HT-03", "RT-07")
@pytest.mark.parametrize("value", ["x", "kt1." + "A" * 71, "é", "\u2028", "a b"])
def test_a_value_that_is_not_genuine_is_an_invalid_grant(value):
    front = a_front()
    assert is_oauth_error(token(front, value), 400, "invalid_grant")
    assert front.store.calls == []


@pytest.mark.ids("HT-03")
def test_a_dead_session_is_an_invalid_grant():
    front = a_front()
    device = a_program(front)
    front.service._blocking_sessions().end_user("u-alice")
    assert is_oauth_error(token(front, device.refresh_token), 400, "invalid_grant")


@pytest.mark.ids("RT-13")
def test_cookies_are_never_read_and_cookie_sessions_never_refreshed_here():
    front = a_front()
    device = front.device()
    front.advance(60)
    before = front.picture()[0]
    assert is_oauth_error(token(front, None, cookies=dict(device.jar), headers=PAGE), 400, "invalid_request")
    answer = token(front, device.jar[REFRESH], cookies=dict(device.jar), headers=PAGE)
    assert is_oauth_error(answer, 400, "invalid_grant")
    assert answer.set_cookies == []
    assert front.picture()[0] == before
    assert token(front, a_program(front).refresh_token, cookies={REFRESH: "x", BIND: "y"}).status == 200


@pytest.mark.ids("RT-11", "HT-03")
def test_scope_narrows_and_never_widens():
    front = a_front()
    device = a_program(front, scope="read")
    front.advance(60)
    before = front.picture()
    assert is_oauth_error(token(front, device.refresh_token, scope="write"), 400, "invalid_scope")
    assert front.picture() == before
    assert token(front, device.refresh_token, scope="read").json["scope"] == "read"


# --- clients -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-10")
@pytest.mark.parametrize("asker", ["shop-web", "default"])
def test_another_clients_refresh_token_is_an_invalid_grant_and_stays_good(asker):
    front = a_front()
    owner = "default" if asker == "shop-web" else "shop-web"
    device = a_program(front, owner)
    front.advance(60)
    before = front.picture()
    assert is_oauth_error(token(front, device.refresh_token, client_id=asker), 400, "invalid_grant")
    assert front.picture() == before
    assert token(front, device.refresh_token, client_id=owner).status == 200


@pytest.mark.ids("OA-02", "RT-10")
def test_a_client_with_a_secret_refreshes_only_with_it():
    front = a_front()
    device = a_program(front, "shop-api")
    front.advance(60)
    before = front.picture()
    for headers, more in [
        ([basic("shop-api", "wrong")], {}), ([], {"client_id": "shop-api"}), ([basic("nobody", SECRET)], {}),
        ([], {"client_id": "shop-api", "client_secret": "wrong"}), ([], {"client_id": "nobody"}),
        ([basic("shop-api", "")], {}),
    ]:  # fmt: skip
        answer = token(front, device.refresh_token, headers=headers, **more)
        assert is_oauth_error(answer, 401, "invalid_client")
        assert answer.header("WWW-Authenticate").startswith("Basic ")
    assert is_oauth_error(token(front, device.refresh_token), 400, "invalid_request")
    assert front.picture() == before
    assert token(front, device.refresh_token, headers=[authenticated()]).status == 200


@pytest.mark.ids("OA-02")
def test_the_secret_may_stand_in_the_form():
    front = a_front()
    device = a_program(front, "shop-api")
    assert token(front, device.refresh_token, client_id="shop-api", client_secret=SECRET).status == 200


@pytest.mark.ids("OA-02")
def test_client_credentials_are_form_decoded_as_libraries_encode_them():
    """RFC 6749 section 2.3.1; some encode every character but letters and digits."""
    front = a_front()
    device = a_program(front, "shop-api")
    percent = "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in SECRET)
    header = (b"authorization", b"Basic " + b64encode(f"shop%2Dapi:{percent}".encode()))
    assert token(front, device.refresh_token, headers=[header]).status == 200


@pytest.mark.ids("OA-02", "HT-07")
def test_a_client_named_in_two_ways_is_refused():
    front = a_front()
    device = a_program(front, "shop-api")
    for more in ({"client_secret": SECRET}, {"client_id": "shop-web"}):
        assert is_oauth_error(
            token(front, device.refresh_token, headers=[authenticated()], **more), 400, "invalid_request"
        )
    assert token(front, device.refresh_token, headers=[authenticated()], client_id="shop-api").status == 200


@pytest.mark.ids("M48")
def test_a_bearer_header_beside_the_grant_is_ignored():
    front = a_front()
    device = a_program(front)
    assert token(front, device.refresh_token, headers=[bearer("expired")]).status == 200


# --- revocation ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("OA-03", "RT-20", "SE-02")
@pytest.mark.parametrize(
    "hint", [{}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "access_token"}, {"token_type_hint": "x"}]
)
@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_revoking_either_token_ends_the_session(which, hint):
    front = a_front()
    device = a_program(front)
    assert revoke(front, getattr(device, which), **hint).status == 200
    assert device.call("GET", "/auth/session").status == 401
    assert device.refresh().status == 401
    assert [fact.reason.value for fact in front.facts if isinstance(fact, SessionEnded)] == ["logout"]


@pytest.mark.ids("OA-03")
def test_a_spent_refresh_token_revokes_too():
    front = a_front()
    device = a_program(front)
    old = snapshot(device)
    for _ in range(2):
        front.advance(60)
        device.refresh()
    assert revoke(front, old.refresh_token).status == 200
    assert device.refresh().status == 401


@pytest.mark.ids("OA-03")
@pytest.mark.parametrize("value", ["x", "kt1." + "A" * 71, "a.b.c", "é"])
def test_an_unknown_token_is_200_with_no_effect(value):
    front = a_front()
    answer = revoke(front, value)
    assert (answer.status, answer.json) == (200, {})
    assert front.picture() == ({}, [])


@pytest.mark.ids("OA-03")
def test_a_bound_access_token_that_somebody_copied_signs_nobody_out():
    front = a_front()
    device = front.device()
    assert revoke(front, device.access_token).status == 200
    assert front.row(device).ended_at is None


@pytest.mark.ids("OA-03", "OA-02", "RT-10")
def test_a_foreign_clients_token_is_not_revoked():
    front = a_front()
    api, web = a_program(front, "shop-api"), a_program(front, "shop-web")
    for headers, more, victim in [
        ([], {}, api), ([], {"client_id": "shop-web"}, api), ([authenticated()], {}, web), ([], {"client_id": "default"}, web),
    ]:  # fmt: skip
        answer = revoke(front, victim.refresh_token, headers=headers, **more)
        assert (answer.status, answer.json) == (200, {})
        assert front.row(victim).ended_at is None
    assert is_oauth_error(revoke(front, api.refresh_token, headers=[basic("shop-api", "wrong")]), 401, "invalid_client")
    assert front.row(api).ended_at is None
    revoke(front, api.refresh_token, headers=[authenticated()])
    assert front.row(api).ended_at is not None


@pytest.mark.ids("OA-03", "HT-03")
def test_revoke_without_a_token_is_an_invalid_request():
    assert is_oauth_error(a_front().send("POST", "/auth/revoke", form={}), 400, "invalid_request")


@pytest.mark.ids("HT-03", "HT-06")
def test_what_is_wrong_with_the_address_or_the_body_is_a_problem_document_here_too():
    front = a_front()
    for answer, code in [
        (front.send("GET", "/auth/token"), "method_not_allowed"),
        (front.send("POST", "/auth/token", json={}), "unsupported_media_type"),
        (front.send("POST", "/auth/token", form={"a": "x" * 20000}), "body_too_large"),
    ]:
        assert answer.code == code
        assert answer.header("Content-Type") == "application/problem+json"


@pytest.mark.ids("HT-03", "ST-05")
def test_store_trouble_is_temporarily_unavailable():
    front = a_front()
    device = a_program(front)
    front.store.broken = True
    assert is_oauth_error(token(front, device.refresh_token), 503, "temporarily_unavailable")
    assert is_oauth_error(revoke(front, device.refresh_token), 503, "temporarily_unavailable")


@pytest.mark.ids("HT-03", "HT-04")
def test_an_unexpected_fault_is_a_server_error(monkeypatch):
    front = a_front()
    device = a_program(front)
    monkeypatch.setattr(front.members, "load", lambda subject: object())
    answer = token(front, device.refresh_token)
    assert is_oauth_error(answer, 500, "server_error")


@pytest.mark.ids("OA-02", "TOK-23")
@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke"])
def test_a_client_that_proves_itself_in_two_fields_at_once_is_refused(path):
    front = a_front()
    device = a_program(front, "shop-api")
    form = {**GRANT, "refresh_token": device.refresh_token, "token": device.refresh_token}
    for headers in ((authenticated(), authenticated(secret="wrong")), (authenticated(), bearer("x"))):
        assert is_oauth_error(front.send("POST", path, form=form, headers=headers), 400, "invalid_request")
    assert front.row(device).generation == 0
    assert front.row(device).ended_at is None


# --- the documentation page ----------------------------------------------------------------------------------------

DOCS = {"username": "alice", "password": PASSWORD, "grant_type": "password"}


def test_the_documentation_page_signs_in_where_it_may():
    front = a_front(settings_with(docs_login=True))
    answer = front.send("POST", "/auth/docs-token", form=DOCS, headers=PAGE)
    assert answer.status == 200
    assert sorted(answer.json) == ["access_token", "token_type"]
    assert "kt1." not in answer.body.decode()
    assert front.send("GET", "/auth/session", headers=[bearer(answer.json["access_token"])]).json["sub"] == "u-alice"


@pytest.mark.ids("OA-01", "XS-06")
@pytest.mark.parametrize("headers", [(), [(b"sec-fetch-site", b"same-site")], [(b"sec-fetch-site", b"none")], [(b"origin", b"https://id.example.org")],
                                     [(b"keyturn-client", b"x")], [*PAGE, *PAGE]])  # fmt: skip
def test_nothing_but_that_page_signs_in_there(headers):
    front = a_front(settings_with(docs_login=True))
    answer = front.send("POST", "/auth/docs-token", form=DOCS, headers=headers)
    assert (answer.status, front.members.hashed) == (403, 0)


@pytest.mark.ids("OA-01", "M53")
def test_without_the_setting_there_is_no_such_route():
    front = a_front()
    answer = front.send("POST", "/auth/docs-token", form=DOCS, headers=PAGE)
    assert (answer.seen, front.members.hashed) == ((404, "not_found"), 0)


@pytest.mark.ids("AU-12", "SE-04")
def test_its_sign_ins_are_told_and_listed_like_any_other():
    front = a_front(settings_with(docs_login=True))
    agent = (b"user-agent", b"A browser")
    front.send("POST", "/auth/docs-token", form={**DOCS, "password": "x"}, headers=(*PAGE, agent))
    (failed,) = front.facts
    assert isinstance(failed, LoginFailed)
    assert (failed.username, failed.client.user_agent) == ("alice", "A browser")
    front.send("POST", "/auth/docs-token", form=DOCS, headers=(*PAGE, agent))
    (row,) = front.store.behind._rows.values()
    assert (row.user_agent, row.ip) == ("A browser", "192.0.2.7")


@pytest.mark.ids("AU-06")
def test_its_refusals_are_all_alike():
    front = a_front(settings_with(docs_login=True))
    forms = [{**DOCS, "password": "x"}, {**DOCS, "username": "nobody"}, {**DOCS, "username": "mallory"}]
    answers = [front.send("POST", "/auth/docs-token", form=form, headers=PAGE) for form in forms]
    assert len({(answer.status, answer.body, repr(answer.reply.raw_headers())) for answer in answers}) == 1
    assert answers[0].status in {400, 401}
    assert json.loads(answers[0].body)["error"] == "invalid_grant"
    assert front.members.hashed == 3
