"""The page and its line: many tabs, a server that goes and comes back, whose fact is whose, and the focus."""

from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Request, expect

from keyturn.server.demo_app import build
from keyturn.server.serving import listen, served
from tests.browser.demo_site import PASSWORD, DemoSite, entered, visitor

#: What a browser says in its console of a server that is gone.
GONE = "net::ERR_CONNECTION_REFUSED"
#: A tab behind another one, as a browser tells it; Playwright's are all in front.
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => hidden ? 'hidden' : 'visible' })
    document.dispatchEvent(new Event('visibilitychange'))
}"""


def test_eight_tabs_are_open_and_each_can_be_used(demo_site: DemoSite, demo_jar: BrowserContext) -> None:
    # A browser has six connections to one server; were each tab to hold one, the seventh would show nothing.
    tabs = [entered(demo_site, demo_jar) for _ in range(8)]
    tabs[-1].sign_in()
    for tab in tabs:
        expect(tab.page.locator("#raw-token")).to_be_visible()
        expect(tab.page.locator("#log [data-type=SessionStarted]")).not_to_have_count(0)
    assert tabs[0].run("exfiltrated").outcome == "stopped"
    assert [tab.complaints for tab in tabs] == [[]] * 8


def test_a_tab_that_nobody_sees_asks_for_no_news_and_catches_up(demo_site: DemoSite, demo_jar: BrowserContext) -> None:
    tab = entered(demo_site, demo_jar)
    tab.sign_in()
    with tab.page.expect_event("requestfailed", lambda request: "/demo/events" in request.url):
        tab.page.evaluate(HIDE, True)
    asked: list[Request] = []
    tab.page.on("request", lambda request: asked.append(request) if "/demo/events" in request.url else None)
    demo_site.phone()
    tab.page.evaluate("() => fetch('/demo/about')")  # whatever was to be sent is sent
    assert asked == []
    lines = tab.page.locator("#log [data-type=SessionStarted]")
    before = lines.count()
    tab.page.evaluate(HIDE, False)
    expect(lines).to_have_count(before + 1)
    expect(lines.first).to_contain_text("Another session: Signed in.")


def test_what_happened_before_the_page_was_loaded_is_told_as_ones_own(
    demo_site: DemoSite, demo_jar: BrowserContext
) -> None:
    tab = entered(demo_site, demo_jar)
    tab.sign_in()
    tab.page.reload()
    expect(tab.page.locator("#log [data-type=SessionStarted]").first).to_contain_text("Signed in. The session begins")
    expect(tab.page.locator("#log [data-type=SessionStarted]").first).not_to_contain_text("Another session")
    tab.page.get_by_role("button", name="Sign out", exact=True).click()
    tab.sign_in()
    ended = tab.page.locator("#log [data-type=SessionEnded]").first
    expect(ended).to_contain_text("The session was ended (logout).")
    expect(ended).not_to_contain_text("Another session")


def test_who_stands_on_a_button_of_the_list_stays_there(demo_site: DemoSite, demo_jar: BrowserContext) -> None:
    demo_site.phone()
    tab = entered(demo_site, demo_jar)
    tab.sign_in()
    rows = tab.page.locator(".devices li")
    mark = rows.filter(has_text="Ada's phone").first.get_attribute("data-session")
    button = tab.page.locator(f".devices [data-session='{mark}'] button")
    button.focus()
    before = rows.count()
    demo_site.phone()
    expect(rows).to_have_count(before + 1)
    expect(button).to_be_focused()
    expect(rows.first).to_contain_text("key last turned at")


def test_a_server_that_is_gone_is_told_of_and_the_next_one_is_found(chromium: Browser, tmp_path: Path) -> None:
    listening = listen()
    port = listening.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    context = visitor(chromium)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    demo = build(first, address, PASSWORD)
    with closing(demo.store), served(demo.app, listening), demo.goes_on():
        tab = entered(DemoSite(demo, address + "/"), context)
        tab.sign_in()
    expect(tab.page.locator("#pill-text")).to_have_text("No answer from the server")
    expect(tab.page.locator("#announcer")).to_contain_text("The server does not answer.")
    other = "another password of the demonstration"
    demo = build(second, address, other)
    with closing(demo.store), served(demo.app, listen(port)), demo.goes_on():
        # Another database, other keys and another password: the page begins anew, and knows them.
        expect(tab.page.locator("#pill-text")).to_have_text("Signed out")
        expect(tab.page.locator("#password")).to_have_value(other)
        tab.sign_in()
        assert [words for words in tab.complaints if GONE not in words] == []
    context.close()


def test_a_page_that_is_opened_before_its_server_answers_goes_on_when_it_does(
    demo_site: DemoSite, demo_jar: BrowserContext
) -> None:
    page = demo_jar.new_page()
    silent = True
    for path in ("demo/about", "auth/refresh"):
        demo_jar.route(
            demo_site.url + path, lambda route: route.abort("connectionrefused") if silent else route.continue_()
        )
    page.goto(demo_site.url)
    expect(page.locator("#waiting")).to_have_text("The server does not answer. This page asks again by itself.")
    silent = False
    expect(page.locator("#pill-text")).to_have_text("Signed out")
