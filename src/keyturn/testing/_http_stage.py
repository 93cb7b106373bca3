"""Where the HTTP suite plays: one served application, a clock that stands still, and clients whose words are kept."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from .._client_files import shipped
from .._colour import Colour
from ..errors import StoreError
from ..keyrings.static import testing_keys
from ..service import Service
from ..settings import CookieSettings, Settings
from ..stores.memory import MemoryStore
from ..throttle import FREE, Admission, Attempt
from ..users import Principal, RegisteredClient
from ._http_wire import HOST, Address, Answer, exchange, flood
from .clock import ManualClock

ISSUER: Final = f"https://{HOST}"
APP: Final = "https://app.example.org"
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - everybody may know it
SECRET: Final = "client secret+of/tests"  # noqa: S105 - the same
REFRESH: Final = "__Host-Http-kt_refresh"
BIND: Final = "__Host-Http-kt_bind"
ACCESS: Final = "__Host-Http-kt_access"
#: What a page of ours says of itself, and what a program does.
PAGE: Final = (("sec-fetch-site", "same-origin"),)
PROGRAM: Final = (("keyturn-client", "tests"),)
#: And what a browser says of another site's page.
EVIL: Final = (("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"))

SETTINGS: Final[Mapping[str, Settings]] = {
    "plain": Settings(issuer=ISSUER, origins=(APP,)),
    "access cookie": Settings(issuer=ISSUER, origins=(APP,), cookie=CookieSettings(access_in_cookie=True)),
    "embedded": Settings(
        issuer=ISSUER, origins=(APP,), cookie=CookieSettings(suffix="x", same_site="None", partitioned=True)
    ),
    "development": Settings(profile="development"),
    "docs": Settings(issuer=ISSUER, docs_login=True),
    "limited": Settings(issuer=ISSUER, max_sessions=1, on_limit="refuse"),
}

#: Fields that belong to the server and the connection.
_CONNECTION: Final = frozenset({"date", "server", "connection", "keep-alive", "transfer-encoding"})
#: On the application's own routes, all that is ours.
_OURS: Final = frozenset({"content-type", "cache-control", "www-authenticate", "set-cookie", "location"})
#: What every answer of ours carries, written as one word in the transcript.
_HARDENING: Final = frozenset(
    {
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "strict-transport-security: max-age=31536000",
    }
)
_TOKEN: Final = re.compile(r"eyJ[\w-]{20,}\.[\w-]+\.[\w-]+|kt1\.[\w-]{71}")


class Residents:
    """The users of the suite: alice (read, write), bob (read), and mallory, who is disabled."""

    _known: Final = {
        "alice": Principal(subject="u-alice", scopes=frozenset({"read", "write"}), claims={"plan": "gold"}),
        "bob": Principal(subject="u-bob", scopes=frozenset({"read"})),
        "mallory": Principal(subject="u-mallory", disabled=True),
    }

    def authenticate(self, username: str, password: str, request: Any) -> Principal | None:
        """Give the user of that name; all have one password."""
        return self._known.get(username) if password == PASSWORD else None

    def reauthenticate(self, subject: str, password: str, request: Any) -> bool:
        """Say whether that is the password."""
        return password == PASSWORD

    def load(self, subject: str) -> Principal | None:
        """Give the user of that id."""
        return next((user for user in self._known.values() if user.subject == subject), None)


class Doorkeeper:
    """A throttle that knows one user by name and lets everybody else through."""

    colour: Colour = "both"

    async def admit(self, attempt: Attempt) -> Admission:
        """Keep ``throttled`` waiting."""
        return Admission(wait=timedelta(seconds=41.5)) if attempt.username == "throttled" else FREE

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Count nothing."""


class Faltering:
    """A store that does not answer while it is `away`."""

    colour: Colour = "both"

    def __init__(self) -> None:
        self.away = False
        self._behind = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            if self.away:
                raise StoreError(cause="the suite has cut the line")
            return await getattr(self._behind, name)(*args, **kwargs)

        return ask


def parts() -> dict[str, Any]:
    """Give the arguments that the service of the suite is built with."""
    return {
        "settings": SETTINGS["plain"],
        "store": "memory:",
        "keys": testing_keys(),
        "users": Residents(),
        "throttle": Doorkeeper(),
        "clients": (
            RegisteredClient(id="shop-web"),
            RegisteredClient(id="shop-api", secret_digest=hashlib.sha256(SECRET.encode()).hexdigest()),
        ),
    }


def seen_by_the_application(cookie: str | None, names: Iterable[str], authorization: str | None) -> str:
    """Give the text that ``/echo`` answers.

    Args:
        cookie: the Cookie field as the application sees it.
        names: the cookies that the framework found in it.
        authorization: the Authorization field.
    """
    return f"cookie: {cookie or ''}\nnames: {', '.join(sorted(names))}\nauthorization: {bool(authorization)}\n"


