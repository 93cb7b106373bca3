"""The outermost layer: one line for each request and each event, and what everybody may know of them."""

import logging
from collections import Counter
from datetime import timedelta

import anyio
import pytest
from starlette.routing import Route

import keyturn
from keyturn import events
from keyturn._asgi import NOTE
from keyturn._proxies import read_proxies
from keyturn.http.routes import ROUTES
from keyturn.server.logs import session_mark
from keyturn.server.metrics import Metrics
from keyturn.server.observing import UNKNOWN, RouteNames, event_fields, event_level, observed, watching
from keyturn.session import EndReason
from keyturn.testing.clock import ManualClock
from tests.support.front import settings_with
from tests.support.observed import PASSWORD, a_server, configured, lines_of, numbers_in, refresh, sign_in
from tests.support.rows import a_row

# --- names of routes ---------------------------------------------------------------------------------------------------


async def _endpoint(request): ...


NAMES = RouteNames(settings_with(), [Route("/metrics", _endpoint), Route("/account/{name}/x", _endpoint)])


@pytest.mark.ids("DS-02")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/auth/login", "/auth/login"),
        ("/auth/sessions", "/auth/sessions"),
        ("/auth/sessions/AXrP0sB4Qm2x5o1mG8yFhA", "/auth/sessions/{id}"),
        ("/auth/sessions/a/b", UNKNOWN),
        ("/auth/login/", UNKNOWN),
        ("/auth/nothing", UNKNOWN),
        ("/auth/client.js", "/auth/client.js"),
        ("/auth/client-nothing.js", UNKNOWN),
        ("/auth", UNKNOWN),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server"),
        ("/.well-known/x", UNKNOWN),
        ("/metrics", "/metrics"),
        ("/account/ada/x", "/account/{name}/x"),
        ("/account/ada/y", UNKNOWN),
        ("/", UNKNOWN),
        ("", UNKNOWN),
        ("/metrics\n", UNKNOWN),
        ("/" + "x" * 100_000, UNKNOWN),
    ],
)
def test_a_path_is_known_by_its_route_alone(path, name):
    assert NAMES(path) == name


def test_every_route_of_ours_has_a_name():
    found = {NAMES("/auth" + route.path + ("some-id" if route.path.endswith("/") else "")) for route in ROUTES}
    assert UNKNOWN not in found
    assert len(found) == len(ROUTES)


# --- requests ----------------------------------------------------------------------------------------------------------


def scope_of(path="/auth/login", *, peer="10.0.0.9", headers=(), method="POST", **more):
    return {"type": "http", "method": method, "path": path, "client": (peer, 1) if peer else None,
            "headers": list(headers), "scheme": "http", "query_string": b"password=hunter2", **more}  # fmt: skip


def answering(status=200, code=""):
    async def app(scope, receive, send):
        if code:
            scope[NOTE]["code"] = code
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"hunter2"})

    return app


async def _receive():
    return {"type": "http.request", "body": b"hunter2", "more_body": False}


def passed(scope, app=None, **more):
    """Send a request through the layer; give the lines of the log and the numbers."""
    metrics = Metrics(ManualClock())
    times = iter((1.0, 1.25))
    layer = observed(app or answering(), names=NAMES, metrics=metrics, timer=lambda: next(times), entropy=bytes, **more)

    async def send(message): ...

    async def run():
        await layer(scope, _receive, send)

    with configured() as stream:
        failure = None
        try:
            anyio.run(run)
        except ValueError as error:
            failure = error
    lines = lines_of(stream, "keyturn.requests")
    return lines, numbers_in(metrics.text()[0].decode()), failure


def test_a_request_is_one_line():
    lines, found, _ = passed(scope_of())
    (line,) = lines
    del line["time"]
    assert line == {
        "level": "info", "logger": "keyturn.requests", "message": "request", "method": "POST", "route": "/auth/login",
        "status": 200, "duration_ms": 250.0, "client": "10.0.0.9", "request_id": "0" * 16,
    }  # fmt: skip
    assert found['keyturn_http_request_duration_seconds_sum{route="/auth/login",status="2xx"}'] == 0.25
    assert found["keyturn_http_requests_in_progress"] == 0


def test_an_error_is_logged_and_counted_by_its_code():
    (line,), found, _ = passed(scope_of(), answering(401, "session_ended"))
    assert (line["status"], line["code"], line["level"]) == (401, "session_ended", "info")
    assert found['keyturn_refusals_total{code="session_ended"}'] == 1


@pytest.mark.ids("ST-01")
def test_an_exception_that_gets_through_is_a_500_and_goes_on():
    async def app(scope, receive, send):
        raise ValueError("hunter2")

    (line,), found, failure = passed(scope_of(), app)
    assert (line["status"], line["level"]) == (500, "warning")
    assert isinstance(failure, ValueError)
    assert found["keyturn_http_requests_in_progress"] == 0
    assert found['keyturn_http_request_duration_seconds_count{route="/auth/login",status="5xx"}'] == 1


