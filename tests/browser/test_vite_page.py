"""The example's page on another port signs in to the example's API, as a reader of its README would do it."""

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.vite import Example, press

EXAMPLE = "vite-page"


@pytest.mark.ids("CK-07", "CK-12", "XS-09", "RT-13")
def test_a_page_on_another_port_signs_in_calls_refreshes_and_signs_out(example: Example, jar: BrowserContext) -> None:
    page = jar.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(example.page)
    press(page, "#me", "me: 401")
    page.fill("[name=password]", "wrong")
    press(page, "#sign-in button", "sign-in: invalid_credentials")
    page.fill("[name=password]", "wonderland")
    press(page, "#sign-in button", "sign-in: done")
    press(page, "#me", "me: u-1")
    assert {cookie["name"] for cookie in jar.cookies()} == {"kt_refresh", "kt_bind"}
    assert {(cookie["httpOnly"], cookie["sameSite"]) for cookie in jar.cookies()} == {(True, "Strict")}
    assert page.evaluate("() => document.cookie") == ""
    # The page forgets its access token, and the cookie brings the next.
    with page.expect_response(f"{example.api}/auth/refresh") as turned:
        page.reload()
    assert "refresh_token" not in turned.value.json()
    press(page, "#me", "me: u-1")
    press(page, "#sign-out", "sign-out: done")
    assert jar.cookies() == []
    press(page, "#me", "me: 401")
    page.reload()
    press(page, "#me", "me: 401")
    assert complaints == []
