"""Real HTTP over a real socket: a browser with a cookie jar, a program without one, and what passed between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, Final

#: On this machine an answer takes milliseconds; so long means that something hangs.
_TIMEOUT_SECONDS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request and its answer; the ``repr`` shows no secret.

    Args:
        headers: of the request, those that matter.
        body: of the request; None where it had none.
        set_cookies: the answer's ``Set-Cookie`` fields.
        answer: its JSON; an empty mapping where there was none.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] | None = field(repr=False)
    status: int
    reason: str
    set_cookies: tuple[str, ...] = field(repr=False)
    answer: Mapping[str, Any] = field(repr=False)

    @property
    def code(self) -> str:
        """The error's code; empty where the answer is no error."""
        return str(self.answer.get("code", ""))

    def cookie(self, name: str) -> str:
        """Give the value that the answer sets a cookie to; empty where it does not."""
        return next((value for key, value in map(name_and_value, self.set_cookies) if key == name), "")


def name_and_value(set_cookie: str) -> tuple[str, str]:
    """Give a Set-Cookie field's name and value."""
    name, _, value = set_cookie.partition(";")[0].partition("=")
    return name, value


class Device:
    """A browser, or a program: it sends requests and keeps what it is given.

    Args:
        port: of the server on this machine.
        agent: how it calls itself.
        cookies: a jar, name -> value.
        always: headers of every request of its.
    """

    def __init__(
        self,
        port: int,
        agent: str,
        *,
        cookies: Mapping[str, str] | None = None,
        always: Mapping[str, str] | None = None,
    ) -> None:
        self.agent = agent
        self.cookies = dict(cookies or {})
        self.access_token = ""
        self._port = port
        self._always = dict(always or {})

    def send(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, bearer: str = "", lost: bool = False
    ) -> Exchange:
        """Send a request and give what passed.

        Args:
            body: sent as JSON.
            bearer: an access token to send.
            lost: the answer never arrives here: nothing of it is kept.

        Raises:
            OSError: there is no answer.
        """
        headers = dict(self._always)
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        exchange = self._exchange(method, path, headers, body)
        if not lost:
            self._keep(exchange)
        return exchange

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Exchange:
        content = {} if body is None else {"Content-Type": "application/json"}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, body=text, headers={"User-Agent": self.agent, **content, **headers})
            with connection.getresponse() as response:
                raw = response.read()
        finally:
            connection.close()
        return Exchange(
            method=method, path=path, headers=headers, body=body, status=response.status, reason=response.reason,
            set_cookies=tuple(response.headers.get_all("Set-Cookie") or ()),
            answer=_object(raw),
        )  # fmt: skip

    def _keep(self, exchange: Exchange) -> None:
        self.access_token = str(exchange.answer.get("access_token", self.access_token))
        for line in exchange.set_cookies:
            name, value = name_and_value(line)
            self.cookies[name] = value
            if not value:
                del self.cookies[name]


def _object(raw: bytes) -> Mapping[str, Any]:
    """Give a body's JSON object; an error page of another make counts as empty, its status says enough."""
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
