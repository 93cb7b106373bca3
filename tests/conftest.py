"""What every test can ask for: a program of the machine, a database, and the table of promises that the tests decide."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.promises import KNOWN_ID, ids_of, table_of, write_table
from tests.support.all_stores import OpenedWays
from tests.support.effort import register_profiles
from tests.support.programs import find_program
from tests.support.servers import MariadbServer, PostgresqlServer, remove_run_folder

register_profiles()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio: what the servers and the frameworks here run on."""
    return "asyncio"


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """Find a program's path; without it the test is skipped, saying how to get it, and with CI=true it fails."""
    return find_program


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL that all tests share: ask it for a database, and leave its settings alone."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    """A MariaDB that all tests share: ask it for a database, and leave its settings alone."""
    with MariadbServer() as server:
        yield server


@pytest.fixture(scope="session")
def opened_ways() -> Iterator[OpenedWays]:
    """The stores on those servers, one for each driver, as far as they are asked for; every test gets them empty."""
    ways = OpenedWays()
    yield ways
    ways.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the table of promises; nothing is written unless asked for."""
    parser.addoption("--ids-report", metavar="FILE", help="write which tests decide which ids (.md or .json)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse an id that nobody knows: a mistyped one would claim that nothing decides the right one."""
    for item in items:
        if unknown := [promise for promise in ids_of(item) if not KNOWN_ID.fullmatch(promise)]:
            raise pytest.UsageError(f"{item.nodeid}: no such id as {', '.join(unknown)}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the table when asked; with --collect-only too, so that it costs no run."""
    if path := session.config.getoption("--ids-report"):
        write_table(table_of(session.items), Path(path))


def pytest_unconfigure() -> None:
    """Remove the folder of the servers' data."""
    remove_run_folder()
