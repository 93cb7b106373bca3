"""The React example: a form, who you are, a way out; and never the form where somebody is signed in."""

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.vite import Example

EXAMPLE = "react"
#: Writes down every text that the page ever shows.
WATCH = """
    window.shown = []
    new MutationObserver(() => {
        const text = document.querySelector('#root')?.innerText
        if (text && text !== shown.at(-1)) shown.push(text)
    }).observe(document, {childList: true, subtree: true, characterData: true})
"""


@pytest.fixture
def page(example: Example, jar: BrowserContext) -> Page:
    """The page in a tab, as a visitor finds it."""
    jar.add_init_script(WATCH)
    page = jar.new_page()
    page.goto(example.page)
    expect(page.locator("button")).to_have_text("Sign in")
    return page


def sign_in(page: Page, password: str = "wonderland") -> None:
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", password)
    page.locator("button").click()


def is_signed_in(page: Page) -> None:
    expect(page.locator("output")).to_have_text("u-1")
    expect(page.locator("button")).to_have_text("Sign out")


def shown(page: Page) -> list[str]:
    return [text.splitlines()[0] for text in page.evaluate("() => shown")]


def test_a_visitor_signs_in_and_out(page: Page) -> None:
    assert shown(page)[0] == "One moment …"
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is not right.")
    sign_in(page)
    is_signed_in(page)
    page.locator("button").click()
    expect(page.locator("button")).to_have_text("Sign in")


def test_a_reload_never_shows_the_form_to_who_is_signed_in(page: Page) -> None:
    sign_in(page)
    is_signed_in(page)
    waiting: list[Route] = []

    def hold(route: Route) -> None:  # however long the server takes
        waiting.append(route)

    page.route("**/auth/refresh", hold)
    page.reload()
    expect(page.locator("[aria-busy]")).to_be_visible()
    while not waiting:
        page.wait_for_timeout(10)
    waiting[0].continue_()
    is_signed_in(page)
    assert {text.split()[0] for text in shown(page)} == {"One", "You"}


def test_the_word_of_another_tab_is_shown_in_this_one(page: Page, jar: BrowserContext, example: Example) -> None:
    other = jar.new_page()
    other.goto(example.page)
    sign_in(other)
    is_signed_in(other)
    is_signed_in(page)
    page.locator("button").click()
    expect(page.locator("button")).to_have_text("Sign in")
    expect(other.locator("button")).to_have_text("Sign in")


def test_a_server_that_is_away_at_first_is_asked_again(page: Page) -> None:
    page.clock.install()
    page.route("**/auth/refresh", lambda route: route.abort())
    page.reload()
    expect(page.locator("[aria-busy]")).to_be_visible()
    with page.expect_event("requestfailed"):
        page.clock.fast_forward("00:10")
    page.unroute("**/auth/refresh")
    button = page.locator("button")
    while not button.count():
        page.clock.run_for("00:02")  # not more at once: a question that takes ten seconds is given up
        page.wait_for_timeout(100)
    expect(button).to_have_text("Sign in")
