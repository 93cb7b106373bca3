"""Every way in which a page can send something, from every kind of page: only our own pages' words count."""

from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Frame, Page

from tests.browser.conftest import NewTab, Open
from tests.browser.pages import Tab, send_form
from tests.browser.serving import wait_until
from tests.browser.shop import SIBLING, STRANGER, Shop

#: Ways to send a POST that no page of another origin needs anybody's leave for.
POSTS = {
    "fetch": "fetch(url, {method: 'POST', credentials: 'include'})",
    "no-cors": "fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors'})",
    "keepalive": "fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', keepalive: true})",
    "text": "fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', body: '{}'})",
    "beacon": "navigator.sendBeacon(url)",
    "xhr": """new Promise(done => {
        const asked = new XMLHttpRequest()
        asked.onloadend = done
        asked.withCredentials = true
        asked.open('POST', url)
        asked.send()
    })""",
    "form": """(() => {
        const frame = document.createElement('iframe')
        frame.name = 'target' + Math.random()
        document.body.append(frame)
        const form = Object.assign(document.createElement('form'), {method: 'POST', action: url, target: frame.name})
        document.body.append(form)
        form.submit()
    })()""",
}
#: Ways to have something fetched by GET, ahead of time among them.
GETS = {
    "image": "document.body.append(Object.assign(new Image(), {src: url}))",
    "script": "document.body.append(Object.assign(document.createElement('script'), {src: url}))",
    "style": "document.head.append(Object.assign(document.createElement('link'), {rel: 'stylesheet', href: url}))",
    "prefetch": "document.head.append(Object.assign(document.createElement('link'), {rel: 'prefetch', href: url}))",
    "frame": "document.body.append(Object.assign(document.createElement('iframe'), {src: url}))",
    "events": "void new EventSource(url, {withCredentials: true})",
    "speculation": """document.head.append(Object.assign(document.createElement('script'), {
        type: 'speculationrules',
        textContent: JSON.stringify({prefetch: [{urls: [url]}], prerender: [{urls: [url]}]}),
    }))""",
}
WAYS = {**POSTS, **GETS}
#: What Chromium may think better of: it speculates when it likes.
MAY_STAY_AWAY = {"speculation"}
SANDBOX = "<!doctype html><main>x</main>"


def send(page: Page | Frame, way: str, url: str) -> None:
    """Let a page send it; a page that is not told the answer sees an error, and that is not our business."""
    page.evaluate(f"async url => {{ try {{ await ({way}) }} catch {{}} }}", url)


def state_of(shop: Shop, jar: BrowserContext, tab: Tab) -> Any:
    """Everything that a forged request might have changed."""
    return shop.row(tab.session_id), jar.cookies(shop.url()), len(shop.facts)


def sandboxed(page: Page) -> Frame:
    """A frame without an origin of its own: its requests say ``Origin: null``."""
    page.evaluate(
        """html => document.body.append(Object.assign(
        document.createElement('iframe'), {sandbox: 'allow-scripts allow-forms', srcdoc: html, name: 'nobody'}))""",
        SANDBOX,
    )
    frame = page.wait_for_selector("iframe[name=nobody]").content_frame()
    assert frame is not None
    frame.wait_for_selector("main")
    assert frame.evaluate("() => self.origin") == "null"
    return frame


@pytest.fixture
def answered(shop: Shop) -> Counter[str]:
    """How many requests to each path have been answered."""
    inner, count = shop.app, Counter[str]()

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        count[scope["path"]] += 1

    shop.app = counting
    return count


def arrives(answered: Counter[str], page: Page | Frame, name: str, url: str) -> None:
    """Send it, and wait until the server has answered it."""
    path = "/" + url.split("/", 3)[3]
    before = answered[path]
    send(page, WAYS[name], url)
    if name not in MAY_STAY_AWAY:
        wait_until(lambda: answered[path] > before)


@pytest.mark.ids("XS-01", "XS-04", "XS-05", "XS-07", "XS-08")
@pytest.mark.parametrize("whose", ["sibling", "stranger", "null on ours", "null on a stranger's"])
def test_no_page_but_ours_moves_anything_in_any_way(
    shop: Shop, answered: Counter[str], jar: BrowserContext, new_tab: NewTab, whose: str
) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    before = state_of(shop, jar, tab)
    host = {"sibling": SIBLING, "stranger": STRANGER, "null on a stranger's": STRANGER}.get(whose)
    page = new_tab(shop.url(host) if host else shop.url()).page
    sender: Page | Frame = sandboxed(page) if whose.startswith("null") else page
    for path in ("/auth/logout", "/auth/refresh"):
        for name in WAYS:
            arrives(answered, sender, name, shop.url(path=path))
            assert state_of(shop, jar, tab) == before, (path, name)
    assert tab.refresh().status == 200
    assert tab.me().status == 200


@pytest.mark.ids("XS-01", "XS-07", "XS-08")
def test_our_own_page_may_send_in_every_way_and_safe_ways_change_nothing(
    shop: Shop, answered: Counter[str], jar: BrowserContext, new_tab: NewTab
) -> None:
    tab, logout = new_tab(shop.url()), shop.url(path="/auth/logout")
    tab.sign_in()
    for name in (*GETS, "text"):  # a text/plain body is none of ours: 415
        arrives(answered, tab.page, name, logout)
    assert len(jar.cookies()) == 2
    assert shop.row(tab.session_id).ended_at is None
    for name in POSTS.keys() - {"text"}:
        tab.sign_in()
        arrives(answered, tab.page, name, logout)
        assert shop.row(tab.session_id).ended_at is not None, name
        wait_until(lambda: jar.cookies() == [])


@pytest.mark.ids("XS-01", "XS-05", "CK-12")
@pytest.mark.parametrize("profile", ["browser", "development"])
def test_on_http_localhost_a_strangers_page_moves_nothing_either(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, profile: str
) -> None:
    shop = open_shop(https=False, profile=profile, issuer="http://localhost:{port}")
    tab = new_tab(shop.url("localhost"))
    tab.sign_in()
    before = shop.row(tab.session_id), jar.cookies(), len(shop.facts)
    for host in (STRANGER, SIBLING):
        stranger = new_tab(shop.url(host))
        for path in ("/auth/logout", "/auth/refresh", "/auth/login"):
            for name in POSTS:
                send(stranger.page, WAYS[name], shop.url("localhost", path))
            assert send_form(new_tab(shop.url(host)), shop.url("localhost", path)) != 200
            assert (shop.row(tab.session_id), jar.cookies(), len(shop.facts)) == before
    assert tab.refresh().status == 200


@pytest.mark.ids("CK-03")
def test_a_cookie_whose_same_site_is_left_out_goes_along_with_a_strangers_form(shop: Shop, new_tab: NewTab) -> None:
    """That is why ours are written out: Chromium's default is laxer than Lax in a cookie's first two minutes."""
    tab = new_tab(shop.url())
    tab.sign_in()
    tab.page.evaluate("""() => {
        document.cookie = 'left_out=1; Secure'
        document.cookie = 'lax=1; Secure; SameSite=Lax'
        document.cookie = 'strict=1; Secure; SameSite=Strict'
    }""")
    send_form(new_tab(shop.url(STRANGER)), shop.url(path="/auth/logout"))
    assert shop.names_of("/auth/logout") == {"left_out"}