@dataclass(slots=True)
class Stage:
    """One scenario: it asks, and keeps what was asked and answered."""

    service: Service
    address: Address
    clock: ManualClock
    store: Faltering
    told: list[dict[str, Any]] = field(default_factory=list)
    jar: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        *,
        note: str = "",
        says: Iterable[tuple[str, str]] = PAGE,
        json_: Any = None,
        form: Any = None,
        raw: tuple[str | None, bytes] | None = None,
        cookie: str | None = None,
        bearer: str | None = None,
        keep: bool = True,
    ) -> Answer:
        """Send a request as a page of ours, with the jar's cookies unless others are given.

        Args:
            note: what is special about it, for the transcript.
            says: the header fields that tell who sends.
            raw: another media type, and the body.
            cookie: the Cookie field; the jar's where left out, none where empty.
            bearer: the access token; ``"mine"`` for the one that was kept.
            keep: take over the cookies and tokens of the answer.
        """
        kind, body = raw or _body(json_, form)
        sent = self._cookies() if cookie is None else cookie
        token = self.tokens.get("access_token", "") if bearer == "mine" else bearer
        headers = [*says]
        headers += [("content-type", kind)] if kind is not None else []
        headers += [("cookie", sent)] if sent else []
        headers += [("authorization", f"Bearer {token}")] if token is not None else []
        answer = exchange(self.address, method, path, headers, body)
        self._tell(method, path, note, answer)
        if keep:
            self._keep(answer)
        return answer

    def flood(self, path: str, *, note: str, kind: str = "application/json", declared: bool) -> int:
        """Offer a body of 20 MB; give how much of it was taken before the answer."""
        headers = [*PAGE, ("content-type", kind)]
        answer, sent = flood(self.address, path, headers, 20_000_000, declared=declared)
        self._tell("POST", path, note, answer)
        return sent

    def sign_in(self, username: str = "alice", **how: Any) -> Answer:
        """Sign a user in and keep what it gives."""
        return self.ask("POST", "/auth/login", json_={"username": username, "password": PASSWORD, **how})

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def _cookies(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def _keep(self, answer: Answer) -> None:
        for line in answer.values("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        if answer.status == 200 and b'"session_id":' in answer.body:
            self.tokens = {key: value for key, value in json.loads(answer.body).items() if isinstance(value, str)}

    def _tell(self, method: str, path: str, note: str, answer: Answer) -> None:
        ours, answer = path.startswith(("/auth", "/.well-known")), _without_the_client(path, answer)
        dropped = {name for name, _ in answer.headers if name in _CONNECTION or not (ours or name in _OURS)}
        lines = [f"{name}: {_short(value)}" for name, value in answer.headers if name not in dropped]
        if set(lines) >= _HARDENING:
            lines = [*(line for line in lines if line not in _HARDENING), "hardened: yes"]
        ordered = sorted(lines, key=lambda line: line.partition(":")[0])  # fields of one name keep their order
        asked = f"{method} {_short(path)}" + (f" ({note})" if note else "")
        self.told.append(
            {"asked": asked, "status": answer.status, "headers": ordered, "body": _short(answer.body.decode())}
        )


def _without_the_client(path: str, answer: Answer) -> Answer:
    """Write the browser client by the name of its form: it changes, and the transcript shall not."""
    file = shipped() if path == "/auth/client.js" and answer.status in {200, 304} else None
    if file is None:
        return answer
    headers, body = dict(answer.headers), answer.body
    for name, form in (("plain", file.plain), ("gzipped", file.gzipped)):
        if headers.get("etag") == form.etag:
            headers["etag"] = f"<of the {name} file>"
        if headers.get("content-length") == str(len(form.body)):
            headers["content-length"] = f"<of the {name} file>"
        body = f"<the {name} file>".encode() if answer.body == form.body else body
    told = tuple(
        (name, headers[name] if name in {"etag", "content-length"} else value) for name, value in answer.headers
    )
    return Answer(answer.status, told, body)


def _body(json_: Any, form: Any) -> tuple[str | None, bytes]:
    if json_ is not None:
        return "application/json", json.dumps(json_).encode()
    if form is not None:
        return "application/x-www-form-urlencoded", urlencode(form).encode()
    return None, b""


def _short(text: str) -> str:
    """Write tokens by their digests: as exact, and nothing that looks like a credential lies in a file."""
    return _TOKEN.sub(lambda found: f"<{found[0][:3]} {hashlib.sha256(found[0].encode()).hexdigest()[:16]}>", text)


def basic(name: str, password: str) -> tuple[str, str]:
    """Give an HTTP Basic field."""
    return "authorization", "Basic " + b64encode(f"{name}:{password}".encode()).decode()
