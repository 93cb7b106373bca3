"""How Keyturn behaves inside a Flask application: installing, hiding, answering, own logins."""

import io
import re

import pytest
from flask import Flask, current_app, g, jsonify, redirect, request, session
from sqlalchemy.ext.asyncio import create_async_engine
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from keyturn.errors import ConfigurationError
from keyturn.events import ReuseDetected, SessionStarted
from keyturn.flask import Keyturn
from keyturn.session import EndReason
from keyturn.stores.sqlalchemy import SqlAlchemyStore
from keyturn.testing import client as program, signed_in
from keyturn.testing.entropy import CountingEntropy
from keyturn.users import Principal
from tests.support.flask_site import BASE, Site, Visitor, bearer, sign_in, visitor
from tests.support.front import BIND, PASSWORD, REFRESH, Members, settings_with

# --- installing ----------------------------------------------------------------------------------------------------


def test_installing_twice_is_refused():
    site = Site()
    with pytest.raises(RuntimeError, match="already"):
        site.auth.init_app(site.app)


def test_installing_after_the_first_request_is_refused():
    app = Flask(__name__)
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="first request"):
        Site(app=app)
    assert "keyturn" not in str(app.wsgi_app)


@pytest.mark.ids("M22")
def test_one_keyturn_serves_two_applications_each_with_a_service_of_its_own():
    auth = Keyturn(users=Members(), keys=Site().auth.service.parts.inputs.keys)
    apps = []
    for issuer in ("https://a.example.org", "https://b.example.org"):
        app = Flask(__name__)
        app.config.update(KEYTURN_ISSUER=issuer, KEYTURN_STORE="memory:")
        auth.init_app(app)
        app.add_url_rule("/me", "me", auth.required(lambda: auth.claims.issuer))
        apps.append(app)
    clients = [visitor(app) for app in apps]
    tokens = [sign_in(client) for client in clients]
    assert [client.get("/me", headers=token).text for client, token in zip(clients, tokens, strict=True)] == [
        "https://a.example.org",
        "https://b.example.org",
    ]
    assert clients[0].get("/me", headers=tokens[1]).status_code == 401
    with pytest.raises(RuntimeError, match="several applications"):
        _ = auth.settings
    for app, issuer in zip(apps, "ab", strict=True):
        with app.app_context():
            assert auth.settings.issuer == f"https://{issuer}.example.org"
            assert len(auth.sessions.list("u-alice")) == 1
    stranger = Flask(__name__)
    with stranger.app_context(), pytest.raises(RuntimeError, match="not installed in the current"):
        _ = auth.settings


def test_without_an_application_it_says_what_to_do():
    with pytest.raises(RuntimeError, match=re.escape("auth.init_app(app)")):
        _ = Keyturn(users=Members()).sessions


@pytest.mark.ids("M22")
def test_two_realms_live_in_one_application():
    shop = Site()
    staff = Keyturn(
        settings=settings_with(realm="staff", prefix="/staff-auth"), users=shop.members, store=shop.store,
        keys=shop.auth.service.parts.inputs.keys,
    )  # fmt: skip
    staff.init_app(shop.app)
    shop.app.add_url_rule("/staff", "staff", staff.required(lambda: staff.claims.subject))
    shop.app.add_url_rule("/cookies", "cookies", lambda: dict(request.cookies))
    shop.app.add_url_rule("/raise", "raise", staff.step_up, methods=["POST"])
    client = shop.visitor()
    customer, employee = sign_in(client), sign_in(client, prefix="/staff-auth")
    names = sorted(cookie.key for cookie in client._cookies.values())
    assert names == sorted([REFRESH, BIND, f"{REFRESH}_staff", f"{BIND}_staff"])
    assert [client.get("/me", headers=who).status_code for who in (customer, employee)] == [200, 401]
    assert [client.get("/staff", headers=who).status_code for who in (customer, employee)] == [401, 200]
    assert client.get("/cookies").json == {}
    assert client.post("/auth/logout").status_code == 204
    assert client.get("/staff", headers=employee).status_code == 200
    assert client.post("/staff-auth/refresh").status_code == 200
    assert client.post("/raise").status_code == 200


