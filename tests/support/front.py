"""The HTTP layer without a server: one service, a clock that stands still, and clients that send it requests."""

import copy
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from keyturn._build import Chance
from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.events import Event
from keyturn.http.guard import Need
from keyturn.keyrings.static import testing_keys
from keyturn.messages import Reply, Request, take_cookies
from keyturn.service import Service
from keyturn.session import Session
from keyturn.settings import Settings
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from keyturn.tokens import Claims
from keyturn.users import Principal, RegisteredClient

ISSUER = "https://id.example.org"
APP = "https://app.example.org"
PASSWORD = "correct horse battery staple"
SECRET = "a-client_secret with+signs"
KEYS = testing_keys()
PAGE = ((b"sec-fetch-site", b"same-origin"),)
PROGRAM = ((b"keyturn-client", b"tests"),)
REFRESH, BIND, ACCESS = "__Host-Http-kt_refresh", "__Host-Http-kt_bind", "__Host-Http-kt_access"


class Members:
    """The application's users, who count how often a password was hashed and how often somebody was loaded."""

    def __init__(self) -> None:
        self.known = {
            "alice": Principal(subject="u-alice", scopes=frozenset({"read", "write"})),
            "bob": Principal(subject="u-bob", scopes=frozenset({"read"})),
            "mallory": Principal(subject="u-mallory", disabled=True),
        }
        self.hashed = 0
        self.loads = 0
        self.trouble: Exception | None = None

    def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        if self.trouble:
            raise self.trouble
        self.hashed += 1
        return self.known.get(username) if password == PASSWORD else None

    def reauthenticate(self, subject: str, password: str, request: Any) -> bool:
        if self.trouble:
            raise self.trouble
        self.hashed += 1
        return password == PASSWORD

    def load(self, subject: str) -> Principal | None:
        if self.trouble:
            raise self.trouble
        self.loads += 1
        return next((user for user in self.known.values() if user.subject == subject), None)


