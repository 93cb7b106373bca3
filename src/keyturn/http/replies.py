"""Results and errors become replies here; the only place that sets and clears cookies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ..errors import KeyturnError, ReauthenticationError, ScopeError, TokenError, TokenMissingError
from ..messages import Cookie, Reply, Request
from ..session import Session
from ..settings import Settings, origin_of
from ..tokens import TokenPair

#: What every answer but keys and metadata carries (security-checklist.md HT-05, HT-09, XS-12).
_PRIVATE: Final = (("Cache-Control", "no-store"),)
HARDENING: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
#: A year, as ASVS 3.4.1 asks; for the host alone, its sub-domains are not ours to decide.
_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
_PROBLEM: Final = "urn:keyturn:problem:"

_TITLES: Final[Mapping[int, str]] = {
    400: "The request is wrong",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Too many sessions",
    413: "Body too large",
    415: "Wrong media type",
    421: "Wrong host",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "Not available right now",
}


_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def json_reply(
    value: Any, *, status: int = 200, media_type: str = "application/json",
    headers: Iterable[tuple[str, str]] = _PRIVATE, cookies: Iterable[Cookie] = (), code: str = "",
) -> Reply:  # fmt: skip
    """Give a JSON answer; it is not to be stored unless `headers` say otherwise."""
    body = _encode(value).encode()
    fields = (("Content-Type", media_type), *headers)
    return Reply(status=status, headers=fields, body=body, cookies=tuple(cookies), code=code)


def no_content(cookies: Iterable[Cookie] = ()) -> Reply:
    """Give an answer without a body."""
    return Reply(status=204, headers=_PRIVATE, cookies=tuple(cookies))


def hardened(reply: Reply, settings: Settings, extra: Iterable[tuple[str, str]] = ()) -> Reply:
    """Add the fields that every answer of ours carries."""
    hsts = (_HSTS,) if settings.issuer.startswith("https:") else ()
    return Reply(
        status=reply.status,
        headers=(*reply.headers, *HARDENING, *hsts, *extra),
        body=reply.body,
        cookies=reply.cookies,
        code=reply.code,
    )


# --- token answers -------------------------------------------------------------------------------------------------


def token_answer(
    pair: TokenPair, session: Session, settings: Settings, *, now: datetime, binding: str | None,
    clear: Iterable[Cookie] = (),
) -> Reply:  # fmt: skip
    """Give the answer to a sign-in, a refresh or a step-up.

    Args:
        binding: the binding cookie's value to send (again), None for an unbound session.
        clear: cookies to be removed first.
    """
    body: dict[str, Any] = {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": _seconds(pair.expires_at - now),
        "session_id": pair.session_id,
        "scope": " ".join(sorted(pair.scope)),
        "refresh_expires_in": _seconds(pair.refresh_expires_at - now),
    }
    if session.transport == "body":
        body["refresh_token"] = pair.refresh_token
        return json_reply(body, cookies=clear)
    if settings.cookie.access_in_cookie:
        del body["access_token"]
    return json_reply(body, cookies=(*clear, *_session_cookies(pair, session, settings, now, binding)))


def _seconds(duration: timedelta) -> int:
    return max(0, duration // timedelta(seconds=1))


def _session_cookies(
    pair: TokenPair, session: Session, settings: Settings, now: datetime, binding: str | None
) -> Iterable[Cookie]:
    lasting = _seconds(pair.refresh_expires_at - now) if session.remember else None
    yield _cookie(settings.refresh_cookie, pair.refresh_token, lasting, settings)
    if binding is not None:
        yield _cookie(settings.binding_cookie, binding, lasting, settings)
    if settings.cookie.access_in_cookie:
        yield _cookie(settings.access_cookie, pair.access_token, _seconds(pair.expires_at - now), settings)


def _cookie(
    name: str, value: str, max_age: int | None, settings: Settings, *, partitioned: bool | None = None
) -> Cookie:
    return Cookie(
        name=name,
        value=value,
        max_age=max_age,
        secure=not settings.development,
        same_site=settings.cookie.same_site,
        partitioned=settings.cookie.partitioned if partitioned is None else partitioned,
    )


def cleared_cookies(settings: Settings) -> tuple[Cookie, ...]:
    """Give what removes every cookie of ours, attributes repeated."""
    names = [settings.refresh_cookie, settings.binding_cookie]
    names += [settings.access_cookie] if settings.cookie.access_in_cookie else []
    return tuple(_cookie(name, "", 0, settings) for name in names)


def cleared_doubles(request: Request, settings: Settings) -> tuple[Cookie, ...]:
    """Give what removes the cookies of ours that came twice, with and without Partitioned; empty where none did."""
    variants = (False,) if settings.development else (False, True)
    return tuple(
        _cookie(name, "", 0, settings, partitioned=partitioned)
        for name in sorted(request.cookies.doubled)
        for partitioned in variants
    )


def with_cookies(reply: Reply, cookies: Iterable[Cookie]) -> Reply:
    """Put cookies before those of a reply, so that what it sets wins over what is cleared."""
    before = tuple(cookies)
    if not before:
        return reply
    return replace(reply, cookies=(*before, *reply.cookies))


def uncacheable(reply: Reply) -> Reply:
    """Keep a reply out of shared caches: what clears one client's cookies must not be handed to others."""
    headers = tuple(header for header in reply.headers if header[0].lower() != "cache-control")
    return replace(reply, headers=(*headers, *_PRIVATE))


