"""Whether the server lives and is ready: what is asked, how often, and what it says."""

import threading
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from keyturn.errors import StoreError
from keyturn.server.health import OK, Readiness, Vitals, checks_of, clocks_agree, health_routes, picture_is_fresh
from keyturn.testing.clock import ManualClock
from tests.support.front import a_front, settings_with
from tests.support.observed import a_server, configured, lines_of, until_ready

NOW = ManualClock()()
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("theirs", "leeway", "found"),
    [
        (0, 10, OK), (5, 10, OK), (-5, 10, OK), (5.001, 10, "differs"), (-5.001, 10, "differs"),
        (1, 0, OK), (-1, 0, OK), (1.001, 0, "differs"), (-1.001, 1, "differs"), (31, 60, "differs"), (30, 60, OK),
    ],
)  # fmt: skip
def test_clocks_agree_within_half_the_leeway_but_a_second_is_always_let_pass(theirs, leeway, found):
    assert clocks_agree(NOW + theirs * SECOND, NOW, NOW, leeway * SECOND) == found


def test_a_slow_answer_is_no_difference_of_clocks():
    assert clocks_agree(NOW + 20 * SECOND, NOW, NOW + 30 * SECOND, timedelta(0)) == OK


@pytest.mark.parametrize(("age", "found"), [(None, "stale"), (0, OK), (4.999, OK), (5, "stale"), (99, "stale")])
def test_a_picture_as_old_as_the_bound_is_stale(age, found):
    assert picture_is_fresh(None if age is None else age * SECOND, 5 * SECOND) == found


# --- asking --------------------------------------------------------------------------------------------------------


class Counting:
    def __init__(self, answer=OK):
        self.answer = answer
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.anyio
@pytest.mark.ids("DS-02")
async def test_a_storm_of_probes_asks_once_a_second():
    seconds = [0.0]
    check = Counting()
    readiness = Readiness({"store": check}, timer=lambda: seconds[0])
    async with anyio.create_task_group() as group:
        for _ in range(200):
            group.start_soon(readiness.look)
    assert check.asked == 1
    seconds[0] = 0.999
    assert await readiness.look() == {"store": OK}
    assert check.asked == 1
    seconds[0] = 1.0
    await readiness.look()
    assert check.asked == 2


@pytest.mark.anyio
async def test_a_check_that_hangs_keeps_neither_the_prober_nor_the_other_checks_waiting():
    async def hang():
        await anyio.sleep_forever()

    other = Counting()
    readiness = Readiness({"store": hang, "keys": other}, patience=0.01)
    with anyio.fail_after(20):
        assert await readiness.look() == {"store": "no_answer", "keys": OK}


@pytest.mark.anyio
@pytest.mark.ids("HT-04", "ST-01")
async def test_a_check_that_fails_says_so_in_a_word_of_ours():
    checks = {"store": Counting(StoreError(cause="host db-7 is down")), "keys": Counting(ValueError("hunter2hunter2"))}
    with configured() as stream:
        assert await Readiness(checks).look() == {"store": "unavailable", "keys": "failed"}
    assert "hunter2" not in stream.getvalue()
    assert "db-7" in stream.getvalue()  # for the log, on the level debug


@pytest.mark.anyio
async def test_readiness_that_changes_is_logged_once_and_so_is_its_return():
    seconds = [0.0]
    check = Counting()
    readiness = Readiness({"store": check}, timer=lambda: seconds[0])
    with configured() as stream:
        for answer in (OK, OK, "unavailable", "unavailable", OK, OK):
            check.answer = answer
            await readiness.look()
            seconds[0] += 2
    told = [line["message"] for line in lines_of(stream, "keyturn.server")]
    assert told == ["readiness: store is unavailable", "readiness: store is ok"]


@pytest.mark.anyio
async def test_a_prober_that_hangs_up_leaves_the_next_one_its_turn():
    seconds = [0.0]
    stuck = [True]

    async def check():
        if stuck[0]:
            await anyio.sleep_forever()
        return OK

    readiness = Readiness({"store": check}, patience=60, timer=lambda: seconds[0])
    with anyio.move_on_after(0.01):
        await readiness.look()
    stuck[0] = False
    with anyio.fail_after(20):
        assert await readiness.look() == {"store": OK}


# --- what is asked -------------------------------------------------------------------------------------------------


class Records:
    colour = "async"

    def __init__(self, clock):
        self.clock = clock
        self.trouble = None

    async def now(self):
        if self.trouble:
            raise self.trouble
        return self.clock()


def vitals_of(front, **more):
    service = front.service
    given = {"settings": service.settings, "store": front.store, "records": Records(front.clock), "guard": service.guard,
             "keys": service._parts.inputs.keys, "clock": front.clock}  # fmt: skip
    return Vitals(**{**given, **more})


async def looked(vitals, **how):
    return dict(await Readiness(checks_of(vitals), **how).look())


WELL = {"store": OK, "clock": OK, "revocations": OK, "keys": OK, "process": OK}


