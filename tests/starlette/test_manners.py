"""How Keyturn behaves inside a Starlette application: installing, hiding, guarding, own logins."""

import json
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from keyturn.errors import KeyturnError, StoreError
from keyturn.http.guard import Need
from keyturn.settings import Settings
from keyturn.starlette import Keyturn
from keyturn.testing import testing_keys
from keyturn.testing.entropy import CountingEntropy
from keyturn.users import Principal
from tests.support.front import APP, BIND, PASSWORD, REFRESH, BrokenStore, Members, settings_with
from tests.support.site import a_site, bearer, sign_in, starlette_app, visitor

# --- installing ----------------------------------------------------------------------------------------------------


def test_a_second_installation_of_the_same_service_is_refused():
    site = a_site()
    app = starlette_app(site.service)
    with pytest.raises(RuntimeError, match="already"):
        site.service.install(app)


def test_an_installation_after_the_first_request_is_refused():
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    visitor(app).get("/")
    with pytest.raises(RuntimeError, match="before the application"):
        a_site().service.install(app)


def test_it_works_without_a_lifespan():
    client = visitor(starlette_app(a_site().service))
    assert client.get("/me", headers=sign_in(client)).json()["subject"] == "u-alice"
    assert client.get("/me").status_code == 401


def test_it_works_with_a_lifespan():
    with visitor(starlette_app(a_site().service)) as client:
        assert client.get("/me", headers=sign_in(client)).status_code == 200


def test_unguarded_routes_unknown_ones_and_the_frameworks_errors_are_left_alone():
    client = visitor(starlette_app(a_site().service))
    assert client.get("/nothing").text == "Not Found"
    assert client.post("/headers").status_code == 405


@pytest.mark.ids("M22")
def test_two_realms_live_in_one_application():
    shop = a_site()
    staff = a_site(
        settings_with(realm="staff", prefix="/staff-auth"),
        store=shop.store,
        clock=shop.clock,
        entropy=CountingEntropy("s"),
    )
    app = starlette_app(shop.service, Route("/staff", _told(staff.service.required)))
    staff.service.install(app)
    client = visitor(app)
    customer, employee = sign_in(client), sign_in(client, prefix="/staff-auth")
    assert sorted(client.cookies.keys()) == sorted([REFRESH, BIND, f"{REFRESH}_staff", f"{BIND}_staff"])
    assert [client.get("/me", headers=who).status_code for who in (customer, employee)] == [200, 401]
    assert [client.get("/staff", headers=who).status_code for who in (customer, employee)] == [401, 200]
    assert client.get("/headers").json()["cookies"] == {}
    assert client.post("/auth/logout").status_code == 204
    assert client.get("/staff", headers=employee).status_code == 200
    assert client.post("/staff-auth/refresh").status_code == 200


def _told(guard):
    async def endpoint(request):
        claims = await guard(request)
        return JSONResponse({"subject": claims.subject if claims else None})

    return endpoint


# --- hiding --------------------------------------------------------------------------------------------------------


class Spy:
    """A middleware that keeps what it sees, as an access log would."""

    def __init__(self, app, seen):
        self.app = app
        self.seen = seen

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.seen.append((scope["path"], scope["headers"]))
        await self.app(scope, receive, send)


@pytest.mark.ids("CK-14", "ST-01")
def test_no_middleware_sees_our_cookies_whenever_it_was_added():
    seen = []
    site = a_site()
    app = starlette_app(site.service, install=False, middleware=[Middleware(Spy, seen=seen)])
    app.add_middleware(Spy, seen=seen)
    site.service.install(app)
    app.add_middleware(Spy, seen=seen)
    client = visitor(app)
    headers = sign_in(client)
    client.cookies.set("theme", "dark", domain="id.example.org")
    assert client.get("/me", headers=headers).status_code == 200
    assert client.get("/headers").json()["cookies"] == {"theme": "dark"}
    client.post("/auth/refresh")
    assert len(seen) == 6
    assert {path for path, _ in seen} == {"/me", "/headers"}
    shown = repr(seen)
    assert "kt_" not in shown
    assert "theme=dark" in shown


@pytest.mark.ids("CK-14", "M42")
@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\u2003", "\ufeff", "\u3000"])
def test_the_framework_finds_no_planted_cookie_with_a_unicode_blank(blank):
    client = visitor(starlette_app(a_site().service))
    planted = f"a=1; {blank}{REFRESH}=planted; b=2"
    for encoding in ("latin-1", "utf-8"):
        try:
            field = planted.encode(encoding)
        except UnicodeEncodeError:
            continue
        assert client.get("/headers", headers={"cookie": field}).json()["cookies"] == {"a": "1", "b": "2"}


