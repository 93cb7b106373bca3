"""`keyturn purge`: deletes what is over in bounded steps, and asks before it deletes what is not."""

import re
import signal
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from keyturn._colour import drive
from keyturn.cli._moments import read_moment
from tests.support.command_home import Home
from tests.support.many_sessions import fill
from tests.support.terminal import on_a_terminal

NOW = datetime(2030, 3, 14, 12, tzinfo=UTC)
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
IN_TEN_YEARS = (datetime.now(UTC) + timedelta(days=3650)).strftime("%Y-%m-%d")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def kept(home: Home, *ids: str) -> list[bool]:
    with home.opened() as opened:
        return [drive(opened.store.get(id_)) is not None for id_ in ids]


# --- what goes ------------------------------------------------------------------------------------------------------


@pytest.mark.ids("R76", "ST-04")
def test_it_deletes_what_is_over_and_nothing_that_lives(home: Home) -> None:
    over, living = home.sign_in("ada"), home.sign_in("ada")
    home.run("sessions", "end", over.session_id)
    assert home.run("purge").stdout == "1 session deleted.\n"
    assert kept(home, over.session_id, living.session_id) == [False, True]
    with home.door() as door:
        door.refresh(living.refresh_token)


@pytest.mark.ids("R76")
def test_nothing_to_do_is_no_trouble(home: Home) -> None:
    home.sign_in("ada")
    assert home.run("purge").stdout == "0 sessions deleted.\n"


@pytest.mark.ids("R76")
def test_what_was_over_more_recently_may_be_kept(home: Home) -> None:
    over = home.sign_in("ada")
    home.run("sessions", "end", over.session_id)
    assert home.run("purge", "--before", "30d").stdout == "0 sessions deleted.\n"
    assert home.run("purge", "--before", "0s ago").stdout == "1 session deleted.\n"


@pytest.mark.ids("R76", "W-R18")
def test_tried_out_it_says_how_many_and_deletes_none(home: Home) -> None:
    over, living = home.sign_in("ada"), home.sign_in("ada")
    home.run("sessions", "end", over.session_id)
    assert home.run("purge", "--dry-run").stdout == "1 session would be deleted. Nothing was changed.\n"
    assert kept(home, over.session_id, living.session_id) == [True, True]


@pytest.mark.ids("R76", "W-R17")
def test_it_prints_no_token_and_no_id(home: Home) -> None:
    over = home.sign_in("ada")
    home.run("sessions", "end", over.session_id)
    told = home.run("purge").output
    assert over.session_id not in told
    assert "kt1." not in told


def test_without_a_database_there_is_nothing_to_purge_and_none_is_made(home: Home) -> None:
    done = home.run("purge", code=1)
    assert "There is no database yet" in done.stderr
    assert [path.name for path in home.folder.iterdir()] == ["keyturn.toml"]


# --- a date in the future ---------------------------------------------------------------------------------------------


@pytest.mark.ids("R76", "W-R18")
def test_a_date_in_the_future_deletes_nothing_unless_it_is_confirmed(home: Home) -> None:
    over, living = home.sign_in("ada"), home.sign_in("ada")
    home.run("sessions", "end", over.session_id)
    done = home.run("purge", "--before", IN_TEN_YEARS, code=1)
    assert f"{IN_TEN_YEARS} 00:00 UTC lies in the future: 1 session of people who are signed in" in done.stderr
    assert "--yes" in done.stderr
    assert kept(home, over.session_id, living.session_id) == [True, True]
    assert home.run("purge", "--before", IN_TEN_YEARS, "--yes").stdout == "2 sessions deleted.\n"
    assert kept(home, over.session_id, living.session_id) == [False, False]


@pytest.mark.ids("W-R18")
def test_it_is_confirmed_even_where_nobody_would_be_signed_out_now(home: Home) -> None:
    home.sign_in("ada")
    assert "0 sessions of people" in home.run("purge", "--before", TOMORROW, code=1).stderr


