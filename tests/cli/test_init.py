"""``keyturn init``: a file that teaches, keys and a database; nothing overwritten, nothing left half done."""

import os
import re
import signal
import subprocess
import threading
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from keyturn._loading import Configuration
from keyturn._reading import COOKIE_NAMES
from keyturn.cli.commands import keyturn
from keyturn.server import first_file
from keyturn.server.config import SERVER_NAMES, load
from keyturn.server.first_file import Answers
from keyturn.settings import SETTING_NAMES
from keyturn.throttle import LIMIT_NAMES
from keyturn.users import RegisteredClient
from tests.support.serve_process import environment, keyturn_command, run_keyturn

#: A line of the file that is a setting behind its #.
SETTING = re.compile(r"# (\w+) = (.*)")
TEXT = first_file.text_of(Answers())
CLIENTS = TEXT.splitlines().index("# [[clients]]")
#: Those that can be taken one by one; the lines of a client belong together.
OFFERED = [at for at, line in enumerate(TEXT.splitlines()[:CLIENTS]) if SETTING.fullmatch(line)]


def meaning(config):
    """What a server does with a configuration: everything but the tables as they were written."""
    read_on = config.configuration
    return (
        replace(config, configuration=Configuration(settings=config.settings)),
        read_on.limits,
        read_on.trusted_proxies,
    )


def read(folder: Path, text: str):
    (folder / "keyturn.toml").write_text(text)
    return load(folder / "keyturn.toml", environment={})


def with_lines(numbers) -> str:
    lines = TEXT.splitlines()
    for at in numbers:
        lines[at] = lines[at].removeprefix("# ")
    return "\n".join(lines) + "\n"


def everything() -> str:
    return with_lines([*OFFERED, CLIENTS, CLIENTS + 1, CLIENTS + 2])


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_file_as_it_is_changes_nothing(tmp_path):
    (tmp_path / "keyturn.toml").write_text("")
    empty = load(tmp_path / "keyturn.toml", environment={})
    assert meaning(read(tmp_path, TEXT)) == meaning(empty)


@pytest.mark.parametrize("at", OFFERED, ids=lambda at: TEXT.splitlines()[at][2:].partition(" ")[0])
def test_each_line_without_its_mark_is_valid_and_says_what_holds_anyway(at, tmp_path):
    before = read(tmp_path, TEXT)
    after = read(tmp_path, with_lines([at]))
    if TEXT.splitlines()[at].startswith("# audience"):  # follows the issuer: only an example can be shown
        before = read(tmp_path, TEXT.replace("[keyturn]", '[keyturn]\naudience = "https://id.example.org"'))
    assert meaning(after) == meaning(before)


def test_all_lines_together_are_valid_and_the_client_is_read(tmp_path):
    config = read(tmp_path, everything())
    assert config.configuration.clients == (RegisteredClient(id="shop-api", secret_digest="0" * 64),)


def test_every_name_that_can_be_set_is_in_the_file():
    tables = tomllib.loads(everything())
    cookie = tables["keyturn"].pop("cookie")
    assert set(tables["keyturn"]) == set(SETTING_NAMES) - {"cookie"}
    assert set(cookie) == set(COOKIE_NAMES)
    assert set(tables["server"]) == set(SERVER_NAMES)
    assert set(tables["throttle"]) == set(LIMIT_NAMES)
    assert set(tables["clients"][0]) == {"id", "secret_digest"}


def test_answers_stand_in_the_file_as_they_were_given(tmp_path):
    answers = Answers(
        issuer="https://id.example.org",
        store='postgresql://keyturn:a"b\\c@db/keyturn',
        origins=["https://app.example.org", "https://b.example.org"],
        trusted_proxies=["10.0.0.0/8", "unix"],
    )
    assert {item.name for item in fields(answers)} == {"issuer", "store", "origins", "trusted_proxies"}
    config = read(tmp_path, first_file.text_of(answers))
    assert config.settings.issuer == answers.issuer
    assert config.store == answers.store
    assert config.settings.origins == tuple(answers.origins)
    assert config.configuration.trusted_proxies == tuple(answers.trusted_proxies)


@pytest.mark.ids("KEY-08")
def test_what_is_made_is_its_owners_alone_and_serves(tmp_path):
    made = run_keyturn(tmp_path, "init", "here")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "here"
    assert {path.name for path in folder.iterdir()} == {"keyturn.toml", "keys", "keyturn.db"}
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert f"keyturn serve --config {folder / 'keyturn.toml'}" in made.stdout
    user = run_keyturn(folder, "users", "create", "ada", given="correct horse battery\n")
    assert user.returncode == 0, user.stderr
    assert not (folder / ".keyturn").exists()