def test_an_application_inside_another_with_the_same_service_still_has_its_cookies():
    site = a_site()
    inner = starlette_app(site.service)
    outer = Starlette(routes=[Mount("/inner", inner)])
    site.service.install(outer)
    client = visitor(outer)
    headers = sign_in(client)
    assert client.get("/inner/me", headers=headers).status_code == 200
    assert client.post("/inner/auth/refresh").status_code == 200
    assert client.get("/inner/headers").json()["cookies"] == {}


@pytest.mark.parametrize("how", ["mount", "root_path"])
def test_a_mounted_application_answers_below_its_own_root(how):
    site = a_site()
    app = starlette_app(site.service)
    client = visitor(Starlette(routes=[Mount("/shop", app)])) if how == "mount" else visitor(app, root_path="/shop")
    headers = sign_in(client, prefix="/shop/auth")
    assert client.get("/shop/me", headers=headers).json()["subject"] == "u-alice"
    assert client.get("/shop/auth/session", headers=headers).status_code == 200
    assert client.get("/shop/authx").status_code == 404
    assert client.post("/shop/auth/refresh").status_code == 200
    if how == "mount":
        assert client.post("/auth/login").text == "Not Found"


# --- stores that block, hooks of both colours ----------------------------------------------------------------------


class Threads(BrokenStore):
    """A store with a blocking client; it notes in which threads it was called."""

    def __init__(self):
        super().__init__(colour="sync")
        self.threads = set()

    def __getattr__(self, name):
        if not name.startswith("_"):
            self.threads.add(threading.current_thread())
        return super().__getattr__(name)


class AsyncMembers(Members):
    async def authenticate(self, username, password, request):
        self.thread = threading.current_thread()
        return super().authenticate(username, password, request)

    async def load(self, subject):
        self.thread = threading.current_thread()
        return super().load(subject)


@pytest.mark.parametrize("members", [Members, AsyncMembers])
@pytest.mark.parametrize("lifespan", [True, False])
def test_a_store_that_blocks_never_runs_in_the_loop(members, lifespan):
    store, loops = Threads(), set()
    site = a_site(store=store, members=members())

    async def where(request):
        loops.add(threading.current_thread())
        await site.service.required(request)
        return PlainTextResponse("here")

    app = starlette_app(site.service, Route("/where", where))
    client = visitor(app)
    if lifespan:
        client.__enter__()
    store.threads.clear()
    try:
        headers = sign_in(client)
        assert client.get("/where", headers=headers).status_code == 200
        assert client.post("/auth/refresh").status_code == 200
        assert client.get("/auth/sessions", headers=headers).status_code == 200
        assert client.post("/auth/logout").status_code == 204
        assert client.get("/where", headers=headers).status_code == 401
    finally:
        if lifespan:
            client.__exit__(None, None, None)
    assert store.threads
    assert not store.threads & loops
    if members is AsyncMembers and lifespan:
        assert site.members.thread in loops


@pytest.mark.anyio
@pytest.mark.parametrize("colour", ["sync", "both"])
async def test_a_client_that_hangs_up_in_the_middle_of_its_body_raises_nothing(colour):
    site = a_site(store=BrokenStore(colour=colour))
    sent = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/auth/login", "root_path": "", "query_string": b"", "scheme": "https",
        "headers": [(b"content-type", b"application/json"), (b"sec-fetch-site", b"same-origin")], "client": ("192.0.2.1", 1),
    }  # fmt: skip
    await starlette_app(site.service)(scope, receive, send)
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["code"] == "invalid_request"


@pytest.mark.anyio
@pytest.mark.ids("DS-01")
@pytest.mark.parametrize("colour", ["sync", "both"])
async def test_no_more_of_a_body_is_received_than_its_bound_asks_for(colour):
    site = a_site(store=BrokenStore(colour=colour))
    asked = []
    sent = []

    async def receive():
        asked.append(1024)
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/auth/login", "root_path": "", "query_string": b"", "scheme": "https",
        "headers": [(b"content-type", b"application/json")], "client": None,
    }  # fmt: skip
    await starlette_app(site.service)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert sum(asked) == 17 * 1024


# --- lifespan ------------------------------------------------------------------------------------------------------


