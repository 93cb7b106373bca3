"""What the torture has to know of a server: how each request is written, and what an answer means.

An adapter holds no state and sends nothing by itself, except in `sign_in`. It is never asked about answers 429 and 5xx:
these mean "not now" everywhere, and the tool waits and repeats.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlencode


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """An account that the clients sign in with.

    Args:
        name: what is typed as the user name.
        password: what is typed as the password; never shown.
    """

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request.

    Args:
        method: in capitals.
        path: with the query, beginning with a slash; a whole URL is possible in `sign_in` alone.
        headers: names in any case. ``Host`` and ``Content-Length`` are not an adapter's business; ``Cookie`` is.
        body: the octets.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer as it came, redirects not followed.

    Args:
        status: the status.
        headers: name and value in the order of arrival, names in small letters.
        body: the octets, decoded from any transfer coding.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Give the first header of that name (in small letters), None where there is none."""
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> dict[str, Any]:
        """Give the body's JSON object; an empty one where it is none."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a client has in its one store: everything that a thief would copy.

    Args:
        refresh_token: the one to be presented next, however it travels. It is also how tokens are told apart.
        access_token: the one for calling the API; empty where it travels in a cookie.
        cookies: the jar, name to value; empty where no cookies are used.
        session_id: what the server calls the session where it tells, for `Adapter.end_other` and `Adapter.listed`.
        expires_in: seconds that the refresh token has left, by the server's own word; None where it says nothing.
        transport: one of the adapter's `transports`.
    """

    refresh_token: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    session_id: str | None = field(default=None, repr=False)
    expires_in: float | None = None
    transport: str = "body"


class Outcome(Enum):
    """What an answer says to the client."""

    OK = "ok"  #: it worked
    STALE = "stale"  #: read your store again and repeat once: another tab, or a change of the user's own, was faster
    SIGNED_OUT = "signed out"  #: there is no session any more; a person has to sign in
    EXPIRED = "expired"  #: of an API call: refresh and repeat


@dataclass(frozen=True, kw_only=True, slots=True)
class Refreshed:
    """What came of a refresh.

    Args:
        outcome: OK, STALE or SIGNED_OUT.
        held: what the client holds from now on; None but for OK.
    """

    outcome: Outcome
    held: Held | None = None


Send: TypeAlias = Callable[[Call], Awaitable[Answer]]


class SignInError(Exception):
    """Signing in failed for good: a wrong password, a program that is not registered. Its text holds no secret."""


class Adapter(Protocol):
    """How one product's server is spoken to. Constructed with ``options: Mapping[str, str]`` (``--option NAME=VALUE``).

    Args:
        name: as it stands in the report.
        transports: how refresh tokens travel: ``cookie`` (the browser's jar), ``body`` (the program keeps it) or both.
        bound: seconds after which an ended session's access tokens are promised to be refused; None where a server
            promises nothing before they expire. What is measured is measured anyway, up to some seconds.
    """

    name: str
    transports: tuple[str, ...]
    bound: float | None

    async def sign_in(self, send: Send, user: User, transport: str) -> Held:
        """Sign in; as many requests as it takes.

        Args:
            send: sends past the faulty network, and has waited already when told 429.
            user: whom.
            transport: one of `transports`.

        Raises:
            SignInError: the server says no.
        """
        ...

    def refresh(self, held: Held) -> Call:
        """Give the request that turns the refresh token."""
        ...

    def refreshed(self, held: Held, answer: Answer) -> Refreshed:
        """Say what the answer to `refresh` means.

        Args:
            held: what the request was made of; take over what the answer does not bring anew.
            answer: neither 429 nor 5xx.
        """
        ...

    def who_am_i(self, held: Held) -> Call:
        """Give a request to a guarded URL with the access token; it changes nothing."""
        ...

    def recognised(self, answer: Answer) -> Outcome:
        """Say what the answer to `who_am_i` means: OK, EXPIRED (refresh and repeat; also stale) or SIGNED_OUT.

        A server that does not tell the two refusals apart says EXPIRED.
        """
        ...

    def end(self, held: Held) -> Call:
        """Give the request that signs this session out."""
        ...

    def end_other(self, held: Held, session_id: str) -> Call | None:
        """Give the request by which one session of a user ends another; None where the product has none."""
        ...

    def end_all(self, held: Held) -> Call | None:
        """Give the request that ends all of the user's sessions, this one too; None where the product has none."""
        ...

    def ended(self, answer: Answer) -> bool:
        """Say whether the answer to one of the three requests above promises that the end has happened."""
        ...

    def list_sessions(self, held: Held) -> Call | None:
        """Give the request that lists the user's sessions with their absolute ends; None where the product has none."""
        ...

    def listed(self, answer: Answer) -> Mapping[str, str]:
        """Give of the answer to `list_sessions`: session id to absolute end, in any words that stay the same."""
        ...


# --- what adapters are written with ----------------------------------------------------------------------------------


def json_call(method: str, path: str, content: Any = None, **headers: str) -> Call:
    """Give a request with a JSON body, or without one where `content` is None; ``_`` in header names becomes ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content is None:
        return Call(method=method, path=path, headers=named)
    return Call(
        method=method,
        path=path,
        headers={"Content-Type": "application/json", **named},
        body=json.dumps(content).encode(),
    )


def form_call(path: str, fields: Mapping[str, str], **headers: str) -> Call:
    """Give a POST with an ``application/x-www-form-urlencoded`` body, as OAuth's endpoints take it (RFC 6749)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return Call(method="POST", path=path, headers={**kind, **named}, body=urlencode(fields).encode())


def taking_cookies(jar: Mapping[str, str], answer: Answer) -> dict[str, str]:
    """Give the jar after an answer: Set-Cookie adds and replaces, Max-Age=0 takes out (RFC 6265, one host, one path).

    ``Secure`` is not asked for: the tool speaks to loopback, as a browser's exception for it would.
    """
    after = dict(jar)
    for name, line in answer.headers:
        if name != "set-cookie":
            continue
        pair, _, attributes = line.partition(";")
        cookie, _, value = pair.strip().partition("=")
        spans = [part.strip().lower() for part in attributes.split(";")]
        after.pop(cookie, None)
        if "max-age=0" not in spans and value:
            after[cookie] = value
    return after
