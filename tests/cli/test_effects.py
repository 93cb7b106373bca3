"""What a command does is felt by a server that runs: at once where it asks the database, soon where it does not."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.command_home import Home
from tests.support.serve_process import Answer, Served, served

PASSWORD, OTHER = "correct horse battery", "staple correct horse"
#: Far longer than the staleness bound, and far shorter than an access token lives: it only bounds a hang.
PATIENCE = 60
SETTINGS = '[keyturn]\nissuer = "http://127.0.0.1"\nstaleness_bound = "1s"\n[server]\nlog_format = "text"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers, so that none can be the process that a command spoke to."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "keyturn.toml").write_text(SETTINGS)
    with served(folder, "--workers", "2") as running:
        yield running


@pytest.fixture
def home(server: Served) -> Home:
    return Home.at(server.folder)


@pytest.fixture
def name(home: Home, request: pytest.FixtureRequest) -> str:
    """An account for this test alone."""
    name = f"user{abs(hash(request.node.name))}"
    home.run("users", "create", name, "--role", "editor", "--role", "reader", typed=PASSWORD)
    return name


def call(server: Served, tokens: Any) -> Answer:
    return server.call("GET", "/auth/session", token=tokens["access_token"])


def refresh(server: Served, tokens: Any) -> Answer:
    return server.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})


def sign_in(server: Served, name: str, password: str = PASSWORD) -> Answer:
    return server.call("POST", "/auth/login", {"username": name, "password": password, "transport": "body"})


def felt(server: Served, tokens: Any) -> Answer:
    """Call until both workers refuse; the last answer."""
    until(lambda: call(server, tokens).status == 401)
    return call(server, tokens)


def suspend(home: Home, name: str, _tokens: Any) -> None:
    home.run("users", "suspend", name)


def set_password(home: Home, name: str, _tokens: Any) -> None:
    home.run("users", "set-password", name, typed=OTHER)


def end_user(home: Home, name: str, _tokens: Any) -> None:
    assert home.run("sessions", "end-user", name).stdout == f"{name}: 1 session ended.\n"


def end_by_id(home: Home, name: str, _tokens: Any) -> None:
    (row,) = home.rows("sessions", "list", name)
    home.run("sessions", "end", row["id"])


def end_by_token(home: Home, _name: str, tokens: Any) -> None:
    home.run("sessions", "end", "-", typed=tokens["refresh_token"])


@pytest.mark.ids("SE-02", "SE-08", "R77")
@pytest.mark.parametrize("end", [suspend, set_password, end_user, end_by_id, end_by_token])
def test_an_end_is_felt_by_a_server_that_runs(
    server: Served, home: Home, name: str, end: Callable[[Home, str, Any], None]
) -> None:
    tokens, bystander = sign_in(server, name).body, signed_in_bystander(server, home)
    assert call(server, tokens).status == 200
    end(home, name, tokens)
    refused = refresh(server, tokens)
    assert (refused.status, refused.body["code"]) == (401, "session_ended"), "a refresh asks the database"
    assert felt(server, tokens).body["code"] == "session_ended"
    assert call(server, bystander).status == 200
    assert refresh(server, bystander).status == 200


def signed_in_bystander(server: Served, home: Home) -> Any:
    if not any(row["username"] == "bystander" for row in home.rows("users", "list")):
        home.run("users", "create", "bystander", typed=PASSWORD)
    return sign_in(server, "bystander").body


@pytest.mark.ids("SE-08", "RT-12")
def test_who_is_suspended_cannot_sign_in_until_they_are_activated(server: Served, home: Home, name: str) -> None:
    home.run("users", "suspend", name)
    refused = sign_in(server, name)
    unknown = sign_in(server, "nobody")
    assert (refused.status, refused.text) == (unknown.status, unknown.text)
    home.run("users", "activate", name)
    assert sign_in(server, name).status == 200


@pytest.mark.ids("SE-08")
def test_a_new_password_counts_at_once_and_the_old_one_no_more(server: Served, home: Home, name: str) -> None:
    home.run("users", "set-password", name, typed=OTHER)
    assert (sign_in(server, name).status, sign_in(server, name, OTHER).status) == (401, 200)


@pytest.mark.ids("SE-02", "RT-12")
def test_a_role_that_is_taken_is_in_no_token_after_a_silent_refresh(server: Served, home: Home, name: str) -> None:
    tokens = sign_in(server, name).body
    assert set(call(server, tokens).body["scope"].split()) == {"editor", "reader"}
    home.run("users", "demote", name, "editor")
    stale = felt(server, tokens)
    assert stale.body["code"] == "token_stale", "no sign-out: the client refreshes silently"
    refreshed = refresh(server, tokens)
    assert refreshed.status == 200
    assert call(server, refreshed.body).body["scope"] == "reader"
    home.run("users", "promote", name, "editor")
    assert felt(server, refreshed.body).body["code"] == "token_stale"
    again = refresh(server, refreshed.body)
    assert set(call(server, again.body).body["scope"].split()) == {"editor", "reader"}


@pytest.mark.ids("R76")
def test_a_purge_beside_a_server_signs_nobody_out(server: Served, home: Home, name: str) -> None:
    tokens, over = sign_in(server, name).body, sign_in(server, name).body
    home.run("sessions", "end", "-", typed=over["refresh_token"])
    assert int(home.run("purge").stdout.split()[0]) >= 1
    assert refresh(server, tokens).status == 200
    assert refresh(server, over).body["code"] == "session_ended"


@pytest.mark.ids("OA-02", "OA-04")
def test_a_client_is_known_at_its_first_use_and_unknown_soon_after_its_removal(
    server: Served, home: Home, name: str
) -> None:
    tokens = sign_in(server, name).body
    secret = home.run("clients", "add", f"{name}-api").stdout.strip()

    def ask() -> Answer:
        return server.call(
            "POST", "/auth/introspect", urlencode({"token": tokens["access_token"]}).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"{name}-api:{secret}".encode()).decode(),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )  # fmt: skip

    until(lambda: ask().status == 200)
    assert ask().body["active"] is True
    home.run("clients", "remove", f"{name}-api")
    until(lambda: ask().status == 401)


def until(holds: Callable[[], bool], *, in_a_row: int = 12) -> None:
    """Ask until it holds so many times in a row: of two workers neither says otherwise."""
    deadline, held = time.monotonic() + PATIENCE, 0
    while held < in_a_row:
        held = held + 1 if holds() else 0
        assert time.monotonic() < deadline, "it was never felt"
        time.sleep(0.02)
