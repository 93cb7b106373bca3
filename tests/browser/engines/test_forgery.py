"""What pages of other origins can do to who is signed in with Firefox or WebKitGTK: nothing."""

from typing import Any

import pytest

from keyturn.settings import CookieSettings
from tests.browser.engines.conftest import OpenStreet, OpenTab
from tests.browser.engines.face import Tab as Page
from tests.browser.engines.street import Street
from tests.browser.pages import KNOCK, SUBMIT, Tab
from tests.browser.serving import wait_until
from tests.browser.shop import ACCESS, BIND, PASSWORD, REFRESH, SIBLING, STRANGER, Shop

ROUTES = ("/auth/refresh", "/auth/logout")
#: What is answered where no cookie came along: nothing to refresh, and nothing to end.
WITHOUT_COOKIES = {"/auth/refresh": 401, "/auth/logout": 204}


def send_form(page: Page, street: Street, path: str, fields: dict[str, str] | None = None, enctype: str = "") -> int:
    """Let a page send a form, its last act; give the status of what the user looks at then."""
    before = len(street.statuses(path))
    page.evaluate(SUBMIT, [street.shop.url(path=path), fields or {}, enctype])
    wait_until(lambda: len(street.statuses(path)) > before)
    page.close()
    return street.statuses(path)[-1]


def state_of(shop: Shop, page: Page, tab: Tab) -> Any:
    """Everything that an attack might have changed."""
    return shop.row(tab.session_id), page.cookies(), shop.done.copy(), len(shop.facts)


@pytest.mark.ids("XS-01", "XS-04", "XS-05", "XS-07", "XS-09")
@pytest.mark.parametrize("host", [SIBLING, STRANGER])
def test_another_page_changes_and_reads_nothing(street: Street, open_tab: OpenTab, host: str) -> None:
    page = open_tab(street.shop.url())
    tab = Tab(page)
    tab.sign_in()
    before = state_of(street.shop, page, tab)
    other = Tab(open_tab(street.shop.url(host)))
    for path in ROUTES:
        address = street.shop.url(path=path)
        other.ask("POST", address, mode="no-cors", credentials="include")
        assert other.ask("POST", address, credentials="include").type == "error"
        # Strict does not stop a sibling.
        assert street.statuses(path) == [403 if host == SIBLING else WITHOUT_COOKIES[path]] * 2
        assert street.shop.names_of(path) == ({REFRESH, BIND} if host == SIBLING else {""})
    told = other.ask("GET", street.shop.url(path="/me"), credentials="include", token=tab.access_token)
    assert told.type == "error"
    assert send_form(other.page, street, "/auth/logout") == (403 if host == SIBLING else 204)
    assert state_of(street.shop, page, tab) == before
    assert tab.refresh().status == 200


@pytest.mark.ids("XS-01", "XS-07", "CK-03", "CK-11")
def test_a_strangers_form_that_carries_our_cookies_is_refused(open_street: OpenStreet, open_tab: OpenTab) -> None:
    street = open_street(cookie=CookieSettings(same_site="None", partitioned=True))
    page = open_tab(street.shop.url())
    tab = Tab(page)
    tab.sign_in()
    before = state_of(street.shop, page, tab)
    for path in ROUTES:
        assert send_form(open_tab(street.shop.url(STRANGER)), street, path) == 403
        assert street.shop.names_of(path) == {REFRESH, BIND}
    assert state_of(street.shop, page, tab) == before
    assert tab.refresh().status == 200


@pytest.mark.ids("XS-06", "XS-03")
def test_no_other_page_can_sign_a_visitor_in_as_somebody_else(street: Street, open_tab: OpenTab) -> None:
    text = f'{{"username": "mallory", "password": "{PASSWORD}", "x": "'
    mallory = {"username": "mallory", "password": PASSWORD}
    for host in (SIBLING, STRANGER):
        other = Tab(open_tab(street.shop.url(host)))
        told = other.ask("POST", street.shop.url(path="/auth/login"), credentials="include", json=mallory)
        assert told.type == "error"  # the preflight was not answered for this origin
        assert send_form(other.page, street, "/auth/login", {text: '"}'}, "text/plain") == 415
    assert open_tab(street.shop.url()).cookies() == []
    assert street.shop.facts == []


@pytest.mark.ids("XS-10")
def test_a_siblings_websocket_is_refused_though_it_carries_our_cookies(
    open_street: OpenStreet, open_tab: OpenTab
) -> None:
    street = open_street(cookie=CookieSettings(access_in_cookie=True))
    page = open_tab(street.shop.url())
    Tab(page).sign_in()
    address = street.shop.url(path="/live").replace("https:", "wss:")
    assert page.evaluate(KNOCK, address) == "hello u-alice"
    for host in (SIBLING, STRANGER):
        assert open_tab(street.shop.url(host)).evaluate(KNOCK, address) == "refused"
        assert (ACCESS in street.shop.names_of("/live")) is (host == SIBLING)
