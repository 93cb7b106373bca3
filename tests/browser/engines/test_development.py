"""Without TLS on this machine: what becomes of Secure cookies there, and the profile that does without them."""

from datetime import timedelta

import pytest

from tests.browser.client_tab import ClientTab
from tests.browser.engines.conftest import OpenStreet, OpenTab
from tests.browser.engines.face import Engine
from tests.browser.engines.street import Street
from tests.browser.shop import BIND, REFRESH


def client_at(open_tab: OpenTab, street: Street) -> ClientTab:
    """Open the client's page on http://localhost."""
    tab = ClientTab(open_tab(street.shop.url("localhost", "/app")))
    tab.wait_for("window.ready && client.state === 'signed-out'")
    return tab


@pytest.mark.ids("CK-10", "CK-12")
def test_webkit_drops_secure_cookies_on_http_localhost_and_firefox_keeps_them(
    engine: Engine, open_street: OpenStreet, open_tab: OpenTab
) -> None:
    tab = client_at(open_tab, open_street(https=False, issuer="http://localhost:{port}"))
    tab.sign_in()
    if engine.name == "WebKitGTK":
        assert tab.page.cookies() == []
        tab.nap(11)  # it asks again for no token that it has just got
        assert tab.call() == 401
        assert tab.told() == ["signed-in", "expired"]  # not in silence
        assert tab.told("expired") == [{"code": "token_missing"}]
    else:
        assert [(cookie.name, cookie.secure) for cookie in tab.page.cookies()] == [(BIND, True), (REFRESH, True)]
        assert tab.call() == 200


@pytest.mark.ids("CK-12")
def test_with_the_development_profile_every_engine_works_on_http_localhost(
    open_street: OpenStreet, open_tab: OpenTab
) -> None:
    street = open_street(https=False, profile="development", issuer="http://localhost:{port}")
    tab = client_at(open_tab, street)
    tab.sign_in()
    assert [(cookie.name, cookie.secure, cookie.http_only, cookie.same_site) for cookie in tab.page.cookies()] == [
        ("kt_bind", False, True, "strict"),
        ("kt_refresh", False, True, "strict"),
    ]
    assert tab.call() == 200
    street.shop.clock.advance(timedelta(minutes=6))
    tab.nap(60)
    assert tab.call() == 200
    assert street.statuses("/me") == [200, 401, 200]
    tab.reload()
    tab.wait_for("client.state === 'signed-in'")
    assert tab.states == ["unknown", "signed-in"]
    assert tab.call() == 200
    tab.do("client.logout()")
    assert tab.page.cookies() == []
    assert tab.call() == 401
