"""The demonstration's story: it holds, it notices when it does not, and it shows nothing that could be used."""

import io
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from keyturn import Settings
from keyturn._policy import Reissue
from keyturn.cli.screen import Screen
from keyturn.events import RefreshReissued, ReuseDetected, SessionEnded, SessionStarted
from keyturn.server.demo_app import Demo, OneUser, TravellingClock, build
from keyturn.server.serving import listen, served
from keyturn.server.story import Story, StoryDiffersError
from keyturn.server.telling import short
from keyturn.server.wire import Device, Exchange, name_and_value
from keyturn.session import EndReason
from keyturn.testing.clock import START, ManualClock

PASSWORD = "a password of the demonstration"


class Stage:
    """A served demonstration, and a story about to be told on paper."""

    def __init__(self, demo: Demo, port: int) -> None:
        self.demo = demo
        self.paper = io.StringIO()
        self.story = Story(demo, port, PASSWORD, Screen(Console(file=self.paper, width=100)))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    listening = listen()
    port = listening.getsockname()[1]
    demo = build(tmp_path, f"http://127.0.0.1:{port}", PASSWORD)
    with closing(demo.store), served(demo.app, listening):
        yield Stage(demo, port)


def test_the_story_goes_as_told(stage: Stage) -> None:
    stage.story.tell()
    kinds = [type(event) for event in stage.demo.events]
    assert kinds.count(SessionStarted) == 3
    assert kinds.count(RefreshReissued) == 1
    assert kinds.count(ReuseDetected) == 1
    reasons = [event.reason for event in stage.demo.events if isinstance(event, SessionEnded)]
    assert reasons == [EndReason.REUSE, EndReason.LOGOUT]


def test_no_value_that_was_issued_is_shown_whole(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    issued: set[str] = {PASSWORD}
    exchange = Device._exchange

    def watched(self: Device, *arguments: Any) -> Exchange:
        passed = exchange(self, *arguments)
        issued.update(passed.answer[name] for name in ("access_token", "refresh_token") if name in passed.answer)
        issued.update(value for _, value in map(name_and_value, passed.set_cookies) if value)
        return passed

    monkeypatch.setattr(Device, "_exchange", watched)
    stage.story.tell()
    text = re.sub(r"\s+", "", stage.paper.getvalue())
    assert len(issued) > 10
    # Neither whole nor in usable part: of no secret more than its ends.
    assert [secret for secret in issued if secret[8:24].replace(" ", "") in text] == []
    assert all(short(secret).replace(" ", "") in text for secret in issued - {PASSWORD} if secret.startswith("kt1."))


@pytest.mark.parametrize(
    ("otherwise", "told"),
    [
        ({"binding": "none"}, "kt_bind is a cookie that scripts cannot read"),
        ({"access_token_lifetime": timedelta(minutes=30)}, "GET /api/me answers 401 token_expired"),
        ({"leeway": timedelta(0), "recovery_window": timedelta(0)}, "POST /auth/refresh answers 200"),
        ({"idle_lifetime": timedelta(hours=1)}, "POST /auth/refresh answers 200"),
        ({"transports": ("cookie",)}, "POST /auth/login answers 200"),
        ({"max_sessions": 1}, "GET /auth/sessions answers 200"),
    ],
)
def test_a_service_that_behaves_otherwise_is_noticed(stage: Stage, otherwise: dict[str, Any], told: str) -> None:
    settings = Settings(profile="development", issuer=stage.demo.auth.settings.issuer, **otherwise)
    with stage.demo.auth.override(settings=settings), pytest.raises(StoryDiffersError) as differs:
        stage.story.tell()
    assert differs.value.told == told


@pytest.mark.parametrize(
    ("broken", "instead", "told"),
    [
        ("keyturn.verifier.proves", lambda *_: True, "GET /api/me answers 401 binding_mismatch"),
        ("keyturn.revocation.FloorMap.floor_at", lambda *_: 0, "GET /api/me answers 401 session_ended"),
        ("keyturn._policy.Reuse", lambda behind, _: Reissue(behind), "POST /auth/refresh answers 401 session_ended"),
    ],
)
def test_a_broken_promise_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, broken: str, instead: Any, told: str
) -> None:
    monkeypatch.setattr(broken, instead)
    with pytest.raises(StoryDiffersError) as differs:
        stage.story.tell()
    assert differs.value.told == told


def test_the_story_ends_in_the_present(stage: Stage) -> None:
    started = datetime.now(UTC)
    assert stage.demo.clock() < started - timedelta(hours=23)
    stage.story.tell()
    assert started <= stage.demo.clock() <= datetime.now(UTC)


def test_a_clock_that_travelled_still_runs() -> None:
    real = ManualClock()
    clock = TravellingClock(real)
    clock.travel(-timedelta(days=1))
    real.advance(5)
    assert clock() == START - timedelta(days=1) + timedelta(seconds=5)
    clock.come_home()
    assert clock() == START + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("username", "password", "known"),
    [
        ("ada", PASSWORD, True),
        ("ada", "wrong", False),
        ("eve", PASSWORD, False),
        ("", "", False),
        ("ada", "\ud800\0", False),
    ],
)
def test_only_the_users_own_password_is_right(username: str, password: str, *, known: bool) -> None:
    users = OneUser(PASSWORD)
    assert (users.authenticate(username, password, None) is not None) is known


def test_an_unknown_name_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    users = OneUser(PASSWORD)
    asked: list[str] = []
    monkeypatch.setattr("keyturn.server.demo_app.is_password", lambda password, kept: bool(asked.append(password)))
    assert users.authenticate("nobody", "guess", None) is None
    assert asked == ["guess"]


@pytest.mark.parametrize("secret", ["", "short", "x" * 16])
def test_a_secret_too_short_to_be_shortened_is_not_shown_at_all(secret: str) -> None:
    assert short(secret) == "…"
