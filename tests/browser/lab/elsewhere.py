"""The thief at home: a program without the user's browser tries out everything that a script carried away."""

import json
import re
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from keyturn import UNCHECKED, KeyturnError
from tests.browser.serving import free_socket, served
from tests.browser.shop import ACCESS, APP, BIND, REFRESH, Shop, answer

NOTHING = "nothing"
BOUND = "refused (401 `binding_mismatch`); at an API that leaves the binding unchecked: good for what is left of its 5 minutes"
#: What an application can do about that.
UNBOUND = "leave the binding unchecked nowhere, or keep access tokens short there"
#: Longer than an access token lives, clocks that differ included.
A_LIFE = 5 * 60 + 30 + 1
ACCESS_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
REFRESH_TOKEN = re.compile(r"kt1\.[\w-]{60,}")
#: The length of a binding cookie's value, and of everything else that is 32 octets.
SECRET = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])")


def access_tokens(loot: str) -> list[str]:
    """The access tokens in it, each once, in the order found."""
    return list(dict.fromkeys(ACCESS_TOKEN.findall(loot)))


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@dataclass
class Elsewhere:
    """A program on another machine: it knows the server's address and what it was sent, and has no cookies."""

    shop: Shop
    #: The port of an API on another host, whose verifier leaves the binding unchecked.
    unchecked_port: int
    lines: dict[int, HTTPConnection] = field(default_factory=dict)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: str = "") -> tuple[int, str]:
        """Send a request to the application; give status and code."""
        return self._send(self.shop.port, APP, method, path, headers, body)

    def _send(
        self, port: int, host: str, method: str, path: str, headers: Mapping[str, str], body: str = ""
    ) -> tuple[int, str]:
        line = self._line(port)
        fields = {"Host": f"{host}:{port}", **headers}
        try:
            line.request(method, path, body, fields)
            answer = line.getresponse()
        except (HTTPException, OSError):  # the server was through with that connection; the next one is a new one
            line.close()
            line.request(method, path, body, fields)
            answer = line.getresponse()
        text = answer.read()
        code = ""
        with suppress(ValueError):
            told = json.loads(text)
            code = told.get("code") or told.get("error") or ""
        return answer.status, code

    def _line(self, port: int) -> HTTPConnection:
        if port not in self.lines:
            context = ssl._create_unverified_context()
            https = self.shop.scheme == "https"
            self.lines[port] = (
                HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
                if https
                else HTTPConnection("127.0.0.1", port, timeout=30)
            )
        return self.lines[port]

    def at_an_unchecked_api(self, token: str) -> int:
        """Call an API on another host that cannot see the binding cookie."""
        bearer = {"Authorization": f"Bearer {token}"}
        return self._send(self.unchecked_port, "api.other.test", "GET", "/", bearer)[0]

    def signs_in(self, username: str, password: str) -> bool:
        """Sign in with a password that the script read."""
        body = json.dumps({"username": username, "password": password, "transport": "body"})
        return self.ask("POST", "/auth/login", {"Content-Type": "application/json"}, body)[0] == 200

    def use(self, loot: str) -> dict[str, tuple[int, str]]:
        """Try everything that was carried away in every way it might be good for; give what was answered."""
        told: dict[str, tuple[int, str]] = {}
        tokens = access_tokens(loot)
        secrets = set(SECRET.findall(loot)) | {value for token in tokens for value in _texts(claims_of(token))}
        for number, token in enumerate(tokens):
            told[f"GET /me with token {number}"] = self.ask("GET", "/me", {"Authorization": f"Bearer {token}"})
        for name, (method, path, headers, body) in _uses(tokens[-1], secrets).items() if tokens else ():
            told[name] = self.ask(method, path, headers, body)
        values = [*REFRESH_TOKEN.findall(loot), *sorted(secrets)]
        program = {"Keyturn-Client": "1"}
        for number, value in enumerate(values):
            for path in ("/auth/refresh", "/auth/logout"):
                cookies = {**program, "Cookie": f"{REFRESH}={value}; {BIND}={value}"}
                told[f"{path} with value {number}"] = self.ask("POST", path, cookies)
        return told

    def worth(self, loot: str) -> str:
        """Say what the thief can do with it, having tried. Time passes meanwhile, more than an access token lives."""
        tokens, before = access_tokens(loot), len(self.shop.facts)
        answers = self.use(loot)
        assert {status for status, _ in answers.values()} <= {204, 400, 401, 403}, answers  # 204: nothing was ended
        assert {code for name, (_, code) in answers.items() if name.startswith("GET /me")} <= {"binding_mismatch"}
        assert not {"SessionEnded", "SessionRefreshed", "SessionStarted"} & set(self.shop.told()[before:])
        if not tokens:
            return NOTHING
        assert self.at_an_unchecked_api(tokens[-1]) == 200
        self.shop.clock.advance(A_LIFE)
        assert {self.at_an_unchecked_api(token) for token in tokens} == {401}
        return BOUND


def _uses(token: str, secrets: set[str]) -> dict[str, Any]:
    bearer, program = {"Authorization": f"Bearer {token}"}, {"Keyturn-Client": "1"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    handshake = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": f"keyturn, {token}",
    }  # fmt: skip
    uses: dict[str, Any] = {
        "POST /orders": ("POST", "/orders", bearer, ""),
        "GET /auth/session": ("GET", "/auth/session", bearer, ""),
        "GET /auth/sessions": ("GET", "/auth/sessions", bearer, ""),
        "DELETE /auth/sessions": ("DELETE", "/auth/sessions", bearer, ""),
        "POST /auth/logout-all": ("POST", "/auth/logout-all", {**bearer, **program}, ""),
        "POST /auth/refresh": ("POST", "/auth/refresh", {**bearer, **program}, ""),
        "cookie": ("GET", "/me", {"Cookie": f"{ACCESS}={token}"}, ""),
        "websocket": ("GET", "/live", handshake, ""),
        "POST /auth/token": ("POST", "/auth/token", form, f"grant_type=refresh_token&refresh_token={token}"),
    }
    for number, secret in enumerate(sorted(secrets)):
        uses[f"forwarded {number}"] = ("GET", "/me", {**bearer, "Keyturn-Binding": secret}, "")
        uses[f"bound {number}"] = ("GET", "/me", {**bearer, "Cookie": f"{BIND}={secret}"}, "")
    return uses


def _texts(claims: dict[str, Any]) -> set[str]:
    return {value for value in claims.values() if isinstance(value, str) and SECRET.fullmatch(value)}


@contextmanager
def at_home(shop: Shop, tls: Path | None) -> Iterator[Elsewhere]:
    """Set the thief up; besides the shop there is an API on another host that accepts tokens unbound."""
    bound = free_socket()

    async def api(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        try:
            shop.auth.verifier.verify(token, binding=UNCHECKED)
            status = 200
        except KeyturnError:
            status = 401
        await answer(send, status, [], b"")

    with served(api, bound, tls):
        thief = Elsewhere(shop, bound.getsockname()[1])
        yield thief
        for line in thief.lines.values():
            line.close()
