"""What everybody may know of a request: the outermost layer of the server, which counts, times and logs.

It never sees a body, a query string or a header field that could hold a secret.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from starlette.routing import BaseRoute, Match, Route

from .. import events
from .._asgi import NOTE, App, Message, Receive, Scope, Send
from .._build import random_bytes
from .._colour import Colour
from .._proxies import Proxies
from ..errors import kind_and_place
from ..events import Event, Listener
from ..http import routes
from ..messages import NO_COOKIES, Request
from ..settings import Settings
from .logs import FIELDS, session_mark
from .metrics import Metrics

UNKNOWN: Final = "unknown"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
#: What a proxy of ours may call a request; nothing that could be one of our tokens.
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_ID_BYTES: Final = 8
#: Asked every few seconds by machines; where all is well they are worth no line.
_ASKED_BY_MACHINES: Final = ("/health/", "/metrics")
_SAMPLE_SECONDS: Final = 1.0

_requests: Final = logging.getLogger("keyturn.requests")
_events: Final = logging.getLogger("keyturn.events")
_log: Final = logging.getLogger("keyturn.server")


class RouteNames:
    """Gives the name of the route that a path belongs to, one of a few: never a part of the path that varies.

    Args:
        settings: say where our own routes are.
        more: the routes of the application around them.
    """

    def __init__(self, settings: Settings, more: Sequence[BaseRoute] = ()) -> None:
        self._settings = settings
        known = [route for route in more if isinstance(route, Route)]
        self._exact = frozenset(route.path for route in known if not route.param_convertors)
        self._varying = [route for route in known if route.param_convertors]

    def __call__(self, path: str) -> str:
        """Give the name for a path below the application's root."""
        if path in self._exact:
            return path
        if routes.is_ours(path, self._settings):
            return self._ours(path)
        scope = {"type": "http", "path": path, "method": "GET", "root_path": ""}
        return next((route.path for route in self._varying if route.matches(scope)[0] is not Match.NONE), UNKNOWN)

    def _ours(self, path: str) -> str:
        route, _ = routes.find(path, self._settings)
        if route is None:
            return UNKNOWN
        if path.startswith("/.well-known/"):
            return route.path
        return self._settings.prefix + route.path + ("{id}" if route.path.endswith("/") else "")


def observed(
    app: App,
    *,
    names: Callable[[str], str],
    metrics: Metrics | None = None,
    proxies: Proxies = Proxies(),  # noqa: B008 - a frozen value
    entropy: Callable[[int], bytes] = random_bytes,
    timer: Callable[[], float] = time.perf_counter,
) -> App:
    """Put the layer that counts, times and logs around an application; it belongs outside of everything.

    Args:
        app: answers.
        names: gives a route's name for a path (`RouteNames`).
        metrics: where to count; None counts nowhere.
        proxies: whose word on clients' addresses and on request ids is taken.
        entropy: gives random bytes for request ids.
        timer: gives seconds since some moment.
    """

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(app, metrics, scope, receive, send)
            return
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        note = {"request_id": _id_of(scope, proxies) or entropy(_ID_BYTES).hex(), "code": ""}
        begun = timer()
        if metrics is not None:
            metrics.begun()
        try:
            await app({**scope, NOTE: note}, receive, watched)
        except Exception:
            status = status or 500  # what the server answers
            raise
        finally:
            seconds = timer() - begun
            route = names(_path(scope))
            if metrics is not None:
                metrics.answered(route, status, seconds, note["code"])
            _log_request(scope, proxies, route, status, seconds, note)

    return layer


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _id_of(scope: Scope, proxies: Proxies) -> str:
    """Give what a proxy of ours calls the request; empty where none does, or says what cannot be an id."""
    peer = scope.get("client")
    if not proxies or not proxies.trusts(peer[0] if peer else ""):
        return ""
    named = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return named[0].decode("ascii") if len(named) == 1 and _ID.fullmatch(named[0]) else ""


