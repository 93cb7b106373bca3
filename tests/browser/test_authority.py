"""The browser that the other tests trust: certificates of our authority are good, and no others are."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page

from tests.browser.authority import HOSTS, Authority
from tests.browser.serving import free_socket, served
from tests.browser.shop import elsewhere


@pytest.fixture
def stranger(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[int]:
    """The port of a server whose certificate is for another host."""
    bound = free_socket()
    with served(elsewhere, bound, authority.certify(["other.test"])):
        yield bound.getsockname()[1]


@pytest.fixture
def known(authority: Authority) -> Iterator[int]:
    """The port of a server whose certificate is for all hosts of the tests."""
    bound = free_socket()
    with served(elsewhere, bound, authority.certify()):
        yield bound.getsockname()[1]


@pytest.fixture
def page(stranger: int, known: int, trusting: Browser) -> Iterator[Page]:
    """A page that is closed before the servers are: they wait for no connection of its."""
    context = trusting.new_context()
    yield context.new_page()
    context.close()


def test_the_browser_trusts_our_authority_for_the_hosts_that_a_certificate_names(
    page: Page, known: int, stranger: int
) -> None:
    for host in HOSTS:
        page.goto(f"https://{host.replace('*', 'sub')}:{known}/")
        assert page.evaluate("isSecureContext")
    with pytest.raises(Error, match="ERR_CERT_COMMON_NAME_INVALID"):
        page.goto(f"https://app.example.test:{stranger}/")
