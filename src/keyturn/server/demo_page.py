"""The demonstration's page and the routes behind it: what happens, drawn as it happens, and a thief to be played.

It tells a password and plays attacks, so it is for one person at the machine itself; `faults` says where it may be.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.routing import Route

from ..errors import RequestError
from ..http import replies
from ..messages import Reply
from ..settings import Settings, is_loopback
from ..starlette import Keyturn
from .demo_door import Asked, Door
from .demo_events import EventRing
from .demo_files import INDEX, page_file
from .demo_line import LINE

#: How long a question for news is held open at most; browsers and proxies wait longer.
LONGEST_WAIT_SECONDS: Final = 20.0
#: What people do not notice; and a question to the ring costs nothing.
_LOOK_SECONDS: Final = 0.05
#: Each tab asks for news once; more than so many at once are answered without waiting.
_MOST_WAITING: Final = 16
_DURATIONS: Final = (
    "access_token_lifetime",
    "leeway",
    "recovery_window",
    "idle_lifetime",
    "session_lifetime",
    "staleness_bound",
    "clock_skew",
    "recent_auth",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """The account that the demonstration has made for whoever looks at it.

    Args:
        username: its name.
        password: made for this run; everybody at this machine may know it.
    """

    username: str
    password: str = field(repr=False)


class DemoPage:
    """The page's routes.

    Args:
        kind: which program shows it.
        visitor: the account to sign in with; None where people have their own.
        events: what has happened; `EventRing.tell` is to be among Keyturn's listeners.
    """

    def __init__(
        self, kind: Literal["demo", "serve"], visitor: Visitor | None = None, events: EventRing | None = None
    ) -> None:
        self.kind = kind
        self.visitor = visitor
        self.events = events or EventRing()
        self._waiting = 0

    def routes(self, auth: Keyturn) -> Sequence[Route]:
        """Give the routes, to be mounted at the root."""

        async def me(asked: Asked) -> Reply:
            claims = await auth.required(asked.native)
            return replies.json_reply({"subject": claims.subject, "name": claims.extra.get("name")})

        async def about(_asked: Asked) -> Reply:
            return replies.json_reply(self._about(auth.settings))

        return [
            Route("/", Door(auth, {"GET": _file}, page=True)),
            Route("/demo/about", Door(auth, {"GET": about})),
            Route("/demo/events", Door(auth, {"GET": self._events})),
            Route("/demo/me", Door(auth, {"GET": me})),
            Route("/demo/{name}", Door(auth, {"GET": _file}, page=True)),
        ]

    def _about(self, settings: Settings) -> Mapping[str, Any]:
        visitor = self.visitor
        return {
            "kind": self.kind,
            "username": visitor.username if visitor else None,
            "password": visitor.password if visitor else None,
            "settings": {
                **{name: _seconds(getattr(settings, name)) for name in _DURATIONS},
                "issuer": settings.issuer,
                "prefix": settings.prefix,
                "refresh_cookie": settings.refresh_cookie,
                "binding_cookie": settings.binding_cookie,
            },
        }

    async def _events(self, asked: Asked) -> Reply:
        asked_for = parse_qs(asked.scope["query_string"].decode("latin-1"))
        after, wait = _number(asked_for, "after"), _number(asked_for, "wait")
        if after is not None and after <= self.events.last and self._waiting < _MOST_WAITING:
            self._waiting += 1
            try:
                await self._wait(
                    asked, after, LONGEST_WAIT_SECONDS if wait is None else min(wait, LONGEST_WAIT_SECONDS)
                )
            finally:
                self._waiting -= 1
        # A number from before a restart: all that there is.
        since = after if after is not None and after <= self.events.last else 0
        return replies.json_reply({"events": self.events.after(since), "last": self.events.last})

    async def _wait(self, asked: Asked, after: int, seconds: float) -> None:
        line, deadline = asked.scope.get(LINE), time.monotonic() + seconds
        while self.events.last == after and time.monotonic() < deadline and not (line and line.ends):  # noqa: ASYNC110 - events come from any thread, a stop from none
            await anyio.sleep(_LOOK_SECONDS)


async def _file(asked: Asked) -> Reply:
    name = asked.scope["path_params"].get("name", INDEX)
    reply = page_file(asked.request, name)
    if reply is None:
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    return reply


def _number(query: Mapping[str, Sequence[str]], name: str) -> int | None:
    text = query.get(name, [""])[0]
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


def _seconds(duration: timedelta) -> float:
    seconds = duration.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def faults(issuer: str, host: str, workers: int) -> Sequence[str]:
    """Say why the page must not be shown there; empty where it may.

    Args:
        issuer: the URL of the service.
        host: the address it listens at.
        workers: how many processes answer.
    """
    found = []
    if not is_loopback(urlsplit(issuer).hostname):
        found.append(f"the issuer is {issuer}")
    if not is_loopback(host):
        found.append(f"it would listen at {host}")
    if workers > 1:
        found.append(f"{workers} workers would each know a part of what happens")
    return found