def test_shutdown_reports_what_was_seen_before_the_application_closes_its_store():
    site = a_site()

    @asynccontextmanager
    async def lifespan(app):
        yield
        site.store.broken = True

    app = starlette_app(site.service, lifespan=lifespan)
    with visitor(app) as client:
        sign_in(client)
        headers = bearer(client.post("/auth/refresh").json()["access_token"])
        client.get("/me", headers=headers)
        (row,) = site.picture()[0].values()
        assert row.delivered == 0
    (row,) = site.picture()[0].values()
    assert row.delivered == 1


def test_the_log_is_read_before_the_first_request():
    site = a_site()
    with visitor(starlette_app(site.service)) as client:
        headers = sign_in(client)
        assert "revocations" in site.store.calls
        site.store.calls.clear()
        client.get("/me", headers=headers)
        assert site.store.calls == []


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("error", [StoreError(cause="away"), LookupError("a driver's own")])
def test_an_application_starts_and_stops_though_its_store_is_away(error, caplog):
    site = a_site()

    async def fail(*args, **kwargs):
        raise error

    object.__setattr__(site.store, "revocations", fail)
    object.__setattr__(site.store, "acknowledge", fail)
    site.service.__init__(  # built anew, so that it takes up the store's failing verbs
        site.service.settings, store=site.store, keys=site.service._parts.inputs.keys, users=site.members,
        chance=site.service._parts.inputs.chance,
    )  # fmt: skip
    with visitor(starlette_app(site.service), raise_server_exceptions=False) as client:
        assert client.get("/headers").status_code == 200
        assert client.get("/auth/session", headers=bearer("a.b.c")).status_code in {500, 503}
    assert "cannot be read" in caplog.text


def test_an_error_of_the_applications_own_start_is_raised_as_it_is():
    @asynccontextmanager
    async def lifespan(app):
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError), visitor(starlette_app(a_site().service, lifespan=lifespan)):
        pass


# --- guards --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-01", "HT-04", "ST-01")
@pytest.mark.parametrize("debug", [True, False])
def test_a_guards_refusal_is_a_problem_document_and_no_debug_page(debug):
    client = visitor(starlette_app(a_site().service, debug=debug))
    answer = client.get("/me", headers=bearer("a.b.c"))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "set-cookie" not in answer.headers
    assert "a.b.c" not in answer.text


def test_equal_needs_are_equal_guards():
    auth, other = a_site().service, a_site().service
    assert auth.required == auth.required
    assert hash(auth.require("a", "b")) == hash(auth.require("b", "a"))
    assert auth.require("a", "b") == auth.require("b", "a")
    assert auth.required != other.required
    assert auth.required != auth.require("a")
    assert auth.fresh(minutes=5) == auth.require(within=timedelta(minutes=5))
    assert auth.required != auth.optional


@pytest.mark.ids("HT-02", "SE-07")
def test_fresh_and_strong_sign_ins_can_be_asked_for():
    site = a_site()
    auth = site.service
    app = starlette_app(
        auth, Route("/fresh", _told(auth.fresh(minutes=3))), Route("/strong", _told(auth.fresh(minutes=3, amr=["otp"]))),
        Route("/admin", _told(auth.require("admin"))), Route("/maybe", _told(auth.optional)),
    )  # fmt: skip
    client = visitor(app)
    headers = sign_in(client)
    assert client.get("/fresh", headers=headers).status_code == 200
    assert client.get("/strong", headers=headers).json()["code"] == "reauthentication_required"
    assert client.get("/admin", headers=headers).json()["code"] == "insufficient_scope"
    assert client.get("/maybe", headers=headers).json() == {"subject": "u-alice"}
    site.advance(181)
    assert client.get("/fresh", headers=headers).status_code == 401
    assert client.get("/maybe").json() == {"subject": None}


@pytest.mark.ids("HT-01")
def test_a_whole_application_can_be_put_behind_a_guard():
    site = a_site()
    auth = site.service

    async def inner(request):
        claims = auth.claims(request)
        return JSONResponse({"subject": claims.subject if claims else None})

    api = Starlette(routes=[Route("/who", inner)])
    app = starlette_app(
        auth, Mount("/api", auth.protect(api)), Mount("/admin", auth.protect(api, "admin")),
        Mount("/maybe", auth.protect(api, need=Need(optional=True))), Route("/who", inner),
    )  # fmt: skip
    client = visitor(app)
    headers = sign_in(client)
    assert client.get("/api/who", headers=headers).json() == {"subject": "u-alice"}
    assert client.get("/api/who").json()["code"] == "token_missing"
    assert client.get("/api/who").headers["www-authenticate"].startswith("Bearer ")
    assert client.get("/admin/who", headers=headers).json()["code"] == "insufficient_scope"
    assert client.get("/maybe/who").json() == {"subject": None}
    assert client.get("/who", headers=headers).json() == {"subject": None}


