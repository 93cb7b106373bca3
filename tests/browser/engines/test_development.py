"""Without TLS on this machine: what becomes of Secure cookies there, and the profile that does without them."""

from datetime import timedelta

import pytest

from tests.browser.engines.conftest import OpenStreet, OpenTab
from tests.browser.engines.face import Engine
from tests.browser.pages import Tab
from tests.browser.shop import BIND, REFRESH


@pytest.mark.ids("CK-12")
def test_webkit_drops_secure_cookies_on_http_localhost_and_firefox_keeps_them(
    engine: Engine, open_street: OpenStreet, open_tab: OpenTab
) -> None:
    street = open_street(https=False, issuer="http://localhost:{port}")
    page = open_tab(street.shop.url("localhost"))
    tab = Tab(page)
    tab.sign_in()
    kept = [(cookie.name, cookie.secure) for cookie in page.cookies()]
    if engine.name == "WebKitGTK":
        assert kept == []
        assert tab.refresh().seen == (401, "token_missing")
    else:
        assert kept == [(BIND, True), (REFRESH, True)]
        assert tab.refresh().status == 200
        assert tab.me().json == {"subject": "u-alice"}


@pytest.mark.ids("CK-12")
def test_with_the_development_profile_every_engine_works_on_http_localhost(
    open_street: OpenStreet, open_tab: OpenTab
) -> None:
    street = open_street(https=False, profile="development", issuer="http://localhost:{port}")
    page = open_tab(street.shop.url("localhost"))
    tab = Tab(page)
    tab.sign_in()
    assert [(cookie.name, cookie.secure, cookie.http_only, cookie.same_site) for cookie in page.cookies()] == [
        ("kt_bind", False, True, "strict"),
        ("kt_refresh", False, True, "strict"),
    ]
    street.shop.clock.advance(timedelta(minutes=6))
    assert tab.me().seen == (401, "token_expired")
    assert tab.refresh().status == 200
    assert tab.me().json == {"subject": "u-alice"}
    page.reload()
    assert tab.refresh().status == 200
    assert tab.me().status == 200
    assert tab.sign_out().status == 204
    assert page.cookies() == []
