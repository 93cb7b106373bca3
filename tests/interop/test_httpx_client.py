"""`keyturn.httpx` and a running server with several workers: one session, one refresh, no alarm."""

from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

from keyturn.httpx import KeyturnAuth
from tests.interop.issuers import PASSWORD
from tests.support.serve_process import served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("serve"), "--workers", "2", users={"ada": PASSWORD}) as running:
        yield running


class Late:
    """A clock that a test sends past the token's end."""

    now = 0.0

    def __call__(self):
        return self.now


def seen(claims):
    return claims["sid"], claims["gen"]


@pytest.mark.ids("P3")
def test_fifty_threads_turn_the_key_once(server):
    clock = Late()
    auth = KeyturnAuth(server.address, username="ada", password=PASSWORD, clock=clock)
    with httpx.Client(auth=auth, base_url=server.address, trust_env=False, timeout=60) as client:

        def call(_=None):
            return seen(client.get("/auth/session").raise_for_status().json())

        sid, generation = call()
        assert generation == 0
        for round_ in (1, 2, 3):
            clock.now += 300
            with ThreadPoolExecutor(50) as threads:
                assert set(threads.map(call, range(50))) == {(sid, round_)}
        auth.sign_out(client)
    assert "ReuseDetected" not in server.output


@pytest.mark.ids("P3")
@pytest.mark.anyio
async def test_fifty_tasks_turn_the_key_once(server):
    clock = Late()
    auth = KeyturnAuth(server.address, username="ada", password=PASSWORD, clock=clock)
    async with httpx.AsyncClient(auth=auth, base_url=server.address, trust_env=False, timeout=60) as client:
        found = set()

        async def call():
            found.add(seen((await client.get("/auth/session")).raise_for_status().json()))

        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(call)
            clock.now += 300
    assert len({sid for sid, _ in found}) == 1
    assert {generation for _, generation in found} == {0, 1, 2}
