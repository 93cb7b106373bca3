"""The rules that settings keep: each value for itself, then those that must agree; every broken one is told.

A rule is a function that yields sentences. Its parameters name the settings that it judges, and it is asked only
where each of them is of the right type, so that one mistake is told once. A sentence begins with a setting's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from inspect import signature
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from ._origins import is_loopback, origin_of, split_url

#: No access token lives longer, whatever is configured: the revocation log keeps its entries for this long.
ACCESS_TOKEN_CEILING: Final = timedelta(hours=1)
#: RFC 6265bis section 5.5 caps a cookie's Max-Age at 400 days.
SESSION_CEILING: Final = timedelta(days=400)
#: Longer grace is a thief's convenience.
LEEWAY_CEILING: Final = timedelta(seconds=60)
#: security-checklist.md TOK-11: a hard bound, whatever is configured.
SKEW_CEILING: Final = timedelta(seconds=60)
#: JWT times and Max-Age count whole seconds: less would be over at once, and Max-Age=0 removes a cookie.
SHORTEST_LIFE: Final = timedelta(seconds=1)

CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "profile": ("browser", "native", "strict", "development", "testing"),
        "on_limit": ("end_oldest", "refuse"),
        "binding": ("cookie", "none"),
        "algorithm": ("ES256", "Ed25519", "RS256"),
        "wire_format": ("standard",),
    }
)
TEXTS: Final = ("issuer", "audience", "realm", "prefix")
DURATIONS: Final = (
    "access_token_lifetime", "idle_lifetime", "session_lifetime", "leeway", "recovery_window", "clock_skew",
    "recent_auth", "staleness_bound",
)  # fmt: skip
SWITCHES: Final = ("sliding", "docs_login")
LISTS: Final = ("transports", "origins")
#: Where these are left out, they follow from another setting.
DERIVED: Final = frozenset({"audience", "recovery_window"})

_ZERO: Final = timedelta(0)
_REALM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SUFFIX: Final = re.compile(r"[a-z0-9_-]{0,32}")
_PREFIX: Final = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)+")
#: Longer runs than this are how keys, digests and tokens look; words and host names are shorter.
_SECRET: Final = re.compile(r"[A-Za-z0-9+/_=]{24,}|@|\bkt1\.|\beyJ")
#: What a fault shows of a value; enough to find it again.
_SHOWN: Final = 60


class CookieChoices(Protocol):
    """What is judged of a ``CookieSettings``; nothing is known of the types yet."""

    @property
    def suffix(self) -> Any: ...
    @property
    def access_in_cookie(self) -> Any: ...
    @property
    def same_site(self) -> Any: ...
    @property
    def partitioned(self) -> Any: ...


class Unreadable(str):
    """The fault of a value that could not be read from a file or the environment, told in the value's place."""

    __slots__ = ()


def shown(value: object) -> str:
    """Give a value as a fault may show it: short, printable, and not at all where it could be a secret."""
    text = repr(value)
    return "(a value not shown here)" if len(text) > _SHOWN or _SECRET.search(text) else text


def faults_of(chosen: Mapping[str, Any], *, cookie_type: type[CookieChoices]) -> list[str]:
    """Give every fault of the chosen settings, a sentence each; empty where they are sound.

    Args:
        chosen: name -> value, all names present.
        cookie_type: what ``cookie`` must be.
    """
    wrong = dict(_wrong_types(chosen, cookie_type))
    sound = {name: value for name, value in chosen.items() if name not in wrong and value is not None}
    return [*wrong.values(), *_bounds(sound), *(fault for rule in _RULES for fault in _ask(rule, sound))]


def _ask(rule: Callable[..., Iterator[str]], sound: Mapping[str, Any]) -> Iterator[str]:
    needed = signature(rule).parameters
    if needed.keys() <= sound.keys():
        yield from rule(**{name: sound[name] for name in needed})


# --- each for itself -------------------------------------------------------------------------------------------------


