"""A small site on Flask and clients that visit it."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from keyturn._build import Chance
from keyturn.events import Event
from keyturn.flask import Keyturn
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.front import CLIENTS, KEYS, PASSWORD, BrokenStore, Members, settings_with

BASE = "https://id.example.org"


class Site:
    """An application with Keyturn in it, and everything that Keyturn was given."""

    def __init__(self, settings: Any = None, *, app: Flask | None = None, store: Any = None, **more: Any) -> None:
        self.clock = more.pop("clock", None) or ManualClock()
        self.members = Members()
        self.store = store if isinstance(store, BrokenStore) else BrokenStore(store)
        self.facts: list[Event] = []
        self.auth = Keyturn(
            settings=settings or settings_with(), users=more.pop("users", self.members), store=self.store, keys=KEYS,
            clients=CLIENTS, listeners=(self.facts.append, *more.pop("more_listeners", ())),
            chance=Chance(clock=self.clock, entropy=more.pop("entropy", None) or CountingEntropy()), **more,
        )  # fmt: skip
        self.app = Flask(__name__) if app is None else app
        self.auth.init_app(self.app)
        self.app.add_url_rule("/me", "me", self.auth.required(lambda: {"subject": self.auth.claims.subject}))

    def visitor(self) -> FlaskClient:
        return visitor(self.app)


class Visitor(FlaskClient):
    """A browser on a page of ours."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("base_url", BASE)
        kwargs["headers"] = {"sec-fetch-site": "same-origin", **kwargs.pop("headers", {})}
        return super().open(*args, **kwargs)


def visitor(app: Flask) -> FlaskClient:
    app.test_client_class = Visitor
    return app.test_client()


def sign_in(client: FlaskClient, username: str = "alice", prefix: str = "/auth", **how: Any) -> dict[str, str]:
    """Sign in; give the Authorization field."""
    answer = client.post(f"{prefix}/login", json={"username": username, "password": PASSWORD, **how})
    assert answer.status_code == 200, answer.text
    return bearer(answer.json["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
