"""A store that does not answer: 503 and the cookies stay; nobody is signed out because of a broken line."""

from datetime import timedelta

import pytest

from keyturn._colour import drive
from keyturn.errors import SessionEndedError, StoreError, TokenMissingError
from keyturn.http.guard import Need
from keyturn.settings import CookieSettings
from tests.support.front import BIND, PAGE, PASSWORD, REFRESH, Device, a_front, bearer, settings_with, snapshot

BOUND = timedelta(seconds=5)
UNSAFE, SAFE = "POST", "GET"


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("settings", [settings_with(), settings_with(cookie=CookieSettings(access_in_cookie=True))])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/login", {"username": "alice", "password": PASSWORD}), ("POST", "/refresh", None), ("POST", "/logout", None),
        ("POST", "/step-up", {"password": PASSWORD}), ("POST", "/logout-all", None), ("GET", "/sessions", None),
        ("DELETE", "/sessions", None), ("DELETE", "/sessions/{}", None),
    ],
)  # fmt: skip
def test_every_route_is_503_and_touches_no_cookie(settings, method, path, body):
    front = a_front(settings)
    device, other = front.device(), front.device()
    front.advance(60)
    before = front.picture()
    front.store.broken = True
    in_header = not settings.cookie.access_in_cookie
    answer = device.send(method, "/auth" + path.format(other.session_id), json=body, bearer=in_header)
    assert answer.seen == (503, "store_unavailable")
    assert (answer.set_cookies, answer.header("WWW-Authenticate")) == ([], None)
    front.store.broken = False
    assert front.picture() == before
    assert device.refresh().status == 200


@pytest.mark.ids("ST-05")
def test_a_token_in_the_body_meets_503_too():
    front = a_front()
    device = front.device(page=False)
    front.store.broken = True
    for path in ("/auth/refresh", "/auth/logout"):
        assert front.send("POST", path, json={"refresh_token": device.refresh_token}).seen == (503, "store_unavailable")


@pytest.mark.ids("ST-05", "RT-07")
def test_what_needs_no_store_is_answered_as_ever():
    front = a_front()
    front.store.broken = True
    assert front.send("POST", "/auth/refresh", headers=PAGE).seen == (401, "token_missing")
    assert front.send("POST", "/auth/refresh", json={"refresh_token": "x"}).seen == (401, "token_invalid")
    assert front.send("POST", "/auth/logout", headers=PAGE).status == 204
    assert front.send("GET", "/auth/jwks.json").status == 200
    assert front.send("POST", "/auth/login", json={"username": "alice", "password": "x"}, headers=PAGE).status == 401


@pytest.mark.ids("ST-05", "RT-06")
def test_a_store_that_fails_after_the_step_costs_nothing():
    front = a_front()
    device = front.device()
    front.advance(60)
    front.members.trouble = RuntimeError("the users' database is away")
    answer = device.refresh()
    assert (answer.seen, answer.set_cookies) == ((503, "store_unavailable"), [])
    front.members.trouble = None
    front.advance(3600)
    assert device.refresh().status == 200
    assert front.row(device).ended_at is None


@pytest.mark.ids("ST-05")
def test_trouble_in_reporting_sightings_answers_the_request_and_loses_none():
    front = a_front()
    device = front.device()
    front.advance(60)
    device.refresh()
    device.call("GET", "/auth/session")
    front.store.but = frozenset({"revocations"})
    front.store.broken = True
    front.advance(3)
    assert device.call("GET", "/auth/session").status == 200
    front.store.broken = False
    front.advance(3)
    device.call("GET", "/auth/session")
    assert front.row(device).delivered == 1


@pytest.mark.ids("ST-05")
def test_a_refresh_that_cannot_report_what_was_seen_forgets_none_of_it():
    front = a_front()
    device = front.device(transport="body")
    front.advance(60)
    spent = snapshot(device)
    device.refresh()
    front.check(device)
    front.store.broken, front.store.but = True, frozenset({"advance", "get"})
    assert spent.refresh().status == 503
    front.store.broken = False
    front.advance(3)
    front.check(device)
    assert front.row(device).delivered == 1


# --- the staleness bound -------------------------------------------------------------------------------------------


def asked(front, device, need, method=SAFE, **more):
    try:
        return front.check(device, need, method, **more).subject
    except StoreError as error:
        return error.status


def stale_front(age):
    front = a_front()
    device = front.device()
    assert front.check(device).subject == "u-alice"
    front.store.broken = True
    front.advance(age)
    return front, device


@pytest.mark.ids("ST-05", "SE-02")
@pytest.mark.parametrize(
    ("stale", "method", "beyond"),
    [("auto", SAFE, "u-alice"), ("auto", "HEAD", "u-alice"), ("auto", UNSAFE, 503), ("auto", "DELETE", 503),
     ("serve", SAFE, "u-alice"), ("serve", UNSAFE, "u-alice"), ("refuse", SAFE, 503), ("refuse", UNSAFE, 503)],
)  # fmt: skip
def test_beyond_the_bound_each_word_does_what_it_says(stale, method, beyond):
    need = Need(stale=stale)
    front, device = stale_front(BOUND - timedelta(microseconds=1))
    assert asked(front, device, need, method) == "u-alice"
    front, device = stale_front(BOUND)
    assert asked(front, device, need, method) == beyond
    front.store.broken = False
    assert asked(front, device, need, method) == "u-alice"


