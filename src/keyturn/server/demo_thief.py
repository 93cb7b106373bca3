"""The thief of the demonstration: it copies a browser's tokens, and sends them from a computer of its own.

The requests are real: they go through the whole application, as if they had come by the network. What was copied stays
in this process's memory, for an hour at most, and no value of it is ever given out.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from .._asgi import App, Message, Scope
from .._build import random_bytes
from ..errors import RequestError
from ..http import bodies, replies
from ..messages import Reply
from ..starlette import Keyturn
from .demo_asking import Heard, now, token_in
from .demo_door import Asked
from .telling import short

#: One visitor tries a handful.
MOST_COPIES: Final = 16
LIFETIME: Final = timedelta(hours=1)
#: Of a network that is nobody's (RFC 5737): the thief is seen to be elsewhere.
ADDRESS: Final = "203.0.113.66"
AGENT: Final = "A thief's computer"
_ID_BYTES: Final = 12
#: A site that is nobody's (RFC 2606), for a form that comes from there.
STRANGER: Final = "https://stranger.example"
#: What is tried with a copy -> the method, and the path behind the prefix.
TRIES: Final[Mapping[str, tuple[str, str]]] = {
    "refresh": ("POST", "/refresh"),
    "session": ("GET", "/session"),
    "form": ("POST", "/logout"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """What malware took: a browser's cookies as they were then, and the access token that the page had.

    Args:
        cookies: name -> value, of ours alone.
        access_token: the one with which the copy was asked for; empty without one.
        generation: of the refresh token among them.
        at: when.
    """

    cookies: Mapping[str, str] = field(repr=False)
    access_token: str = field(default="", repr=False)
    generation: int
    at: datetime


class Thief:
    """Copies cookies and sends them.

    Args:
        app: the whole application, as requests from the network reach it.
        auth: whose cookies they are.
        entropy: gives so many random bytes.
    """

    def __init__(self, app: App, auth: Keyturn, entropy: Any = random_bytes) -> None:
        self._app = app
        self._auth = auth
        self._entropy = entropy
        self._copies: dict[str, Copy] = {}

    async def copy(self, asked: Asked) -> Reply:
        """POST /demo/thief/copy."""
        found, settings = asked.request.cookies, self._auth.settings
        token = token_in(self._auth, found)
        if token is None:
            raise RequestError("Sign in first: this browser holds no session to copy.", code="no_session", status=409)
        names = (settings.refresh_cookie, settings.binding_cookie)
        taken = {name: found.values[name] for name in names if name in found.values}
        access = (asked.request.header(b"authorization") or "").removeprefix("Bearer ")
        made = Copy(cookies=taken, access_token=access, generation=token.generation, at=now(self._auth))
        identifier = self._keep(made)
        copied = [f"{name} {short(value)}" for name, value in taken.items()]
        return replies.json_reply({"id": identifier, "copied": copied, "generation": token.generation})

    async def replay(self, asked: Asked) -> Reply:
        """POST /demo/thief/replay."""
        body = await bodies.json_object(asked.request)
        whole = bodies.flag(body, "with_binding", default=True)
        what = bodies.text(body, "what") or "refresh"
        if what not in TRIES:
            raise RequestError(f"What is tried is one of {', '.join(TRIES)}.")
        self._forget_old()
        copy = self._copies.get(bodies.text(body, "id") or "")
        if copy is None:
            raise RequestError("The thief has no such copy: copy the cookies first.", code="not_found", status=404)
        cookies = {k: v for k, v in copy.cookies.items() if whole or k != self._auth.settings.binding_cookie}
        sent, heard = replace(copy, cookies=cookies), Heard()
        scope = self._scope(what, _fields(what, sent))
        await self._app(scope, _no_body(), heard.hear)
        return replies.json_reply({"request": _shown(scope, what, sent), "answer": _answer(heard)})

    def _keep(self, copy: Copy) -> str:
        self._forget_old()
        while len(self._copies) >= MOST_COPIES:
            del self._copies[next(iter(self._copies))]  # the oldest
        identifier = urlsafe_b64encode(self._entropy(_ID_BYTES)).decode("ascii")
        self._copies[identifier] = copy
        return identifier

    def _forget_old(self) -> None:
        oldest = now(self._auth) - LIFETIME
        self._copies = {key: copy for key, copy in self._copies.items() if copy.at > oldest}

    def _scope(self, what: str, fields: Mapping[str, str]) -> Scope:
        issuer = urlsplit(self._auth.settings.issuer)
        method, path = TRIES[what][0], self._auth.settings.prefix + TRIES[what][1]
        headers = {"Host": issuer.netloc, **fields}
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": method, "scheme": issuer.scheme, "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "client": (ADDRESS, 40_000), "server": (issuer.hostname, issuer.port),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        }  # fmt: skip


def _fields(what: str, copy: Copy) -> Mapping[str, str]:
    """Give the header fields of a request: a program's, or those of a browser that a stranger's form has sent."""
    crumbs = {"Cookie": "; ".join(f"{name}={value}" for name, value in copy.cookies.items())}
    if what == "form":
        said = {"Origin": STRANGER, "Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded"}
        return {"User-Agent": "A browser without SameSite", **said, **crumbs}
    bearer = {"Authorization": f"Bearer {copy.access_token}"} if what == "session" and copy.access_token else {}
    return {"User-Agent": AGENT, "Keyturn-Client": "thief", **bearer, **crumbs}


def _no_body() -> Any:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _shown(scope: Scope, what: str, copy: Copy) -> Mapping[str, Any]:
    cookies = {name: short(value) for name, value in copy.cookies.items()}
    access = short(copy.access_token) if copy.access_token else ""
    return {
        "method": scope["method"],
        "path": scope["path"],
        "from": ADDRESS,
        "generation": copy.generation,
        "headers": _fields(what, replace(copy, cookies=cookies, access_token=access)),
    }


def _answer(heard: Heard) -> Mapping[str, Any]:
    cookies = heard.cookies()
    return {
        "status": heard.status,
        "code": heard.member("code"),
        "detail": heard.member("detail"),
        "set_cookie": [name for name, removed in cookies if not removed],
        "cleared": [name for name, removed in cookies if removed],
    }
