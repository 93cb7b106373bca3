"""What the program is configured with: the file, the environment above it, options above both; unknown names refused."""

import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest

from keyturn.errors import ConfigurationError
from keyturn.server import running
from keyturn.server.config import MOST_WORKERS, absolute_store, load


def write(folder: Path, text: str) -> Path:
    path = folder / "keyturn.toml"
    path.write_text(text)
    return path


def faults_of(folder: Path, text: str = "", **variables: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        load(write(folder, text), environment=variables)
    return refused.value.faults


def test_without_a_file_everything_is_in_one_hidden_folder(tmp_path):
    config = load(here=tmp_path, environment={})
    assert config.path is None
    assert config.store == f"sqlite:///{tmp_path}/.keyturn/keyturn.db"
    assert config.keys == tmp_path / ".keyturn" / "keys"
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 8000, 1)
    assert config.settings.issuer == "http://127.0.0.1:8000"


def test_the_file_here_is_found_and_paths_are_relative_to_it(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    path = write(folder, '[server]\nstore = "sqlite:///data/k.db"\nkeys = "ring"\n')
    for config in (load(here=folder, environment={}), load(path, here=tmp_path, environment={})):
        assert config.store == f"sqlite:///{folder}/data/k.db"
        assert config.keys == folder / "ring"


def test_the_environment_stands_above_the_file_and_options_above_both(tmp_path):
    path = write(tmp_path, "[server]\nport = 1000\nworkers = 2\n")
    environment = {"KEYTURN_SERVER__PORT": "2000", "KEYTURN_SERVER__WORKERS": "3"}
    config = load(path, environment=environment, overrides={"port": 3000})
    assert (config.port, config.workers) == (3000, 3)
    assert config.settings.issuer == "http://127.0.0.1:3000"


@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_issuer_is_where_it_listens_unless_that_is_everywhere(host, issuer, tmp_path):
    assert load(here=tmp_path, environment={}, overrides={"host": host}).settings.issuer == issuer


def test_every_fault_is_told_at_once_and_a_mistyped_name_gets_a_suggestion(tmp_path):
    text = '[server]\nprot = 80\nworkers = 0\nlog_level = "loud"\n[keyturn]\nleway = "5s"\n[throttle]\nlogin = "x"\n'
    faults = "\n".join(faults_of(tmp_path, text))
    for told in ("prot is no setting (did you mean port?)", "workers is 0", "log_level is", "leway", "leeway", "login"):
        assert told in faults, faults


def test_faults_of_an_installation_with_an_issuer_are_found_too(tmp_path):
    faults = faults_of(tmp_path, '[keyturn]\nissuer = "https://id.example.org"\n[server]\nworkers = 129\n')
    assert faults == (f"[server] workers is 129: write a number from 1 to {MOST_WORKERS}",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [('purge = "2h"', 7200.0), ('purge = ""', 0.0), ("purge = 60", 60.0), ("", 3600.0)],
)
def test_the_purge_is_a_duration_or_nothing_for_never(text, seconds, tmp_path):
    assert load(write(tmp_path, f"[server]\n{text}\n"), environment={}).purge_seconds == seconds


def test_a_purge_is_switched_off_by_the_environment(tmp_path):
    config = load(here=tmp_path, environment={"KEYTURN_SERVER__PURGE": ""})
    assert config.purge_seconds == 0.0


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///k.db", "sqlite:////home/k.db"),
        ("sqlite:////var/k.db", "sqlite:////var/k.db"),
        ("memory:", "memory:"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_only_the_path_of_a_sqlite_file_is_made_absolute(url, absolute):
    assert absolute_store(url, Path("/home")) == absolute


def test_a_configuration_reaches_a_worker_as_it_was_read(tmp_path):
    text = '[keyturn]\norigins = ["https://a.example"]\n[throttle]\nlogin_per_user = ""\n'
    text += '[[clients]]\nid = "shop"\nsecret_digest = "' + "0" * 64 + '"\n'
    config = load(write(tmp_path, text), environment={})
    running.let_configurations_travel()
    arrived = pickle.loads(ForkingPickler.dumps(config))
    assert arrived == config
    with pytest.raises(TypeError):
        arrived.configuration.rest["throttle"]["login_per_user"] = "1"