# --- CORS ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("XS-09")
def test_the_applications_own_cors_takes_our_words_and_never_doubles_ours():
    site = a_site()
    app = starlette_app(site.service, middleware=[Middleware(CORSMiddleware, **site.service.cors())])
    client = visitor(app)
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    for path in ("/me", "/auth/session"):
        answer = client.options(path, headers={"origin": APP, **asked})
        assert answer.status_code in {200, 204}
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        assert "uthorization" in answer.headers["access-control-allow-headers"]
        other = client.options(path, headers={"origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in other.headers
        refused = client.get(path, headers={"origin": APP})
        assert refused.headers.get_list("access-control-allow-origin") == [APP]
        assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]


@pytest.mark.ids("XS-09", "CK-12")
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("http://localhost:5173", True), ("http://127.0.0.1:8", True), ("http://[::1]:8", True), ("https://evil.example", False),
     ("http://localhost.evil.example", False), ("http://xlocalhost", False)],
)  # fmt: skip
def test_in_development_cors_lets_loopback_in(origin, allowed):
    site = a_site(Settings(profile="development"))
    app = starlette_app(site.service, middleware=[Middleware(CORSMiddleware, **site.service.cors())])
    answer = visitor(app, base_url="http://localhost:8000").get("/headers", headers={"origin": origin})
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


# --- own logins ----------------------------------------------------------------------------------------------------


def test_a_sign_in_by_other_means_puts_its_cookies_into_the_applications_response():
    site = a_site()
    client = visitor(starlette_app(site.service), follow_redirects=False)
    answer = client.get("/enter", headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/home")
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.headers.get_list("set-cookie")) == 2
    headers = bearer(client.post("/auth/refresh").json()["access_token"])
    assert client.get("/me", headers=headers).json() == {"subject": "u-alice", "amr": ["fed"], "via": "idp"}


@pytest.mark.ids("M54", "RT-10")
def test_a_sign_in_for_a_client_that_is_not_registered_is_a_fault_of_the_application(caplog):
    site = a_site()
    client = visitor(starlette_app(site.service))
    answer = client.post("/plain-enter?client_id=shop-appi")
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "'shop-appi' is not registered" in caplog.text
    assert site.picture() == ({}, [])
    assert client.post("/plain-enter?client_id=shop-web").status_code == 200


def test_without_a_response_it_is_the_token_answer():
    site = a_site()
    client = visitor(starlette_app(site.service))
    answer = client.post("/plain-enter?transport=body&device_name=cli&scope=read")
    assert answer.json()["refresh_token"].startswith("kt1.")
    assert answer.json()["scope"] == "read"
    assert "set-cookie" not in answer.headers


@pytest.mark.ids("XS-06", "SE-01")
def test_an_own_sign_in_by_a_form_is_held_to_the_forgery_rule_and_ends_what_was_presented():
    site = a_site()
    client = visitor(starlette_app(site.service))
    assert client.post("/plain-enter", headers={"sec-fetch-site": "cross-site"}).json()["code"] == "cross_site"
    client.post("/plain-enter")
    client.post("/plain-enter")
    assert sorted(row.end_reason is None for row in site.picture()[0].values()) == [False, True]


def test_signing_out_by_an_own_route_ends_the_session():
    site = a_site()
    client = visitor(starlette_app(site.service))
    headers = sign_in(client)
    answer = client.post("/leave")
    assert answer.status_code == 204
    assert len(client.cookies) == 0
    assert client.get("/me", headers=headers).status_code == 401


@pytest.mark.ids("SE-07", "M14")
@pytest.mark.parametrize("rebind", [False, True])
def test_a_step_up_by_an_own_route_kills_older_tokens(rebind):
    site = a_site()

    async def second_factor(request):
        return await site.service.step_up(request, amr=["pwd", "otp"], claims={"level": 2}, rebind=rebind)

    client = visitor(starlette_app(site.service, Route("/factor", second_factor, methods=["POST"])))
    old = sign_in(client)
    proof = client.cookies[BIND]
    answer = client.post("/factor")
    assert (client.cookies[BIND] != proof) is rebind
    new = bearer(answer.json()["access_token"])
    assert client.get("/me", headers=new).json() == {"subject": "u-alice", "amr": ["pwd", "otp"], "level": 2}
    assert client.get("/me", headers=old).status_code == 401


