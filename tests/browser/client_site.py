"""A shop behind a line that a test can bend, and a browser that trusts it: where the client is tried."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.authority import Authority
from tests.browser.client_tab import ClientTab, client_tab
from tests.browser.line import Line, line_to
from tests.browser.serving import free_socket
from tests.browser.shop import APP, Shop, at_port, opened

REFRESHING = "/auth/refresh"
#: What a token is good for by default, and a little: "after expiry" to client and server alike.
EXPIRY = 301.0


@dataclass
class Site:
    """The shop, the line to it, and one profile of the browser."""

    shop: Shop
    line: Line
    jar: BrowserContext
    tabs: list[ClientTab] = field(default_factory=list)

    def tab(self, host: str = APP, **options: Any) -> ClientTab:
        """Open the client's page in a new tab."""
        tab = client_tab(self.jar, self.shop.origin(host), **options)
        self.tabs.append(tab)
        return tab

    def signed_in_tabs(self, many: int) -> list[ClientTab]:
        """Sign in in one tab, and open others that come to know it."""
        first = self.tab()
        first.sign_in()
        others = [self.tab() for _ in range(many - 1)]
        for tab in others:
            tab.wait_for("client.state === 'signed-in'")
        return [first, *others]

    def sleep(self, seconds: float = EXPIRY) -> None:
        """Let this time pass, for the server and in every tab, while no timer runs: a closed laptop's sleep."""
        self.shop.clock.advance(seconds)
        for tab in self.tabs:
            tab.nap(seconds)

    @property
    def refreshes(self) -> int:
        """How many refreshes have reached the server."""
        return self.line.count(REFRESHING)

    @property
    def names(self) -> list[str]:
        """The names in the jar."""
        return sorted(cookie["name"] for cookie in self.jar.cookies())

    @property
    def was_alarmed(self) -> bool:
        return "ReuseDetected" in self.shop.told()


@contextmanager
def opened_site(browser: Browser, authority: Authority, **settings: Any) -> Iterator[Site]:
    """Open a shop with these settings behind a line with TLS, on app.example.test."""
    bound = free_socket()
    port = bound.getsockname()[1]
    chosen = {"issuer": f"https://{APP}:{port}", **settings}
    with ExitStack() as stack:
        shop = stack.enter_context(opened(None, **{name: at_port(value, port) for name, value in chosen.items()}))
        line = stack.enter_context(line_to(shop.port, bound, authority.certify()))
        shop.port, shop.scheme = port, "https"
        jar = browser.new_context()
        stack.callback(jar.close)
        jar.set_default_timeout(30_000)
        yield Site(shop, line, jar)
