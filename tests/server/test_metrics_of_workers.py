"""Several workers behind one port show one set of numbers, whichever is asked, and whoever dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keyturn.server import sharing
from tests.support.observed import numbers_in
from tests.support.serve_process import served

PASSWORD = "correct horse battery staple"
PATIENCE = 60
SIGN_INS = 6


def shown(server) -> dict[str, float]:
    answer = server.call("GET", "/metrics")
    assert answer.status == 200
    return numbers_in(answer.text)


def folders(temporary: Path) -> set[Path]:
    return set(temporary.glob("keyturn-metrics-*"))


def until_two_workers_are_shown(server, without: int | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while without in server.workers or len(server.workers) < 2 or shown(server)["keyturn_workers"] != 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_scrape_of_any_worker_gives_the_sum_and_a_worker_that_dies_takes_nothing_along(tmp_path):
    temporary = tmp_path / "temporary"  # a server of another test may run beside this one
    temporary.mkdir()
    with served(tmp_path, "--workers", "2", users={"ada": PASSWORD}, more={"TMPDIR": str(temporary)}) as server:
        for _ in range(SIGN_INS):
            server.sign_in("ada", PASSWORD)
        until_two_workers_are_shown(server)
        found = [shown(server) for _ in range(8)]  # both workers take connections
        assert {each["keyturn_sign_ins_total"] for each in found} == {SIGN_INS}
        assert {each["keyturn_workers"] for each in found} == {2}
        assert all(each["keyturn_propagation_age_seconds"] < PATIENCE for each in found)
        assert {each["keyturn_http_requests_in_progress"] for each in found} <= {1, 2}
        count = 'keyturn_http_request_duration_seconds_count{route="/auth/login",status="2xx"}'
        assert found[-1][count] == SIGN_INS
        (folder,) = folders(temporary)
        assert folder.stat().st_mode & 0o077 == 0
        dead = server.workers[0]
        os.kill(dead, signal.SIGKILL)
        until_two_workers_are_shown(server, without=dead)
        server.sign_in("ada", PASSWORD)
        assert shown(server)["keyturn_sign_ins_total"] == SIGN_INS + 1
        assert not list(folder.glob(f"gauge_live*_{dead}.db"))
    assert not folders(temporary)


@pytest.mark.ids("DS-02")
def test_the_folder_goes_when_the_supervisor_goes(monkeypatch):
    monkeypatch.setenv(sharing.FOLDER_VARIABLE, "as before")
    with sharing.shared_folder() as folder:
        assert os.environ[sharing.FOLDER_VARIABLE] == str(folder)
        (folder / "counter_1.db").touch()
    assert not folder.exists()
    assert os.environ[sharing.FOLDER_VARIABLE] == "as before"
    monkeypatch.delenv(sharing.FOLDER_VARIABLE)
    with sharing.shared_folder():
        pass
    assert sharing.FOLDER_VARIABLE not in os.environ
    assert sharing.numbers_of_all() is None


def test_gauges_of_processes_that_are_gone_are_dropped_and_what_they_counted_stays(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"gauge_livesum_{gone.pid}.db", f"gauge_livemax_{gone.pid}.db", f"counter_{gone.pid}.db",
                 f"gauge_livesum_{os.getpid()}.db", "gauge_livesum_1.db", "gauge_livesum_x.db"):  # fmt: skip
        (tmp_path / name).touch()
    sharing._forget_the_dead(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"counter_{gone.pid}.db", f"gauge_livesum_{os.getpid()}.db", "gauge_livesum_1.db", "gauge_livesum_x.db",
    }  # fmt: skip
