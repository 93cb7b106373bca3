"""Cookies that are gone, and tokens that are dead: a clean refusal, a page that says so, and nobody is locked out."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from keyturn.settings import CookieSettings
from tests.browser.authority import Authority
from tests.browser.conftest import NewTab, Open
from tests.browser.lab.stage import DEVELOPMENT, Lab, fill_in, staged


@pytest.fixture(params=["https", "development"])
def lab(request: pytest.FixtureRequest, trusting: Browser, authority: Authority) -> Iterator[Lab]:
    """A page with the client on it, over https and as a developer has it."""
    tls, settings = (authority.certify(), {}) if request.param == "https" else (None, DEVELOPMENT)
    with staged(trusting, tls, **settings) as opened:
        yield opened


@pytest.mark.ids("CK-10", "CK-12", "BC-04")
@pytest.mark.parametrize("how", ["the page stays", "the page is loaded again"])
def test_a_page_whose_cookies_are_gone_says_signed_out_after_one_refresh(lab: Lab, how: str) -> None:
    shop = lab.shop
    with lab.profile() as jar:
        page = lab.sign_in(jar, spied=False)
        jar.clear_cookies()
        shop.heard.clear()
        if how == "the page stays":
            shop.clock.advance(301)
            page.evaluate("() => { window.elapsed = 301_000 }")
            page.locator("#me").click()
        else:
            page.reload()
        expect(page.locator("output")).to_have_text("signed out")
        assert len(shop.cookies_of("/auth/refresh")) == 1
        asked = len(shop.heard)
        fill_in(page)
        assert [path for path, _ in shop.heard[asked:] if path.startswith("/auth/")] == ["/auth/login"]


@pytest.mark.ids("M47", "CK-10")
@pytest.mark.parametrize("access_in_cookie", [False, True], ids=["header", "cookie"])
def test_a_dead_session_locks_nobody_out_of_a_public_page_or_of_signing_in(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, access_in_cookie: bool
) -> None:
    shop = open_shop(cookie=CookieSettings(access_in_cookie=access_in_cookie))
    tab = new_tab(shop.url())
    tab.sign_in()
    assert tab.ask("GET", "/hello", token=tab.access_token).json == {"hello": "u-alice"}
    kept = jar.cookies()
    assert tab.sign_out().status == 204
    jar.add_cookies(kept)  # type: ignore[arg-type]  # what was read may be written
    for wait in (0, 301):
        shop.clock.advance(wait)
        assert tab.ask("GET", "/hello", token=tab.access_token).json == {"hello": "stranger"}
        page = jar.new_page()
        answer = page.goto(shop.url(path="/hello"))
        assert answer is not None
        assert answer.status == 200
        page.close()
        assert tab.ask("GET", "/me", token=tab.access_token).status == 401
    tab.sign_in()  # with the dead cookies in the request
    assert tab.ask("GET", "/hello", token=tab.access_token).json == {"hello": "u-alice"}
    assert tab.refresh().status == 200
