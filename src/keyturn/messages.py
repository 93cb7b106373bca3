"""HTTP as two values: a Request comes in, a Reply goes out; and the Cookie header, read and written by us alone.

Frameworks read cookies differently and some are fooled by look-alike names, so the raw header is read here, octet by
octet, and ``Set-Cookie`` is rendered here, equal in every framework and Python version.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ._recent import Recent

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
SameSite: TypeAlias = Literal["Strict", "Lax", "None"]

_NO_VALUES: Mapping[str, str] = MappingProxyType({})


class Cookies(NamedTuple):
    """Our cookies as one request carried them; a name that occurred twice counts as absent.

    Args:
        values: name -> value, exact octets as Latin-1 text.
        doubled: the names that occurred more than once.
    """

    values: Mapping[str, str] = _NO_VALUES
    doubled: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Cookies({sorted(self.values)}, doubled={sorted(self.doubled)})"


NO_COOKIES = Cookies()


class Request(NamedTuple):
    """One HTTP request or WebSocket handshake, in the words of no framework.

    Args:
        method: upper case; ``GET`` for a handshake.
        path: decoded, without query, below the application's root.
        query: the raw query string, without the question mark.
        headers: names in lower case; repeated fields stand as often as they were sent; without our cookies.
        cookies: our own cookies, taken from the headers.
        scheme: ``http``, ``https``, ``ws`` or ``wss`` as the server sees it.
        peer: the address of the other end, empty where unknown.
        read: gives the body, but never more than the number of bytes asked for.
        native: the framework's own request, for the application's hooks.
        websocket: True for a handshake.
    """

    method: str
    path: str
    query: str
    headers: RawHeaders
    cookies: Cookies
    scheme: str
    peer: str
    read: Callable[[int], Awaitable[bytes] | bytes]
    native: Any
    websocket: bool = False

    def header(self, name: bytes) -> str | None:
        """Give the first header field of that name (lower case), None where there is none."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def header_values(self, name: bytes) -> list[str]:
        """Give every header field of that name (lower case), in the order sent."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cookie:
    """One ``Set-Cookie`` field (RFC 6265bis section 4.1).

    Args:
        value: empty together with ``max_age=0`` removes the cookie.
        max_age: seconds; None for a cookie that ends with the browser's session.
    """

    name: str
    value: str = field(repr=False)
    max_age: int | None = None
    secure: bool = True
    same_site: SameSite = "Strict"
    partitioned: bool = False

    def render(self) -> str:
        """Give the header field's value: attributes in one fixed order, SameSite and Path always written out."""
        parts = [f"{self.name}={self.value}", "Path=/"]
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        parts.append("HttpOnly")
        if self.secure:
            parts.append("Secure")
        parts.append(f"SameSite={self.same_site}")
        if self.partitioned:
            parts.append("Partitioned")
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One HTTP answer.

    Args:
        headers: names as they shall be written; ``Set-Cookie`` comes from `cookies`.
        body: the exact octets; its ``repr`` is left out, it may hold tokens.
        code: of the error that this is, for who counts and logs; empty where it is none. It is not sent.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    cookies: tuple[Cookie, ...] = ()
    code: str = ""

    def header(self, name: str) -> str | None:
        """Give the first header field of that name, in whatever case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Give all fields, cookies and Content-Length included, as octets with lower-case names."""
        fields = [_octets(*field) for field in self.headers]
        if self.status not in (204, 304) and self.header("content-length") is None:
            fields.append((b"content-length", b"%d" % len(self.body)))
        fields += [(b"set-cookie", cookie.render().encode("latin-1")) for cookie in self.cookies]
        return fields


