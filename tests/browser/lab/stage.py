"""The shop with a real page on it, a browser in which the thief's script runs, and a user in front of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.serving import free_socket, served
from tests.browser.shop import APP, PASSWORD, Shop, answer, opened

HERE = Path(__file__).parent
SPY, ATTEMPTS = (HERE / "spy.js").read_text(), (HERE / "attempts.js").read_text()
JAVASCRIPT = "text/javascript; charset=utf-8"
#: What an application's pages should have at the least; no inline script runs under it, so ours comes another way.
POLICY = "default-src 'self'; connect-src *; frame-ancestors 'self'"
#: The shop on a developer's machine, without TLS.
DEVELOPMENT: dict[str, Any] = {"host": "localhost", "profile": "development", "issuer": "http://localhost:{port}"}


@dataclass
class Lab:
    """A shop, its pages, and what a thief collects at an address of their own."""

    shop: Shop
    browser: Browser
    files: dict[str, tuple[str, str]]
    headers: dict[str, str] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)
    drop: str = ""
    host: str = APP

    @property
    def address(self) -> str:
        return self.shop.url(self.host)

    @contextmanager
    def profile(self) -> Iterator[BrowserContext]:
        """A browser profile of its own."""
        context = self.browser.new_context()
        context.set_default_timeout(15_000)
        yield context
        context.close()

    def visit(self, jar: BrowserContext, *, says: str = "", spied: bool = True) -> Page:
        """Open the shop's page, with the script in it unless told otherwise."""
        page = jar.new_page()
        if spied:
            page.add_init_script(SPY + ATTEMPTS)
        page.goto(self.address)
        if says:
            expect(page.locator("output")).to_have_text(says)
        return page

    def sign_in(self, jar: BrowserContext, username: str = "alice", *, spied: bool = True) -> Page:
        """Open the page and sign in as a user does, by its form."""
        page = self.visit(jar, says="signed out", spied=spied)
        fill_in(page, username)
        return page


def fill_in(page: Page, username: str = "alice") -> None:
    """Sign in by the page's form."""
    page.locator("[name=username]").fill(username)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("#sign-in button").click()
    expect(page.locator("output")).to_have_text(f"you are u-{username}")


def loot_of(page: Page) -> str:
    """Everything that the script has found so far."""
    return "\n".join(page.evaluate("() => window.loot"))


def attempt(page: Page, name: str, *given: Any) -> Any:
    """Let the script make one of its attempts."""
    return page.evaluate("([name, given]) => window.attempts[name](...given)", [name, list(given)])


@contextmanager
def staged(browser: Browser, tls: Path | None, *, host: str = APP, **settings: Any) -> Iterator[Lab]:
    """Open a shop with a page, and the thief's drop box."""
    files = {
        "/": ("text/html; charset=utf-8", (HERE / "page.html").read_text()),
        "/page.js": (JAVASCRIPT, (HERE / "page.js").read_text()),
    }
    with opened(tls, **settings) as shop:
        lab = Lab(shop, browser, files, {"Content-Security-Policy": POLICY}, host=host)
        shop.app = _with_files(shop.app, lab)
        bound = free_socket()
        lab.drop = f"{shop.scheme}://evil.test:{bound.getsockname()[1]}/"
        with served(_drop_box(lab.carried), bound, tls):
            yield lab


def _with_files(app: Any, lab: Lab) -> Any:
    async def around(scope: Any, receive: Any, send: Any) -> None:
        file = lab.files.get(scope["path"]) if scope["type"] == "http" else None
        if file is None:
            await app(scope, receive, send)
        else:
            fields = {"Content-Type": file[0], **lab.headers}.items()
            headers = [(name.lower().encode(), value.encode()) for name, value in fields]
            await answer(send, 200, headers, file[1].encode())

    return around


def _drop_box(carried: list[str]) -> Any:
    async def take(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        carried.append(body.decode("utf-8", "replace"))
        await answer(send, 204, [], b"")

    return take
