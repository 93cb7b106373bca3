"""The Authorize dialogue of FastAPI's documentation page, clicked; and that nobody else can use its endpoint."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import NewTab, Open
from tests.browser.packages import node_modules
from tests.browser.pages import Tab, send_form
from tests.browser.shop import PASSWORD, SIBLING, STRANGER, Shop

#: What FastAPI's page loads from elsewhere, here from npm; its own pin is the major version.
MANIFEST = json.dumps({"private": True, "devDependencies": {"swagger-ui-dist": "5.35.0"}})
FORM = {"grant_type": "password", "username": "alice", "password": PASSWORD}


@pytest.fixture
def swagger(need: Callable[[str], str]) -> Path:
    """The folder with Swagger UI's files."""
    return node_modules(MANIFEST, need) / "swagger-ui-dist"


@pytest.fixture
def shop(open_shop: Open) -> Shop:
    """A shop as a developer runs it."""
    return open_shop(https=False, profile="development", issuer="http://localhost:{port}")


def open_docs(shop: Shop, jar: BrowserContext, swagger: Path) -> Page:
    def serve(route: Route) -> None:
        file = swagger / route.request.url.rpartition("/")[2]
        route.fulfill(path=file) if file.is_file() else route.abort()

    jar.route(lambda url: "localhost" not in url.partition("://")[2].partition("/")[0], serve)
    page = jar.new_page()
    page.goto(shop.url("localhost", "/docs"))
    return page


def try_out(page: Page, operation: str) -> str:
    """Press Execute (and Try it out before, the first time); give the status that the page shows."""
    block = page.locator(f"#operations-{operation}")
    if not block.locator(".execute").count():
        block.locator(".opblock-summary-control").click()
        block.locator(".try-out__btn").click()
    else:
        block.locator(".btn-clear").click()
    block.locator(".execute").click()
    return block.locator(".live-responses-table tbody .response-col_status").first.inner_text().strip()[:3]


def authorize(page: Page, password: str) -> None:
    page.locator(".scheme-container .btn.authorize").click()
    page.locator("#oauth_username, #password-username").first.fill("alice")
    page.locator("#oauth_password, #password-password").first.fill(password)
    page.locator(".auth-container .btn.modal-btn.auth.authorize").first.click()


def test_who_authorizes_in_the_documentation_page_can_call_guarded_routes_from_it(
    shop: Shop, jar: BrowserContext, swagger: Path
) -> None:
    page = open_docs(shop, jar, swagger)
    assert try_out(page, "default-me_me_get") == "401"
    authorize(page, PASSWORD)
    expect(page.locator(".auth-container h6").first).to_have_text("Authorized")
    page.locator(".btn-done").first.click()
    assert try_out(page, "default-me_me_get") == "200"
    assert try_out(page, "sessions-keyturn_session") == "200"
    assert jar.cookies() == []  # the page holds an access token and nothing else
    shop.clock.advance(timedelta(minutes=6))
    assert try_out(page, "default-me_me_get") == "401"


def test_a_wrong_password_is_told_in_the_dialogue(shop: Shop, jar: BrowserContext, swagger: Path) -> None:
    page = open_docs(shop, jar, swagger)
    authorize(page, "wrong")
    expect(page.locator(".auth-container .errors").first).to_contain_text("The user name or the password is not right.")
    assert "SessionStarted" not in shop.told()


@pytest.mark.ids("XS-06")
@pytest.mark.parametrize("host", [STRANGER, SIBLING])
def test_no_other_page_can_use_its_endpoint(
    shop: Shop, open_shop: Open, jar: BrowserContext, new_tab: NewTab, host: str
) -> None:
    address = shop.url("localhost", "/auth/docs-token")
    assert send_form(new_tab(shop.url(host)), address, FORM) == 403
    page = new_tab(shop.url(host))
    page.ask("POST", address, mode="no-cors", credentials="include", headers={"Content-Type": "text/plain"})
    assert page.ask("POST", address, credentials="include").type == "error"
    assert shop.facts == []


@pytest.mark.ids("XS-04", "XS-06")
def test_a_page_on_another_port_of_this_machine_cannot_use_its_endpoint_either(
    shop: Shop, open_shop: Open, new_tab: NewTab
) -> None:
    other = open_shop(https=False, profile="development", issuer="http://localhost:{port}")
    address = shop.url("localhost", "/auth/docs-token")
    assert send_form(new_tab(other.url("localhost")), address, FORM) == 403
    assert _posted_by_fetch(new_tab(other.url("localhost")), address) == 403
    assert _posted_by_fetch(new_tab(shop.url("localhost")), address) == 200
    assert shop.told() == ["SessionStarted"]


def test_without_docs_login_the_endpoint_is_not_there(open_shop: Open, new_tab: NewTab) -> None:
    shop = open_shop()
    assert _posted_by_fetch(new_tab(shop.url()), "/auth/docs-token") == 404
    shop.install(docs_login=True)
    assert _posted_by_fetch(new_tab(shop.url()), "/auth/docs-token") == 200


def _posted_by_fetch(tab: Tab, address: str) -> int:
    script = "async ([url, form]) => (await fetch(url, {method: 'POST', body: new URLSearchParams(form)})).status"
    return tab.page.evaluate(script, [address, FORM])