def test_a_request_that_was_never_answered_is_seen():
    async def app(scope, receive, send): ...

    (line,), found, _ = passed(scope_of(), app)
    assert (line["status"], line["level"]) == (0, "warning")
    assert found['keyturn_http_request_duration_seconds_count{route="/auth/login",status="none"}'] == 1


def test_what_machines_ask_every_few_seconds_is_worth_a_line_only_when_it_fails():
    names = {"names": lambda _: "/health/ready"}
    for status, level in ((200, "debug"), (404, "info"), (503, "warning")):
        with configured() as stream:
            layer = observed(answering(status), **names)

            async def run(layer=layer):
                async def send(message): ...

                await layer(scope_of("/health/ready"), _receive, send)

            anyio.run(run)
        assert [line["level"] for line in lines_of(stream, "keyturn.requests")] == [level]


PROXIES = read_proxies(["10.0.0.0/8", "unix"])


def client_and_id(peer, *headers, proxies=PROXIES):
    (line,), _, _ = passed(scope_of(peer=peer, headers=headers), proxies=proxies)
    return line["client"], line["request_id"]


MADE = "0" * 16


def test_a_proxys_word_is_taken_for_the_client_and_the_id():
    told = (b"x-forwarded-for", b"192.0.2.7"), (b"x-request-id", b"a1b2-C3_d4")
    assert client_and_id("10.0.0.9", *told) == ("192.0.2.7", "a1b2-C3_d4")
    assert client_and_id("", *told) == ("192.0.2.7", "a1b2-C3_d4")
    assert client_and_id("192.0.2.1", *told) == ("192.0.2.1", MADE)
    assert client_and_id("10.0.0.9", *told, proxies=read_proxies([])) == ("10.0.0.9", MADE)


@pytest.mark.ids("ST-03")
@pytest.mark.parametrize(
    "named", [b"", b"a b", b"a\nb", b"x" * 65, b"kt1.AAEEHPqYW3dQ", b"eyJhbGciOi.J9.x", b"\xff", b"a;b", b'"x"', b"a.b"]
)
def test_an_id_that_could_be_anything_else_is_replaced(named):
    assert client_and_id("10.0.0.9", (b"x-request-id", named))[1] == MADE


def test_two_ids_are_none():
    assert client_and_id("10.0.0.9", (b"x-request-id", b"a"), (b"x-request-id", b"b"))[1] == MADE


@pytest.mark.ids("ST-01", "ST-03")
def test_nothing_of_a_callers_choosing_is_in_a_line():
    hostile = b"forged\r\n\x1b[2J"
    headers = [
        (b"user-agent", hostile),
        (b"cookie", b"a=hunter2"),
        (b"authorization", b"Digest hunter2"),
        (b"host", hostile),
    ]
    scope = scope_of("/auth/sessions/forged\r\nhunter2", headers=headers, method="FORGED", root_path="")
    (line,), _, _ = passed(scope)
    assert line["method"] == "other"
    assert "forged" not in str(line).lower()
    assert "hunter2" not in str(line)


def test_below_a_prefix_of_the_proxy_routes_keep_their_names():
    (line,), _, _ = passed(scope_of("/id/auth/login", root_path="/id"))
    assert line["route"] == "/auth/login"


def test_bodies_and_other_kinds_of_connections_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], receive, NOTE in scope))

    layer = observed(app, names=NAMES, metrics=Metrics(ManualClock()))

    async def run():
        await layer({"type": "websocket"}, _receive, None)
        await layer(scope_of(), _receive, None)

    anyio.run(run)
    assert seen == [("websocket", _receive, False), ("http", _receive, True)]


def test_without_metrics_there_are_lines_all_the_same():
    with configured() as stream:
        layer = observed(answering(), names=NAMES)

        async def run():
            async def send(message): ...

            await layer(scope_of(), _receive, send)

        anyio.run(run)
    assert len(lines_of(stream, "keyturn.requests")) == 1


# --- events ------------------------------------------------------------------------------------------------------------

