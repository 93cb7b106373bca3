"""A supervisor and its workers: whoever of them dies, hangs or never starts, the others do not wait for ever."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.test_shutdown import USERS, is_alive, is_refused, slow_login, wait_until
from tests.support.serve_process import PATIENCE, Served, served, start

TWO = ("--workers", "2")


def killed(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def first_on_the_path(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def test_workers_end_when_their_supervisor_is_killed(tmp_path):
    server = start(tmp_path, "--port", "0", *TWO)
    server.wait_until_ready()
    wait_until(lambda: server.output.count("startup complete") == 2)
    workers = server.workers
    assert len(workers) == 2
    try:
        assert server.stop(signal.SIGKILL, patience=PATIENCE) == -signal.SIGKILL
        wait_until(lambda: not any(map(is_alive, workers)))
        assert is_refused(server.port)
        with served(tmp_path, "--port", str(server.port), *TWO) as again:
            assert again.call("GET", "/health/live").status == 200
    finally:
        killed(workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_of_the_whole_group_in_the_start_is_in_order(number, tmp_path):
    for pause in (0.0, 0.3, 0.6):
        server = start(tmp_path, "--port", "0", *TWO, group=True)
        wait_until(lambda server=server: len(server.workers) == 2)
        children = server.workers
        time.sleep(pause)  # the moment itself is what differs
        began = time.monotonic()
        os.killpg(server.process.pid, number)
        server.process.wait(PATIENCE)
        assert server.stop() == 0, server.output
        took = time.monotonic() - began
        assert took < 15, "a worker that was gone was waited for as one that hangs"
        assert not any(map(is_alive, children))
        assert "Traceback" not in server.output


def test_a_worker_that_dies_in_its_start_is_replaced_at_once(tmp_path):
    server = start(tmp_path, "--port", "0", *TWO)
    wait_until(lambda: len(server.workers) == 2)
    before = server.workers
    began = time.monotonic()
    killed(before[:1])
    try:
        wait_until(lambda: len(server.workers) == 2 and before[0] not in server.workers)
        assert time.monotonic() - began < 15
        server.wait_until_ready()
    finally:
        assert server.stop() == 0


def test_a_server_whose_workers_cannot_start_ends_and_says_so(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n'--multiprocessing-fork' in sys.argv and os._exit(126)\n"
    )
    server = start(tmp_path, "--port", "0", *TWO, more=first_on_the_path(tmp_path))
    assert server.process.wait(PATIENCE) == 1
    server.stop()
    assert "ended with 126 before it was ready" in server.output
    assert "its workers cannot start" in server.output
    assert "Traceback" not in server.output


def test_a_server_that_cannot_be_built_says_why(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if '--multiprocessing-fork' in sys.argv:\n"
        "    import keyturn.server.app as app\n"
        "    def build(config): raise ValueError('a-' + 'secret')\n"
        "    app.build = build\n"
    )
    server = start(tmp_path, "--port", "0", *TWO, more=first_on_the_path(tmp_path))
    assert server.process.wait(PATIENCE) == 1
    server.stop()
    assert "the server cannot be built: ValueError" in server.output
    assert "a-secret" not in server.output


def stopped_worker(server: Served) -> int:
    wait_until(lambda: server.output.count("startup complete") == 2)
    pid = server.workers[0]
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_worker_that_hangs_is_waited_for_only_so_long(tmp_path):
    with served(tmp_path, *TWO, more={"KEYTURN_SERVER__GRACE": "1s"}) as server:
        pid = stopped_worker(server)
        try:
            assert server.stop() == 0
            assert not is_alive(pid)
            assert f"worker {pid} is killed" in server.output
        finally:
            killed([pid])


def test_a_second_signal_does_not_wait(tmp_path):
    with served(tmp_path, *TWO, users=USERS) as server:
        wait_until(lambda: server.output.count("startup complete") == 2)
        connection = slow_login(server)
        workers = server.workers
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server.port))
        assert server.stop() == 0
        assert time.monotonic() - began < 15, "the grace is 30 s"
        assert not any(map(is_alive, workers))
        connection.close()
