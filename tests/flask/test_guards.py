"""Guards in Flask's idiom: on views of every kind, before blueprints, with and without parentheses."""

import asyncio
from datetime import timedelta

import pytest
from flask import Blueprint, Flask, Response, jsonify, stream_with_context
from flask.views import MethodView, View

from keyturn.errors import KeyturnError
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from tests.support.flask_site import Site, sign_in, visitor
from tests.support.front import BrokenStore


def told(site):
    claims = site.auth.get_claims()
    return {"subject": claims and claims.subject}


FORMS = {
    "required": lambda auth: auth.required,
    "required()": lambda auth: auth.required(),
    "required(scopes)": lambda auth: auth.required(scopes={"read", "write"}),
    "required(text)": lambda auth: auth.required(scopes="read write"),
    "scopes": lambda auth: auth.scopes("read", "write"),
    "require": lambda auth: auth.require("read", within=timedelta(hours=1), amr=["pwd"]),
    "fresh": lambda auth: auth.fresh,
    "fresh()": lambda auth: auth.fresh(),
    "fresh(minutes)": lambda auth: auth.fresh(minutes=1, amr=["pwd"]),
}


@pytest.mark.ids("HT-01", "HT-02")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("colour", ["plain", "async"])
def test_every_form_of_guard_lets_the_right_caller_in_and_nobody_else(form, colour):
    site = Site()
    guard = FORMS[form](site.auth)

    def plain(name):
        return {"name": name, **told(site)}

    async def awaiting(name):
        await asyncio.sleep(0)
        return {"name": name, **told(site)}

    site.app.add_url_rule("/x/<name>", "x", guard(plain if colour == "plain" else awaiting))
    client = site.visitor()
    refused = client.get("/x/a")
    assert (refused.status_code, refused.json["code"]) == (401, "token_missing")
    assert refused.headers["www-authenticate"].startswith("Bearer ")
    assert refused.headers["cache-control"] == "no-store"
    assert refused.content_type == "application/problem+json"
    assert client.get("/x/a", headers=sign_in(client)).json == {"name": "a", "subject": "u-alice"}


