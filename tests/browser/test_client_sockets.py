"""A guarded WebSocket by the client: it lives as long as the session, and is told each new token."""

from datetime import timedelta

import pytest

from tests.browser.client_site import Site
from tests.browser.client_tab import ClientTab
from tests.browser.conftest import OpenSite

#: Opens one; `window.said` is what it was told, `window.over` the code that it was closed with.
OPEN = """client.websocket('/live', {renew: (socket, token) => { window.renewed = (window.renewed ?? 0) + 1
    socket.send('renew ' + token) }}).then(socket => new Promise((open, fail) => {
    window.socket = socket
    window.said = []
    window.over = new Promise(tell => { socket.onclose = ({code}) => { tell(code); fail(new Error('closed')) } })
    socket.onmessage = ({data}) => { said.push(data); open([socket.protocol, data]) }
}))"""


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """A shop that looks often whether sessions have ended."""
    return open_site(staleness_bound=timedelta(milliseconds=200))


@pytest.fixture
def tab(site: Site) -> ClientTab:
    tab = site.tab()
    tab.sign_in()
    assert tab.do(OPEN) == ["keyturn", "hello u-alice"]
    return tab


@pytest.mark.ids("CK-07")
def test_each_new_token_is_sent_on_it_and_keeps_it_open(site: Site, tab: ClientTab) -> None:
    for turn in (1, 2, 3):
        site.sleep(290)
        tab.page.evaluate("() => { document.dispatchEvent(new Event('visibilitychange', {bubbles: true})) }")
        tab.wait_for(f"said.filter(text => text === 'renewed').length === {turn}")
    assert tab.page.evaluate("() => [renewed, socket.readyState]") == [3, 1]
    assert site.line.count("/live", "GET") == 1


@pytest.mark.ids("SE-10", "BC-07", "P2")
def test_it_is_closed_at_sign_out_in_this_tab_or_another(site: Site, tab: ClientTab) -> None:
    other = site.tab()
    other.wait_for("client.state === 'signed-in'")
    other.do(OPEN)
    other.do("client.logout()")
    assert [one.page.evaluate("() => over.then(code => code)") for one in (tab, other)] == [4401, 4401]
    assert tab.code("client.websocket('/live')") == "signed_out"


def test_one_that_is_asked_for_after_expiry_gets_a_fresh_token(site: Site, tab: ClientTab) -> None:
    site.sleep()
    assert tab.page.evaluate("() => over") == 4401  # the server closes what nobody renewed
    assert tab.do(OPEN) == ["keyturn", "hello u-alice"]
