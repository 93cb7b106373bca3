"""Our application inside another site's page: only with partitioned cookies, and held to the same rule."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Frame

from keyturn.settings import CookieSettings
from tests.browser.conftest import NewTab, Open
from tests.browser.pages import ASK, Tab, send_form
from tests.browser.shop import BIND, PASSWORD, REFRESH, STRANGER, Shop

EMBEDDED = CookieSettings(same_site="None", partitioned=True)
CREDENTIALS = {"username": "alice", "password": PASSWORD}


def embed(tab: Tab, address: str) -> Frame:
    """Show a page of ours inside another's."""
    script = "src => document.body.append(Object.assign(document.createElement('iframe'), {src}))"
    with tab.page.expect_event("framenavigated", lambda frame: frame.url == address):
        tab.page.evaluate(script, address)
    return next(frame for frame in tab.page.frames if frame.url == address)


def ask(frame: Frame, method: str, path: str, **options: Any) -> dict[str, Any]:
    return frame.evaluate(ASK, [method, path, options])


@pytest.mark.ids("CK-11")
def test_an_embedded_page_signs_in_refreshes_calls_and_signs_out(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(cookie=EMBEDDED)
    frame = embed(new_tab(shop.url(STRANGER)), shop.url())
    token = ask(frame, "POST", "/auth/login", json=CREDENTIALS)["json"]["access_token"]
    assert {cookie["name"] for cookie in jar.cookies()} == {REFRESH, BIND}
    assert ask(frame, "GET", "/me", token=token)["json"] == {"subject": "u-alice"}
    shop.clock.advance(60)
    token = ask(frame, "POST", "/auth/refresh")["json"]["access_token"]
    assert ask(frame, "GET", "/me", token=token)["status"] == 200
    # Another jar for every site that embeds it: beside it, on its own, nobody is signed in.
    assert new_tab(shop.url()).refresh().seen == (401, "token_missing")
    assert embed_elsewhere_is_signed_out(shop, new_tab)
    assert ask(frame, "POST", "/auth/logout")["status"] == 204
    assert jar.cookies() == []


def embed_elsewhere_is_signed_out(shop: Shop, new_tab: NewTab) -> bool:
    frame = embed(new_tab(shop.url("other.test")), shop.url())
    return ask(frame, "POST", "/auth/refresh")["json"]["code"] == "token_missing"


@pytest.mark.ids("CK-11", "XS-01", "XS-07")
def test_the_site_that_embeds_it_moves_nothing_though_its_requests_carry_the_cookies(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(cookie=EMBEDDED)
    stranger = new_tab(shop.url(STRANGER))
    frame = embed(stranger, shop.url())
    session_id = ask(frame, "POST", "/auth/login", json=CREDENTIALS)["json"]["session_id"]
    before = shop.row(session_id), jar.cookies(), len(shop.facts)
    for path in ("/auth/refresh", "/auth/logout"):
        stranger.ask("POST", shop.url(path=path), mode="no-cors", credentials="include")
        assert shop.names_of(path) == {REFRESH, BIND}  # it is in that site's partition
        assert (shop.row(session_id), jar.cookies(), len(shop.facts)) == before
        assert stranger.ask("POST", shop.url(path=path), credentials="include").type == "error"
        assert send_form(new_tab(shop.url(STRANGER)), shop.url(path=path)) in (204, 401, 403)
        assert (shop.row(session_id), jar.cookies(), len(shop.facts)) == before
    assert ask(frame, "POST", "/auth/refresh")["status"] == 200


@pytest.mark.ids("CK-11")
def test_without_that_choice_an_embedded_page_keeps_nobody_signed_in(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    frame = embed(new_tab(shop.url(STRANGER)), shop.url())
    assert ask(frame, "POST", "/auth/login", json=CREDENTIALS)["status"] == 200
    assert jar.cookies() == []  # SameSite=Strict, set inside another site's page
    assert ask(frame, "POST", "/auth/refresh")["json"]["code"] == "token_missing"
