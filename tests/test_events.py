"""Events: frozen facts, with nothing in their words that a log may not hold."""

import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyturn import events
from keyturn.events import Event
from keyturn.session import Client, EndReason, Session
from keyturn.tokens import Claims, TokenPair
from keyturn.users import Principal, RegisteredClient

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "hunter2"
SESSION = Session(
    id="s" * 22, realm="default", subject="alice", client_id="web", transport="cookie", remember=True,
    seed_digest=SECRET.encode(), binding=SECRET.encode(), rotated_at=NOW, authenticated_at=NOW, created_at=NOW,
    idle_expires_at=NOW, expires_at=NOW,
)  # fmt: skip

#: What each event needs besides the time; a new event must be told here.
NEEDED: dict[str, dict[str, Any]] = {
    "SessionStarted": {"principal": Principal(subject="alice", source=SECRET)},
    "SessionRefreshed": {},
    "RefreshReissued": {},
    "RefreshRecovered": {},
    "RefreshRefused": {"code": "session_ended", "reason": "reuse"},
    "ReuseDetected": {"behind": 2, "since_rotation": timedelta(seconds=1), "sign_in_client": Client()},
    "StoreWentBack": {"row_generation": 1, "token_generation": 2},
    "SessionSteppedUp": {},
    "SessionEnded": {"reason": EndReason.LOGOUT},
    "RefreshRequired": {"session_ids": ("s" * 22,)},
    "LoginFailed": {"username": SECRET, "reason": "invalid_credentials"},
}


def every_event() -> list[type[Event]]:
    return [
        kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, Event) and kind is not Event
    ]


def told(kind: type[Event]) -> Event:
    return kind(at=NOW, session=SESSION, request={"Authorization": SECRET}, **NEEDED[kind.__name__])


def test_every_event_is_known_here() -> None:
    assert {kind.__name__ for kind in every_event()} == NEEDED.keys()


@pytest.mark.parametrize("kind", every_event())
def test_an_event_cannot_be_changed(kind: type[Event]) -> None:
    event = told(kind)
    assert is_dataclass(event)
    for item in fields(event):
        with pytest.raises(FrozenInstanceError):
            setattr(event, item.name, None)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        event.more = 1  # type: ignore[attr-defined]


@pytest.mark.ids("ST-01", "AU-12")
@pytest.mark.parametrize("kind", every_event())
def test_an_event_tells_who_and_when_and_no_secret(kind: type[Event]) -> None:
    for text in (repr(told(kind)), str(told(kind)), f"{told(kind)}"):
        assert SECRET not in text
        assert "alice" in text
        assert "2026" in text


@pytest.mark.parametrize("kind", every_event())
def test_an_event_is_told_by_names_only(kind: type[Event]) -> None:
    with pytest.raises(TypeError):
        kind(NOW)  # type: ignore[misc, call-arg]


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize(
    "value",
    [
        SESSION,
        Principal(subject="alice", source=SECRET),
        RegisteredClient(id="shop", secret_digest=SECRET),
        TokenPair(
            access_token=SECRET, refresh_token=SECRET, binding=SECRET, issued_at=NOW, expires_at=NOW,
            refresh_expires_at=NOW, session_id="s", scope=frozenset(),
        ),
        Claims(
            issuer="i", realm="r", subject="alice", audience=("a",), client_id="c", session_id="s", generation=0,
            token_id="t", issued_at=NOW, expires_at=NOW, scope=frozenset(), authenticated_at=NOW, binding=SECRET.encode(),
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_no_value_that_travels_with_events_shows_a_secret(value: object) -> None:
    assert SECRET not in f"{value!r} {value}"