def test_an_error_is_told_in_the_words_of_the_keyturn_that_raised_it():
    shop = Site()
    staff = Keyturn(
        settings=settings_with(issuer="https://staff.example.org", realm="staff", prefix="/staff-auth"),
        users=shop.members, store="memory:", keys=shop.auth.service.parts.inputs.keys,
    )  # fmt: skip
    staff.init_app(shop.app)
    for name, auth in (("shop", shop.auth), ("staff", staff)):
        shop.app.add_url_rule(f"/{name}", name, auth.step_up, methods=["POST"])
    client = shop.visitor()
    assert 'realm="https://staff.example.org"' in client.post("/staff").headers["www-authenticate"]
    assert 'realm="https://id.example.org"' in client.post("/shop").headers["www-authenticate"]


def test_two_that_would_answer_at_one_address_are_refused():
    site = Site()
    with pytest.raises(ConfigurationError, match="/auth"):
        Site(settings_with(realm="other"), app=site.app)


def test_the_sync_door_refuses_what_awaits():
    class Awaiting(Members):
        async def authenticate(self, username, password, request):
            return None

    class AsyncStore:
        colour = "async"

    async def listener(event):
        pass

    for more, sentence in (
        ({"users": Awaiting()}, "make it a plain function"),
        ({"users": Members(), "listeners": [listener]}, "make it a plain function"),
        ({"users": Members(), "store": AsyncStore()}, "blocking client"),
        ({"store": SqlAlchemyStore(create_async_engine("postgresql+asyncpg://x/y"))}, "an Engine, not an AsyncEngine"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            Keyturn(**more)


# --- answering -----------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-04", "HT-06")
def test_nothing_of_the_application_comes_between_us_and_our_routes():
    app = Flask(__name__)
    app.url_map.strict_slashes = True
    app.before_request(lambda: ("before", 418))
    app.after_request(lambda response: response.headers.add("x-after", "1") or response)
    app.url_value_preprocessor(lambda endpoint, values: (values or {}).pop("lang", None))
    app.url_defaults(lambda endpoint, values: values.setdefault("lang", "en"))
    app.register_error_handler(HTTPException, lambda error: ("handled", 418))
    app.add_url_rule("/auth/sessions/", "theirs", lambda: "never")
    app.add_url_rule("/<path:everything>", "everything", lambda everything: "never", methods=["GET", "POST"])
    client = Site(app=app).visitor()
    headers = sign_in(client)
    answers = {
        path: client.get(f"/auth{path}", headers=headers).status_code
        for path in ("", "/", "/session", "/session/", "/sessions", "/sessions/", "/login", "//session", "/nothing")
    }
    assert answers == {
        "": 404, "/": 404, "/session": 200, "/session/": 404, "/sessions": 200, "/sessions/": 404, "/login": 405,
        "//session": 404, "/nothing": 404,
    }  # fmt: skip
    answer = client.options("/auth/login")
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert "x-after" not in answer.headers
    assert client.get("/.well-known/jwks.json").status_code == 200
    assert client.get("/else").status_code == 418


def test_the_applications_users_and_hooks_run_within_the_application():
    seen = []

    class Users(Members):
        def authenticate(self, username, password, native):
            g.visits = 1
            seen.append((current_app.name, request.path, native is request._get_current_object(), native.get_json()))
            seen.append((dict(native.cookies), session.get("x")))
            return super().authenticate(username, password, native)

        def load(self, subject):
            seen.append(g.visits)
            return super().load(subject)

    def hook(native, reply, principal, kept):
        seen.append((native.path, principal.subject))

    app = Flask("shop")
    app.secret_key = "x"
    app.teardown_request(lambda error: seen.append(("torn down", error)))
    site = Site(app=app, users=Users(), reply_hooks=[hook])
    client = site.visitor()
    sign_in(client)
    assert seen[0] == ("shop", "/auth/login", True, {"username": "alice", "password": PASSWORD})
    assert seen[1] == ({}, None)
    assert ("/auth/login", "u-alice") in seen
    assert seen[-1] == ("torn down", None)


@pytest.mark.ids("RT-05")
def test_a_transaction_that_is_bound_to_the_request_does_not_undo_an_end():
    """It rolls back on exceptions: the end of a stolen session is an answer, not one."""
    torn = []
    app = Flask(__name__)
    app.teardown_request(torn.append)
    site = Site(app=app)
    client = site.visitor()
    sign_in(client)
    thief = client.get_cookie(REFRESH, domain="id.example.org").value
    for _ in range(2):
        site.clock.advance(60)
        assert client.post("/auth/refresh").status_code == 200
    proof = client.get_cookie(BIND, domain="id.example.org").value
    site.clock.advance(60)
    stolen = Visitor(app, use_cookies=False).post(
        "/auth/refresh", headers={"cookie": f"{REFRESH}={thief}; {BIND}={proof}"}
    )
    assert (stolen.status_code, stolen.json["code"]) == (401, "session_ended")
    assert [fact for fact in site.facts if isinstance(fact, ReuseDetected)]
    assert set(torn) == {None}
    assert client.post("/auth/refresh").status_code == 401


def test_a_fault_of_the_applications_users_is_our_503_and_shows_nothing(caplog):
    app = Flask(__name__)
    app.testing = True
    site = Site(app=app)
    site.members.trouble = ValueError("secret of the database")
    answer = site.visitor().post("/auth/login", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert "secret" not in answer.text + caplog.text
    assert PASSWORD not in caplog.text


def test_a_body_is_never_read_beyond_its_end_or_our_limit():
    site = Site()

    class Wire(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            assert 0 <= size <= 16 * 1024 + 1
            part = super().read(min(size, 1000))  # as sockets do
            self.taken += len(part)
            return part

    def ask(body, **environ):
        wire = Wire(body)
        answer = Visitor(site.app).post(
            "/auth/login", input_stream=wire, content_type="application/json", environ_overrides=environ
        )
        return answer, wire.taken

    login = b'{"username": "alice", "password": "%s"}' % PASSWORD.encode()
    answer, taken = ask(login.ljust(3000) + b"GET /next HTTP/1.1", CONTENT_LENGTH="3000")
    assert (answer.status_code, taken) == (200, 3000)
    answer, taken = ask(login + b" " * 50_000, CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert (answer.status_code, taken) == (413, 16 * 1024 + 1)
    answer, taken = ask(b" " * 50_000, CONTENT_LENGTH="50000")
    assert (answer.status_code, taken) == (413, 0)
    answer, taken = ask(login, CONTENT_LENGTH="3000")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    answer, taken = ask(b"anything", CONTENT_LENGTH="")
    assert (answer.status_code, taken) == (400, 0)


def test_a_body_whose_wire_breaks_is_a_400():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the chunk has no size")

    answer = Visitor(Site().app).post(
        "/auth/login", input_stream=Broken(), content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    )  # fmt: skip
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")


def test_an_application_that_is_mounted_answers_below_its_root():
    inner = Site()
    outer = Flask("outer")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/shop": inner.app})
    client = visitor(outer)
    headers = sign_in(client, prefix="/shop/auth")
    assert client.get("/shop/me", headers=headers).json == {"subject": "u-alice"}
    assert client.post("/shop/auth/refresh").status_code == 200
    assert client.post("/auth/login").status_code == 404


def test_an_application_inside_another_with_the_same_keyturn_still_has_its_cookies():
    site = Site()
    outer = Flask("outer")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": site.app})
    site.auth.init_app(outer)
    client = visitor(outer)
    headers = sign_in(client)
    assert client.get("/inner/me", headers=headers).status_code == 200
    assert client.post("/inner/auth/refresh").status_code == 200


@pytest.mark.ids("RT-16")
def test_who_is_at_the_other_end_is_told_by_the_server_and_by_configured_proxies_only():
    def started(**more):
        site = Site(**more)
        client = site.visitor()
        client.environ_base["REMOTE_ADDR"] = "192.0.2.9"
        client.post(
            "/auth/login", json={"username": "alice", "password": PASSWORD}, headers={"x-forwarded-for": "203.0.113.5"}
        )
        return next(fact for fact in site.facts if isinstance(fact, SessionStarted)).client.ip

    assert started() == "192.0.2.9"
    assert started(trusted_proxies=["192.0.2.0/24"]) == "203.0.113.5"
    assert started(trusted_proxies=["198.51.100.0/24"]) == "192.0.2.9"


def test_werkzeugs_own_proxy_middleware_may_stand_around_us():
    site = Site()
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app)
    client = site.visitor()
    login = {"username": "alice", "password": PASSWORD}
    client.post("/auth/login", json=login, headers={"x-forwarded-for": "203.0.113.5"})
    assert next(fact for fact in site.facts if isinstance(fact, SessionStarted)).client.ip == "203.0.113.5"


# --- hiding --------------------------------------------------------------------------------------------------------

#: Bytes that readers of cookies trim, unquote or split at.
DISGUISES = ["\xa0", "\x85", "\u2003", "\ufeff", "\u3000", "\x1c", "\x0b", '"', "a,", "a, ", "A=1,", "$Version=1,"]


@pytest.mark.ids("CK-14", "M42")
@pytest.mark.parametrize(("before", "encoding"), [
    *((one, "latin-1") for one in DISGUISES if one < "\u0100"), *((one, "utf-8") for one in DISGUISES),
])  # fmt: skip
def test_the_framework_finds_no_planted_cookie(before, encoding):
    field = f"a=1; {before}{REFRESH}=planted; b=2".encode(encoding).decode("latin-1")
    site = Site()
    site.app.add_url_rule("/cookies", "cookies", lambda: jsonify(request.cookies, request.headers.get("cookie")))
    client = Visitor(site.app, use_cookies=False)
    names, shown = client.get("/cookies", headers={"cookie": field}, environ_overrides={"HTTP_COOKIE": field}).json
    assert names == {"a": "1", "b": "2"}
    assert "planted" not in shown
    refused = client.post("/auth/refresh", environ_overrides={"HTTP_COOKIE": field})
    assert refused.json["code"] == "token_missing"


@pytest.mark.ids("CK-08")
def test_a_name_of_ours_behind_a_comma_is_ours_only_where_a_server_has_joined_two_fields():
    site = Site()
    client = site.visitor()
    sign_in(client)
    token, proof = (client.get_cookie(name, domain="id.example.org").value for name in (REFRESH, BIND))

    def refresh(field):
        answer = Visitor(site.app, use_cookies=False).post("/auth/refresh", environ_overrides={"HTTP_COOKIE": field})
        return answer.status_code, (answer.json or {}).get("code")

    assert refresh(f"x=1; {REFRESH}={token},{BIND}={proof}; y=2") == (200, None)
    assert refresh(f"x=1,{REFRESH}={token},{BIND}={proof}") == (401, "token_missing")
    assert refresh(f"x=1,{REFRESH}={token}; {BIND}={proof}") == (401, "token_missing")
    assert refresh(f"{REFRESH}={token}; x=1,{BIND}={proof}") == (401, "binding_mismatch")
    assert refresh(f"{REFRESH}={token},{REFRESH}={token}; {BIND}={proof}") == (401, "token_missing")


@pytest.mark.ids("CK-14")
def test_no_middleware_inside_and_no_hook_sees_our_cookies():
    seen = []
    app = Flask(__name__)
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: seen.append(dict(environ)) or inner(environ, start)
    app.before_request(lambda: seen.append(dict(request.headers)))
    site = Site(app=app)
    client = site.visitor()
    headers = sign_in(client)
    client.set_cookie("theme", "dark", domain="id.example.org")
    assert client.get("/me", headers=headers).status_code == 200
    assert len(seen) == 2
    shown = " ".join(
        repr({k: v for k, v in one.items() if not k.startswith(("keyturn.", "werkzeug."))}) for one in seen
    )
    assert "kt_" not in shown
    assert "theme=dark" in shown
    assert "kt1." not in repr(seen)


# --- own logins ----------------------------------------------------------------------------------------------------


def a_login_of_its_own(**more):
    site = Site(**more)
    site.app.add_url_rule("/enter", "enter", lambda: site.auth.sign_in(
        Principal(subject="u-alice"), into=redirect("/home", 303), amr=["fed"], claims={"via": "idp"}))  # fmt: skip
    site.app.add_url_rule("/plain", "plain", lambda: site.auth.sign_in(Principal(subject="u-alice"), **request.args))
    site.app.add_url_rule("/raise", "raise", lambda: site.auth.step_up(amr=["pwd", "otp"]), methods=["POST"])
    site.app.add_url_rule("/leave", "leave", lambda: site.auth.sign_out(into=redirect("/")), methods=["POST"])
    return site


def test_a_redirect_carries_the_cookies_of_a_sign_in():
    site = a_login_of_its_own()
    client = site.visitor()
    answer = client.get("/enter")
    assert (answer.status_code, answer.headers["location"]) == (303, "/home")
    assert answer.headers["cache-control"] == "no-store"
    assert [line.partition("=")[0] for line in answer.headers.getlist("set-cookie")] == [REFRESH, BIND]
    token = client.post("/auth/refresh").json["access_token"]
    claims = client.get("/auth/session", headers=bearer(token)).json
    assert (claims["amr"], claims["via"]) == (["fed"], "idp")


def test_a_sign_in_gives_the_token_answer_and_a_step_up_kills_older_tokens():
    site = a_login_of_its_own()
    client = site.visitor()
    old = bearer(client.get("/plain").json["access_token"])
    assert client.get("/me", headers=old).status_code == 200
    new = bearer(client.post("/raise").json["access_token"])
    assert client.get("/me", headers=old).json["code"] == "token_stale"
    assert client.get("/auth/session", headers=new).json["amr"] == ["pwd", "otp"]
    gone = client.post("/leave")
    assert gone.status_code == 302
    assert client.get_cookie(REFRESH, domain="id.example.org") is None
    assert client.get("/me", headers=new).status_code == 401


@pytest.mark.ids("XS-01")
def test_a_sign_out_from_another_page_is_refused():
    site = a_login_of_its_own()
    client = site.visitor()
    client.get("/plain")
    refused = client.post("/leave", headers={"sec-fetch-site": "cross-site"})
    assert (refused.status_code, refused.json["code"]) == (403, "cross_site")
    assert client.post("/auth/refresh").status_code == 200


def test_sessions_are_at_hand_without_a_request():
    site = Site()
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/me", headers=headers).status_code == 200
    assert site.auth.sessions.end_user("u-alice", reason=EndReason.USER_DISABLED) == 1
    assert client.get("/me", headers=headers).json["code"] == "session_ended"


# --- the testing kit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_a_test_of_an_application_needs_no_login(transport):
    site = Site()
    assert program(site.app, site.auth).get("/me").status_code == 401
    alice = signed_in(site.app, site.auth, "u-alice", transport=transport)
    assert alice.get("/me").json == {"subject": "u-alice"}
    assert site.members.hashed == 0
    if transport == "cookie":
        assert alice.post("/auth/refresh").status_code == 200
    assert alice.post("/auth/logout").status_code == 204
    assert alice.get("/me").status_code == 401


def test_parts_are_overridden_for_the_length_of_a_test():
    site = Site()
    with site.auth.override(store="memory:", entropy=CountingEntropy("o")):
        alice = signed_in(site.app, site.auth, "u-alice")
        assert alice.get("/me").status_code == 200
        with pytest.raises(LookupError, match="principal="):
            signed_in(site.app, site.auth, "u-nobody")
    assert site.store.calls == []
    assert BASE in site.auth.settings.issuer


def test_a_second_application_of_the_same_keyturn_is_tested_by_naming_it():
    site = Site()
    other = Flask("other")
    site.auth.init_app(other)
    other.add_url_rule("/me", "me", site.auth.required(lambda: "other"))
    assert signed_in(other, site.auth, "u-alice").get("/me").text == "other"


def test_the_cors_arguments_name_exactly_the_configured_origins():
    site = Site(settings_with(origins=["https://app.example.org", "http://[::1]:3000"]))
    given = site.auth.cors()
    assert given["supports_credentials"] is True
    assert all(isinstance(one, re.Pattern) for one in given["origins"])

    def allowed(origin):
        return any(one.match(origin) for one in given["origins"])

    assert allowed("https://app.example.org")
    assert allowed("http://[::1]:3000")
    assert not allowed("https://appxexample.org")
    assert not allowed("https://app.example.org.evil.example")