class BrokenStore:
    """A store that answers nothing while it is `broken`; else what is behind it. It counts how often it was asked."""

    def __init__(self, behind: Any = None, colour: str | None = None) -> None:
        self.behind = behind or MemoryStore()
        self.colour = colour or self.behind.colour
        self.broken = False
        self.but: frozenset[str] = frozenset()
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.behind, name)
        if name.startswith("_"):
            return verb

        async def ask(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.broken and name not in self.but:
                raise StoreError(cause="the test has cut the line")
            return await verb(*args, **kwargs)

        return ask


@dataclass
class Answer:
    """A reply, as a client sees it."""

    reply: Reply

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def body(self) -> bytes:
        return self.reply.body

    @property
    def json(self) -> Any:
        return json.loads(self.reply.body)

    @property
    def code(self) -> str | None:
        return self.json.get("code") if self.reply.body else None

    @property
    def error(self) -> str | None:
        return self.json.get("error")

    @property
    def seen(self) -> tuple[int, str | None]:
        return self.status, self.code

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.reply.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def cookies(self) -> dict[str, str]:
        """What the answer sets and clears: name -> value, empty where it clears."""
        return {cookie.name: cookie.value for cookie in self.reply.cookies}

    @property
    def set_cookies(self) -> list[str]:
        return [cookie.render() for cookie in self.reply.cookies]


@dataclass
class Device:
    """A client with its own jar and its own tokens."""

    front: "Front"
    jar: dict[str, str] = field(default_factory=dict)
    access_token: str = ""
    refresh_token: str = ""
    session_id: str = ""
    is_page: bool = True

    def send(self, method: str, path: str, *, bearer: bool = False, **more: Any) -> Answer:
        headers = list(more.pop("headers", ()))
        if bearer and self.access_token:
            headers.append((b"authorization", b"Bearer " + self.access_token.encode()))
        if self.is_page:
            headers += PAGE
        answer = self.front.send(method, path, headers=headers, cookies=more.pop("cookies", self.jar), **more)
        self.keep(answer)
        return answer

    def keep(self, answer: Answer) -> None:
        for name, value in answer.cookies.items():
            if value:
                self.jar[name] = value
            else:
                self.jar.pop(name, None)
        if answer.status == 200 and b'"session_id":' in answer.body:
            self.access_token = answer.json.get("access_token", "")
            self.refresh_token = answer.json.get("refresh_token", "")
            self.session_id = answer.json.get("session_id", "")

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request with the access token."""
        return self.send(method, path, bearer=True, **more)

    def refresh(self, **more: Any) -> Answer:
        body = {} if self.jar.get(self.front.service.settings.refresh_cookie) else {"refresh_token": self.refresh_token}
        return self.send("POST", "/auth/refresh", json={**body, **more} or None)

    @property
    def current(self) -> str:
        """The refresh token, wherever it is kept."""
        return self.refresh_token or self.jar[self.front.service.settings.refresh_cookie]


@dataclass
class Front:
    """A service and everything it was given."""

    service: Service
    clock: ManualClock
    members: Members
    store: BrokenStore
    facts: list[Event] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        cookies: Mapping[str, str] | bytes = {},
        websocket: bool = False,
    ) -> Answer:
        request = self.request(
            method, path, json=json, form=form, body=body, content_type=content_type, headers=headers,
            cookies=cookies, websocket=websocket,
        )  # fmt: skip
        return Answer(drive(self.service.handle(request)))

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Any = None,
        body: bytes | None = None,
        content_type: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        cookies: Mapping[str, str] | bytes = {},
        websocket: bool = False,
    ) -> Request:
        data, kind = _body(json, form, body)
        fields = list(headers)
        if kind := content_type or kind:
            fields.append((b"content-type", kind.encode()))
        crumbs = cookies if isinstance(cookies, bytes) else "; ".join(f"{k}={v}" for k, v in cookies.items()).encode()
        if crumbs:
            fields.append((b"cookie", crumbs))
        rest, ours = take_cookies(fields, self.service.settings.cookie_names)
        return Request(
            method, path, "", rest, ours, "https", "192.0.2.7", lambda limit: data[:limit], "native", websocket
        )

    def device(self, username: str = "alice", *, page: bool = True, **how: Any) -> Device:
        """Sign somebody in on a new device."""
        device = Device(self, is_page=page)
        if not page and how.get("transport") != "body":
            how["transport"] = "body"
        answer = device.send("POST", "/auth/login", json={"username": username, "password": PASSWORD, **how})
        assert answer.status == 200, answer.body
        return device

    def check(self, device: Device, need: Need = Need(), method: str = "GET", **more: Any) -> Claims | None:  # noqa: B008
        """Ask the guard of an application's route."""
        headers = [*more.pop("headers", ())]
        if device.access_token:
            headers.append((b"authorization", b"Bearer " + device.access_token.encode()))
        request = self.request(method, "/me", headers=headers, cookies=device.jar, **more)
        return drive(self.service.check(request, need))

    def row(self, device: Device) -> Session:
        row = drive(self.store.behind.get(device.session_id))
        assert row is not None
        return row

    def advance(self, by: timedelta | float) -> None:
        self.clock.advance(by)

    def picture(self) -> tuple[dict[str, Session], list[Any]]:
        """Everything the store holds, to be compared with."""
        return dict(self.store.behind._rows), list(self.store.behind._log)


def _body(json_: Any, form: Any, body: bytes | None) -> tuple[bytes, str | None]:
    if json_ is not None:
        return json.dumps(json_).encode(), "application/json"
    if form is not None:
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    return body or b"", None


CLIENTS = (
    RegisteredClient(id="shop-web"),
    RegisteredClient(id="shop-api", secret_digest=hashlib.sha256(SECRET.encode()).hexdigest()),
)


def a_front(
    settings: Settings | None = None,
    *,
    store: Any = None,
    clock: ManualClock | None = None,
    members: Members | None = None,
    entropy: Any = None,
    keys: Any = KEYS,
    kind: type[Service] = Service,
    clients: Iterable[RegisteredClient] = CLIENTS,
    **more: Any,
) -> Front:
    """Build a service as tests need it."""
    clock, members = clock or ManualClock(), members or Members()
    broken = store if isinstance(store, BrokenStore) else BrokenStore(store)
    facts: list[Event] = []
    service = kind(
        settings or Settings(issuer=ISSUER, origins=(APP,)),
        store=broken,
        keys=keys,
        users=members,
        clients=clients,
        chance=Chance(clock=clock, entropy=entropy or CountingEntropy()),
        listeners=(facts.append, *more.pop("more_listeners", ())),
        **more,
    )
    return Front(service, clock, members, broken, facts)


def settings_with(**changes: Any) -> Settings:
    return Settings(**{"issuer": ISSUER, "origins": (APP,), **changes})


def basic(name: str, password: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + b64encode(f"{name}:{password}".encode())


def bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token.encode()


def snapshot(device: Device) -> Device:
    """What a thief who was there now would hold."""
    return Device(device.front, copy.copy(device.jar), device.access_token, device.refresh_token, device.session_id)
