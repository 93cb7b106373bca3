"""How the demonstration's own routes are asked and answered: only on this machine, and only by its own page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from starlette.requests import Request as StarletteRequest

from .._asgi import Body, Receive, Scope, Send, noted, request_of, send_reply
from ..errors import ForgeryError, KeyturnError, RequestError, kind_and_place
from ..http import forgery, replies
from ..http.routes import error_reply
from ..messages import Reply, Request
from ..settings import Settings
from ..starlette import Keyturn
from .operators import is_operator

_log: Final = logging.getLogger("keyturn.server")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request to one of the demonstration's routes.

    Args:
        request: with our cookies beside its header fields.
        native: Starlette's, for the guard.
        scope: ASGI's.
    """

    request: Request
    native: StarletteRequest
    scope: Scope


Endpoint: TypeAlias = Callable[[Asked], Awaitable[Reply]]


class Door:
    """A route as an ASGI application: it refuses strangers, answers errors, and knows HEAD and OPTIONS.

    Args:
        auth: whose settings and cookies count.
        methods: method -> what answers.
        page: whether this is a page or a file of one, which has fields of its own and may be opened from anywhere.
    """

    def __init__(self, auth: Keyturn, methods: Mapping[str, Endpoint], *, page: bool = False) -> None:
        self._auth = auth
        self._methods = methods
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        body = Body(receive)
        native = StarletteRequest(scope, body.receive)
        asked = Asked(request=request_of(self._auth, scope, native, body.read), native=native, scope=scope)
        reply = await self._reply(asked)
        await send_reply(noted(_without_body(reply) if scope["method"] == "HEAD" else reply, scope), send)

    async def _reply(self, asked: Asked) -> Reply:
        settings = self._auth.settings
        try:
            require_this_machine(asked)
            endpoint = self._endpoint(asked.request.method)
            if self._page:
                return await endpoint(asked)
            require_own_page(asked.request, settings)
            reply = await endpoint(asked)
        except KeyturnError as error:
            reply = error_reply(error, settings)
        except Exception as error:  # noqa: BLE001 - its words may repeat what was in the request
            _log.error("the demonstration's page failed with %s", kind_and_place(error))
            reply = error_reply(KeyturnError(), settings)
        return replies.hardened(reply, settings)

    def _endpoint(self, method: str) -> Endpoint:
        known = self._methods.get("GET" if method == "HEAD" else method)
        if known is None:
            allowed = ", ".join(sorted([*self._methods, *(["HEAD"] if "GET" in self._methods else [])]))
            text = f"This address takes {allowed}."
            raise RequestError(text, code="method_not_allowed", status=405, headers={"Allow": allowed})
        return known


def _without_body(reply: Reply) -> Reply:
    return replace(reply, headers=(*reply.headers, ("Content-Length", str(len(reply.body)))), body=b"")


def require_this_machine(asked: Asked) -> None:
    """Refuse whoever is not on this machine, or was led here under another name (DNS rebinding).

    Raises:
        RequestError: 421 ``misdirected_request`` for another host's name, 403 ``not_here`` for another machine.
    """
    if not forgery.names_loopback(asked.request):
        raise RequestError("The demonstration answers on localhost only.", code="misdirected_request", status=421)
    # Behind a proxy everybody seems to be here.
    if not _is_here(asked.scope) or not is_operator(asked.scope):
        raise RequestError("The demonstration answers this machine only.", code="not_here", status=403)


def _is_here(scope: Scope) -> bool:
    peer: Any = scope.get("client")
    try:
        return ip_address(peer[0]).is_loopback
    except (TypeError, ValueError):  # a Unix socket's, or a made-up one
        return False


def require_own_page(request: Request, settings: Settings) -> None:
    """Refuse what no page of this server asked for: others on this machine are other sites here, in development too.

    Raises:
        ForgeryError: another page asks; or nobody says who, and something would be done.
    """
    sites, origins = request.header_values(b"sec-fetch-site"), request.header_values(b"origin")
    reads = request.method in forgery.SAFE_METHODS
    if sites:
        # An address that somebody types has no site; it only ever reads.
        if sites != ["same-origin"] and not (reads and sites == ["none"]):
            raise ForgeryError
        return
    if origins and origins != [f"{request.scheme}://{request.header(b'host')}"]:
        raise ForgeryError
    if not reads and not origins:
        forgery.require_own_page(request, settings)