def test_in_the_current_folder_the_next_steps_need_no_option(tmp_path):
    made = run_keyturn(tmp_path, "init")
    assert made.returncode == 0, made.stderr
    assert "--config" not in made.stdout
    assert "keyturn serve" in made.stdout


def test_a_second_run_changes_nothing_and_says_so(tmp_path):
    run_keyturn(tmp_path, "init")
    before = files_of(tmp_path)
    again = run_keyturn(tmp_path, "init", "--issuer", "https://id.example.org")
    assert again.returncode == 1
    assert "Nothing was changed" in again.stderr
    assert files_of(tmp_path) == before


def test_a_file_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "keyturn.toml").symlink_to(tmp_path / "nowhere")
    refused = run_keyturn(tmp_path, "init")
    assert refused.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["keyturn.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--issuer", "http://id.example.org"], "use https"),
        (["--origin", "app.example.org"], "origins"),
        (["--trusted-proxy", "nginx"], "trusted_proxies"),
        (["--store", "oracle://db"], "oracle"),
    ],
)
def test_a_wrong_answer_is_refused_with_its_reason_and_leaves_no_file(arguments, said, tmp_path):
    refused = run_keyturn(tmp_path, "init", *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "unfinished" not in refused.stderr
    assert not (tmp_path / "keyturn.toml").exists()
    assert run_keyturn(tmp_path, "init").returncode == 0


def test_a_database_server_need_not_be_there_yet(tmp_path):
    made = run_keyturn(tmp_path, "init", "--store", "postgresql://keyturn@127.0.0.1:1/keyturn")
    assert made.returncode == 0, made.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"keyturn.toml", "keys"}


def test_several_at_once_make_one_installation(tmp_path):
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(run_keyturn(tmp_path, "init").returncode)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"keyturn.toml", "keys", "keyturn.db"}
    keys = sorted(path.name.partition("-")[0] for path in (tmp_path / "keys").iterdir() if path.suffix == ".json")
    assert keys == ["access", "refresh"]


def test_a_file_that_another_process_took_away_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("keyturn.cli.init._prepare", lambda _config: (tmp_path / ".keyturn.toml.unfinished").unlink())
    done = CliRunner().invoke(keyturn, ["init", str(tmp_path)])
    assert done.exit_code == 1
    assert f"Another process makes {tmp_path / 'keyturn.toml'} at the same time" in done.stderr
    assert "No such file" not in done.stderr


def test_the_environments_database_is_the_one_that_is_written_down(tmp_path):
    store = "postgresql://keyturn@127.0.0.1:1/keyturn"
    done = CliRunner().invoke(keyturn, ["init", str(tmp_path)], env={"KEYTURN_SERVER__STORE": store})
    assert done.exit_code == 0, done.stderr
    assert f'store = "{store}"' in (tmp_path / "keyturn.toml").read_text(encoding="utf-8")
    assert not (tmp_path / "keyturn.db").exists()


#: Stops the program with SIGKILL at the n-th call of a function that changes something on the disk.
KILLED = """
import os, signal, sys
left = [int(sys.argv.pop(1))]
def counted(function):
    def call(*arguments, **named):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call
for name in ("mkdir", "open", "write", "fsync", "link", "unlink", "replace", "rename", "chmod"):
    setattr(os, name, counted(getattr(os, name)))
from keyturn.cli import main
main()
"""


def test_a_run_that_was_killed_anywhere_is_completed_by_the_next(tmp_path):
    survived = 0
    for calls in (*range(1, 24, 3), *range(24, 240, 20)):
        folder = tmp_path / str(calls)
        folder.mkdir()
        killed = subprocess.run(
            [keyturn_command()[0], "-c", KILLED, str(calls), "init"], cwd=folder, env=environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if killed.returncode != -signal.SIGKILL:
            survived += 1
            if survived == 2:
                break
            continue
        again = run_keyturn(folder, "init")
        if again.returncode:  # the last step was done already, and nothing is missing
            assert "already" in again.stderr, again.stderr
        assert {path.name for path in folder.iterdir()} - {".keyturn.toml.unfinished"} == {
            "keyturn.toml", "keys", "keyturn.db",
        }  # fmt: skip
    assert survived, "the program was killed every time: it does more than this test thinks"


def test_a_terminal_that_closes_leaves_nothing_broken(tmp_path):
    with subprocess.Popen(
        [*keyturn_command(), "init"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()  # nobody reads
        os.kill(process.pid, 0)
        process.wait(60)
    assert {path.name for path in tmp_path.iterdir()} == {"keyturn.toml", "keys", "keyturn.db"}
