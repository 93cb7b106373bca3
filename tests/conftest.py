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

#: Files that take half a minute and more: they come first, so that no worker is left alone with one in the end.
_LONG = tuple(
    Path(__file__).parent / name
    for name in (
        "interop/test_openapi_document.py",
        "testing/torture/test_runs.py",
        "flask/test_processes.py",
        "benchmarks/test_benchmarks.py",
        "interop/test_rotation.py",
        "deploy/test_container.py",
        "deploy/test_nginx.py",
        "cli/test_serve.py",
        "server/test_shutdown.py",
        "server/test_health_of_a_database.py",
        "regressions/test_crowds.py",
        "failure/test_database_in_trouble.py",
        "failure/test_database_killed.py",
        "cli/test_demo.py",
        "stores/test_plans.py",
    )
)


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
    """Refuse an id that nobody knows, which would claim that nothing decides the right one; put long files first."""
    for item in items:
        if unknown := [promise for promise in ids_of(item) if not KNOWN_ID.fullmatch(promise)]:
            raise pytest.UsageError(f"{item.nodeid}: no such id as {', '.join(unknown)}")
    items.sort(key=lambda item: _LONG.index(item.path) if item.path in _LONG else len(_LONG))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the table when asked; with --collect-only too, so that it costs no run."""
    if path := session.config.getoption("--ids-report"):
        write_table(table_of(session.items), Path(path))


def pytest_unconfigure() -> None:
    """Remove the folder of the servers' data."""
    remove_run_folder()
