"""Servers, proxies and tabs that misbehave: a clear error, few requests, the session kept, and all well afterwards."""

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.browser.client_site import REFRESHING, Site
from tests.browser.client_tab import ClientTab
from tests.browser.conftest import OpenSite
from tests.browser.line import Act, Asked, Forward, Told, answered, closed, half, lost
from tests.browser.shop import PASSWORD, STRANGER

JSON = "application/json"
#: So much faster runs the client's time here: what takes it 2 s takes 0.1 s.
HURRY = 20
#: So many ms it waits where a test is about waiting in vain: few, and enough for a busy machine.
PATIENCE = 2000
#: What three tries and what runs in the background may cost, before the caller is told.
FEW = 8


def elsewhere(asked: Asked, _forward: Forward) -> Told:
    place = f"https://{asked.header('host').replace('app.example.test', STRANGER)}/open"
    return Told(302, [(b"location", place.encode())])


BAD: dict[str, tuple[Act, str]] = {
    "html": (
        answered(200, "<!doctype html><title>Welcome to the hotel</title>", Content_Type="text/html"),
        "bad_answer",
    ),
    "500": (answered(500, "oops", Content_Type="text/plain"), "bad_answer"),
    "502 in html": (answered(502, "<h1>Bad Gateway</h1>", Content_Type="text/html"), "bad_answer"),
    "nothing": (closed, "network"),
    "lost": (lost, "network"),
    "broken off": (half, "bad_answer"),
    "half a json": (answered(200, '{"access_token": "eyJ', Content_Type=JSON), "bad_answer"),
    "another json": (answered(200, '{"access_token": 7, "expires_in": "soon"}', Content_Type=JSON), "bad_answer"),
    "empty": (answered(204), "bad_answer"),
    "a 401 of somebody else's": (
        answered(401, "<h1>Sign in to the proxy</h1>", Content_Type="text/html"),
        "bad_answer",
    ),
    "403": (answered(403, '{"code": "cross_site"}', Content_Type=JSON), "cross_site"),
    "elsewhere": (elsewhere, "network"),
}


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """A shop whose tokens live so long that none ends unless a test wants it, however slow the machine is."""
    return open_site(access_token_lifetime=timedelta(hours=1))


def is_over(site: Site) -> None:
    """Let the token's life end."""
    site.sleep(3601)


@pytest.fixture
def tab(site: Site) -> ClientTab:
    """A signed-in tab whose own timers run fast."""
    tab = site.tab(hurry=HURRY)
    tab.sign_in()
    return tab


def is_well_again(site: Site, tab: ClientTab) -> None:
    site.line.straighten()
    assert tab.call() == 200
    assert tab.state == "signed-in"
    assert not {"signed-out", "expired"}.intersection(tab.told())
    assert not site.was_alarmed


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_to_a_refresh_is_told_and_survived(site: Site, tab: ClientTab, name: str) -> None:
    act, code = BAD[name]
    is_over(site)
    rule = site.line.bend(REFRESHING, act)
    assert tab.code("Promise.all([1, 2, 3, 4, 5].map(() => call('/me')))") == code
    assert 3 <= rule.used <= FEW
    assert tab.state == "signed-in"
    assert {error["code"] for error in tab.told("error")} == {code}
    assert site.shop.heard_elsewhere == []
    assert site.line.statuses("/me", "GET") == []
    is_well_again(site, tab)


@pytest.mark.parametrize("name", ["html", "nothing", "half a json", "elsewhere"])
def test_at_the_start_it_is_no_sign_out_either(site: Site, tab: ClientTab, name: str) -> None:
    act, code = BAD[name]
    rule = site.line.bend(REFRESHING, act)
    tab.reload()
    assert tab.code("client.resume()") == code
    assert tab.state == "unknown"
    assert rule.used <= FEW
    site.line.straighten()
    tab.wait_for("client.state === 'signed-in'")  # without being asked
    assert tab.states == ["unknown", "signed-in"]


