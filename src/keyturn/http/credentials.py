"""Where tokens are found in a request: an ordered list of readers, the standard ones first, then the application's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from ..errors import RequestError
from ..messages import Request
from ..settings import Settings

#: Looks for an access token in a request; None where this reader finds none.
Reader: TypeAlias = Callable[[Request], str | None]

#: How a page hands its access token to a WebSocket handshake, where it can set no header.
WEBSOCKET_PROTOCOL: Final = "keyturn"


class Credential(NamedTuple):
    """An access token and how it came.

    Args:
        ambient: True where a browser sends it by itself (a cookie), so that a request may be forged.
    """

    token: str
    ambient: bool

    def __repr__(self) -> str:
        return f"Credential(ambient={self.ambient})"


def access_token(request: Request, settings: Settings, readers: tuple[Reader, ...] = ()) -> Credential | None:
    """Find the access token; None where there is none.

    Raises:
        RequestError: it came in two ways at once (RFC 6750 section 2).
    """
    token = _bearer(request)
    if request.websocket and token is None:
        token = _subprotocol(request)
    cookie = _access_cookie(request, settings)
    if token is not None:
        if cookie is not None:
            raise RequestError("The access token came in two ways at once.")
        return Credential(token, ambient=False)
    if cookie is not None:
        return Credential(cookie, ambient=True)
    for reader in readers:
        if (found := reader(request)) is not None:
            return Credential(found, ambient=False)
    return None


def _access_cookie(request: Request, settings: Settings) -> str | None:
    if not settings.cookie.access_in_cookie:
        return None
    return request.cookies.values.get(settings.access_cookie) or None  # an empty one counts as absent


def _bearer(request: Request) -> str | None:
    found = None
    for key, value in request.headers:
        if key == b"authorization":
            if found is not None:
                raise RequestError("There is more than one Authorization field.")
            found = value
    if found is None:
        return None
    scheme, _, token = found.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        return None
    # One token68 (RFC 9110 section 11.2) and nothing else: whatever else it is, the verifier finds no token in it.
    return token.strip(" ")


def _subprotocol(request: Request) -> str | None:
    offered = [
        part.strip(" \t") for line in request.header_values(b"sec-websocket-protocol") for part in line.split(",")
    ]
    if len(offered) != 2 or offered[0] != WEBSOCKET_PROTOCOL:
        return None
    return offered[1]


def binding(request: Request, settings: Settings) -> str | None:
    """Find the proof that a bound token is where it belongs: the cookie, or what a calling service forwards."""
    value = request.cookies.values.get(settings.binding_cookie)
    return value if value is not None else request.header(b"keyturn-binding")


def refresh_cookie(request: Request, settings: Settings) -> str | None:
    """Find the refresh token's cookie; a doubled one counts as absent, an empty one too."""
    return request.cookies.values.get(settings.refresh_cookie) or None
