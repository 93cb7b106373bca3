"""The client and one jar of cookies: crossed answers, stale cookies, cookies of an older version, another site's page."""

import pytest

from keyturn.settings import CookieSettings
from tests.browser.client_site import REFRESHING, Site
from tests.browser.client_tab import ClientTab
from tests.browser.conftest import OpenSite
from tests.browser.line import doubled
from tests.browser.shop import BIND, REFRESH, STRANGER

#: A browser without Web Locks and without channels: each tab is on its own.
ALONE = "delete Navigator.prototype.locks; delete globalThis.BroadcastChannel"


@pytest.fixture
def strangers(site: Site) -> tuple[ClientTab, ClientTab]:
    """Two tabs of one session that know nothing of each other."""
    site.jar.add_init_script(ALONE)
    first, second = site.signed_in_tabs(2)
    return first, second


def is_signed_in_for_good(site: Site, *tabs: ClientTab) -> None:
    for _ in range(2):
        site.sleep()
        assert [tab.call() for tab in tabs] == [200] * len(tabs)
    assert {tab.state for tab in tabs} == {"signed-in"}
    assert not site.was_alarmed


@pytest.mark.ids("M11")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in turn", "crossed"])
def test_two_answers_in_either_order_leave_both_tabs_signed_in(
    site: Site, strangers: tuple[ClientTab, ClientTab], order: tuple[int, int]
) -> None:
    site.sleep()
    held = []
    for tab in strangers:
        held.append(site.line.hold(REFRESHING, answers=True))
        tab.begin("pending", "call('/me')")
        held[-1].wait_for()
    for one in order:
        held[one].let_go()
        assert strangers[one].outcome("pending") == 200
    is_signed_in_for_good(site, *strangers)


@pytest.mark.ids("M15")
def test_a_refresh_with_the_stale_cookie_40_ms_late_gets_the_same_successor(
    site: Site, strangers: tuple[ClientTab, ClientTab]
) -> None:
    first, second = strangers
    site.sleep()
    held = site.line.hold(REFRESHING)
    second.begin("pending", "call('/me')")
    held.wait_for()
    assert first.call() == 200
    successor = site.jar.cookies()
    site.shop.clock.advance(0.040)
    held.let_go()
    assert second.outcome("pending") == 200
    assert [cookie["value"] for cookie in site.jar.cookies()] == [cookie["value"] for cookie in successor]
    is_signed_in_for_good(site, first, second)


@pytest.mark.ids("M11", "M15")
@pytest.mark.parametrize("deliver", [0, 1])
def test_a_refresh_that_the_network_sends_twice_is_one_turn(site: Site, deliver: int) -> None:
    tab = site.tab()
    tab.sign_in()
    site.line.bend(REFRESHING, doubled(deliver=deliver))
    is_signed_in_for_good(site, tab)
    assert tab.told().count("refreshed") == 2


@pytest.mark.ids("M16")
def test_a_new_version_with_other_cookie_attributes_costs_one_sign_in_and_no_loop(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    site.shop.install(cookie=CookieSettings(same_site="None", partitioned=True))
    before = site.refreshes
    site.sleep()
    tab.calls("all", 5)
    # The browser keeps the old and the new, and sends both: the new token is refused, and so is the next refresh.
    assert set(tab.outcome("all")) <= {401, "signed_out"}
    assert (tab.state, tab.told("expired"), site.names) == ("signed-out", [{"code": "token_missing"}], [])
    assert site.refreshes == before + 2
    tab.sign_in()
    is_signed_in_for_good(site, tab)
    assert site.names == [BIND, REFRESH]


@pytest.mark.ids("M47", "CK-10")
def test_dead_cookies_and_a_dead_token_lock_nobody_out(site: Site) -> None:
    tab, other = site.tab(), site.tab()
    tab.sign_in()
    other.wait_for("client.state === 'signed-in'")
    dead = site.jar.cookies()
    for path in ("/hello", "/auth/session"):  # both tabs' tokens are known to be good
        assert [one.call(path) for one in (tab, other)] == [200, 200]
    other.page.close()
    site.tabs.remove(other)
    tab.do("fetch('/auth/logout', {method: 'POST'}).then(answer => answer.status)")  # behind the client's back
    site.jar.add_cookies(dead)  # type: ignore[arg-type]  # what was read may be written
    assert tab.state == "signed-in"  # it has not heard
    assert tab.call("/hello") == 200
    assert tab.do("client.fetch('/hello').then(answer => answer.json())") == {"hello": "stranger"}
    before = site.refreshes
    site.sleep()
    assert tab.code("call('/me')") in {None, "signed_out"}
    assert (tab.state, tab.told("expired")) == ("signed-out", [{"code": "session_ended"}])
    assert site.refreshes == before + 1
    site.jar.add_cookies(dead)  # type: ignore[arg-type]
    tab.reload()
    tab.wait_for("client.state === 'signed-out'")
    assert tab.do("client.fetch('/hello').then(answer => answer.json())") == {"hello": "stranger"}
    site.jar.add_cookies(dead)  # type: ignore[arg-type]
    tab.sign_in()
    assert tab.call() == 200


@pytest.mark.ids("CK-11")
@pytest.mark.parametrize("partitioned", [False, True], ids=["third-party", "partitioned"])
def test_a_page_on_another_site_is_told_where_the_browser_blocks_its_cookies(
    open_site: OpenSite, partitioned: bool
) -> None:
    cookie = CookieSettings(same_site="None", partitioned=True) if partitioned else CookieSettings()
    site = open_site(origins=(f"https://{STRANGER}:{{port}}",), cookie=cookie)
    tab = site.tab(STRANGER, **{"from": "/lib/client.js", "baseUrl": site.shop.url(path="/auth/")})
    tab.wait_for("client.state === 'signed-out'")
    code = tab.code("client.login(given)", {"username": "alice", "password": "correct horse battery staple"})
    assert code == (None if partitioned else "cookies_blocked")
    assert tab.state == ("signed-in" if partitioned else "signed-out")
    if partitioned:
        me = site.shop.url(path="/me")
        assert tab.call(me) == 200
        site.sleep()
        assert tab.call(me) == 200
        tab.do("client.logout()")
        assert site.names == []
