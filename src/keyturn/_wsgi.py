"""WSGI to our two values and back: the layer around an application, pure and in the words of no framework.

It hides our cookies from the application and answers our routes. Every call here blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import Enum, auto
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final, TypeAlias

from ._colour import drive
from ._wsgi_service import WsgiParts, WsgiService
from .errors import RequestError
from .messages import NO_COOKIES, Cookies, Reply, Request
from .tokens import Claims

Environ: TypeAlias = dict[str, Any]
App: TypeAlias = Callable[[Environ, Any], Iterable[bytes]]
#: Makes the framework's own request the current one, and gives it.
Within: TypeAlias = Callable[[Environ], AbstractContextManager[Any]]

#: Where the visits of a request are kept, by whose they are.
_VISITS: Final = "keyturn.visits"
_SCHEME: Final = re.compile(r",[ \t]*(?=(?:bearer|basic)(?:[ \t]|$))", re.IGNORECASE)


class Visit:
    """What we know of one request at one service.

    Args:
        service: whose request it is.
        parts: of the service.
        cookies: ours, taken out of the environ.
    """

    __slots__ = ("cookies", "found", "parts", "service")

    def __init__(self, service: WsgiService, parts: WsgiParts, cookies: Cookies) -> None:
        self.service = service
        self.parts = parts
        self.cookies = cookies
        #: The claims that a guard found, None where nobody is signed in.
        self.found: Claims | None | Unjudged = UNJUDGED


class Unjudged(Enum):
    """No guard has looked yet."""

    UNJUDGED = auto()


UNJUDGED: Final = Unjudged.UNJUDGED


def visit_of(environ: Environ, owner: object) -> Visit | None:
    """Give the visit that `enter` noted; None where the request did not come through our layer."""
    visits = environ.get(_VISITS)
    return None if visits is None else visits.get(owner)


def enter(environ: Environ, owner: object, service: WsgiService) -> Visit:
    """Take our cookies out of a request, for everybody, and note what they were."""
    parts, visits, cookies = service.parts, environ.get(_VISITS), NO_COOKIES
    if visits is None:
        visits = environ[_VISITS] = {}
    field = environ.get("HTTP_COOKIE")
    if field is not None and ("t_" in field or "T_" in field):  # every name of ours has it, in whatever case
        rest, cookies = parts.cookies(field)
        environ["HTTP_COOKIE"] = rest
        if not rest:
            del environ["HTTP_COOKIE"]
    if visits and cookies is NO_COOKIES:
        cookies = _taken_before(visits, service)
    visit = visits[owner] = Visit(service, parts, cookies)
    return visit


def _taken_before(visits: dict[object, Visit], service: WsgiService) -> Cookies:
    """Give what an outer layer has taken under the same names: an application inside another."""
    names = service.settings.cookie_names
    return next((one.cookies for one in visits.values() if one.service.settings.cookie_names == names), NO_COOKIES)


# --- requests ----------------------------------------------------------------------------------------------------------


def guarded_request(environ: Environ, visit: Visit, native: Any) -> Request:
    """Give as much of a request as the guard looks at."""
    fields = visit.parts.guarded
    if fields is None:
        return request_of(environ, visit.cookies, native)
    headers: list[tuple[bytes, bytes]] = []
    for key, name in fields:
        value = environ.get(key)
        if value is not None:
            headers.append((name, value.encode("latin-1", "replace")))
    if headers and b"," in headers[0][1]:
        headers = _split(headers)
    return Request(  # by position: this runs on every guarded request
        environ["REQUEST_METHOD"], "", "", headers, visit.cookies, environ["wsgi.url_scheme"], "", _no_body, native
    )


def request_of(environ: Environ, cookies: Cookies, native: Any, read: Callable[[int], bytes] | None = None) -> Request:
    """Give an environ as a request.

    Args:
        native: the framework's own request.
        read: gives the body; there is none where left out.
    """
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path_of(environ),
        query="",
        headers=_split(_headers(environ)),
        cookies=cookies,
        scheme=environ["wsgi.url_scheme"],
        peer=environ.get("REMOTE_ADDR", ""),
        read=read or _no_body,
        native=native,
    )


def _no_body(_limit: int) -> bytes:
    return b""


def path_of(environ: Environ) -> str:
    """Give the path below the application's root, decoded (PEP 3333 has it as octets in Latin-1)."""
    path: str = environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


def _headers(environ: Environ) -> list[tuple[bytes, bytes]]:
    headers = [
        (_name(key[5:]), value.encode("latin-1", "replace"))
        for key, value in environ.items()
        if key.startswith("HTTP_") and key not in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}
    ]
    about_the_body = ((key, environ.get(key)) for key in ("CONTENT_TYPE", "CONTENT_LENGTH"))
    return [*headers, *((_name(key), value.encode("latin-1", "replace")) for key, value in about_the_body if value)]


def _name(key: str) -> bytes:
    return key.lower().replace("_", "-").encode("latin-1", "replace")


def _split(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Give each Authorization field on its own where a server has joined several with commas.

    No token and no Basic credential has a comma in it, so one before the name of such a scheme stands between fields.
    """
    return [
        (name, part)
        for name, value in headers
        for part in (
            (value,)
            if name != b"authorization" or b"," not in value
            else [text.encode("latin-1") for text in _SCHEME.split(value.decode("latin-1"))]
        )
    ]


class Body:
    """A request's body, read by us and then once more by a hook of the application that asks the framework's request.

    Args:
        environ: of the request.
    """

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def read(self, limit: int) -> bytes:
        """Read, but never more than is asked for, nor beyond the body's end.

        Raises:
            RequestError: the body broke off.
        """
        declared = self._environ.get("CONTENT_LENGTH") or ""
        length = int(declared[:20]) if declared.isdecimal() else None
        if length is None and not self._environ.get("wsgi.input_terminated"):
            return b""  # neither announced nor in chunks: there is none, and reading on would wait for ever
        body = self._read(limit if length is None else min(limit, length))
        if length is not None and len(body) < min(limit, length):
            raise RequestError("The body broke off.")
        self._environ["wsgi.input"] = BytesIO(body)
        return body

    def _read(self, wanted: int) -> bytes:
        stream = self._environ["wsgi.input"]
        body = b""
        try:
            while len(body) < wanted and (part := stream.read(wanted - len(body))):
                body += part
        except OSError:  # what servers raise where the client is gone, or its chunks are none
            raise RequestError("The body broke off.") from None
        return body


# --- replies -----------------------------------------------------------------------------------------------------------


def fields_of(reply: Reply) -> list[tuple[str, str]]:
    """Give a reply's header fields as WSGI has them."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.raw_headers()]


def send_reply(reply: Reply, start_response: Any) -> Iterable[bytes]:
    """Send an answer of ours."""
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", fields_of(reply))
    return [reply.body] if reply.body else []


def wrap(owner: object, service: WsgiService, app: App, within: Within) -> App:
    """Put our layer around an application.

    Args:
        owner: whose visits these are.
        within: makes the framework's request the current one while we answer, for the application's users and hooks.
    """

    def layer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        visit = enter(environ, owner, service)
        if not service.answers(path_of(environ)):
            return app(environ, start_response)
        with within(environ) as native:
            request = request_of(environ, visit.cookies, native, Body(environ).read)
            reply = drive(service.handle(request))
        return send_reply(reply, start_response)

    return layer
