"""What other pages can load, frame or run of what we answer: nothing; and the demonstration's page is held to the same."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import NewTab
from tests.browser.demo_site import DemoSite
from tests.browser.serving import free_socket, served
from tests.browser.shop import SIBLING, STRANGER, Shop, elsewhere

#: Answers of every kind: claims, lists, keys, code, problems.
ANSWERS = ("/auth/session", "/auth/sessions", "/auth/jwks.json", "/auth/client.js", "/auth/refresh", "/auth/nothing")
#: Every way of bringing something into a page; each says what came of it.
LOAD = """async url => {
    const by = (tag, attributes) => new Promise(done => {
        const element = document.createElement(tag)
        element.onload = () => done('loaded')
        element.onerror = () => done('refused')
        Object.assign(element, attributes)
        document.body.append(element)
    })
    return {
        fetch: await fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused'),
        opaque: await fetch(url, {credentials: 'include', mode: 'no-cors'}).then(() => 'loaded', () => 'refused'),
        script: await by('script', {src: url}),
        module: await by('script', {src: url, type: 'module'}),
        image: await by('img', {src: url}),
        style: await by('link', {rel: 'stylesheet', href: url}),
        video: await by('video', {src: url}),
    }
}"""


def framed(page: Page, address: str) -> str:
    """Put a page into a frame; give where the frame is then."""
    with page.expect_event("framenavigated"):
        page.evaluate("src => document.body.append(Object.assign(document.createElement('iframe'), {src}))", address)
    return page.frames[-1].url


@pytest.mark.ids("XS-12", "XS-09", "TOK-23")
@pytest.mark.parametrize("host", [SIBLING, STRANGER])
def test_another_origins_page_loads_no_answer_of_ours(shop: Shop, new_tab: NewTab, host: str) -> None:
    own = new_tab(shop.url())
    own.sign_in()
    loaded = own.page.evaluate(LOAD, shop.url(path="/auth/client.js"))
    assert (loaded["fetch"], loaded["opaque"], loaded["module"]) == (
        "read",
        "loaded",
        "loaded",
    )  # what is refused below
    page = new_tab(shop.url(host)).page
    for path in ANSWERS:
        assert set(page.evaluate(LOAD, shop.url(path=path)).values()) == {"refused"}, path


@pytest.mark.ids("XS-13")
def test_nobody_frames_an_answer_of_ours_not_even_our_own_page(shop: Shop, new_tab: NewTab) -> None:
    for host in (None, SIBLING, STRANGER):
        page = new_tab(shop.url(host) if host else shop.url()).page
        assert framed(page, shop.url()) == shop.url()  # the application's own page says nothing of frames
        for path in ANSWERS:
            assert framed(page, shop.url(path=path)).startswith("chrome-error:"), (host, path)


@pytest.mark.ids("XS-12")
def test_an_answer_of_ours_is_never_run_as_a_script_or_shown_as_a_page(shop: Shop, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    for path in set(ANSWERS) - {"/auth/client.js"}:  # nosniff, and JSON that says so
        loaded = tab.page.evaluate(LOAD, path)
        assert (loaded["script"], loaded["module"], loaded["style"]) == ("refused",) * 3, path
        tab.page.goto(shop.url(path=path))
        assert tab.page.evaluate("() => document.contentType").startswith("application/"), path
        assert tab.page.evaluate("() => [self.origin === location.origin, document.scripts.length]") == [True, 0]
        tab.page.goto(shop.url())


# --- the demonstration's page ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neighbour() -> Iterator[int]:
    """The port of another program on this machine, with pages of its own."""
    bound = free_socket()
    with served(elsewhere, bound):
        yield bound.getsockname()[1]


DEMO = ("", "demo/index.html", "demo/about", "demo/events", "demo/page.js")


@pytest.mark.ids("XS-12", "XS-13", "XS-04")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", STRANGER])
def test_the_demonstrations_page_is_neither_framed_nor_read_by_another(
    demo_site: DemoSite, neighbour: int, jar: BrowserContext, host: str
) -> None:
    page = jar.new_page()
    page.goto(demo_site.url)
    assert page.evaluate("async () => (await fetch('/demo/about')).status") == 200  # its own page reads it
    page.goto(f"http://{host}:{neighbour}/")
    assert framed(page, f"http://{host}:{neighbour}/plant") == f"http://{host}:{neighbour}/plant"
    for path in DEMO:
        assert framed(page, demo_site.url + path).startswith("chrome-error:"), path
        assert set(page.evaluate(LOAD, demo_site.url + path).values()) == {"refused"}, path
    assert framed(page, demo_site.url + "demo/evil").startswith("chrome-error:")


INJECTED = """() => {
    const errors = []
    for (const inject of [
        () => { document.body.innerHTML += '<img src=x onerror="window.ran = 1">' },
        () => { document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})) },
        () => { document.body.append(Object.assign(document.createElement('base'), {href: 'http://evil.test/'})) },
        () => { setTimeout('window.ran = 1') },
    ]) {
        try { inject(); errors.push('') } catch (error) { errors.push(error.name) }
    }
    return new Promise(done => setTimeout(() => done([errors, window.ran ?? 0, document.baseURI])))
}"""


@pytest.mark.ids("XS-13")
def test_no_text_becomes_code_in_the_demonstrations_page(demo_site: DemoSite, jar: BrowserContext) -> None:
    page = jar.new_page()
    page.goto(demo_site.url)
    errors, ran, base = page.evaluate(INJECTED)
    assert errors == ["TypeError", "TypeError", "", "TypeError"]
    assert ran == 0
    assert base == demo_site.url