@pytest.mark.ids("ST-05")
def test_what_is_served_beyond_the_bound_is_counted():
    front, device = stale_front(BOUND)
    floors = front.service.verifier.floors
    assert asked(front, device, Need(), UNSAFE) == 503
    assert floors.served_stale == 0
    assert asked(front, device, Need(), SAFE) == "u-alice"
    assert floors.served_stale == 1
    front.store.broken = False
    assert asked(front, device, Need(), SAFE) == "u-alice"
    assert floors.served_stale == 1


@pytest.mark.ids("ST-05", "SE-02")
@pytest.mark.parametrize("age", [0, 1, 60])
def test_ask_reads_the_log_before_every_answer(age):
    front, device = stale_front(age)
    assert asked(front, device, Need(stale="ask")) == 503
    front.store.broken = False
    front.store.calls.clear()
    assert asked(front, device, Need(stale="ask")) == "u-alice"
    assert "revocations" in front.store.calls


@pytest.mark.ids("SE-02", "P2")
def test_with_ask_an_end_elsewhere_is_felt_at_once():
    front = a_front()
    other = a_front(store=front.store, clock=front.clock)
    device = front.device()
    elsewhere = snapshot(device)
    elsewhere.front = other
    assert other.check(elsewhere).subject == "u-alice"
    device.send("POST", "/auth/logout")
    assert other.check(elsewhere).subject == "u-alice"
    with pytest.raises(SessionEndedError):
        other.check(elsewhere, Need(stale="ask"))


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("stale", ["auto", "serve", "ask", "refuse"])
def test_a_process_that_never_read_the_log_refuses_whatever_the_word(stale):
    front = a_front()
    device = front.device()
    front.store.broken = True
    assert asked(front, device, Need(stale=stale)) == 503


@pytest.mark.ids("ST-05", "M47")
@pytest.mark.parametrize("stale", ["auto", "serve", "ask", "refuse"])
@pytest.mark.parametrize("method", [SAFE, UNSAFE])
def test_who_brings_no_token_is_answered_whatever_becomes_of_the_store(stale, method):
    front = a_front()
    nobody = Device(front)
    front.store.broken = True
    assert front.check(nobody, Need(stale=stale, optional=True), method) is None
    with pytest.raises(TokenMissingError):
        front.check(nobody, Need(stale=stale), method)
    assert front.store.calls == []
    assert front.send("GET", "/auth/session").seen == (401, "token_missing")


@pytest.mark.ids("M37", "ST-05")
def test_a_guarded_request_asks_the_store_once_per_half_bound():
    front = a_front()
    device = front.device()
    front.check(device)
    front.store.calls.clear()
    for _ in range(50):
        front.check(device)
    assert front.store.calls == []
    front.advance(2.5)
    front.check(device)
    assert front.store.calls[0] == "revocations"
    assert front.store.calls.count("revocations") == 1


@pytest.mark.ids("ST-05", "XS-10")
def test_a_handshake_counts_as_unsafe():
    front, device = stale_front(BOUND)
    assert asked(front, device, Need(), websocket=True) == 503


@pytest.mark.ids("ST-05")
@pytest.mark.parametrize("transport", ["cookie", "body"])
def test_introduced_tokens_survive_an_outage_of_a_day(transport):
    front = a_front()
    device = front.device(transport=transport)
    front.store.broken = True
    for _ in range(24):
        front.advance(3600)
        assert device.refresh().status == 503
    front.store.broken = False
    assert device.refresh().status == 200
    assert bool(device.jar.get(REFRESH)) is (transport == "cookie")
    assert front.check(device).subject == "u-alice"


@pytest.mark.ids("ST-05")
def test_a_throttle_that_cannot_tell_is_503():
    class Lost:
        async def admit(self, attempt):
            raise StoreError(cause="counter away")

    front = a_front(throttle=Lost())
    answer = front.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE)
    assert (answer.seen, front.members.hashed) == ((503, "store_unavailable"), 0)


@pytest.mark.ids("ST-05")
def test_after_an_outage_nothing_that_ended_meanwhile_is_served_for_longer_than_the_bound():
    front = a_front()
    other = a_front(store=front.store, clock=front.clock)
    device = front.device()
    elsewhere = snapshot(device)
    elsewhere.front = other
    other.check(elsewhere)
    device.send("POST", "/auth/logout")
    front.advance(BOUND)
    with pytest.raises(SessionEndedError):
        other.check(elsewhere)
    request = other.request("GET", "/", headers=[bearer(elsewhere.access_token)], cookies={BIND: elsewhere.jar[BIND]})
    assert drive(other.service.check(request, Need(optional=True))) is None
