"""What all commands share: how they refuse, print, ask and end, whatever becomes of the terminal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from keyturn.cli import _common, _tables
from keyturn.cli._common import ConfigFile, Noun, Program, ask_password, config_option, confirm, installed, say, table
from keyturn.cli.commands import keyturn
from keyturn.errors import ConfigurationError, StoreError
from tests.support.command_home import KEYTURN, PATIENCE, Home

SECRET = "s3cret-that-nobody-sees"
# A program around commands of ours, to be run as one of its own.
PREAMBLE = """
import click, sys
from keyturn.cli._common import *
@click.group(cls=Program)
def program(): pass
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def command(act, *, typed: str | bytes = "") -> Result:
    """Run something as a command of a program."""

    @click.group(cls=Program)
    def program() -> None:
        pass

    program.command("act")(act)
    return CliRunner().invoke(program, ["act"], input=typed)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def script(code: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", PREAMBLE + code + "\nprogram(['act'])"]


def every_command(group: click.Group = keyturn, *before: str) -> Iterator[tuple[str, ...]]:
    for name, each in group.commands.items():
        yield from every_command(each, *before, name) if isinstance(each, click.Group) else [(*before, name)]


# --- refusing -----------------------------------------------------------------------------------------------------------


def test_each_fault_of_a_configuration_is_a_line_on_standard_error() -> None:
    def act() -> None:
        raise ConfigurationError(["the first", "the second"])

    done = command(act)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "the first\nthe second\n")


def test_a_store_that_cannot_be_asked_says_why() -> None:
    def act() -> None:
        raise StoreError(cause="connection refused")

    done = command(act)
    assert done.exit_code == 1
    assert "(connection refused)" in done.stderr


@pytest.mark.ids("W-R17", "KEY-06")
def test_a_fault_of_ours_names_its_place_and_shows_no_value() -> None:
    def act() -> None:
        raise RuntimeError(SECRET)

    done = command(act)
    assert done.exit_code == 1
    assert "RuntimeError at" in done.stderr
    assert SECRET not in done.output