@pytest.mark.ids("HT-02")
def test_what_is_missing_is_told():
    site = Site()
    site.app.add_url_rule("/delete", "delete", site.auth.required(scopes={"delete", "write"})(lambda: "gone"))
    site.app.add_url_rule("/fresh", "fresh", site.auth.fresh(lambda: "fresh"))
    site.app.add_url_rule("/otp", "otp", site.auth.required(amr=["otp"])(lambda: "otp"))
    client = site.visitor()
    headers = sign_in(client)
    refused = client.get("/delete", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")
    assert 'scope="delete write"' in refused.headers["www-authenticate"]
    assert client.get("/fresh", headers=headers).text == "fresh"
    site.clock.advance(301)
    assert client.get("/fresh", headers=headers).json["code"] == "reauthentication_required"
    assert client.get("/otp", headers=headers).json["code"] == "reauthentication_required"


@pytest.mark.parametrize("form", ["bare", "called"])
def test_an_optional_guard_lets_everybody_in_and_tells_who(form):
    site = Site()
    guard = site.auth.optional if form == "bare" else site.auth.optional()
    site.app.add_url_rule("/maybe", "maybe", guard(lambda: told(site)))
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/maybe", headers=headers).json == {"subject": "u-alice"}
    assert client.get("/maybe").json == {"subject": None}
    client.post("/auth/logout")
    assert client.get("/maybe", headers=headers).json == {"subject": None}


def test_a_guarded_function_keeps_its_name_and_its_promise_to_be_awaited():
    site = Site()

    @site.auth.required
    def plain():
        """Says so."""

    @site.auth.scopes("x")
    async def awaiting():
        pass

    assert (plain.__name__, plain.__doc__) == ("plain", "Says so.")
    assert asyncio.iscoroutinefunction(awaiting)
    assert not asyncio.iscoroutinefunction(plain)


@pytest.mark.parametrize("store", ["memory", "sqlite", "blocking"])
def test_an_async_view_may_do_all_that_a_plain_one_may(store, tmp_path):
    """Flask runs it in a loop of its own, where a store of both colours would like to be awaited."""
    behind = {
        "memory": MemoryStore, "sqlite": lambda: SqliteStore(tmp_path / "x.db"),
        "blocking": lambda: BrokenStore(colour="sync"),
    }[store]()  # fmt: skip
    site = Site(store=BrokenStore(behind))

    async def everything():
        await asyncio.sleep(0)
        answer = site.auth.sign_in(site.members.known["bob"], transport="body")
        listed = site.auth.sessions.list("u-bob")
        ended = site.auth.sessions.end_user("u-bob")
        purged = site.auth.sessions.purge(before=site.clock(), step=1)
        return {"started": answer.status_code, "listed": len(listed), "ended": ended, "purged": purged, **told(site)}

    site.app.add_url_rule("/all", "all", site.auth.required(stale="ask")(everything))
    client = site.visitor()
    headers = sign_in(client)
    for purged in (0, 1, 1):
        site.clock.advance(10)
        answer = client.get("/all", headers=headers).json
        assert answer == {"started": 200, "listed": 1, "ended": 1, "purged": purged, "subject": "u-alice"}
    close = getattr(behind, "close", None)
    if close:
        close()


@pytest.mark.anyio
async def test_our_routes_are_answered_where_a_loop_runs_in_the_same_thread(tmp_path):
    """As between greenlets, one of which is in an async view."""
    store = SqliteStore(tmp_path / "x.db")
    site = Site(store=BrokenStore(store), throttle=f"sqlite:///{tmp_path}/counters.db")
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/me", headers=headers).status_code == 200
    assert client.post("/auth/refresh").status_code == 200
    assert client.post("/auth/logout").status_code == 204
    site.auth.close()
    store.close()


def test_class_based_views_are_guarded_whole_or_by_the_method():
    site = Site()

    class Whole(View):
        decorators = [site.auth.required]  # noqa: RUF012 - as Flask's documentation has it

        def dispatch_request(self):
            return told(site)

    class Methods(MethodView):
        def get(self):
            return "open"

        @site.auth.scopes("write")
        def post(self):
            return told(site)

        @site.auth.scopes("delete")
        async def delete(self):
            return "gone"

    site.app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    site.app.add_url_rule("/methods", view_func=Methods.as_view("methods"))
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/whole").status_code == client.post("/methods").status_code == 401
    assert client.get("/methods").text == "open"
    assert client.get("/whole", headers=headers).json == client.post("/methods", headers=headers).json
    assert client.delete("/methods", headers=headers).status_code == 403


def test_a_class_is_no_view_to_be_decorated():
    with pytest.raises(TypeError, match="decorators"):
        Site().auth.required(MethodView)


@pytest.mark.ids("HT-01")
def test_a_guard_above_the_route_guards_nothing_and_is_refused():
    site = Site()

    def wrong():
        return "open to everybody"

    with pytest.raises(TypeError, match="below the route"):
        site.auth.required(site.app.get("/wrong")(wrong))


# --- before requests -----------------------------------------------------------------------------------------------

BEFORE = {
    "required": lambda auth: auth.required,
    "required()": lambda auth: auth.required(),
    "scopes": lambda auth: auth.scopes("read"),
    "required(scopes)": lambda auth: auth.required(scopes={"read"}),
    "fresh": lambda auth: auth.fresh,
}


@pytest.mark.ids("HT-01")
@pytest.mark.parametrize("form", BEFORE)
def test_a_guard_stands_before_a_whole_application(form):
    site = Site()
    site.app.before_request(BEFORE[form](site.auth))
    site.app.add_url_rule("/inner", "inner", lambda: told(site))
    client = site.visitor()
    headers = sign_in(client)  # our own routes are not behind it
    assert client.get("/inner").json["code"] == "token_missing"
    assert client.get("/nothing").status_code == 401
    assert client.get("/inner", headers=headers).json == {"subject": "u-alice"}
    assert client.get("/auth/jwks.json").status_code == 200


def test_a_guard_stands_before_a_blueprint_and_only_there():
    site = Site()
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    admin.before_request(site.auth.required(scopes={"admin"}))
    admin.add_url_rule("/x", "x", lambda: "admin")
    readers = Blueprint("readers", __name__, url_prefix="/readers")
    readers.before_request(site.auth.scopes("read"))
    readers.add_url_rule("/x", "x", site.auth.optional(lambda: told(site)))
    site.app.register_blueprint(admin)
    site.app.register_blueprint(readers)
    site.app.add_url_rule("/open", "open", lambda: "open")
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/open").text == "open"
    assert [client.get("/admin/x").status_code, client.get("/admin/x", headers=headers).status_code] == [401, 403]
    assert client.get("/readers/x", headers=headers).json == {"subject": "u-alice"}
    assert client.get("/readers/x").status_code == 401


@pytest.mark.ids("HT-05")
def test_a_preflight_needs_no_sign_in_but_a_view_that_answers_options_does():
    site = Site()
    site.app.before_request(site.auth.required())
    site.app.add_url_rule("/by-flask", "by_flask", lambda: "x")
    site.app.add_url_rule("/by-hand", "by_hand", lambda: "secret", methods=["OPTIONS"])
    client = site.visitor()
    assert client.options("/by-flask").status_code == 200
    assert client.options("/by-hand").status_code == 401
    assert client.options("/by-hand", headers=sign_in(client)).text == "secret"


def test_an_optional_guard_before_requests_tells_every_view_who_calls():
    site = Site()
    site.app.before_request(site.auth.optional)
    site.app.add_url_rule("/who", "who", lambda: told(site))
    client = site.visitor()
    assert client.get("/who").json == {"subject": None}
    assert client.get("/who", headers=sign_in(client)).json == {"subject": "u-alice"}


# --- claims --------------------------------------------------------------------------------------------------------


def test_claims_outside_of_a_guarded_request_are_a_mistake_that_is_told():
    site = Site()
    with pytest.raises(RuntimeError, match="request context"):
        _ = site.auth.claims.subject
    site.app.add_url_rule("/open", "open", lambda: site.auth.claims.subject)
    site.app.add_url_rule("/maybe", "maybe", site.auth.optional(lambda: site.auth.claims.subject))
    site.app.testing = True
    client = site.visitor()
    with pytest.raises(RuntimeError, match=r"@auth\.required or @auth\.optional"):
        client.get("/open", headers=sign_in(client))
    with pytest.raises(RuntimeError, match="get_claims"):
        client.get("/maybe")


def test_claims_may_be_named_before_there_is_a_request():
    site = Site()
    claims = site.auth.claims
    site.app.add_url_rule("/named", "named", site.auth.required(lambda: [claims.subject, site.auth.claims.subject]))
    client = site.visitor()
    assert not claims
    for user in ("alice", "bob"):
        assert client.get("/named", headers=sign_in(client, user)).json == [f"u-{user}"] * 2


def test_claims_of_one_request_are_not_those_of_the_next_even_within_one_application_context():
    """What is kept on `flask.g` would be: a test client's requests share the context that a test has pushed."""
    site = Site()
    seen = []

    def view():
        try:
            seen.append(site.auth.get_claims())
        except RuntimeError:
            seen.append("nobody judged")
        return "x"

    site.app.add_url_rule("/open", "open", view)
    client = site.visitor()
    headers = sign_in(client)
    with site.app.app_context():
        assert client.get("/me", headers=headers).status_code == 200
        client.get("/open")
    assert seen == ["nobody judged"]


def test_claims_are_at_hand_while_an_answer_is_streamed():
    site = Site()

    @site.app.get("/stream")
    @site.auth.required
    def stream():
        def lines():
            for number in range(3):
                yield f"{site.auth.claims.subject} {number}\n"

        return Response(stream_with_context(lines()))

    client = site.visitor()
    assert client.get("/stream").status_code == 401
    assert client.get("/stream", headers=sign_in(client)).text == "u-alice 0\nu-alice 1\nu-alice 2\n"


def test_a_guard_works_in_a_requests_context_that_a_test_has_made():
    site = Site()
    headers = sign_in(client := site.visitor())
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in client._cookies.values())
    with site.app.test_request_context("/", headers={**headers, "cookie": f"a=1; {cookies}"}) as context:
        assert site.auth.required(lambda: site.auth.claims.subject)() == "u-alice"
        assert context.request.environ["HTTP_COOKIE"] == "a=1"
    with site.app.test_request_context("/"):
        refused = site.auth.required(lambda: "never")()
        assert refused.status_code == 401