def _wrong_types(chosen: Mapping[str, Any], cookie_type: type[CookieChoices]) -> Iterator[tuple[str, str]]:
    for name, value in chosen.items():
        if isinstance(value, Unreadable):
            yield name, str(value)
        elif name == "issuer" and value is None:
            yield name, "issuer is missing: give the URL of this service, such as https://app.example.org"
        elif not (name in DERIVED and value is None) and (what := _not_of_type(name, value, cookie_type)):
            yield name, f"{name} is not {what}"


def _not_of_type(name: str, value: object, cookie_type: type[CookieChoices]) -> str | None:
    if name in DURATIONS:
        return None if isinstance(value, timedelta) else "a timedelta"
    if name in SWITCHES:
        return None if isinstance(value, bool) else "True or False"
    if name in LISTS:
        return None if _is_texts(value) else "a list of texts"
    if name == "max_sessions":
        return None if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    if name == "cookie":
        return None if isinstance(value, cookie_type) else "a CookieSettings"
    if name in CHOICES:
        return None if value in CHOICES[name] else f"one of {', '.join(CHOICES[name])}; it is {shown(value)}"
    return None if isinstance(value, str) else "a text"


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, str) for item in cast("list[object] | tuple[object, ...]", value)
    )


def _realm(realm: str) -> Iterator[str]:
    if not _REALM.fullmatch(realm):
        yield "realm must be a lower-case word (a-z, 0-9, _ and -) of at most 32 characters: it names cookies"


def _prefix(prefix: str) -> Iterator[str]:
    if not _PREFIX.fullmatch(prefix):
        yield "prefix must look like /auth: a leading slash, no trailing one, no characters that need escaping"


def _audience(audience: str) -> Iterator[str]:
    if not audience:
        yield "audience is empty: leave it out to use the issuer"


def _max_sessions(max_sessions: int) -> Iterator[str]:
    if max_sessions < 1:
        yield "max_sessions is below 1: nobody could sign in"


# --- what must agree -------------------------------------------------------------------------------------------------


def _bounds(durations: Mapping[str, Any]) -> Iterator[str]:
    for name, floor, ceiling in _BOUNDS:
        value = durations.get(name)
        if value is not None and not floor <= value <= ceiling:
            much = f"at least {spelled(floor)} is needed" if value < floor else f"at most {spelled(ceiling)} is allowed"
            yield f"{name} is {spelled(value)}: {much}"


def spelled(duration: timedelta) -> str:
    """Give a duration as the settings file writes it: ``90d``, ``5m``, ``0.5s``."""
    for unit, letter in ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m")):
        if duration and not duration % unit:
            return f"{duration // unit}{letter}"
    return f"{duration.total_seconds():g}s"


def _idle_within_session(idle_lifetime: timedelta, session_lifetime: timedelta) -> Iterator[str]:
    if idle_lifetime > session_lifetime:
        idle, session = spelled(idle_lifetime), spelled(session_lifetime)
        yield f"idle_lifetime ({idle}) is longer than session_lifetime ({session}): shorten it, or lengthen the other"


def _access_within_session(access_token_lifetime: timedelta, session_lifetime: timedelta) -> Iterator[str]:
    if access_token_lifetime > session_lifetime:
        access, session = spelled(access_token_lifetime), spelled(session_lifetime)
        yield f"access_token_lifetime ({access}) is longer than session_lifetime ({session})"


def _access_within_idle(
    access_token_lifetime: timedelta, idle_lifetime: timedelta, session_lifetime: timedelta
) -> Iterator[str]:
    if idle_lifetime < access_token_lifetime <= session_lifetime:
        access, idle = spelled(access_token_lifetime), spelled(idle_lifetime)
        yield (
            f"access_token_lifetime ({access}) is longer than idle_lifetime ({idle}): "
            "who refreshes when the access token is over would be signed out"
        )


def _recovery_beyond_leeway(recovery_window: timedelta, leeway: timedelta) -> Iterator[str]:
    if _ZERO < recovery_window < leeway:
        yield "recovery_window is shorter than leeway: make it 0, or at least as long"


def _transports(transports: tuple[str, ...]) -> Iterator[str]:
    if not transports or len(set(transports)) < len(transports) or set(transports) - {"cookie", "body"}:
        yield 'transports must be one or both of "cookie" and "body", each once'