AT = ManualClock()()
ROW = a_row(subject="u-ada", ip="192.0.2.9")
HERE = keyturn.Client(ip="192.0.2.7", user_agent="agent", device_name="device")
COMMON = {"at": AT, "session": ROW, "client": HERE}
FACTS = [
    (events.SessionStarted(principal=keyturn.Principal(subject="u-ada"), **COMMON), {}, logging.INFO),
    (events.SessionRefreshed(**COMMON), {}, logging.INFO),
    (events.RefreshReissued(**COMMON), {}, logging.INFO),
    (events.RefreshRecovered(**COMMON), {}, logging.INFO),
    (events.SessionSteppedUp(**COMMON), {}, logging.INFO),
    (events.SessionEnded(reason=EndReason.LOGOUT, **COMMON), {"reason": "logout"}, logging.INFO),
    (
        events.RefreshRefused(code="token_stale", reason="below the floor", **COMMON),
        {"code": "token_stale", "reason": "below the floor", "high": False},
        logging.INFO,
    ),
    (
        events.RefreshRefused(code="binding_mismatch", reason="no cookie", high=True, **COMMON),
        {"code": "binding_mismatch", "reason": "no cookie", "high": True},
        logging.WARNING,
    ),
    (
        events.ReuseDetected(
            behind=2, since_rotation=timedelta(seconds=90.5), sign_in_client=keyturn.Client(ip="192.0.2.9"), **COMMON
        ),
        {"high": True, "behind": 2, "seconds_since_rotation": 90.5, "sign_in_client": "192.0.2.9"},
        logging.WARNING,
    ),
    (
        events.StoreWentBack(row_generation=3, token_generation=5, **COMMON),
        {"row_generation": 3, "token_generation": 5},
        logging.WARNING,
    ),
]


@pytest.mark.ids("AU-12", "ST-01")
@pytest.mark.parametrize(("fact", "own", "level"), FACTS, ids=[type(fact).__name__ for fact, _, _ in FACTS])
def test_an_event_tells_who_when_where_and_why(fact, own, level):
    with configured() as stream:
        watching(None, "sync")(fact)
    (line,) = lines_of(stream, "keyturn.events")
    del line["time"]
    assert line == {
        "level": logging.getLevelName(level).lower(), "logger": "keyturn.events", "message": type(fact).__name__,
        "at": AT.isoformat(), "session": session_mark(ROW.id), "subject": "u-ada", "client_id": "default",
        "generation": ROW.generation, "client": "192.0.2.7", **own,
    }  # fmt: skip
    assert ROW.id not in str(line)


@pytest.mark.ids("AU-12", "ST-01")
def test_a_failed_sign_in_is_told_without_the_name_that_was_typed():
    fact = events.LoginFailed(at=AT, client=HERE, username=PASSWORD, reason="invalid_credentials")
    assert event_fields(fact) == {"at": AT.isoformat(), "client": "192.0.2.7", "reason": "invalid_credentials"}
    assert event_level(fact) == logging.INFO


def test_changes_that_concern_many_sessions_name_them_by_their_marks():
    fact = events.RefreshRequired(at=AT, session_ids=(ROW.id,))
    assert event_fields(fact)["sessions"] == [session_mark(ROW.id)]


@pytest.mark.parametrize("colour", ["sync", "async", "both"])
def test_listeners_have_the_colour_that_costs_nothing(colour):
    metrics = Metrics(ManualClock())
    listener = watching(metrics, colour)
    told = listener(events.SessionRefreshed(**COMMON))
    if colour == "sync":
        assert told is None
    else:
        with pytest.raises(StopIteration):
            told.send(None)  # never waits
    assert numbers_in(metrics.text()[0].decode())["keyturn_refreshes_total"] == 1


@pytest.mark.ids("AU-12", "ST-01")
def test_the_running_server_tells_the_whole_life_of_a_session(tmp_path):
    with configured("json", "info") as stream, a_server(tmp_path) as (client, _):
        first = sign_in(client).json()
        second = refresh(client, first["refresh_token"]).json()
        third = refresh(client, second["refresh_token"]).json()
        refresh(client, first["refresh_token"])
        other = sign_in(client).json()
        client.post("/auth/logout", json={"refresh_token": other["refresh_token"]}, headers={"Keyturn-Client": "t"})
        sign_in(client, "hunter2hunter2")
    told = lines_of(stream, "keyturn.events")
    assert [line["message"] for line in told] == [
        "SessionStarted", "SessionRefreshed", "SessionRefreshed", "SessionEnded", "ReuseDetected",
        "SessionStarted", "SessionEnded", "LoginFailed",
    ]  # fmt: skip
    assert {line["session"] for line in told[:5]} == {session_mark(third["session_id"])}
    assert len({line["subject"] for line in told[:7]}) == 1
    assert all(line["client"] == "127.0.0.1" for line in told)
    requests = {line["request_id"]: line["route"] for line in lines_of(stream, "keyturn.requests")}
    assert Counter(requests[line["request_id"]] for line in told) == {
        "/auth/login": 3, "/auth/refresh": 4, "/auth/logout": 1,
    }  # fmt: skip
    assert "hunter2" not in stream.getvalue()


@pytest.mark.ids("AU-12")
def test_a_throttled_sign_in_is_told(tmp_path):
    tables = '[throttle]\nlogin_per_user = "2/hour"\nlogin_per_user_and_address = "2/hour"\n'
    with configured("json", "info") as stream, a_server(tmp_path, tables=tables) as (client, _):
        for _ in range(3):
            sign_in(client, "hunter2hunter2")
    reasons = [line["reason"] for line in lines_of(stream, "keyturn.events")]
    assert reasons == ["invalid_credentials", "invalid_credentials", "rate_limited"]
