"""The quickstart's page works as it stands, served by the quickstart."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.uvicorn_process import EXAMPLES, served_example


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    shutil.copy(EXAMPLES / "quickstart.html", tmp_path)
    with served_example("quickstart_fastapi", tmp_path) as address:
        yield address.replace("127.0.0.1", "localhost")


def opened(jar: BrowserContext, address: str) -> Page:
    page = jar.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    return page


def is_signed_in(page: Page) -> None:
    expect(page.locator("output")).to_have_text("user-1")
    expect(page.locator("form")).to_be_hidden()


def test_the_page_signs_in_stays_so_over_tabs_and_reloads_and_signs_out(address: str, jar: BrowserContext) -> None:
    page, other = opened(jar, address), opened(jar, address)
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", "wrong")
    page.get_by_text("Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is not right.")
    page.fill("[name=password]", "lovelace")
    page.get_by_text("Sign in").click()
    is_signed_in(page)
    expect(page.get_by_role("alert")).to_have_text("")
    is_signed_in(other)
    page.reload()
    is_signed_in(page)
    page.get_by_text("Sign out").click()
    for tab in (page, other):
        expect(tab.locator("form")).to_be_visible()
        expect(tab.locator("output")).to_be_hidden()