# --- errors --------------------------------------------------------------------------------------------------------


def problem(error: KeyturnError, settings: Settings) -> Reply:
    """Give an error as ``application/problem+json`` (RFC 9457), with its challenge where it is a 401."""
    body = {
        "type": _PROBLEM + error.code,
        "title": _TITLES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
    }
    challenge = challenge_of(error, settings)
    headers = [*_PRIVATE, *error.headers.items()]
    headers += [("WWW-Authenticate", challenge)] if challenge else []
    media_type = "application/problem+json"
    return json_reply(body, status=error.status, media_type=media_type, headers=headers, code=error.code)


def challenge_of(error: KeyturnError, settings: Settings) -> str | None:
    """Give the ``WWW-Authenticate`` field that belongs to an error (RFC 6750 section 3), None where none does."""
    realm = f'Bearer realm="{origin_of(settings.issuer)}"'
    match error:
        case ScopeError():
            return f'{realm}, error="insufficient_scope", scope="{_plain(" ".join(error.needed))}"'
        case ReauthenticationError():
            return f'{realm}, error="insufficient_user_authentication"{_how_recent(error)}'
        case TokenMissingError():
            return realm
        case TokenError():
            return f'{realm}, error="invalid_token", error_description="{_plain(error.message)}"'
        case _:
            return realm if error.status == 401 else None


def _how_recent(error: ReauthenticationError) -> str:
    age = "" if error.max_age is None else f", max_age={_seconds(error.max_age)}"
    return age + (f', acr_values="{_plain(" ".join(error.amr))}"' if error.amr else "")


#: RFC 6749 section 5.2 and RFC 6750 section 3.1 for our codes, at endpoints that programs of any make speak to.
_OAUTH_CODES: Final[Mapping[str, tuple[int, str]]] = {
    "token_missing": (400, "invalid_request"),
    "token_invalid": (400, "invalid_grant"),
    "token_stale": (400, "invalid_grant"),
    "session_ended": (400, "invalid_grant"),
    "binding_mismatch": (400, "invalid_grant"),
    "invalid_request": (400, "invalid_request"),
    "invalid_scope": (400, "invalid_scope"),
    "invalid_client": (401, "invalid_client"),
    "unsupported_grant_type": (400, "unsupported_grant_type"),
    "invalid_credentials": (400, "invalid_grant"),
    "rate_limited": (429, "temporarily_unavailable"),
    "store_unavailable": (503, "temporarily_unavailable"),
    "error": (500, "server_error"),
}


def oauth_error(error: KeyturnError) -> Reply:
    """Give an error as the token endpoint's clients expect it (RFC 6749 section 5.2)."""
    status, code = _OAUTH_CODES.get(error.code, (error.status, "invalid_request"))
    headers = [*_PRIVATE, *error.headers.items()]
    body = {"error": code, "error_description": _plain(error.message)}
    return json_reply(body, status=status, headers=headers, code=error.code)


def _plain(message: str) -> str:
    # What RFC 6749 lets error_description hold, and a quoted string of a header field without escapes: printable ASCII
    # but for the quotation mark and the backslash. What an application names may be anything.
    return "".join(c for c in message if " " <= c <= "~" and c not in '"\\')
