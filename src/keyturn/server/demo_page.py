"""The demonstration's page and the routes behind it: what happens, drawn as it happens, and a thief to be played.

It tells a password and plays attacks, so it is for one person at the machine itself; `demo_settings` says where it may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs

import anyio
from starlette.applications import Starlette
from starlette.routing import Route

from .._asgi import App as AsgiApp, Receive, Scope, Send
from ..errors import RequestError
from ..http import replies
from ..messages import Reply
from ..settings import Settings
from ..starlette import Keyturn
from .demo_door import Asked, Door
from .demo_events import EventRing
from .demo_files import INDEX, page_file
from .demo_line import LINE
from .demo_losing import LossyLine
from .demo_stranger import is_strange, stranger, watched
from .demo_thief import Thief

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

    def install(self, app: Starlette, auth: Keyturn, around: Callable[[AsgiApp], AsgiApp] = lambda app: app) -> AsgiApp:
        """Bring the routes into an application; give what is to be served instead of it.

        Args:
            app: with `auth` installed in it.
            auth: whose sessions are shown.
            around: puts the server's own layers around the application; the demonstration's stands outside of them.
        """

        async def network(scope: Scope, receive: Receive, send: Send) -> None:
            await inner(scope, receive, send)

        line = LossyLine(auth, self.events)
        app.router.routes += self._routes(auth, Thief(network, auth), line)
        inner = around(app)  # it knows the routes now

        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await inner(scope, receive, send)
            elif (session_id := line.takes(scope)) is not None:
                await line.lose(inner, session_id, scope, receive, send)
            elif is_strange(scope, auth.settings):
                await watched(inner, auth, self.events, scope, receive, send)
            else:
                await inner(scope, receive, send)

        return layer

    def _routes(self, auth: Keyturn, thief: Thief, line: LossyLine) -> Sequence[Route]:
        async def me(asked: Asked) -> Reply:
            claims = await auth.required(asked.native)
            return replies.json_reply({"subject": claims.subject, "name": claims.extra.get("name")})

        async def about(_asked: Asked) -> Reply:
            return replies.json_reply(self._about(auth.settings))

        async def evil(asked: Asked) -> Reply:
            return stranger(asked.request, auth.settings)

        return [
            Route("/", Door(auth, {"GET": _file}, page=True)),
            Route("/demo/about", Door(auth, {"GET": about})),
            Route("/demo/events", Door(auth, {"GET": self._events})),
            Route("/demo/me", Door(auth, {"GET": me})),
            Route("/demo/thief/copy", Door(auth, {"POST": thief.copy})),
            Route("/demo/thief/replay", Door(auth, {"POST": thief.replay})),
            Route("/demo/lose", Door(auth, {"POST": line.ask})),
            Route("/demo/evil", Door(auth, {"GET": evil}, page=True)),
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
        return replies.json_reply(
            {"events": self.events.after(since), "last": self.events.last, "run": self.events.run}
        )

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
