"""The client of docs/how-to/write-your-own-client.md keeps the rules that the page tells."""

import importlib.util
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.serve_process import served
from tests.support.tcp_proxy import TcpProxy

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/own_client.py"
PASSWORD = "a shed, a lamp, a ladder"


def load():
    spec = importlib.util.spec_from_file_location("own_client", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("serve"), users={"ada": PASSWORD}) as running:
        yield running


@pytest.fixture
def client(server, tmp_path):
    client = load().Client(server.address, tmp_path / "token")
    client.sign_in("ada", PASSWORD)
    return client


def session(client) -> tuple[str, int]:
    status, claims = client.get(f"{client.issuer}/auth/session")
    assert status == 200, claims
    return claims["sid"], claims["gen"]


def test_the_page_shows_the_example_as_it_is():
    assert EXAMPLE.read_text() in (ROOT / "docs/how-to/write-your-own-client.md").read_text()


@pytest.mark.ids("P3")
def test_threads_refresh_once(client):
    sid, generation = session(client)
    client.renew_at = 0.0
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda _: session(client), range(20)))
    assert (sid, generation) == (sid, 0)
    assert set(found) == {(sid, 1)}


@pytest.mark.ids("P3")
def test_a_refused_token_is_renewed_and_the_request_repeated_once(client):
    sid, _ = session(client)
    client.access = None  # as after a restart: the store alone knows
    assert session(client) == (sid, 1)
    assert stat.S_IMODE(client.store.stat().st_mode) == 0o600


@pytest.mark.ids("P3")
def test_after_a_lost_answer_the_same_token_is_good(client):
    sid, _ = session(client)
    with TcpProxy(int(client.issuer.rpartition(":")[2])) as wire:
        direct, client.issuer = client.issuer, f"http://127.0.0.1:{wire.port}"
        client.renew_at = 0.0
        wire.lose_the_next_answer()
        with pytest.raises(OSError):
            client.get(f"{direct}/auth/session")
        assert wire.lost_answers == 1
        client.issuer = direct
    assert session(client) == (sid, 1)  # the same successor, and no alarm


def test_an_ended_session_says_so(client, server):
    status, _ = load().send(f"{server.address}/auth/logout-all", {}, client.access)
    assert status == 200
    client.access = None
    with pytest.raises(PermissionError, match="session_ended"):
        session(client)


def test_a_wrong_password_says_so(server, tmp_path):
    with pytest.raises(PermissionError, match="invalid_credentials"):
        load().Client(server.address, tmp_path / "token").sign_in("ada", "wrong")
    assert not (tmp_path / "token").exists()