def _access_cookie_needs_transport(transports: tuple[str, ...], cookie: CookieChoices) -> Iterator[str]:
    if cookie.access_in_cookie is True and "cookie" not in transports:
        yield "cookie.access_in_cookie is on, but transports has no cookie"


def _cookie(cookie: CookieChoices) -> Iterator[str]:
    if not isinstance(cookie.suffix, str) or not _SUFFIX.fullmatch(cookie.suffix):
        yield "cookie.suffix may hold a-z, 0-9, _ and -, at most 32"
    for name in ("access_in_cookie", "partitioned"):
        if not isinstance(value := getattr(cookie, name), bool):
            yield str(value) if isinstance(value, Unreadable) else f"cookie.{name} is not True or False"
    if cookie.same_site not in ("Strict", "Lax", "None"):
        yield f"cookie.same_site is {shown(cookie.same_site)}: use Strict, Lax or None (a text)"
    elif cookie.same_site == "None" and not cookie.partitioned:
        yield "cookie.same_site is None without cookie.partitioned: browsers drop such cookies in embedded pages"
    elif cookie.same_site != "None" and cookie.partitioned is True:
        yield "cookie.partitioned is for embedded pages and needs cookie.same_site None"


def _cookie_of_development(cookie: CookieChoices, profile: str) -> Iterator[str]:
    if profile == "development" and cookie.same_site == "None":
        yield "cookie.same_site None needs https, which the development profile does without"


def _issuer(issuer: str) -> Iterator[str]:
    parts = split_url(issuer)
    if parts is None:
        yield f"issuer is {shown(issuer)}: give the URL of this service, such as https://app.example.org"
        return
    if "?" in issuer or "#" in issuer or "@" in parts.netloc:
        yield "issuer must have no query, fragment or user (RFC 8414 section 2)"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        yield "issuer is http on a host that is not loopback: tokens would travel in the clear; use https"


def _issuer_of_development(issuer: str, profile: str) -> Iterator[str]:
    parts = split_url(issuer)
    if profile == "development" and parts is not None and not is_loopback(parts.hostname):
        yield "profile is development, which is for localhost only (its cookies are not Secure), but the issuer is not"


def _origins(origins: tuple[str, ...]) -> Iterator[str]:
    for origin in origins:
        parts = split_url(origin)
        if parts is None or origin_of(origin) != origin:
            yield f"origins has {shown(origin)}: write scheme, host and port only, such as https://app.example.org"
        elif parts.scheme == "http" and not is_loopback(parts.hostname):
            yield f"origins has {shown(origin)}: http is for loopback hosts only"


def _origins_of_development(origins: tuple[str, ...], profile: str) -> Iterator[str]:
    for origin in origins if profile == "development" else ():
        parts = split_url(origin)
        if parts is not None and parts.scheme == "https" and not is_loopback(parts.hostname):
            yield f"origins has {shown(origin)}: the development profile takes loopback origins only"


_BOUNDS: Final = (
    ("access_token_lifetime", SHORTEST_LIFE, ACCESS_TOKEN_CEILING),
    ("idle_lifetime", SHORTEST_LIFE, SESSION_CEILING),
    ("session_lifetime", SHORTEST_LIFE, SESSION_CEILING),
    ("leeway", _ZERO, LEEWAY_CEILING),
    ("recovery_window", _ZERO, SESSION_CEILING),
    ("clock_skew", _ZERO, SKEW_CEILING),
    ("recent_auth", _ZERO, SESSION_CEILING),
    ("staleness_bound", timedelta(milliseconds=1), ACCESS_TOKEN_CEILING),
)
_RULES: Final[tuple[Callable[..., Iterator[str]], ...]] = (
    _realm, _prefix, _audience, _max_sessions, _idle_within_session, _access_within_session, _access_within_idle,
    _recovery_beyond_leeway, _transports, _access_cookie_needs_transport, _cookie, _cookie_of_development, _issuer,
    _issuer_of_development, _origins, _origins_of_development,
)  # fmt: skip
