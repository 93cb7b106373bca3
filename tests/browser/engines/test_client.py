"""The browser client in Firefox and WebKitGTK: a user's day from sign-in to sign-out, in several tabs."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.browser.client_tab import ClientTab
from tests.browser.engines.conftest import OpenTab
from tests.browser.engines.street import Street
from tests.browser.shop import BIND, REFRESH, SIBLING, STRANGER

OpenClient = Callable[..., ClientTab]
#: With timers that run so much slower a tab listens longer to the others: a busy machine may need more than 250 ms.
PATIENT = quote('?{"hurry": 0.05}', safe="?")
REFRESHING = "/auth/refresh"


@pytest.fixture
def open_client(street: Street, open_tab: OpenTab) -> OpenClient:
    """Open the client's page in a new tab."""

    def open_(query: str = "") -> ClientTab:
        page = open_tab(street.shop.url(path="/app" + query))
        tab = ClientTab(page)
        tab.wait_for("window.ready")
        return tab

    return open_


def sleep(street: Street, *tabs: ClientTab, seconds: int = 301) -> None:
    """Let this time pass for the server, and in the tabs while no timer runs."""
    street.shop.clock.advance(seconds)
    for tab in tabs:
        tab.nap(seconds)


@pytest.mark.ids("BC-04", "BC-06", "CK-10")
def test_a_day_from_sign_in_to_sign_out(street: Street, open_client: OpenClient) -> None:
    tab = open_client()
    tab.wait_for("client.state === 'signed-out'")
    assert tab.told() == ["signed-out"]  # nobody was signed in: nothing ended
    tab.sign_in()
    assert [cookie.name for cookie in tab.page.cookies()] == [BIND, REFRESH]
    assert tab.call() == 200
    sleep(street, tab)
    assert tab.call() == 200
    tab.nap(60)  # it still thinks well of its token when the server does not any more
    street.shop.clock.advance(400)
    assert tab.call("/orders", method="POST", body="{}") == 200
    assert street.statuses("/orders") == [401, 200]
    assert street.statuses(REFRESHING) == [401, 200, 200]
    assert tab.told() == ["signed-in", "refreshed", "refreshed"]
    tab.do("client.logout()")
    assert tab.page.cookies() == []
    assert tab.call() == 401
    assert tab.do("client.resume()") is False
    assert tab.page.evaluate("() => seen.violations") == []


@pytest.mark.ids("BC-01", "CK-07")
def test_a_reload_and_a_new_tab_resume_without_a_moment_of_signed_out(street: Street, open_client: OpenClient) -> None:
    first = open_client()
    first.sign_in()
    street.shop.clock.advance(11)
    for _ in range(2):
        first.reload()
        first.wait_for("client.state === 'signed-in'")
        assert first.states == ["unknown", "signed-in"]
        assert first.call() == 200
    second = open_client()
    second.wait_for("client.state === 'signed-in'")
    assert second.states == ["unknown", "signed-in"]
    assert second.call() == 200
    assert 401 not in street.statuses("/me")


@pytest.mark.ids("BC-02", "M50")
def test_three_tabs_with_ten_calls_each_after_expiry_cost_one_refresh(street: Street, open_client: OpenClient) -> None:
    tabs = [open_client(PATIENT) for _ in range(3)]
    tabs[0].sign_in()
    for tab in tabs:
        tab.wait_for("client.state === 'signed-in'")
    for knows in (True, False):
        before = len(street.statuses(REFRESHING))
        sleep(street, *tabs, seconds=301 if knows else 60)
        street.shop.clock.advance(0 if knows else 300)
        for tab in tabs:
            tab.calls("all", 10)
        assert [tab.outcome("all") for tab in tabs] == [[200] * 10] * 3
        assert len(street.statuses(REFRESHING)) - before == 1
    assert "ReuseDetected" not in street.shop.told()


@pytest.mark.ids("SE-10", "BC-07", "M43")
def test_sign_out_reaches_the_other_tab_and_empties_the_jar(street: Street, open_client: OpenClient) -> None:
    first, second = open_client(), open_client()
    first.sign_in()
    second.wait_for("client.state === 'signed-in'")
    second.do("client.logout()")
    first.wait_for("client.state === 'signed-out'")
    assert first.told("signed-out") == [{"elsewhere": True}]
    assert first.page.cookies() == []
    assert [tab.call() for tab in (first, second)] == [401, 401]


DUMP = """async () => {
    const kept = [JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), document.cookie,
        location.href, JSON.stringify(history.state), window.name]
    for (const {name} of await indexedDB.databases()) kept.push(name)
    for (const key of await caches.keys()) kept.push(key)
    kept.push(String((await navigator.serviceWorker.getRegistrations()).length))
    for (const key of Object.keys(window)) { try { kept.push(JSON.stringify(window[key]) ?? '') } catch {} }
    for (const key of Object.keys(client)) kept.push(String(client[key]))
    return kept
}"""


@pytest.mark.ids("BC-01", "CK-07")
def test_no_token_is_anywhere_where_a_script_can_look(street: Street, open_client: OpenClient) -> None:
    tab = open_client()
    tab.sign_in()
    assert tab.call() == 200
    kept = tab.page.evaluate(DUMP)
    assert kept[:6] == ["{}", "{}", "", street.shop.url(path="/app"), "null", ""]
    secrets = ["eyJ", "kt1.", *(cookie.value for cookie in tab.page.cookies())]
    assert [(secret, place) for secret in secrets for place in kept if secret in place] == []


@pytest.mark.ids("BC-03")
def test_the_token_is_not_carried_across_a_redirect_to_another_origin(street: Street, open_client: OpenClient) -> None:
    tab = open_client()
    tab.sign_in()
    for host in (STRANGER, SIBLING):
        for status, init in ((302, {}), (307, {"method": "POST", "body": "order"})):
            assert tab.call(street.away(host, status), **init) == 200
            assert street.visits[-1].with_token  # the shop itself got it
    assert [visit.method for visit in street.stranger.taken if visit.method != "OPTIONS"] == ["GET", "POST"] * 2
    assert [visit for visit in street.stranger.taken if visit.with_token] == []


@pytest.mark.ids("CK-07", "BC-07")
def test_a_websocket_gets_the_token_as_a_subprotocol_and_ends_with_the_session(
    street: Street, open_client: OpenClient
) -> None:
    tab = open_client()
    tab.sign_in()
    heard = """client.websocket('/live').then(socket => new Promise(done => {
        window.over = new Promise(tell => { socket.onclose = ({code}) => tell(code) })
        socket.onmessage = ({data}) => done([socket.protocol, data])
    }))"""
    assert tab.do(heard) == ["keyturn", "hello u-alice"]
    tab.do("client.logout()")
    assert tab.do("over") in (4401, 1005)