def test_a_file_that_cannot_be_written_is_named_without_a_traceback() -> None:
    def act() -> None:
        raise PermissionError(13, "Permission denied", "/etc/keyturn.toml")

    done = command(act)
    assert (done.exit_code, done.stderr) == (1, "/etc/keyturn.toml: Permission denied.\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["kyes"], "did you mean keys?"),
        (["keys", "rotat"], "did you mean rotate?"),
        (["keys", "list", "--jsn"], "--json"),
    ],
)
def test_what_is_mistyped_is_wrong_usage_and_gets_a_suggestion(home: Home, words: list[str], hint: str) -> None:
    assert hint in home.run(*words, code=2).stderr


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_every_command_teaches_with_a_sentence_and_says_where_its_configuration_is(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(keyturn, [*words, "--help"])
    usage, _, rest = done.stdout.partition("\n\n")
    assert (done.exit_code, usage.startswith("Usage: ")) == (0, True)
    assert rest.split("\n\n")[0].rstrip().endswith((".", ":"))
    if words not in {("demo",), ("init",)}:  # the one has none, the other makes it
        assert "--config" in done.stdout


# --- the configuration --------------------------------------------------------------------------------------------------


def read_by(**environment: str) -> tuple[int, str]:
    @click.group(cls=Program)
    def program() -> None:
        pass

    @program.command()
    @config_option
    def act(config: ConfigFile) -> None:
        click.echo(config.load().settings.issuer)

    done = CliRunner().invoke(program, ["act"], env=environment)
    return done.exit_code, done.output


def test_the_configuration_may_be_named_by_the_environment(home: Home) -> None:
    assert read_by(KEYTURN_CONFIG=str(home.file)) == (0, "https://id.example.org\n")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_by() == (0, "http://127.0.0.1:8000\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said = read_by(KEYTURN_CONFIG=str(tmp_path / "none.toml"))
    assert code == 1
    assert said == f"{tmp_path / 'none.toml'}: there is no such file\n"


def test_every_unknown_name_of_a_file_is_told_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "keyturn.toml").write_text('[keyturn]\nisuer = "x"\n[server]\nprt = 1\n')
    code, said = read_by(KEYTURN_CONFIG=str(tmp_path / "keyturn.toml"))
    assert code == 1
    assert ["did you mean issuer?" in said, "did you mean port?" in said] == [True, True]


def test_a_command_that_only_looks_makes_no_database(home: Home) -> None:
    with (
        pytest.raises(_common.RefusedError, match="There is no database yet"),
        installed(ConfigFile(path=home.file), makes=False),
    ):
        pass
    assert names_in(home.folder) == {"keyturn.toml"}


def test_one_that_makes_has_everything_ready(home: Home) -> None:
    with installed(ConfigFile(path=home.file)) as opened:
        assert opened.keys.ring.has("refresh")
    assert {"keys", "keyturn.db"} <= names_in(home.folder)


# --- tables -------------------------------------------------------------------------------------------------------------


def printed(columns, rows, capsys, **how) -> str:
    table(columns, rows, **how)
    return capsys.readouterr().out


def test_columns_are_aligned_by_what_letters_take_on_a_terminal(capsys) -> None:
    out = printed(["name", "n"], [("日本語", 1), ("ab", 2)], capsys)
    assert out == "NAME    N\n日本語  1\nab      2\n"


@pytest.mark.parametrize(
    ("value", "text", "as_json"),
    [
        (None, "-", None),
        ("", "-", ""),
        (True, "yes", True),
        (frozenset("ba"), "a b", ["a", "b"]),
        (("x", "y"), "x y", ["x", "y"]),
        (datetime(2026, 1, 2, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
        (7, "7", 7),
    ],
)
def test_values_are_written_for_people_and_for_programs(value, text: str, as_json, capsys) -> None:
    assert printed(["v"], [(value,)], capsys).splitlines()[1] == text
    assert json.loads(printed(["v"], [(value,)], capsys, as_json=True)) == [{"v": as_json}]


@pytest.mark.parametrize("rows", [[], [("a",)], [("a",), ("b",)]])
def test_json_is_an_array_whatever_there_is(rows, capsys) -> None:
    assert json.loads(printed(["v"], rows, capsys, as_json=True)) == [{"v": row[0]} for row in rows]


def test_that_there_is_nothing_is_told_to_people_only(capsys) -> None:
    table(["v"], [], empty="Nobody is here.")
    assert capsys.readouterr() == ("", "Nobody is here.\n")


@pytest.mark.parametrize("evil", ["\x1b[2J", "a\nb", "\u202eexe", "\x9b31m", "\x00"])
def test_no_value_steers_the_terminal(evil: str, capsys) -> None:
    for as_json in (False, True):
        assert evil not in printed(["v"], [(evil,)], capsys, as_json=as_json)


def test_a_long_list_is_not_held(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(_tables, "_LOOKED_AT", 2)
    drawn: list[int] = []

    def rows() -> Iterator[tuple[int]]:
        for n in range(5):
            drawn.append(n)
            if n == 3:
                assert capsys.readouterr().out == "V\n0\n1\n2\n"
            yield (n,)

    assert printed(["v"], rows(), capsys).endswith("4\n")
    assert drawn == [0, 1, 2, 3, 4]


def test_ascii_is_spoken_where_nothing_else_is_read() -> None:
    done = subprocess.run(
        script("@program.command()\ndef act():\n table(['v'], [('日本',)]); say('é')"),
        capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "V\n\\u65e5\\u672c\n")


# --- asking -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "got"), [("a b \n", "a b "), ("pässword\r\nmore\n", "pässword"), ("no end", "no end")]
)
def test_a_password_is_one_line_of_standard_input_as_it_is(typed: str, got: str) -> None:
    assert command(lambda: click.echo(repr(ask_password())), typed=typed).stdout == f"{got!r}\n"


@pytest.mark.parametrize("typed", [b"", b"\n", b"\xff\xfe\n"])
def test_without_a_password_nothing_goes_on(typed: bytes) -> None:
    done = command(lambda: click.echo(ask_password()), typed=typed)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Nothing was changed." in done.stderr


def test_where_nobody_can_be_asked_a_yes_is_an_option() -> None:
    done = command(lambda: confirm("End everything?", yes=False), typed="y\n")
    assert (done.exit_code, "--yes" in done.stderr) == (1, True)
    assert command(lambda: confirm("End everything?", yes=True)).exit_code == 0


# --- ends ---------------------------------------------------------------------------------------------------------------


def test_a_reader_who_leaves_ends_it_like_any_other_program() -> None:
    code = "@program.command()\ndef act():\n table(['v'], ((n,) for n in range(10**7)))"
    with subprocess.Popen(script(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "V\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            script("@program.command()\ndef act():\n click.echo('x')"),
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "No space left on device.\n")


def test_control_c_ends_it_with_130_and_no_word() -> None:
    code = "@program.command()\ndef act():\n click.echo('go'); sys.stdout.flush(); import time; time.sleep(60)"
    with subprocess.Popen(
        script(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no other thread
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "go\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read().strip() == ""


def test_a_closed_standard_output_is_no_traceback() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *KEYTURN, "--help"],
        stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_said_beside_an_answer_goes_to_standard_error() -> None:
    done = command(lambda: say("beside\x1b[2J"))
    assert (done.stdout, done.stderr) == ("", "beside\\x1b[2J\n")


def test_progress_is_silent_where_nobody_looks() -> None:
    def act() -> None:
        with _common.progress("Counting", total=3) as told:
            told(2)

    assert command(act).output == ""


def test_a_group_is_one_that_suggests() -> None:
    groups = [each for each in keyturn.commands.values() if isinstance(each, click.Group)]
    assert groups != []
    assert [each.name for each in groups if not isinstance(each, Noun)] == []


# --- tokens that are pasted where they do not belong ------------------------------------------------------------------


PASTED = {
    "a refresh token": "kt1.AAFFzZKht9i6a1eCnHXmYa4bcdefgRfr3sh",
    "a reset token": "ktreset1.AAFFzZKht9i6a1eCnHXmYa4bcdefgR3s3t",
    "a JWT": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
}
PLACES = ("{}", " {}", "--{}", "-{}", "--json={}", "--config={}", "Bearer {}")
CLIENT_SECRET = "dBjftJeZ4CVP-mBUGyFhl9Zk0YqKcJ2n1sR4tWxE7vo"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a database, so that no command stops at having none."""
    home = Home(tmp_path_factory.mktemp("settled"))
    with home.opened():
        pass
    return home


def repeated(token: str, output: str) -> list[str]:
    """Give what an output repeats of a token: stretches of six characters."""
    body = token.partition(".")[2]
    return [body[at : at + 6] for at in range(len(body) - 5) if body[at : at + 6] in output]


@pytest.mark.ids("W-R17", "R77")
@pytest.mark.parametrize("what", PASTED)
@pytest.mark.parametrize(
    "words", [(), *sorted({each[:1] for each in every_command()} | {*every_command()})], ids=" ".join
)
def test_a_token_pasted_at_a_wrong_place_is_wrong_usage_and_never_repeated(
    settled: Home, words: tuple[str, ...], what: str
) -> None:
    for place in PLACES:
        typed = place.format(PASTED[what])
        for line in ([*words, typed], [*words, typed, "more"], [*words, "more", "and", "more", typed]):
            done = settled.run(*line, code=None)
            assert repeated(PASTED[what], done.output) == [], (line, done.output)
            if words != ("token", "inspect"):  # which takes one, where its user insists
                assert done.exit_code == 2, (line, done.output)
                assert "must not stand on a command line" in done.stderr


@pytest.mark.ids("W-R17")
@pytest.mark.parametrize(
    "words", [["{}"], ["sessions", "{}"], ["--{}"], ["serve", "--port", "{}"], ["purge", "{}"],
              ["keys", "rotate", "--algorithm", "{}"], ["sessions", "list", "ada", "{}"], ["doctor", "--json={}"]],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("typed", [CLIENT_SECRET, "kt1.AAFFzZKht9", "eyJhbGciOiJFUzI1NiJ9.eyJz"])
def test_wrong_usage_repeats_nothing_that_may_be_a_secret_or_a_part_of_one(
    settled: Home, words: list[str], typed: str
) -> None:
    assert typed not in settled.run(*(word.format(typed) for word in words), code=2).stderr


@pytest.mark.ids("W-R17")
@pytest.mark.parametrize("typed", ["kt1.AAFFzZKht9", "eyJhbGciOiJFUzI1NiJ9.eyJz"])
def test_a_refusal_repeats_no_part_of_a_token(settled: Home, typed: str) -> None:
    for words in (["sessions", "list", typed], ["clients", "remove", typed], ["users", "suspend", typed]):
        assert typed not in settled.run(*words, code=1).output
    assert typed not in settled.run("token", "inspect", f"--config={typed}", "x", code=1).output
    assert typed not in settled.run("doctor", "--config", typed, code=1).output


def test_what_click_says_of_a_mistyped_word_cannot_write_on_the_terminal(home: Home) -> None:
    assert "\x1b" not in home.run("purge", "\x1b[2J", code=2).stderr


def test_the_help_of_a_group_that_was_given_no_command_is_whole() -> None:
    told = CliRunner().invoke(keyturn, ["clients"])
    assert told.exit_code == 2
    assert "Commands:" in told.output