def _address(scope: Scope, proxies: Proxies) -> str:
    peer = scope.get("client")
    address: str = peer[0] if peer else ""
    if not proxies:
        return address
    headers, scheme = scope["headers"], scope.get("scheme", "http")
    return proxies.seen_through(Request("", "", "", headers, NO_COOKIES, scheme, address, lambda _: b"", None)).peer


def _log_request(
    scope: Scope, proxies: Proxies, route: str, status: int, seconds: float, note: dict[str, str]
) -> None:  # fmt: skip
    level = request_level(route, status)
    if not _requests.isEnabledFor(level):
        return
    method = scope["method"]
    fields: dict[str, object] = {
        "method": method if method in _METHODS else "other",
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "client": _address(scope, proxies),
        "request_id": note["request_id"],
    }
    if note["code"]:
        fields["code"] = note["code"]
    _requests.log(level, "request", extra={FIELDS: fields})


def request_level(route: str, status: int) -> int:
    """Say how much a request's line matters."""
    if status >= 500 or status == 0:
        return logging.WARNING
    return logging.DEBUG if status < 400 and route.startswith(_ASKED_BY_MACHINES) else logging.INFO


async def _live(app: App, metrics: Metrics | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass the lifespan on; between start and stop, look every second at what nobody tells of."""
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:

        async def watched(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete" and metrics is not None:
                group.start_soon(_keep_sampling, metrics)
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _keep_sampling(metrics: Metrics) -> None:
    while True:
        try:
            metrics.sample()
        except Exception as error:  # noqa: BLE001 - numbers must not take the server down
            _log.warning("a number could not be looked at: %s", kind_and_place(error))
        await anyio.sleep(_SAMPLE_SECONDS)


# --- events --------------------------------------------------------------------------------------------------------


def watching(metrics: Metrics | None, colour: Colour) -> Listener:
    """Give the listener that counts and logs every event.

    Args:
        metrics: where to count; None counts nowhere.
        colour: of the session store, which says where listeners are called: neither kind pays for a change of threads.
    """

    def tell(event: Event) -> None:
        if metrics is not None:
            metrics.listener(event)
        log_event(event)

    async def tell_in_loop(event: Event) -> None:
        tell(event)

    return tell if colour == "sync" else tell_in_loop


def log_event(event: Event) -> None:
    """Write an event to the log ``keyturn.events``: who, when, where and why, and no name that was typed."""
    level = event_level(event)
    if _events.isEnabledFor(level):
        _events.log(level, type(event).__name__, extra={FIELDS: event_fields(event)})


def event_level(event: Event) -> int:
    """Say how much an event matters: what may be a thief, or a store that lost writes, is a warning."""
    match event:
        case events.ReuseDetected() | events.StoreWentBack() | events.RefreshRefused(high=True):
            return logging.WARNING
        case _:
            return logging.INFO


def event_fields(event: Event) -> dict[str, object]:
    """Give what a log may know of an event."""
    fields: dict[str, object] = {"at": event.at.isoformat()}
    if event.session is not None:
        fields |= {
            "session": session_mark(event.session.id),
            "subject": event.session.subject,
            "client_id": event.session.client_id,
            "generation": event.session.generation,
        }
    fields["client"] = event.client.ip
    scope: Any = getattr(event.request, "scope", None) or {}
    if (note := scope.get(NOTE)) is not None:
        fields["request_id"] = note["request_id"]
    return fields | _of_its_own(event)


def _of_its_own(event: Event) -> dict[str, object]:
    match event:
        case events.SessionEnded():
            return {"reason": event.reason.value}
        case events.RefreshRefused():
            return {"code": event.code, "reason": event.reason, "high": event.high}
        case events.ReuseDetected():
            return {
                "high": True,
                "behind": event.behind,
                "seconds_since_rotation": round(event.since_rotation.total_seconds(), 3),
                "sign_in_client": event.sign_in_client.ip,
            }
        case events.StoreWentBack():
            return {"row_generation": event.row_generation, "token_generation": event.token_generation}
        case events.RefreshRequired():
            return {"sessions": [session_mark(each) for each in event.session_ids]}
        case events.LoginFailed():
            return {"reason": event.reason}  # never the name: a password may have been typed there
        case _:
            return {}
