"""A browser that plays the demonstration: it keeps cookies, says that a page of the server asks, and remembers all."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support import serve_process

#: Far longer than a busy machine needs: it only bounds a hang.
PATIENCE = 60


class Answer(serve_process.Answer):
    """An answer, as the page is told it."""

    @property
    def code(self) -> str:
        return self.body["code"]

    @property
    def told(self) -> str:
        """All that the answer says, but for the cookies, which only a browser gets to know."""
        fields = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "set-cookie"]
        return "\n".join([*fields, self.text])


class AnswerLostError(Exception):
    """The connection broke before the answer was complete; `headers` are those that came."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        super().__init__("the answer is lost")
        self.headers = headers


@dataclass
class Browser:
    """A browser of the demonstration's user.

    Args:
        port: of the server.
        secrets: every value that nobody else may see, as it came.
        heard: every answer to a request of the page.
    """

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    session: str = ""
    secrets: set[str] = field(default_factory=set)
    heard: list[Answer] = field(default_factory=list)

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:  # fmt: skip
        """Send a request as a page of the server would; a header that is None is left out."""
        raw = None if body is None else json.dumps(body).encode()
        fields: dict[str, str | None] = {"Sec-Fetch-Site": "same-origin", "User-Agent": "Browser"}
        fields |= {"Content-Type": "application/json"} if raw is not None else {}
        fields |= {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        fields |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, raw, {k: v for k, v in fields.items() if v is not None})
            reply = connection.getresponse()
            try:
                text = reply.read().decode()
            except (http.client.IncompleteRead, ConnectionError):
                raise AnswerLostError(reply.headers) from None
        finally:
            connection.close()
        answer = Answer(status=reply.status, headers=reply.headers, text=text)
        self._keep(answer)
        if path.startswith("/demo") or path == "/":
            self.heard.append(answer)
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any = None, **headers: str | None) -> Answer:
        return self.send("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def sign_in(self, username: str, password: str) -> Answer:
        self.secrets.add(password)
        answer = self.post("/auth/login", {"username": username, "password": password})
        assert answer.status == 200, answer
        return answer

    def refresh(self) -> Answer:
        return self.post("/auth/refresh")

    def me(self) -> Answer:
        return self.get("/demo/me", Authorization=f"Bearer {self.token}")

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Give the events since then, at once."""
        return self.get(f"/demo/events?after={after}&wait=0").body["events"]

    def _keep(self, answer: Answer) -> None:
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            self.secrets.add(value)
            if not value:
                del self.cookies[name]
        self.secrets.discard("")
        if answer.headers.get("Content-Type") == "application/json" and '"access_token":"' in answer.text:
            self.token, self.session = answer.body["access_token"], answer.body["session_id"]
            self.secrets.add(self.token)

    def leaks(self, text: str) -> list[str]:
        """Give the secrets that a text holds, whole or by most of it."""
        return [each for each in self.secrets if each[: max(12, len(each) // 2)] in text or each in text]
