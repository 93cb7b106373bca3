"""A service behind WSGI: its store is never asked in a loop, and what every request needs is made ready beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias, cast

from ._off_loop import OffLoop
from ._recent import Recent
from .http.guard import Guard
from .messages import NO_COOKIES, Cookies, take_cookies
from .service import Inputs, Parts, Service
from .sessions import Sessions
from .throttle import Throttle

Fields: TypeAlias = tuple[tuple[str, bytes], ...]
#: All that the guard looks at (a test reads its files for it). A guarded request has twenty fields and needs two.
GUARDED: Final[Fields] = (("HTTP_AUTHORIZATION", b"authorization"), ("HTTP_KEYTURN_BINDING", b"keyturn-binding"))
#: Besides, where the access token comes in a cookie, and so from other pages too.
GUARDED_AMBIENT: Final[Fields] = (
    *GUARDED,
    ("HTTP_KEYTURN_CLIENT", b"keyturn-client"),
    ("HTTP_ORIGIN", b"origin"),
    ("HTTP_SEC_FETCH_SITE", b"sec-fetch-site"),
)
#: As many clients as one process serves between two of their requests, with fields as long as ours make them.
_REMEMBERED: Final = 2048
_REMEMBERED_LENGTH: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class WsgiParts(Parts):
    """A service's parts.

    Args:
        guard: the rule of guarded views.
        guarded: the fields that it looks at; None where it may look at any.
        cookies: splits ours from a Cookie field.
    """

    guard: Guard
    guarded: Fields | None
    cookies: CookieField


class WsgiService(Service):
    """The service of one application."""

    def _build(self, inputs: Inputs) -> WsgiParts:
        counting = inputs.throttle
        if getattr(counting, "colour", "both") == "both":
            counting = cast("Throttle", OffLoop(counting))
        parts = super()._build(replace(inputs, store=OffLoop(inputs.store), throttle=counting))
        guard = parts.core.guard
        ambient = inputs.settings.cookie.access_in_cookie
        # A reader of the application's may look at any field, and in development the guard looks at the host.
        all_of_it = bool(inputs.readers) or inputs.settings.development
        return WsgiParts(
            inputs=inputs,
            core=parts.core,
            take_cookies=parts.take_cookies,
            guard=guard,
            guarded=None if all_of_it else GUARDED_AMBIENT if ambient else GUARDED,
            cookies=CookieField(inputs.settings.cookie_names),
        )

    @property
    def parts(self) -> WsgiParts:
        """What is at hand for every request."""
        return cast("WsgiParts", self._parts)

    @property
    def sessions(self) -> Sessions:
        """Start, end and look at sessions with no request at hand."""
        return self._blocking_sessions()


class CookieField:
    """Splits our cookies from a Cookie field as WSGI has it, with a memory: a client sends the same one again.

    Args:
        names: the exact names of our cookies.
    """

    __slots__ = ("_names", "_split")

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._split: Recent[str, tuple[str, Cookies]] = Recent(_REMEMBERED)

    def __call__(self, field: str) -> tuple[str, Cookies]:
        """Give the field without our cookies, empty where nothing is left, and ours."""
        known = self._split.get(field)
        if known is not None:
            return known
        value = _with_own_ends(field, self._names) if "," in field else field
        before = [(b"cookie", value.encode("latin-1", "replace"))]
        rest, cookies = take_cookies(before, self._names)
        if rest is before:
            return field, NO_COOKIES
        split = b"; ".join(left for _, left in rest).decode("latin-1"), cookies
        if len(field) <= _REMEMBERED_LENGTH:
            self._split.put(field, split)
        return split


def _with_own_ends(field: str, names: frozenset[str]) -> str:
    """Give a Cookie field with a semicolon where a server has joined two fields with a comma, as it does with others.

    No value of ours has a comma, so one of ours ends there. A name of ours behind a comma is one only if what stands
    before is ours as well: any page of a neighbouring host can set a cookie with commas in its value.
    """
    crumbs: list[str] = []
    for whole in field.split(";"):
        crumb = whole
        while True:
            name, _, value = crumb.partition("=")
            value, comma, rest = value.partition(",")
            if not comma or rest[:1] in {" ", "\t"} or name.strip(" \t") not in names:
                break
            crumbs.append(f"{name}={value}")
            crumb = rest
        crumbs.append(crumb)
    return ";".join(crumbs)
