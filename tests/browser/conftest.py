"""A real browser, and our application served to it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.browser.authority import Authority, found_authority
from tests.browser.client_site import Site, opened_site
from tests.browser.demo_site import DemoSite, demonstration, visitor
from tests.browser.lab.elsewhere import Elsewhere, at_home
from tests.browser.lab.stage import Lab, staged
from tests.browser.pages import Tab, tab_of
from tests.browser.serving import make_certificate
from tests.browser.shop import Shop, opened
from tests.browser.vite import Example, running_example

ARGUMENTS = (
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
    # Names below .test are this machine; nothing else is looked up.
    "--host-resolver-rules=MAP *.test 127.0.0.1, EXCLUDE localhost, EXCLUDE 127.0.0.1, MAP * ~NOTFOUND",
)

Open = Callable[..., Shop]
NewTab = Callable[..., Tab]
OpenSite = Callable[..., Site]


# Playwright keeps an event loop running in this thread: it goes when the last test of this folder is through.
@pytest.fixture(scope="package")
def driver() -> Iterator[Playwright]:
    """What drives the browsers; one thread can have but one."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def chromium(need: Callable[[str], str], driver: Playwright) -> Iterator[Browser]:
    """Chromium with a profile of its own, in which nothing is kept."""
    path = need("chromium")
    browser = driver.chromium.launch(executable_path=path, args=[*ARGUMENTS], chromium_sandbox=False)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of our own."""
    return found_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
def trusting(
    need: Callable[[str], str], driver: Playwright, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """Chromium that trusts our authority and therefore ignores no error: https as users have it."""
    path, home = need("chromium"), tmp_path_factory.mktemp("home")
    authority.trust(need("certutil"), home / ".pki" / "nssdb")
    browser = driver.chromium.launch(
        executable_path=path, args=[*ARGUMENTS], chromium_sandbox=False, env={**os.environ, "HOME": str(home)}
    )
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the hosts of these tests."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def open_shop(chromium: Browser, certificate: Path) -> Iterator[Open]:
    """Open a shop with these settings, over https unless told otherwise."""
    with ExitStack() as stack:

        def open_(*, https: bool = True, **settings: Any) -> Shop:
            return stack.enter_context(opened(certificate if https else None, **settings))

        yield open_


@pytest.fixture
def shop(open_shop: Open) -> Shop:
    """A shop with the default settings."""
    return open_shop()


@pytest.fixture
def jar(chromium: Browser, open_shop: Open) -> Iterator[BrowserContext]:
    """A fresh profile: its own cookies and cache."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def new_tab(jar: BrowserContext) -> NewTab:
    """Open a page in a tab of that profile."""

    def open_tab(url: str) -> Tab:
        return tab_of(jar, url)

    return open_tab


@pytest.fixture
def open_site(trusting: Browser, authority: Authority) -> Iterator[OpenSite]:
    """Open a shop with these settings behind a line that can be bent, in a profile of its own."""
    with ExitStack() as stack:

        def open_(**settings: Any) -> Site:
            return stack.enter_context(opened_site(trusting, authority, **settings))

        yield open_


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """Such a shop with the default settings."""
    return open_site()


@pytest.fixture(scope="module")
def demo_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """The demonstration, served."""
    with demonstration(tmp_path_factory.mktemp("demo")) as served:
        yield served


@pytest.fixture
def demo_jar(chromium: Browser, demo_site: DemoSite) -> Iterator[BrowserContext]:
    """A fresh profile of a visitor of the demonstration."""
    with visitor(chromium) as context:
        yield context


@pytest.fixture(scope="module")
def lab(trusting: Browser, authority: Authority) -> Iterator[Lab]:
    """A shop with a page in which a thief's script runs."""
    with staged(trusting, authority.certify()) as opened:
        yield opened


@pytest.fixture(scope="module")
def thief(lab: Lab, authority: Authority) -> Iterator[Elsewhere]:
    """The thief at home, with what was carried away."""
    with at_home(lab.shop, authority.certify()) as elsewhere:
        yield elsewhere


@pytest.fixture(scope="module")
def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], str]
) -> Iterator[Example]:
    """The example that a file of tests names as its EXAMPLE."""
    name = request.module.EXAMPLE
    with running_example(name, tmp_path_factory.mktemp(name), need) as example:
        yield example