@pytest.mark.ids("SE-07")
@pytest.mark.parametrize(("bound", "code"), [("cookie", "binding_mismatch"), ("none", "token_stale")])
def test_a_factor_that_one_user_proved_never_raises_the_session_of_another(bound, code):
    site = a_site(settings_with(binding=bound))

    async def second_factor(request):
        return await site.service.step_up(request, amr=["pwd", "otp"])

    client = visitor(starlette_app(site.service, Route("/factor", second_factor, methods=["POST"])))
    alice = sign_in(client)
    bob = sign_in(client, "bob")  # in another tab: the jar is his now
    answer = client.post("/factor", headers=alice)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert client.get("/me", headers=bob).json()["amr"] == ["pwd"]
    assert client.post("/factor", headers=bob).status_code == 200


def test_the_framework_and_its_hooks_get_the_frameworks_request():
    seen = []
    members = Members()
    plain = members.authenticate
    members.authenticate = lambda username, password, request: (
        seen.append(request),
        plain(username, password, request),
    )[1]
    site = a_site(members=members)
    client = visitor(starlette_app(site.service))
    sign_in(client)
    assert seen[0].url.path == "/auth/login"
    assert seen[0].client.host == "testclient"
    assert site.facts[0].request.headers["sec-fetch-site"] == "same-origin"


@pytest.mark.parametrize("colour", ["both", "sync"])
def test_a_hook_may_read_the_body_that_we_have_read(colour):
    """As for a one-time code that comes with the password."""

    class TwoFactors(Members):
        async def authenticate(self, username, password, request):
            body = await request.json()
            return super().authenticate(username, password, request) if body.get("otp") == "123456" else None

    client = visitor(starlette_app(a_site(members=TwoFactors(), store=BrokenStore(colour=colour)).service))
    body = {"username": "alice", "password": PASSWORD}
    assert client.post("/auth/login", json=body).status_code == 401
    assert client.post("/auth/login", json={**body, "otp": "123456"}).status_code == 200


def test_sessions_are_reached_without_http():
    import anyio

    site = a_site()
    client = visitor(starlette_app(site.service))
    headers = sign_in(client)
    assert anyio.run(site.service.sessions.end_user, "u-alice") == 1
    assert client.get("/me", headers=headers).json()["code"] == "session_ended"


@pytest.mark.ids("CK-14")
def test_the_layer_can_be_left_out_where_only_guards_are_wanted():
    site = a_site()
    with_layer = visitor(starlette_app(site.service))
    headers = sign_in(with_layer)
    bare = visitor(starlette_app(site.service, install=False), raise_server_exceptions=False)
    bare.cookies = with_layer.cookies
    assert bare.get("/me", headers=headers).status_code == 200
    with pytest.raises(KeyturnError):
        visitor(starlette_app(site.service, install=False)).get("/me")


@pytest.mark.ids("ST-05")
def test_a_store_that_was_opened_from_an_address_is_closed_when_the_application_ends(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    auth = Keyturn(Settings(profile="testing"), store=f"sqlite:///{path}", keys=testing_keys(), users=Members())
    app = Starlette()
    auth.install(app)
    for _ in range(2):  # an application may be started again
        with TestClient(app, base_url="https://testserver", headers={"Keyturn-Client": "test"}) as client:
            sign_in(client)  # a check alone asks no store while the picture from before the restart is fresh
            assert Path(f"{path}-wal").exists()
        assert path.exists()
        assert not Path(f"{path}-wal").exists(), "the journal was left behind"


def test_a_sign_in_by_a_transport_that_the_settings_do_not_have_is_refused():
    site = a_site(settings_with(transports=("body",)))
    app = Starlette()
    site.service.install(app)

    async def callback(request):
        return await site.service.sign_in(request, Principal(subject="u-alice"), into=PlainTextResponse("hello"))

    app.add_route("/callback", callback)
    answer = visitor(app).get("/callback")
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "set-cookie" not in answer.headers


@pytest.mark.ids("HT-01")
def test_a_guard_before_a_whole_application_works_as_middleware_too():
    site = a_site()

    async def who(request):
        return PlainTextResponse(site.service.claims(request).subject)

    app = Starlette(routes=[Route("/who", who)], middleware=[Middleware(site.service.protect)])
    site.service.install(app)
    client = visitor(app)
    nobody = client.get("/who")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "token_missing")
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/who", headers=sign_in(client)).text == "u-alice"