@pytest.mark.anyio
@pytest.mark.ids("ST-05")
async def test_each_trouble_has_a_name_of_its_own():
    front = a_front(settings_with(staleness_bound=timedelta(seconds=5)))
    vitals = vitals_of(front)
    front.store.broken = True
    assert await looked(vitals) == {**WELL, "store": "unavailable", "revocations": "unavailable"}
    front.store.broken = False
    assert await looked(vitals) == WELL
    front.store.broken = True
    assert await looked(vitals) == {**WELL, "store": "unavailable"}
    front.store.broken = False
    front.advance(5)
    assert await looked(vitals) == {**WELL, "revocations": "stale"}
    front.service.verifier.floors.loaded_at = front.clock()
    vitals.records.clock = lambda: front.clock() + timedelta(seconds=6)
    assert await looked(vitals) == {**WELL, "clock": "differs"}
    vitals.records.trouble = StoreError(cause="x")
    assert await looked(vitals) == {**WELL, "clock": "unavailable"}
    vitals.records.trouble, vitals.records.clock = None, front.clock
    assert await looked(replace(vitals, draining=lambda: True)) == {**WELL, "process": "draining"}


@pytest.mark.anyio
@pytest.mark.ids("ST-05")
async def test_a_server_that_has_just_started_reads_the_log_of_ended_sessions_when_it_is_asked_whether_it_is_ready():
    front = a_front()
    assert front.service.verifier.floors.loaded_at is None
    assert await looked(vitals_of(front)) == WELL
    assert front.service.verifier.floors.loaded_at == front.clock()


@pytest.mark.anyio
async def test_keys_that_can_no_longer_be_read_are_found_without_a_request_that_needs_them(tmp_path):
    front = a_front(keys=str(tmp_path / "keys"))
    front.service.verifier.floors.loaded_at = front.clock()
    assert await looked(vitals_of(front)) == WELL
    (file,) = tmp_path.glob("keys/access-*.json")
    file.write_text("{")
    assert await looked(vitals_of(front)) == {**WELL, "keys": "cannot_be_read"}


class HangingStore:
    """A store that blocks its thread until it is let go."""

    colour = "sync"

    def __init__(self):
        self.gate = threading.Event()
        self.asked = 0

    async def get(self, session_id):
        self.asked += 1
        self.gate.wait(60)


@pytest.mark.anyio
@pytest.mark.ids("ST-05", "DS-02")
async def test_a_store_that_blocks_for_ever_takes_a_few_threads_and_no_loop():
    front = a_front()
    front.service.verifier.floors.loaded_at = front.clock()
    store = HangingStore()
    readiness = Readiness(checks_of(vitals_of(front, store=store)), patience=0.02, kept=0)
    try:
        found = [(await readiness.look())["store"] for _ in range(20)]
        assert store.asked == 2
        assert found == ["no_answer"] * 2 + ["unavailable"] * 18
    finally:
        store.gate.set()
    with anyio.fail_after(30):
        while (await readiness.look())["store"] != OK:  # noqa: ASYNC110 - threads tell no event when they are done
            await anyio.sleep(0.01)


# --- routes --------------------------------------------------------------------------------------------------------


def a_client(checks, peer="127.0.0.1"):
    app = Starlette(routes=health_routes(Readiness(checks, kept=0), settings_with()))
    return TestClient(app, client=(peer, 1))


def test_live_asks_nothing():
    check = Counting(StoreError(cause="x"))
    answer = a_client({"store": check}).get("/health/live")
    assert (answer.status_code, answer.json(), check.asked) == (200, {"status": "ok"}, 0)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.ids("HT-04", "ST-05")
def test_ready_is_503_as_long_as_one_check_says_no():
    client = a_client({"store": (check := Counting()), "keys": Counting()})
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": {"store": "ok", "keys": "ok"}})
    assert answer.headers["cache-control"] == "no-store"
    assert "retry-after" not in answer.headers
    check.answer = StoreError(cause="host db-7 is down")
    answer = client.get("/health/ready")
    told = {"status": "unavailable", "checks": {"store": "unavailable", "keys": "ok"}}
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, told, "1")
    assert client.head("/health/ready").status_code == 503
    check.answer = OK
    assert client.head("/health/ready").status_code == 200


@pytest.mark.ids("HT-04")
def test_which_check_says_no_is_for_operators_only():
    checks = {"store": Counting("unavailable")}
    assert a_client(checks, "8.8.8.8").get("/health/ready").json() == {"status": "unavailable"}
    through = a_client(checks).get("/health/ready", headers={"X-Forwarded-For": "127.0.0.1"})
    assert (through.status_code, through.json()) == (503, {"status": "unavailable"})


def test_the_server_says_that_it_is_ready_and_what_else_it_takes(tmp_path):
    with a_server(tmp_path, create=False) as (client, _):
        until_ready(client)  # a busy machine may keep it from answering in time
        assert client.get("/health/ready").json() == {"status": "ok", "checks": WELL}
        assert client.head("/health/live").status_code == 200
        for path in ("/health/live", "/health/ready"):
            refused = client.post(path)
            assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
        assert client.get("/health").status_code == 404
