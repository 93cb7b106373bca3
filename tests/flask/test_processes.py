"""Flask behind real servers: an end in one worker is felt in the other, through forks, greenlets and kills."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine

from keyturn.stores.sqlalchemy import upgrade
from tests.support.wsgi_processes import flask_run, gunicorn

#: What the shop's workers promise; no shorter one is allowed.
BOUND = 1.0
PRELOAD = ("--preload",)
FORKED_LATE = {"SHOP_USES_ITS_STORE_BEFORE_IT_FORKS": "1"}
WORKERS = {
    "sync, loaded before the fork": (PRELOAD, FORKED_LATE),
    "threads, loaded before the fork": (("--worker-class", "gthread", "--threads", "8", *PRELOAD), FORKED_LATE),
    "gevent": (("--worker-class", "gevent"), {}),
    "gevent, loaded before the fork": (("--worker-class", "gevent", *PRELOAD), FORKED_LATE),
}


@pytest.fixture
def sqlite():
    return "sqlite:///shop.db"


@pytest.fixture
def postgresql_url(postgresql):
    url = postgresql.new_database()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    upgrade(engine)
    engine.dispose()
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def store(request):
    """A store's address, by the name of the fixture that gives it."""
    return request.getfixturevalue(request.param)


@pytest.mark.ids("SE-02", "M02", "P1", "P2", "P3")
@pytest.mark.parametrize(("workers", "store"), [
    *((workers, "sqlite") for workers in WORKERS),
    ("sync, loaded before the fork", "postgresql_url"), ("gevent", "postgresql_url"),
    ("gevent, loaded before the fork", "postgresql_url"),
], indirect=["store"])  # fmt: skip
def test_an_end_in_one_worker_is_felt_in_the_other_within_the_bound_and_nobody_waits_for_ever(workers, store, tmp_path):
    options, environment = WORKERS[workers]
    with gunicorn(tmp_path, store, *options, **environment) as shop:
        assert _refreshed_by_many(shop, clients=12, rounds=4) == [4] * 12
        alice, bob = shop.sign_in(), shop.sign_in("bob")
        assert shop.ask("GET", "/awaited", bearer=alice["access_token"]).json == {"subject": "alice"}
        before = shop.asked_of_each("/me", alice["access_token"])
        assert {answer.status for answer in before.values()} == {200}
        assert shop.ask("POST", "/auth/logout", body={"refresh_token": alice["refresh_token"]}).status == 204
        time.sleep(BOUND)
        after = shop.asked_of_each("/me", alice["access_token"])
        assert {answer.json["code"] for answer in after.values()} == {"session_ended"}
        assert after.keys() == before.keys()
        others = shop.asked_of_each("/me", bob["access_token"])
        assert {answer.status for answer in others.values()} == {200}


@pytest.mark.ids("P1", "P3")
def test_the_threads_of_flask_run_are_all_served(sqlite, tmp_path):
    with flask_run(tmp_path, sqlite) as shop:
        assert _refreshed_by_many(shop, clients=12, rounds=4) == [4] * 12
        alice = shop.sign_in()
        assert shop.ask("GET", "/awaited", bearer=alice["access_token"]).status == 200


def _refreshed_by_many(shop, *, clients, rounds):
    """Let clients refresh side by side; give how often each of them could."""
    turns = [0] * clients

    def client(number):
        token = shop.sign_in(f"user-{number}")["refresh_token"]
        for _ in range(rounds):
            answer = shop.ask("POST", "/auth/refresh", body={"refresh_token": token})
            if answer.status != 200 or answer.json["refresh_token"] == token:
                return
            token = answer.json["refresh_token"]
            turns[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return turns


@pytest.mark.ids("P1", "P3")
@pytest.mark.parametrize(
    ("workers", "store"),
    [("threads, loaded before the fork", "sqlite"), ("gevent", "postgresql_url")],
    indirect=["store"],
)
def test_killed_workers_sign_nobody_out(workers, store, tmp_path):
    options, environment = WORKERS[workers]
    with gunicorn(tmp_path, store, *options, **environment) as shop, _kept_refreshing(shop, clients=3) as states:
        for _ in range(2):
            turns = [state["turns"] for state in states]
            victim = next(iter(shop.asked_of_each("/me", shop.sign_in()["access_token"], workers=1)))
            os.kill(victim, signal.SIGKILL)
            deadline = time.monotonic() + 60
            while any(state["turns"] < before + 3 for state, before in zip(states, turns, strict=True)):
                assert not [state for state in states if state["refused"]], states
                assert time.monotonic() < deadline, states
                time.sleep(0.05)


@contextmanager
def _kept_refreshing(shop, *, clients):
    """Clients that refresh and, where no answer comes, present the same token again."""
    over = threading.Event()
    states = [{"turns": 0, "refused": None, "token": shop.sign_in(f"u{n}")["refresh_token"]} for n in range(clients)]

    def client(state):
        while not over.is_set():
            try:
                answer = shop.ask("POST", "/auth/refresh", body={"refresh_token": state["token"]})
            except OSError:
                time.sleep(0.05)
                continue
            except Exception:  # noqa: BLE001 - half an answer
                continue
            if answer.status == 200:
                state["token"] = answer.json["refresh_token"]
                state["turns"] += 1
            elif answer.status != 503:
                state["refused"] = answer
                return

    threads = [threading.Thread(target=client, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    try:
        yield states
    finally:
        over.set()
        for thread in threads:
            thread.join()
