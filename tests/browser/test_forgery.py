"""What pages of other origins can do to a signed-in user: nothing, whatever cookies the browser sends along."""

from itertools import product
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from keyturn.settings import CookieSettings
from tests.browser.conftest import NewTab, Open
from tests.browser.pages import KNOCK, Tab, send_form
from tests.browser.shop import ACCESS, BIND, PASSWORD, REFRESH, SIBLING, STRANGER, Shop

ROUTES = ("/auth/refresh", "/auth/logout", "/auth/logout-all", "/auth/step-up")
#: Where a cookie alone would be enough; the others want an access token first.
COOKIES_COUNT = ("/auth/refresh", "/auth/logout")


def state_of(shop: Shop, jar: BrowserContext, tab: Tab) -> Any:
    """Everything that an attack might have changed."""
    return shop.row(tab.session_id), jar.cookies(shop.url()), shop.done.copy(), len(shop.facts)


@pytest.mark.ids("XS-01", "XS-04", "XS-07")
def test_a_sibling_whose_requests_carry_our_cookies_changes_nothing(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    before = state_of(shop, jar, tab)
    sibling = new_tab(shop.url(SIBLING))
    for path in ROUTES:
        sibling.ask("POST", shop.url(path=path), mode="no-cors", credentials="include")
        assert shop.names_of(path) == {REFRESH, BIND}  # Strict does not stop a sibling
        assert send_form(new_tab(shop.url(SIBLING)), shop.url(path=path)) == (403 if path in COOKIES_COUNT else 401)
        assert shop.names_of(path) == {REFRESH, BIND}
        assert state_of(shop, jar, tab) == before
    assert tab.refresh().status == 200


@pytest.mark.ids("XS-01", "XS-07", "CK-03")
@pytest.mark.parametrize(
    "cookie", [CookieSettings(), CookieSettings(same_site="None", partitioned=True)], ids=["strict", "none"]
)
def test_a_strangers_form_changes_nothing(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, cookie: CookieSettings
) -> None:
    shop = open_shop(cookie=cookie)
    tab = new_tab(shop.url())
    tab.sign_in()
    before = state_of(shop, jar, tab)
    stranger = new_tab(shop.url(STRANGER))
    for path, fields in product(ROUTES, ({}, {"a": "b"})):
        send_form(new_tab(shop.url(STRANGER)), shop.url(path=path), fields)
        assert (REFRESH in shop.names_of(path)) is (cookie.same_site == "None")
        stranger.ask("POST", shop.url(path=path), mode="no-cors", credentials="include")
        assert state_of(shop, jar, tab) == before, (path, fields)
    assert tab.refresh().status == 200


@pytest.mark.ids("XS-06", "XS-03")
@pytest.mark.parametrize("host", [SIBLING, STRANGER])
def test_no_other_page_can_sign_a_visitor_in_as_somebody_else(
    shop: Shop, jar: BrowserContext, new_tab: NewTab, host: str
) -> None:
    login = shop.url(path="/auth/login")
    text = f'{{"username": "mallory", "password": "{PASSWORD}", "x": "'
    statuses = [
        send_form(new_tab(shop.url(host)), login, {"username": "mallory", "password": PASSWORD}),
        send_form(new_tab(shop.url(host)), login, {text: '"}'}, enctype="text/plain"),
    ]
    assert statuses == [415, 415]
    page = new_tab(shop.url(host))
    page.ask("POST", login, mode="no-cors", credentials="include", json={"username": "mallory", "password": PASSWORD})
    told = page.ask("POST", login, credentials="include", json={"username": "mallory", "password": PASSWORD})
    assert told.type == "error"  # the preflight was not answered for this origin
    assert jar.cookies() == []
    assert shop.facts == []


@pytest.mark.ids("XS-01", "XS-04", "XS-10")
def test_with_the_access_token_in_a_cookie_the_applications_routes_are_guarded_too(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(cookie=CookieSettings(access_in_cookie=True))
    tab = new_tab(shop.url())
    assert "access_token" not in tab.sign_in().json
    assert tab.ask("GET", "/me").status == 200
    assert tab.ask("POST", "/orders").json == {"orders": 1}
    sibling = new_tab(shop.url(SIBLING))
    sibling.ask("POST", shop.url(path="/orders"), mode="no-cors", credentials="include")
    assert ACCESS in shop.names_of("/orders")
    assert send_form(sibling, shop.url(path="/orders")) == 403
    assert send_form(new_tab(shop.url(STRANGER)), shop.url(path="/orders")) == 401
    assert shop.done["u-alice"] == 1


@pytest.mark.ids("XS-10")
def test_a_siblings_websocket_is_refused_though_it_carries_our_cookies(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(cookie=CookieSettings(access_in_cookie=True))
    tab = new_tab(shop.url())
    tab.sign_in()
    address = shop.url(path="/live").replace("https:", "wss:")
    assert tab.page.evaluate(KNOCK, address) == "hello u-alice"
    for host in (SIBLING, STRANGER):
        assert new_tab(shop.url(host)).page.evaluate(KNOCK, address) == "refused"
        assert (ACCESS in shop.names_of("/live")) is (host == SIBLING)


@pytest.mark.ids("XS-09")
def test_a_page_of_a_configured_origin_signs_in_refreshes_and_calls(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(origins=(f"https://{SIBLING}:{{port}}",))
    tab = new_tab(shop.url(SIBLING))
    tab.sign_in(url=shop.url(path="/auth/login"), credentials="include")
    assert tab.ask("POST", shop.url(path="/auth/refresh"), credentials="include").status == 200
    me = tab.ask("GET", shop.url(path="/me"), credentials="include", token=tab.access_token)
    assert me.json == {"subject": "u-alice"}
    refused = tab.ask("GET", shop.url(path="/auth/session"), credentials="include", token="nonsense")
    assert refused.seen == (401, "token_invalid")
    assert "www-authenticate" in dict(refused.headers)
    assert tab.ask("POST", shop.url(path="/auth/logout"), credentials="include").status == 204
    assert jar.cookies() == []


@pytest.mark.ids("XS-09", "XS-05")
def test_a_page_of_no_configured_origin_reads_nothing_of_ours(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(origins=(f"https://{SIBLING}:{{port}}",))
    tab = new_tab(shop.url())
    tab.sign_in()
    before = state_of(shop, jar, tab)
    for host in ("other.example.test", "evil-sub.example.test", STRANGER):
        page = new_tab(shop.url(host))
        for method, path in (("POST", "/auth/refresh"), ("GET", "/auth/jwks.json"), ("GET", "/auth/session")):
            assert page.ask(method, shop.url(path=path), credentials="include").type == "error"
        told = page.ask("GET", shop.url(path="/me"), credentials="include", token=tab.access_token)
        assert told.type == "error"
    assert state_of(shop, jar, tab) == before