def test_in_the_background_it_goes_on_more_and_more_rarely(site: Site, tab: ClientTab) -> None:
    is_over(site)
    rule = site.line.bend(REFRESHING, closed)
    assert tab.code("call('/me')") == "network"
    tried = rule.used
    tab.wait_for(f"seen.told.filter(([type]) => type === 'error').length >= {tried + 3}")  # nobody calls meanwhile
    moments = tab.page.evaluate("given => seen.moments.slice(given, given + 4)", tried)
    for failures, (earlier, later) in enumerate(pairwise(moments), start=tried):
        assert (later - earlier) * HURRY > 1000 * 2 ** (failures - 1)  # half of 2 s, and twice as long each time
    is_well_again(site, tab)


def test_retry_after_is_obeyed(site: Site, tab: ClientTab) -> None:
    is_over(site)
    busy = answered(503, '{"code": "store_unavailable"}', Content_Type=JSON, Retry_After="120")
    rule = site.line.bend(REFRESHING, busy)
    tab.calls("all", 20)
    assert tab.outcome("all") == ["store_unavailable"] * 20
    assert [tab.code("call('/me')") for _ in range(3)] == ["store_unavailable"] * 3
    assert tab.told("error")[0]["retryAfter"] == 120
    assert rule.used == 1
    site.line.straighten()
    assert tab.code("call('/me')") == "store_unavailable"  # it was asked to wait, and does
    site.sleep(121)
    is_well_again(site, tab)


def test_a_server_that_never_answers_is_given_up(site: Site) -> None:
    tab = site.tab(hurry=HURRY, patience=PATIENCE)
    tab.sign_in()
    is_over(site)
    site.line.bend(REFRESHING, site.line.never)
    assert tab.code("call('/me')") == "timeout"
    assert {error["code"] for error in tab.told("error")} == {"timeout"}
    is_well_again(site, tab)


@pytest.mark.parametrize("name", ["html", "500", "lost", "half a json", "elsewhere"])
def test_a_bad_answer_to_a_sign_in_is_told_to_who_signs_in(site: Site, name: str) -> None:
    tab = site.tab(hurry=HURRY)
    tab.wait_for("client.state === 'signed-out'")
    site.line.bend("/auth/login", BAD[name][0], times=1)
    credentials = {"username": "alice", "password": PASSWORD}
    assert tab.code("client.login(given)", credentials) == BAD[name][1]
    assert tab.state == "signed-out"
    assert site.line.passed[-1].path == "/auth/login"  # asked once
    tab.sign_in()
    assert tab.call() == 200


HELD_FOR_EVER = """LockManager.prototype.request = (request => function (name, ...rest) {
    rest[rest.length - 1] = () => { window.held = true; return new Promise(() => {}) }
    return request.call(this, name, ...rest)
})(LockManager.prototype.request)"""


def test_a_tab_that_holds_the_lock_for_ever_holds_up_nobody(site: Site) -> None:
    tab = site.tab(hurry=HURRY, patience=PATIENCE)
    tab.sign_in()
    greedy = site.jar.new_page()
    greedy.add_init_script(HELD_FOR_EVER)
    greedy.goto(site.shop.url(path="/app"))
    greedy.wait_for_function("() => window.held")
    is_over(site)
    assert tab.call() == 200
    tab.do("client.logout()")
    assert site.names == []


def test_a_frozen_tab_in_mid_refresh_holds_up_nobody(site: Site) -> None:
    tab, sleeper = site.tab(hurry=HURRY, patience=PATIENCE), site.tab()
    tab.sign_in()
    sleeper.wait_for("client.state === 'signed-in'")
    is_over(site)
    held = site.line.hold(REFRESHING, answers=True)
    sleeper.begin("pending", "call('/me')")
    held.wait_for()
    talk = site.jar.new_cdp_session(sleeper.page)
    talk.send("Page.setWebLifecycleState", {"state": "frozen"})
    assert tab.call() == 200
    talk.send("Page.setWebLifecycleState", {"state": "active"})
    held.let_go()
    assert sleeper.outcome("pending") == 200
    is_over(site)
    assert [one.call() for one in (tab, sleeper)] == [200, 200]
    assert not site.was_alarmed
