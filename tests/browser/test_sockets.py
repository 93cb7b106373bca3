"""A guarded WebSocket in a page: the token as a subprotocol, closed when the session ends, kept open by a newer token."""

from datetime import timedelta

import pytest

from tests.browser.conftest import NewTab, Open
from tests.browser.pages import Tab
from tests.browser.shop import Shop

#: Opens a socket that keeps what it is told; `window.over` is the code it is closed with.
CONNECT = """token => new Promise(opened => {
    const socket = window.socket = new WebSocket('wss://' + location.host + '/live', ['keyturn', token])
    const said = window.said = []
    socket.onmessage = message => { said.push(message.data); opened([socket.protocol, said[0]]) }
    window.over = new Promise(tell => { socket.onclose = event => { tell(event.code); opened(['', event.code]) } })
})"""
WAIT = "() => Promise.race([window.over, new Promise(tell => setTimeout(() => tell('still open'), 10000))])"
SAY = """text => new Promise(heard => { socket.onmessage = message => heard(message.data)
    socket.addEventListener('close', () => heard(null)); socket.send(text) })"""


@pytest.fixture
def shop(open_shop: Open) -> Shop:
    """A shop that looks often whether sessions have ended."""
    return open_shop(staleness_bound=timedelta(milliseconds=200))


def connect(tab: Tab, token: str | None = None) -> list[object]:
    return tab.page.evaluate(CONNECT, tab.access_token if token is None else token)


def say(tab: Tab, text: str) -> str | None:
    return tab.page.evaluate(SAY, text)


def closed_with(tab: Tab) -> int | str:
    return tab.page.evaluate(WAIT)


@pytest.mark.ids("CK-07")
def test_the_token_travels_as_a_subprotocol_and_is_not_echoed(shop: Shop, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    assert connect(tab) == ["keyturn", "hello u-alice"]
    assert say(tab, "hi") == "you said hi"


def test_a_handshake_without_a_good_token_is_refused(shop: Shop, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    stolen, last = tab.access_token, tab.access_token[-4:]
    assert connect(tab, "nonsense") == ["", 1006]  # how browsers tell a refused handshake
    assert connect(tab, stolen.removesuffix(last) + "AAAA") == ["", 1006]
    tab.page.context.clear_cookies()
    assert connect(tab, stolen) == ["", 1006]  # copied from a page, it is worth nothing without the binding cookie


@pytest.mark.ids("P2", "RT-12")
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_it_is_closed_with_4401_when_the_user_signs_out_in_another_tab(shop: Shop, new_tab: NewTab, path: str) -> None:
    tab, other = new_tab(shop.url()), new_tab(shop.url())
    tab.sign_in()
    connect(tab)
    assert other.refresh().status == 200
    assert say(tab, "still here?") == "you said still here?"
    assert other.ask("POST", path, token=other.access_token).status in (200, 204)
    assert closed_with(tab) == 4401
    assert connect(tab) == ["", 1006]


def test_it_is_closed_with_4401_when_its_tokens_life_is_over(shop: Shop, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    connect(tab)
    shop.clock.advance(301)
    assert closed_with(tab) == 4401


def test_a_newer_token_sent_on_it_keeps_it_open_for_that_tokens_life(shop: Shop, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    connect(tab)
    for _ in range(3):
        shop.clock.advance(240)
        assert tab.refresh().status == 200
        assert say(tab, f"renew {tab.access_token}") == "renewed"
    tab.page.wait_for_timeout(500)  # twice as long as it takes to be closed
    assert say(tab, "hi") == "you said hi"
    shop.clock.advance(301)
    assert closed_with(tab) == 4401
