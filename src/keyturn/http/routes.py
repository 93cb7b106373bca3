"""Which endpoint answers what: method, path, HEAD, OPTIONS, 404, 405 are decided here, equally in every framework."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from ..errors import KeyturnError, RequestError, kind_and_place
from ..messages import Reply, Request
from ..settings import Settings
from . import forgery, replies
from .core import Core
from .endpoints import client, introspection, metadata, oauth, sessions, sign_in

_log = logging.getLogger("keyturn")

Endpoint: TypeAlias = Callable[[Core, Request, str], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path and what answers there.

    Args:
        path: below the prefix; one that ends in ``/`` takes a last segment.
        methods: method -> endpoint.
        oauth: errors are RFC 6749's instead of problem documents.
        hidden: not shown in the framework's documentation.
        pages: False where pages of other origins have no business: their scripts may not hold what is asked for.
    """

    path: str
    methods: Mapping[str, Endpoint]
    oauth: bool = False
    hidden: bool = False
    pages: bool = True


#: Everything below the prefix.
ROUTES: Final = (
    Route("/login", {"POST": sign_in.login}),
    Route("/refresh", {"POST": sign_in.refresh}),
    Route("/step-up", {"POST": sign_in.step_up}),
    Route("/logout", {"POST": sign_in.logout}),
    Route("/logout-all", {"POST": sign_in.logout_all}),
    Route("/session", {"GET": sessions.show}),
    Route("/sessions", {"GET": sessions.index, "DELETE": sessions.end_others}),
    Route("/sessions/", {"DELETE": sessions.end_one}),
    Route("/token", {"POST": oauth.token}, oauth=True),
    Route("/revoke", {"POST": oauth.revoke}, oauth=True),
    Route("/introspect", {"POST": introspection.introspect}, oauth=True, pages=False),
    Route("/docs-token", {"POST": oauth.docs_token}, oauth=True, hidden=True),
    Route("/jwks.json", {"GET": metadata.jwks}),
    Route("/client.js", {"GET": client.script}, hidden=True),
)
_BY_PATH: Final = MappingProxyType({route.path: route for route in ROUTES})
_JWKS: Final = Route("/.well-known/jwks.json", {"GET": metadata.jwks})
_METADATA: Final = Route("/.well-known/oauth-authorization-server", {"GET": metadata.server})


def is_ours(path: str, settings: Settings) -> bool:
    """Say whether a path, below the application's root, is answered by us."""
    prefix = settings.prefix
    if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
        return True
    return path.startswith("/.well-known/") and _well_known(path, settings) is not None


def _well_known(path: str, settings: Settings) -> Route | None:
    if path == _JWKS.path:
        return _JWKS
    # RFC 8414 section 3.1: the issuer's path comes after the well-known one
    issuer_path = urlsplit(settings.issuer).path.rstrip("/")
    return _METADATA if path == _METADATA.path + issuer_path else None


def find(path: str, settings: Settings) -> tuple[Route | None, str]:
    """Give the route of a path of ours and the value of its last segment."""
    if (known := _well_known(path, settings)) is not None:
        return known, ""
    below = path[len(settings.prefix) :]
    if (exact := _BY_PATH.get(below)) is not None and not below.endswith("/"):
        return exact, ""
    parent, _, last = below.rpartition("/")
    route = _BY_PATH.get(parent + "/") if parent and last else None
    return route, last if route is not None else ""


async def dispatch(core: Core, request: Request) -> Reply:
    """Answer a request to a path of ours; never raises but for a cancelled task."""
    return await answer(core, request, *find(request.path, core.settings))


async def answer(core: Core, request: Request, route: Route | None, last: str = "") -> Reply:
    """Answer a request to a route, ours or of a program around us, with all that every answer of ours carries.

    Args:
        route: None where there is nothing at this address.
        last: the value of its last segment, for a route that takes one.
    """
    settings = core.settings
    shared = route is None or route.pages
    extra = forgery.cors_headers(request, settings) if shared else ()
    if shared and (preflight := forgery.preflight(request, settings)) is not None:
        return replies.hardened(preflight, settings)
    reply = await _answer(core, request, route, last)
    if doubles := replies.cleared_doubles(request, settings):
        reply = replies.uncacheable(replies.with_cookies(reply, doubles))
    reply = replies.hardened(reply, settings, extra)
    return _without_body(reply) if request.method == "HEAD" else reply


def _without_body(reply: Reply) -> Reply:
    if reply.status == 304:  # has none; its length would be taken for that of the answer it stands for
        return reply
    length = ("Content-Length", str(len(reply.body)))
    return replace(reply, headers=(*reply.headers, length), body=b"")


async def _answer(core: Core, request: Request, route: Route | None, last: str) -> Reply:
    try:
        forgery.require_own_host(request, core.settings)
        return await _endpoint(request, route)(core, request, last)
    except KeyturnError as error:
        return _error_reply(error, route, core.settings)
    except Exception as error:  # noqa: BLE001 - the last line of defence: errors are replies
        # Neither the framework's error page nor its log gets to see what was in the request.
        where = route.path if route else "an unknown path"
        _log.error("%s %s failed with %s", request.method, where, kind_and_place(error))
        return _error_reply(KeyturnError(), route, core.settings)


def _endpoint(request: Request, route: Route | None) -> Endpoint:
    if route is None:
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    method = "GET" if request.method == "HEAD" else request.method
    if (endpoint := route.methods.get(method)) is not None:
        return endpoint
    allowed = allowed_methods(route)
    if method == "OPTIONS":
        return _options(allowed)
    raise RequestError(
        f"This address takes {allowed}.", code="method_not_allowed", status=405, headers={"Allow": allowed}
    )


def allowed_methods(route: Route) -> str:
    """Give the value of the ``Allow`` field for a route."""
    methods = [*route.methods, *(["HEAD"] if "GET" in route.methods else []), "OPTIONS"]
    return ", ".join(sorted(methods))


def _options(allowed: str) -> Endpoint:
    async def options(_core: Core, _request: Request, _last: str) -> Reply:
        return Reply(status=204, headers=(("Allow", allowed), ("Cache-Control", "no-store")))

    return options


def _error_reply(error: KeyturnError, route: Route | None, settings: Settings) -> Reply:
    if route is not None and route.oauth and error.status not in _NOT_OAUTH:
        return replies.oauth_error(_told(error))
    return replies.problem(_told(error), settings)


#: About the address and the body, not about the grant: RFC 6749 has no words for these.
_NOT_OAUTH: Final = frozenset({404, 405, 413, 415, 421})


def _told(error: KeyturnError) -> KeyturnError:
    """Log what only we shall know; give what the caller may."""
    if error.status >= 500:
        _log.warning("%s: %s", error.code, error.cause or error.message)
    # A 500 is the application's to mend (a claim that is no JSON): its message is for the log.
    return KeyturnError() if error.status == 500 else error


def error_reply(error: KeyturnError, settings: Settings) -> Reply:
    """Give the answer to an error that a guard raised on one of the application's routes."""
    return replies.problem(_told(error), settings)
