"""A server that nobody purges: what has been over for a day goes by itself, gently, from one process."""

import threading
from contextlib import closing
from datetime import timedelta

import pytest

from keyturn._build import Chance
from keyturn.server import upkeep
from keyturn.server.config import load
from keyturn.server.installation import Installation
from keyturn.users import Principal
from tests.support.serve_process import run_keyturn, served


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def config(request, tmp_path):
    store = {} if request.param == "sqlite" else {"store": request.getfixturevalue(request.param).new_database()}
    return load(here=tmp_path, environment={}, overrides={**store, "purge": "1s"})


def ended(config, ago: timedelta, count: int = 1) -> list[str]:
    """Make sessions that were ended so long ago."""
    real = Chance().clock
    with closing(Installation(config, chance=Chance(clock=lambda: real() - ago))) as past:
        past.prepare()
        made = [past.sessions.start(Principal(subject="s")).session_id for _ in range(count)]
        for each in made:
            past.sessions.end(each)
    return made


def kept(config, ids: list[str]) -> int:
    from keyturn._colour import drive

    with closing(Installation(config)) as installation:
        return sum(drive(installation.store.get(each)) is not None for each in ids)


@pytest.mark.ids("ST-04")
def test_what_has_been_over_for_a_day_goes_and_what_lives_stays(config):
    old = ended(config, timedelta(days=1, minutes=5), 3)
    new = ended(config, timedelta(hours=23), 2)
    with closing(Installation(config)) as installation:
        live = [installation.sessions.start(Principal(subject="s")).session_id]
    assert upkeep.purge_once(config, threading.Event()) == 3
    assert (kept(config, old), kept(config, new), kept(config, live)) == (0, 2, 1)


@pytest.mark.ids("ST-04")
def test_a_server_purges_by_itself(config):
    old = ended(config, timedelta(days=2))
    with upkeep.purging(config, first_seconds=0):
        wait_until(lambda: kept(config, old) == 0)
        later = ended(config, timedelta(days=2))
        wait_until(lambda: kept(config, later) == 0)


def wait_until(true) -> None:
    pause = threading.Event()
    for _ in range(600):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("it never came true")


def test_a_stop_is_not_held_up_by_a_long_purge(tmp_path, monkeypatch):
    config = load(here=tmp_path, environment={}, overrides={"purge": "1s"})
    old = ended(config, timedelta(days=2), 250)
    monkeypatch.setattr(upkeep, "_BREATH_SECONDS", 3600.0)  # between two steps of a hundred rows
    begun = threading.Event()
    purge_once = upkeep.purge_once

    def noticed(*arguments):
        begun.set()
        return purge_once(*arguments)

    monkeypatch.setattr(upkeep, "purge_once", noticed)
    with upkeep.purging(config, first_seconds=0):
        assert begun.wait(30)
        wait_until(lambda: kept(config, old) < 250)
    assert 0 < kept(config, old) < 250
    assert not [thread for thread in threading.enumerate() if thread.name == "keyturn-purge"]


@pytest.mark.parametrize("server", [{"purge": ""}, {"purge": "1s", "store": "memory:"}])
def test_nothing_is_purged_where_it_is_switched_off_or_of_no_use(server, tmp_path):
    config = load(here=tmp_path, environment={}, overrides=server)
    with upkeep.purging(config, first_seconds=0):
        assert not [thread for thread in threading.enumerate() if thread.name == "keyturn-purge"]


def test_a_database_in_trouble_ends_nothing(tmp_path, caplog):
    config = load(here=tmp_path, environment={}, overrides={"purge": "1s"})
    (tmp_path / ".keyturn" / "keyturn.db").mkdir(parents=True)
    (tmp_path / ".keyturn").chmod(0o700)
    with upkeep.purging(config, first_seconds=0):
        wait_until(lambda: caplog.text.count("could not be deleted") >= 2)


def test_a_served_database_is_purged_from_one_process(tmp_path):
    config = load(here=tmp_path, environment={})
    old = ended(config, timedelta(days=2), 5)
    with served(tmp_path, "--workers", "2", more={"KEYTURN_SERVER__PURGE": "1s"}) as server:
        wait_until(lambda: kept(config, old) == 0)
        wait_until(lambda: "deleted 5 sessions" in server.output)
        assert server.output.count("deleted") == 1
    assert run_keyturn(tmp_path, "purge", "--dry-run").returncode == 0
