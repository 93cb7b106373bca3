"""What the demonstration's parts share: whose cookies a request carries, and an answer looked at on its way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._asgi import Message
from .._refresh_token import RefreshToken
from ..errors import TokenInvalidError
from ..messages import Cookies
from ..starlette import Keyturn


def token_in(auth: Keyturn, cookies: Cookies) -> RefreshToken | None:
    """Give the genuine refresh token among a request's cookies, of any generation; None where there is none."""
    core = auth._parts.core  # noqa: SLF001 - its own house
    text = cookies.values.get(auth.settings.refresh_cookie)
    try:
        return core.flows.issuer.seals.open(text, core.clock()) if text else None
    except TokenInvalidError:
        return None


def now(auth: Keyturn) -> datetime:
    """Give the time by Keyturn's own clock, aware UTC."""
    return auth._parts.core.clock()  # noqa: SLF001 - the same


@dataclass(slots=True)
class Heard:
    """An answer, put together from what an application sends; its ``repr`` shows nothing of it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]], repr=False)
    body: bytes = field(default=b"", repr=False)

    async def hear(self, message: Message) -> None:
        """Take one message; it stands for ASGI's ``send``."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def member(self, name: str) -> str:
        """Give a text of the answer's JSON object; empty where there is none."""
        try:
            told: Any = json.loads(self.body or b"{}")
        except ValueError:
            return ""
        return str(told.get(name, "")) if isinstance(told, dict) else ""

    def cookies(self) -> list[tuple[str, bool]]:
        """Give the names of the cookies that are set, and whether each is only removed."""
        lines = [value.decode("latin-1") for name, value in self.headers if name.lower() == b"set-cookie"]
        crumbs = [line.partition(";")[0].partition("=") for line in lines]
        return [(name, not value) for name, _, value in crumbs]
