"""Two engines besides Chromium, each started once, and a browser that knows nothing for every test."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser.authority import Authority
from tests.browser.engines.face import Engine, Profile, Tab, started
from tests.browser.engines.firefox import Firefox
from tests.browser.engines.street import Stranger, Street, opened_stranger, opened_street
from tests.browser.engines.webkit import Webkit

OpenStreet = Callable[..., Street]
OpenTab = Callable[[str], Tab]


@pytest.fixture(scope="package")
def in_the_end() -> Iterator[list[ExitStack]]:
    """What is closed when the browsers are gone: a server ends at once, and cleanly, when nobody is connected to it."""
    stacks: list[ExitStack] = []
    yield stacks
    with ThreadPoolExecutor() as pool:
        list(pool.map(ExitStack.close, stacks))


@pytest.fixture(scope="package")
def firefox(
    need: Callable[[str], str], in_the_end: list[ExitStack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Firefox, as Debian has it."""
    with started(lambda: Firefox(need, tmp_path_factory.mktemp("firefox"))) as engine:
        yield engine


@pytest.fixture(scope="package")
def webkit(
    need: Callable[[str], str], in_the_end: list[ExitStack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """WebKitGTK, as Debian has it."""
    with started(lambda: Webkit(need, tmp_path_factory.mktemp("webkit"))) as engine:
        yield engine


@pytest.fixture(params=["firefox", "webkit"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """One of the engines; it runs until the last test of this folder is through."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def profile(engine: Engine) -> Iterator[Profile]:
    """A browser that knows nothing yet."""
    profile = engine.new_profile()
    yield profile
    profile.close()


@pytest.fixture
def open_tab(profile: Profile) -> OpenTab:
    """Open a page in a tab of that browser."""
    return profile.open_tab


@pytest.fixture(scope="package")
def tls(authority: Authority) -> Path:
    """A certificate for the hosts of these tests."""
    return authority.certify()


@pytest.fixture(scope="package")
def stranger(tls: Path, in_the_end: list[ExitStack]) -> Stranger:
    """The house of a stranger, who has heard of everybody."""
    in_the_end.append(stack := ExitStack())
    return stack.enter_context(opened_stranger(tls))


@pytest.fixture
def open_street(engine: Engine, stranger: Stranger, tls: Path, in_the_end: list[ExitStack]) -> OpenStreet:
    """Open a shop with these settings near the stranger's house, over https unless told otherwise."""
    stranger.taken.clear()

    def open_(*, https: bool = True, **settings: Any) -> Street:
        in_the_end.append(stack := ExitStack())
        return stack.enter_context(opened_street(stranger, tls if https else None, **settings))

    return open_


@pytest.fixture
def street(open_street: OpenStreet) -> Street:
    """A shop with the default settings, and a stranger's house."""
    return open_street()