@pytest.mark.ids("R76")
def test_tried_out_with_a_date_in_the_future_it_says_whom_it_would_hit(home: Home) -> None:
    home.sign_in("ada")
    told = home.run("purge", "--before", IN_TEN_YEARS, "--dry-run").stdout
    assert told == "1 session would be deleted, 1 of them of people who are signed in. Nothing was changed.\n"


# --- dates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31 12:30:01", datetime(2026, 1, 31, 12, 30, 1, tzinfo=UTC)),
        ("2026-01-31T12:30Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30+02:00", datetime(2026, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=2)))),
        ("30d", NOW - timedelta(days=30)),
        ("12h ago", NOW - timedelta(hours=12)),
        (" 5m ", NOW - timedelta(minutes=5)),
        ("0s", NOW),
    ],
)
def test_a_date_is_read_as_people_write_it(text: str, moment: datetime) -> None:
    assert read_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "ago", "yesterday", "30", "2026", "2026-02-30", "-30d", "30d ahead", "0001-01-01T00:00+14:00",
             "9999-12-31T23:59-14:00", "99999999d", "nan", "31.1.2026", "2026-01-31T25:00", "\x1b[2J"],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_moment(text, NOW) is None


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_moment_in_utc_or_none(text: str) -> None:
    moment = read_moment(text, NOW)
    assert moment is None or moment.utcoffset() == timedelta(0)


@pytest.mark.ids("R76")
def test_a_bad_date_is_wrong_usage_and_shows_good_ones(home: Home) -> None:
    done = home.run("purge", "--before", "last week\x1b[2J", code=2)
    assert "2026-01-31T12:00+02:00" in done.stderr
    assert "30d" in done.stderr
    assert "\x1b" not in done.stderr


# --- many rows --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("R76")
def test_stopped_in_its_midst_it_has_done_what_it_has_done_and_goes_on_later(home: Home) -> None:
    with home.opened():
        pass
    fill(home.folder / "keyturn.db", over=30_000, living=3)
    process = home.process("purge")
    while len_of(home) > 29_000:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    left = len_of(home)
    assert 3 < left < 29_100
    said = re.search(r"Stopped: ([\d,]+) sessions or a few more are deleted", told)
    assert said is not None, told
    assert 0 <= 30_003 - left - int(said[1].replace(",", "")) <= 200
    assert home.run("purge").stdout == f"{left - 3:,} sessions deleted.\n"
    assert len_of(home) == 3


def len_of(home: Home) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(home.folder / "keyturn.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM keyturn_session").fetchone()
        return int(count)


def test_on_a_terminal_it_shows_how_far_it_is(home: Home) -> None:
    with home.opened():
        pass
    fill(home.folder / "keyturn.db", over=30_000, living=0)
    with on_a_terminal(("purge",), home.environment, home.folder) as shown:
        assert shown.exit_code() == 0
    counts = [
        int(each.replace(",", "")) for each in re.findall(r"Deleting.*?([\d,]+) (?:\x1b\[\S+)?\d:\d\d:\d\d", shown.said)
    ]
    assert "Traceback" not in shown.said
    assert counts == sorted(counts), shown.said
    assert any(0 < count < 30_000 for count in counts), shown.said
    assert "30,000 sessions deleted." in shown.said


@pytest.mark.ids("R76", "W-R18")
@pytest.mark.parametrize("words", [["purge"], ["purge", "--dry-run"]], ids=" ".join)
def test_its_memory_does_not_grow_with_the_table(tmp_path: Path, words: list[str]) -> None:
    peaks = []
    for rows in (2_000, 60_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        home = Home(folder)
        with home.opened():
            pass
        fill(folder / "keyturn.db", over=rows, living=0)
        peaks.append(home.peak(*words)[1])
        assert len_of(home) == (0 if words == ["purge"] else rows)
    # In KiB. A row that was held would cost 1 KiB at least.
    assert peaks[1] - peaks[0] < 16_000