def test_guards_may_be_made_while_a_test_holds_a_context():
    """As under pytest-flask, which pushes one around every test."""
    app = Flask(__name__)
    with app.test_request_context("/"):
        site = Site(app=app)

        @app.get("/x")
        @site.auth.required()
        def x():
            return told(site)

    client = visitor(app)
    assert client.get("/x").status_code == 401
    assert client.get("/x", headers=sign_in(client)).json == {"subject": "u-alice"}


def test_a_hook_sees_whom_an_earlier_guard_let_in_and_nobody_where_the_first_refused():
    site = Site()
    seen = []
    site.app.add_url_rule("/admin", "admin", site.auth.scopes("admin")(lambda: "admin"))
    both = site.auth.optional(site.auth.scopes("admin")(lambda: "admin"))
    site.app.add_url_rule("/both", "both", both)
    site.app.after_request(lambda response: seen.append(told(site)["subject"]) or response)
    client = site.visitor()
    headers = sign_in(client)
    assert client.get("/admin", headers=headers).status_code == client.get("/both", headers=headers).status_code == 403
    assert seen == [None, "u-alice"]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-01")
@pytest.mark.parametrize("how", ["plain", "testing", "debug", "propagating", "trapping"])
def test_no_error_handler_or_mode_of_the_application_changes_a_refusal(how):
    app = Flask(__name__)
    app.config.update(
        TESTING=how == "testing", DEBUG=how == "debug", PROPAGATE_EXCEPTIONS=how == "propagating" or None,
        TRAP_HTTP_EXCEPTIONS=how == "trapping",
    )  # fmt: skip
    site = Site(app=app)
    blueprint = Blueprint("b", __name__)
    for place in (app, blueprint):
        for kind in (401, 403, 404, Exception):
            place.register_error_handler(kind, lambda error: (f"handled {error!r}", 418))
    blueprint.add_url_rule("/x", "x", site.auth.required(lambda: "x"))
    app.register_blueprint(blueprint)
    client = site.visitor()
    for path in ("/me", "/x", "/auth/session", "/auth/nothing"):
        answer = client.get(path)
        assert answer.status_code == (404 if path == "/auth/nothing" else 401)
        assert answer.content_type == "application/problem+json"
        assert ("www-authenticate" in answer.headers) is (answer.status_code == 401)
    assert client.get("/other").status_code == 418


def test_what_a_view_raises_of_ours_is_answered_by_us_unless_the_application_wants_to():
    site = Site()
    site.app.add_url_rule("/raise", "raise", site.auth.step_up, methods=["POST"])
    client = site.visitor()
    assert client.post("/raise").json["code"] == "token_missing"
    app = Flask(__name__)
    app.register_error_handler(KeyturnError, lambda error: jsonify(mine=error.code))
    site = Site(app=app)
    site.app.add_url_rule("/raise", "raise", site.auth.step_up, methods=["POST"])
    assert site.visitor().post("/raise").json == {"mine": "token_missing"}


@pytest.mark.ids("ST-01")
def test_a_store_that_is_away_is_a_503_that_keeps_the_cookies():
    site = Site()
    site.app.add_url_rule("/write", "write", site.auth.required(lambda: "written"), methods=["POST"])
    client = site.visitor()
    headers = sign_in(client)
    assert client.post("/write", headers=headers).status_code == 200
    site.store.broken = True
    site.clock.advance(10)
    assert client.get("/me", headers=headers).status_code == 200  # safe methods go on
    refused = client.post("/write", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (503, "store_unavailable")
    assert "set-cookie" not in refused.headers
