"""An auth class for httpx: a Python program that signs in by itself, and whose threads or tasks refresh as one.

Example::

    client = httpx.Client(auth=KeyturnAuth("https://id.example.org", username="ada", password="…"))
    client.get("https://id.example.org/api/me")
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.lowlevel
import httpx

from ._httpx_talk import Held, InMemory, SignInError, Talk, TokenStore
from .errors import ConfigurationError

#: What a task sleeps while a thread, or another loop, is asking: their lock cannot wake it.
_LOOK_AGAIN: Final = 0.01


class KeyturnAuth(httpx.Auth):
    """Signs in on first use, sends the access token, refreshes it in time, and repeats a request that it came too late for.

    One object is one session; threads, tasks and several clients may share it. Two processes must not share a session.

    Args:
        issuer: the address that Keyturn's routes are at, without their prefix.
        username, password: to sign in with; the password may be a function that gives it, asked at each sign-in.
        refresh_token: of a session that is there already.
        tokens: where the refresh token is kept; in memory where left out.
        origins: besides the issuer's, where the access token is sent (``https://api.example.org``); nowhere else.
        scope: what to ask for at sign-in.
        client_id: which registered program this is; one without a secret.
        device_name: what the user sees in the list of their sessions.
        prefix: of Keyturn's routes.
        clock: a monotonic one, in seconds.

    Raises:
        ConfigurationError: there is nothing to sign in with, or an address is none.
    """

    def __init__(
        self,
        issuer: str,
        *,
        username: str | None = None,
        password: str | Callable[[], str] | None = None,
        refresh_token: str | None = None,
        tokens: TokenStore | None = None,
        origins: Iterable[str] = (),
        scope: str | None = None,
        client_id: str | None = None,
        device_name: str | None = None,
        prefix: str = "/auth",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        origins = tuple(origins)
        if faults := _faults(username, password, refresh_token, tokens) + _address_faults(issuer, origins):
            raise ConfigurationError(faults)
        wishes = {"transport": "body", "scope": scope, "client_id": client_id, "device_name": device_name}

        def credentials() -> Mapping[str, str | None]:
            return {"username": username, "password": password() if callable(password) else password, **wishes}

        self._issuer = issuer.rstrip("/")
        self._origins = frozenset(_origin(httpx.URL(url)) for url in (issuer, *origins))
        self._talk = Talk(
            self._issuer + prefix,
            credentials=credentials if username is not None else None,
            tokens=InMemory(refresh_token) if tokens is None else tokens,
            clock=clock,
        )
        self._lock = threading.Lock()
        self._loop_lock = anyio.lowlevel.RunVar[anyio.Lock](f"keyturn.httpx {id(self)}")

    def __repr__(self) -> str:
        return f"KeyturnAuth({self._issuer!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request of a `httpx.Client`, and before it what is needed for a token."""
        refused: Held | None = None
        for _ in range(2):
            if self._is_due(request, refused):
                seen = self._talk.refusals
                with self._lock:
                    while (question := self._talk.question(request, refused, seen)) is not None:
                        reply = yield question
                        reply.read()
                        self._talk.learn(question, reply, refused)
            refused = self._attach(request)
            answer = yield request
            if not self._is_worth_repeating(request, refused, answer):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request of a `httpx.AsyncClient`, and before it what is needed for a token."""
        refused: Held | None = None
        for _ in range(2):
            if self._is_due(request, refused):
                seen = self._talk.refusals
                async with self._alone():
                    while (question := self._talk.question(request, refused, seen)) is not None:
                        reply = yield question
                        await reply.aread()
                        self._talk.learn(question, reply, refused)
            refused = self._attach(request)
            answer = yield request
            if not self._is_worth_repeating(request, refused, answer):
                return

    def sign_out(self, client: httpx.Client) -> None:
        """End the session at the issuer and forget it; where user name and password are known, the next use signs in.

        Raises:
            SignInError: the issuer could not end it; it is kept.
        """
        with self._lock:
            if (question := self._talk.farewell()) is not None:
                self._talk.forget(client.send(question, auth=None, follow_redirects=False))

    async def asign_out(self, client: httpx.AsyncClient) -> None:
        """Do the same with a client that awaits."""
        async with self._alone():
            if (question := self._talk.farewell()) is not None:
                self._talk.forget(await client.send(question, auth=None, follow_redirects=False))

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        in_loop = self._loop_lock.get(None)
        if in_loop is None:
            self._loop_lock.set(in_loop := anyio.Lock())
        async with in_loop:
            while not self._lock.acquire(blocking=False):  # noqa: ASYNC110 - no event crosses from a thread or another loop
                await anyio.sleep(_LOOK_AGAIN)
            try:
                yield
            finally:
                self._lock.release()

    def _is_due(self, request: httpx.Request, refused: Held | None) -> bool:
        return _origin(request.url) in self._origins and self._talk.lacks(refused)

    def _attach(self, request: httpx.Request) -> Held | None:
        held = self._talk.held if _origin(request.url) in self._origins else None
        if held is not None:
            request.headers["Authorization"] = f"Bearer {held.token}"
        return held

    def _is_worth_repeating(self, request: httpx.Request, held: Held | None, answer: httpx.Response) -> bool:
        """Say whether a newer token may help (RFC 6750 section 3.1); only whoever got this one is believed."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        if held is None or answer.status_code != 401 or 'error="invalid_token"' not in challenge:
            return False
        if answer.request.headers.get("Authorization") != request.headers["Authorization"]:
            return False  # a redirect led to another origin, where httpx takes the field away
        if not _can_repeat(request):
            self._talk.distrust(held)  # this request is lost, the next one need not be
            return False
        return True


def _faults(username: object, password: object, refresh_token: object, tokens: object) -> list[str]:
    faults: list[str] = []
    if (username is None) != (password is None):
        faults.append("username and password go together")
    if refresh_token is not None and tokens is not None:
        faults.append("give refresh_token or tokens: save the token there first")
    if username is refresh_token is tokens is None:
        faults.append("give username and password, or a refresh_token, or tokens")
    return faults


def _address_faults(issuer: str, origins: Iterable[str]) -> list[str]:
    faults = [] if _is_address(issuer) else ["issuer is no address such as https://id.example.org"]
    if not all(map(_is_address, origins)):
        faults.append("every one of origins is an address such as https://api.example.org")
    return faults


def _is_address(text: str) -> bool:
    """Say whether a text is an address and nothing besides: what stands before an @ would be a secret."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and not (url.userinfo or "?" in text or "#" in text)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _can_repeat(request: httpx.Request) -> bool:
    try:
        return request.content is not None
    except httpx.RequestNotRead:  # a body that streams is gone
        return False


__all__ = ["KeyturnAuth", "SignInError", "TokenStore"]