@lru_cache(maxsize=256)  # nearly every answer has the same ones
def _octets(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")


#: A run of the characters that our names consist of; whatever else stands in a crumb may be a boundary to somebody.
_WORD: Final = re.compile(r"[0-9a-z_-]+")


def take_cookies(headers: RawHeaders, names: frozenset[str]) -> tuple[RawHeaders, Cookies]:
    """Split our cookies from a request's headers: nobody else sees them (security-checklist.md CK-14).

    A field is split at ``;`` and trimmed of spaces and tabs only; a name is ours if its octets are (CK-08). What only
    looks like one of ours (in other case, beside other white space, after a comma, without a value) is dropped:
    frameworks take such for ours.

    Args:
        headers: names in lower case, as the server gave them.
        names: the exact names of our cookies.
    """
    for key, value in headers:
        if key == b"cookie" and _may_hold_ours(value):
            break
    else:
        return headers, NO_COOKIES
    lookalikes = frozenset(name.casefold() for name in names)
    kept: list[tuple[bytes, bytes]] = []
    found: list[tuple[str, str]] = []
    for key, value in headers:
        if key == b"cookie":
            rest = _sift(value, names, lookalikes, found)
            if rest:
                kept.append((key, rest))
        else:
            kept.append((key, value))
    return kept, _collect(found)


def _may_hold_ours(field: bytes) -> bool:
    # Every name of ours has "kt_" in it. The k is left out: U+212A folds to it, and its octets are others.
    return b"t_" in field or b"T_" in field


def _sift(field: bytes, names: frozenset[str], lookalikes: frozenset[str], found: list[tuple[str, str]]) -> bytes:
    rest: list[bytes] = []
    for crumb in field.split(b";"):
        name, equals, value = crumb.partition(b"=")
        exact = name.strip(b" \t").decode("latin-1")
        if equals and exact in names:
            found.append((exact, value.strip(b" \t").decode("latin-1")))
        elif crumb.strip(b" \t") and not (_may_hold_ours(crumb) and _looks_like_ours(crumb, lookalikes)):
            rest.append(crumb)
    return b";".join(rest).strip(b" \t")


def _looks_like_ours(crumb: bytes, lookalikes: frozenset[str]) -> bool:
    # Readers differ in what they trim, unquote or split at; none reads a name out of the middle of a word, and none
    # finds one in a value unless an equals sign follows (http.cookies starts anew at white space).
    before, *values = crumb.decode("utf-8", "replace").casefold().split("=")
    words = _WORD.findall(before)
    for part in values[:-1]:
        words += _WORD.findall(part)[-1:]
    return not lookalikes.isdisjoint(words)


def _collect(found: Iterable[tuple[str, str]]) -> Cookies:
    values: dict[str, str] = {}
    doubled = set()
    for name, value in found:
        if name in values:
            doubled.add(name)
        values[name] = value
    for name in doubled:
        del values[name]
    return Cookies(MappingProxyType(values), frozenset(doubled))


class CookieTaker:
    """`take_cookies` with a memory: a client sends the same cookies with every request of a session.

    Args:
        names: the exact names of our cookies.
    """

    __slots__ = ("_names", "_taken")

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._taken: Recent[bytes, tuple[RawHeaders, Cookies]] = Recent(_TAKER_SIZE)

    def __call__(self, headers: RawHeaders) -> tuple[RawHeaders, Cookies]:
        """Split our cookies from a request's headers."""
        fields = [header for header in headers if header[0] == b"cookie"]
        if len(fields) != 1 or len(fields[0][1]) > _TAKER_LIMIT:
            return take_cookies(headers, self._names) if fields else (headers, NO_COOKIES)
        value = fields[0][1]
        taken = self._taken.get(value)
        if taken is None:
            if not _may_hold_ours(value):
                return headers, NO_COOKIES
            taken = take_cookies(fields, self._names)
            self._taken.put(value, taken)
        rest, cookies = taken
        at = headers.index(fields[0])
        return [*headers[:at], *rest, *headers[at + 1 :]], cookies


#: As many clients as one process serves between two of their requests; 8 MB at the very most.
_TAKER_SIZE: Final = 2048
#: RFC 6265bis lets browsers send more, but what we set is a tenth of it.
_TAKER_LIMIT: Final = 4096
