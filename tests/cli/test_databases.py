"""The commands on every database that a server may stand on, and side by side."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.command_home import Home

PASSWORD = "correct horse battery"


def sqlite(_fixture: Callable[[str], object]) -> Iterator[str]:
    yield "sqlite:///keyturn.db"


def on_server(name: str) -> Callable[[Callable[[str], object]], Iterator[str]]:
    def url(fixture: Callable[[str], object]) -> Iterator[str]:
        server = fixture(name)
        address = server.new_database()
        yield address
        server.drop_database(address)

    return url


DATABASES = {"sqlite": sqlite, "postgresql": on_server("postgresql"), "mariadb": on_server("mariadb")}


@pytest.fixture(params=DATABASES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A configuration on an empty database."""
    for url in DATABASES[request.param](request.getfixturevalue):
        yield Home(tmp_path, store=url)


@pytest.mark.ids("F03", "R76", "R77")
def test_users_sessions_clients_and_purge(home: Home) -> None:
    subject = home.run("users", "create", "ada", "--role", "editor", typed=PASSWORD).stdout.strip()
    home.run("users", "create", "bob", typed=PASSWORD)
    home.run("users", "create", "ADA", typed=PASSWORD, code=1)
    home.run("users", "promote", "ada", "admin")
    home.run("users", "set-password", "ada", typed="staple correct horse")
    rows = home.rows("users", "list")
    assert [(row["username"], row["roles"], row["state"]) for row in rows] == [
        ("ada", ["admin", "editor"], "active"), ("bob", [], "active"),
    ]  # fmt: skip
    one, two, three = (home.sign_in(subject) for _ in range(3))
    assert [row["id"] for row in home.rows("sessions", "list", "ada")] == [
        one.session_id,
        two.session_id,
        three.session_id,
    ]
    home.run("sessions", "end", one.session_id)
    home.run("sessions", "end", "-", typed=two.refresh_token)
    assert home.run("purge", "--dry-run").stdout == "2 sessions would be deleted. Nothing was changed.\n"
    assert home.run("purge").stdout == "2 sessions deleted.\n"
    assert home.run("users", "suspend", "ada").stdout == "ada is suspended; 1 session ended.\n"
    assert home.run("sessions", "end-all", "--yes").stdout == "0 sessions ended.\n"
    assert len(home.run("users", "reset", "ada").stdout) > 40
    home.run("clients", "add", "shop-api", "--name", "The shop")
    home.run("clients", "add", "shop-api", code=1)
    assert [row["name"] for row in home.rows("clients", "list")] == ["The shop"]
    home.run("clients", "remove", "shop-api")


@pytest.mark.ids("F03")
def test_of_many_who_make_the_same_account_at_once_one_does(home: Home) -> None:
    with home.opened():
        pass

    def create(number: int) -> tuple[int, str]:
        process = home.process("users", "create", "ada" if number % 2 else "ADA")
        _, errors = process.communicate(PASSWORD + "\n", timeout=60)
        return process.returncode, errors

    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(create, range(4)))
    assert sorted(code for code, _ in ended) == [0, 1, 1, 1]
    assert [errors for code, errors in ended if code and "taken" not in errors and "already" not in errors] == []
    assert len(home.rows("users", "list")) == 1
