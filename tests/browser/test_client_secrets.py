"""Where the access token is: in memory alone, and on the way to listed origins alone; under the strictest page policy."""

import pytest

from tests.browser.client_site import REFRESHING, Site
from tests.browser.client_tab import ClientTab
from tests.browser.line import answered
from tests.browser.shop import APP, PASSWORD, SIBLING, STRANGER

#: Everything that a page can keep and a script can read, as one text.
KEPT = """async () => {
    const databases = []
    for (const {name} of await indexedDB.databases()) databases.push(name)
    const files = []
    for (const name of await caches.keys())
        for (const request of await (await caches.open(name)).keys()) files.push(name, request.url)
    return JSON.stringify([
        {...localStorage}, {...sessionStorage}, databases, files, document.cookie, await cookieStore.getAll(),
        location.href, history.state, history.length, window.name, document.documentElement.outerHTML,
        performance.getEntries(), (await navigator.serviceWorker.getRegistrations()).length, seen,
    ])
}"""
#: What a script finds that follows every property from the page's own objects, the client's among them.
FOUND = """token => {
    const met = new Set(), ways = [[window, 'window']], found = []
    while (ways.length) {
        const [one, way] = ways.pop()
        if (typeof one === 'string' && one.includes(token)) found.push(way)
        if (one === null || !['object', 'function'].includes(typeof one) || met.has(one) || way.length > 200) continue
        met.add(one)
        for (const name of Reflect.ownKeys(one)) {
            try { ways.push([one[name], way + '.' + String(name)]) } catch {}
        }
    }
    return [met.size, met.has(client), found]
}"""


def token_of(tab: ClientTab, begin: str) -> str:
    """Let the tab do what brings a token, and read it off the answer."""
    with tab.page.expect_response(lambda answer: answer.url.endswith((REFRESHING, "/auth/login"))) as waiting:
        tab.do(begin)
    return str(waiting.value.json()["access_token"])


@pytest.mark.ids("BC-01", "BC-06", "CK-07")
def test_nothing_that_a_page_keeps_or_shows_holds_the_token(site: Site) -> None:
    tab, other = site.tab(), site.tab()
    tab.sign_in()
    other.wait_for("client.state === 'signed-in'")
    site.sleep()
    token = token_of(tab, "call('/me')")
    assert other.call() == 200
    tab.do("client.websocket('/live').then(socket => new Promise(open => { socket.onmessage = () => open() }))")
    for one in (tab, other):
        kept = one.page.evaluate(KEPT)
        assert token not in kept
        assert token.rpartition(".")[2] not in kept
        size, saw_the_client, found = one.page.evaluate(FOUND, token)
        assert (size > 1000, saw_the_client, found) == (True, True, [])
        one.page.evaluate("token => { window.planted = {deep: ['so ' + token]} }", token)
        assert one.page.evaluate(FOUND, token)[2] == ["window.planted.deep.0"]  # what would have been found


@pytest.mark.ids("BC-06")
def test_a_whole_life_of_a_session_offends_no_policy_of_the_page(site: Site) -> None:
    said: list[str] = []
    site.jar.on("console", lambda message: said.append(message.text))
    site.jar.on("weberror", lambda error: said.append(str(error.error)))
    tab = site.tab()
    tab.sign_in()
    site.sleep()
    assert tab.call() == 200
    socket = "client.websocket('/live', {renew: (socket, token) => socket.send('renew ' + token)})"
    tab.do(f"{socket}.then((socket) => new Promise((done) => {{ socket.onopen = () => done(0) }}))")
    assert len(tab.do("client.sessions()")) == 1
    tab.do("client.stepUp(given)", {"username": "alice", "password": PASSWORD})
    tab.do("client.logout()")
    assert tab.page.evaluate("() => seen.violations") == []
    assert [text for text in said if "401" not in text] == []  # the first question of a visitor
    with tab.page.expect_event("console", lambda message: "Trusted" in message.text or "Content" in message.text):
        tab.page.evaluate("() => { try { document.body.innerHTML = '<b>' } catch {} }")  # the policy is in force


@pytest.mark.ids("BC-03")
def test_only_listed_origins_get_the_token(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    sibling, stranger = (site.shop.url(host, "/open") for host in (SIBLING, STRANGER))
    assert [tab.call(url) for url in (sibling, stranger)] == [200, 200]
    assert {token for *_, token in site.shop.heard_elsewhere} == {b""}
    listing = site.tab(origins=[site.shop.origin(), site.shop.origin(SIBLING)])
    listing.wait_for("client.state === 'signed-in'")
    site.shop.heard_elsewhere.clear()
    assert [listing.call(url) for url in (sibling, stranger)] == [200, 200]
    carried = {(host, token[:7]) for host, path, token in site.shop.heard_elsewhere if path == "/open"}
    assert carried == {(SIBLING, b""), (SIBLING, b"Bearer "), (STRANGER, b"")}  # the first is the preflight
    assert listing.code("client.websocket(given)", stranger.replace("https", "wss")) == "TypeError"


@pytest.mark.ids("BC-03")
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("host", [STRANGER, SIBLING])
def test_a_redirect_of_a_listed_origin_does_not_carry_it_elsewhere(site: Site, status: int, host: str) -> None:
    tab = site.tab()
    tab.sign_in()
    site.line.bend("/away", answered(status, Location=site.shop.url(host, "/open")))
    for method in ("GET", "POST"):
        tab.code("call(...given)", ["/away", {"method": method}])
    assert {token for *_, token in site.shop.heard_elsewhere} == {b""}
    site.line.bend("/near", answered(status, Location=site.shop.url(APP, "/me")))
    assert tab.call("/near") == 200


@pytest.mark.ids("BC-03")
def test_our_own_routes_follow_no_redirect_at_all(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    site.line.bend("/auth/session", answered(307, Location=site.shop.url(STRANGER, "/open")))
    assert tab.code("client.session()") == "network"
    assert site.shop.heard_elsewhere == []
