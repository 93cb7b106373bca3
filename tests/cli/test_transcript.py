"""The walk through all commands is what they print today, and it leaves none out."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from keyturn.cli.commands import keyturn
from keyturn.testing import ManualClock
from scripts import transcript
from scripts.transcript import BEGUN, PAGE, Samples

TOKENS = re.compile(r"eyJ[\w-]{6}|kt1\.[\w-]{6}|ktreset1\.[\w-]{6}")


@pytest.fixture
def page() -> str:
    return PAGE.read_text()


def commands(group: click.Command, path: tuple[str, ...] = ("keyturn",)) -> list[str]:
    if not isinstance(group, click.Group):
        return [" ".join(path)]
    return [found for name, each in group.commands.items() for found in commands(each, (*path, name))]


@pytest.mark.ids("R76", "R77", "L35", "L36", "L37", "F03")
def test_the_page_is_what_the_commands_print(page: str, tmp_path: Path) -> None:
    played = transcript.play(page, tmp_path.resolve())
    assert played.splitlines() == page.splitlines(), "if it is meant so: python -m scripts.transcript"


def test_the_page_leaves_no_command_out(page: str) -> None:
    shown = "\n".join(line for line in page.splitlines() if line.startswith("$ "))
    assert [command for command in commands(keyturn) if not re.search(rf"\b{command}\b", shown)] == []


def test_the_page_shows_no_token(page: str) -> None:
    assert TOKENS.findall(page) == []


# --- samples ----------------------------------------------------------------------------------------------------------


START = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def samples(clock: ManualClock) -> Samples:
    return Samples("/tmp/real", "8123", clock)


def test_the_same_id_is_the_same_sample_and_runs_as_what_it_is(samples: Samples) -> None:
    one, other = "AXrP0sB4Qm2x5o1mG8yFhA", "usr_AXrP0sB4Qm2x5o1mG8yF"
    shown = samples.shown(f"{one} {other} {one}")
    first, second, third = shown.split()
    assert first == third
    assert len({one, other, first, second}) == 4
    assert [len(first), len(second)] == [len(one), len(other)], "columns stay aligned"
    assert samples.run(f"keyturn sessions end {first}") == f"keyturn sessions end {one}"


@pytest.mark.parametrize("elapsed", [0, 30, 200, 1000])
@pytest.mark.parametrize("after", [0, 300, 420, 3600, 4140, 86_400, 30 * 86_400, 90 * 86_400])
def test_a_moment_is_shown_as_it_lies_to_what_was_done(
    samples: Samples, clock: ManualClock, elapsed: int, after: int
) -> None:
    clock.advance(timedelta(seconds=elapsed))
    moment, shown = clock() + timedelta(seconds=after), BEGUN + timedelta(seconds=after)
    assert samples.shown(f"{moment:%Y-%m-%dT%H:%M:%SZ}") == f"{shown:%Y-%m-%dT%H:%M:%SZ}"
    assert samples.shown(f"{moment:%Y-%m-%d %H:%M} UTC") == f"{shown:%Y-%m-%d %H:%M} UTC"
    assert samples.shown(str(int(moment.timestamp()))) == str(int(shown.timestamp()))


def test_places_and_secrets_are_left_out(samples: Samples) -> None:
    told = "/tmp/real/keys at :8123, eyJhbGci.eyJpc3M.c2ln and kt1.AAFFzZKht9i6a1eCnHXmYa4"
    assert samples.shown(told) == "/srv/id/keys at :8000, <access token> and <refresh token>"
    assert samples.run("ls /srv/id") == "ls /tmp/real"
    words = "what-a-very-long-phrase"[:22]
    assert samples.shown(words) == words


def test_a_play_says_what_a_command_printed_on_either_stream_and_how_it_ended(tmp_path: Path) -> None:
    page = "before\n```console\n$ echo out; echo err >&2; false\nold\n$ echo $?\n$ X=1\n$ printf $X\n```\nafter\n"
    played = transcript.play(page, tmp_path)
    assert played == page.replace("old", "out\nerr").replace("$?\n", "$?\n1\n").replace("$X\n", "$X\n1\n")
