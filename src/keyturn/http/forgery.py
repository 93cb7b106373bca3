"""Whether a request that carries cookies was sent by a page of ours; and CORS for our own routes.

One rule (docs/reference/protocol.md): the browser says same-origin, or names an origin that is ours or configured, or nothing
speaks for a browser and the header ``Keyturn-Client`` speaks for a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import ForgeryError, RequestError
from ..messages import Reply, Request
from ..settings import Settings, is_loopback, origin_of

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOWED_HEADERS: Final = "Authorization, Content-Type, Keyturn-Client"
_EXPOSED_HEADERS: Final = "WWW-Authenticate, Retry-After"
_ALLOWED_METHODS: Final = "GET, POST, DELETE"
#: The same for the application's own routes, in the words of the usual CORS middleware.
CORS_ARGUMENTS: Final[Mapping[str, Any]] = {
    "allow_credentials": True,
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": _ALLOWED_HEADERS.split(", "),
    "expose_headers": _EXPOSED_HEADERS.split(", "),
}
#: Browsers keep a preflight's answer for so many seconds; Chromium caps it at two hours.
_PREFLIGHT_AGE: Final = "7200"
#: For shared caches; browsers keep a preflight by its own field.
_NOT_STORED: Final = ("Cache-Control", "no-store")


def require_own_page(request: Request, settings: Settings) -> None:
    """Refuse a request that may have been forged.

    Raises:
        ForgeryError: nothing says that it comes from a page of ours, or from a program.
    """
    sites = request.header_values(b"sec-fetch-site")
    origins = request.header_values(b"origin")
    if sites == ["same-origin"] and not request.websocket:
        return
    if len(origins) == 1 and is_own_origin(origins[0], settings):
        return
    # Browsers name the origin of every handshake, and its author no header field: only the origin speaks there.
    if not sites and not origins and request.header(b"keyturn-client") and not request.websocket:
        return
    raise ForgeryError


def is_own_page(request: Request, settings: Settings) -> bool:
    """Say whether a request comes from a page of ours, or from a program."""
    try:
        require_own_page(request, settings)
    except ForgeryError:
        return False
    return True


def is_own_origin(origin: str, settings: Settings) -> bool:
    """Say whether an origin is the issuer's or a configured one, exactly; in development every loopback origin is."""
    if origin in settings.origins or origin == origin_of(settings.issuer):
        return True
    return settings.development and _is_loopback_origin(origin)


def _is_loopback_origin(origin: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and "/" not in rest and "@" not in rest and is_loopback(_host_name(rest))


def require_own_host(request: Request, settings: Settings) -> None:
    """Refuse, in development, a request to a host name that is not this machine's (DNS rebinding).

    Raises:
        RequestError: 421 ``misdirected_request`` (RFC 9110 section 15.5.20).
    """
    if settings.development and not names_loopback(request):
        raise RequestError("The development profile answers on localhost only.", code="misdirected_request", status=421)


def names_loopback(request: Request) -> bool:
    """Say whether the ``Host`` field, of which there must be one, can only mean this machine."""
    hosts = request.header_values(b"host")
    return len(hosts) == 1 and is_loopback(_host_name(hosts[0]))


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def cors_headers(request: Request, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Give the CORS fields of an answer: a configured origin gets exactly itself, everybody else nothing."""
    if not settings.origins and not settings.development:
        return ()
    origin = request.header(b"origin")
    if origin is None or not is_own_origin(origin, settings):
        return (("Vary", "Origin"),)
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", _EXPOSED_HEADERS),
        ("Vary", "Origin"),
    )


def preflight(request: Request, settings: Settings) -> Reply | None:
    """Give the answer to a CORS preflight, which needs no sign-in; None where the request is none."""
    if request.method != "OPTIONS" or request.header(b"access-control-request-method") is None:
        return None
    headers = cors_headers(request, settings)
    if not any(name == "Access-Control-Allow-Origin" for name, _ in headers):
        return Reply(status=204, headers=(_NOT_STORED, *headers))
    allowed = (
        ("Access-Control-Allow-Methods", _ALLOWED_METHODS),
        ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
        ("Access-Control-Max-Age", _PREFLIGHT_AGE),
    )
    return Reply(status=204, headers=(_NOT_STORED, *headers, *allowed))
