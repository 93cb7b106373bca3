"""What a program and its issuer say to each other about tokens; what is sent, and when, is `keyturn.httpx`'s."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, Protocol, TypeGuard, cast

import httpx

from .errors import KeyturnError, SessionEndedError

#: A token is renewed so many seconds before its end: enough for a slow request and a retry behind it.
_AHEAD: Final = 30.0
#: After the issuer was in trouble, and the token at hand still good, it is asked again so many seconds later.
_PAUSE: Final = 1.0
#: No token serves longer: an answer that says so, in seconds, is none.
_LONGEST: Final = 10 * 366 * 86400
#: The issuer's answers to a refresh that mean: this token will never be good again.
_OVER: Final = frozenset({"token_missing", "token_invalid", "token_stale", "session_ended", "binding_mismatch"})


class TokenStore(Protocol):
    """Where a program keeps the refresh token of its one session, so that it is still signed in after a restart."""

    def load(self) -> str | None:
        """Give what was saved last, None where nothing was."""
        ...

    def save(self, token: str | None) -> None:
        """Keep a token in place of the former, durably before this returns; None is kept at sign-out."""
        ...


class SignInError(KeyturnError):
    """The issuer gave no access token; `code` and `status` are those of its answer.

    Where the code is ``store_unavailable`` or ``rate_limited`` the session is kept: try again later.
    """

    default_code = "sign_in_failed"
    default_status = 401


class InMemory:
    """A store for as long as the program runs."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def load(self) -> str | None:
        """Give the token."""
        return self._token

    def save(self, token: str | None) -> None:
        """Keep the token."""
        self._token = token


class _Once(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that is sent once: a redirect must not carry a password or a refresh token to another place."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def _take(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise SignInError("The issuer's address redirects. Name the address that it redirects to.")
        return body

    def __iter__(self) -> Iterator[bytes]:
        yield self._take()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._take()


class _Question(httpx.Request):
    """A request whose body may be read by hooks, and is sent once for all that.

    httpx puts a body that can be sent again in place of one that was read; a redirect would carry it away.
    """

    def __init__(self, url: httpx.URL, body: bytes, *, headers: Mapping[str, str], extensions: dict[str, Any]) -> None:
        super().__init__("POST", url, headers=headers, stream=_Once(body), extensions=extensions)
        self._body = body

    @property
    def content(self) -> bytes:
        """The body."""
        return self._body

    def read(self) -> bytes:
        """Give the body, and leave what is sent alone."""
        return self._body

    async def aread(self) -> bytes:
        """Do the same for code that awaits."""
        return self._body


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An access token, and until when it serves by the monotonic clock."""

    token: str = field(repr=False)
    renew_at: float
    good_until: float


class Talk:
    """The one session of a program, and what to ask the issuer next; its caller sees to it that one asks at a time.

    Args:
        base: the address of the issuer's routes.
        credentials: gives the fields of a sign-in; None where there are none to give.
        tokens: where the refresh token is kept.
        clock: a monotonic one, in seconds.
    """

    def __init__(
        self,
        base: str,
        *,
        credentials: Callable[[], Mapping[str, str | None]] | None,
        tokens: TokenStore,
        clock: Callable[[], float],
    ) -> None:
        self._base, self._credentials, self._tokens, self._clock = base, credentials, tokens, clock
        self.held: Held | None = None
        self.refusals = 0
        self._refusal: httpx.Response | None = None
        self._presented: str | None = None
        self._given_up: str | None = None  # a refresh token that the issuer will never take again
        self._asked_at = 0.0

    def lacks(self, refused: Held | None) -> bool:
        """Say whether a token must be asked for: there is none, it was refused, or it is near its end."""
        held = self.held
        return held is None or held is refused or self._clock() >= held.renew_at

    def distrust(self, refused: Held) -> None:
        """Have a token renewed before it is sent again."""
        if self.held is refused:
            self.held = replace(refused, renew_at=-inf, good_until=-inf)

    def question(self, like: httpx.Request, refused: Held | None, seen: int) -> httpx.Request | None:
        """Give what to ask the issuer; None where there is a token, of another's asking or of one's own.

        Args:
            like: the request that waits; its timeouts are taken over.
            refused: the token that was sent and refused.
            seen: how many refusals there were before one waited.

        Raises:
            SignInError: another who waited less was refused; not all ask again.
            SessionEndedError: there is nothing to sign in with.
        """
        if self._refusal is not None and self.refusals > seen:
            raise _error_of(self._refusal)
        if not self.lacks(refused):
            return None
        self._asked_at = self._clock()
        self._presented = self._tokens.load()
        if self._presented is not None and self._presented != self._given_up:
            return self._ask("/refresh", {"refresh_token": self._presented}, like)
        if self._credentials is None:
            raise SessionEndedError
        return self._ask("/login", self._credentials(), like)

    def learn(self, question: httpx.Request, answer: httpx.Response, refused: Held | None) -> None:
        """Take the issuer's answer.

        Raises:
            SignInError: it gave no token, and there is none that would do for now.
        """
        held, now, body = self.held, self._clock(), _json_of(answer)
        if answer.status_code == 200 and answer.request is question and self._keep(body):
            return
        if question.url.path.endswith("/refresh") and answer.status_code == 401 and body.get("code") in _OVER:
            self._given_up = self._presented
        elif answer.status_code in {429, 503} and held is not None and held is not refused and now < held.good_until:
            self.held = replace(held, renew_at=now + _PAUSE)
        else:
            self._refusal = answer
            self.refusals += 1
            raise _error_of(answer)

    def _keep(self, body: Mapping[str, Any]) -> bool:
        token, seconds, successor = (body.get(name) for name in ("access_token", "expires_in", "refresh_token"))
        if not (isinstance(token, str) and isinstance(successor, str) and _is_lifetime(seconds)):
            return False
        self._tokens.save(successor)  # before anything uses the answer: what was used must not be lost
        until = self._asked_at + seconds
        self.held = Held(token=token, renew_at=until - min(_AHEAD, seconds / 5), good_until=until)
        return True

    def farewell(self) -> httpx.Request | None:
        """Give what ends the session; None where there is none."""
        token = self._tokens.load()
        return None if token is None else self._ask("/logout", {"refresh_token": token})

    def forget(self, answer: httpx.Response) -> None:
        """Forget the session, where the issuer says that it is over.

        Raises:
            SignInError: it does not.
        """
        if answer.status_code != 204:
            raise _error_of(answer)
        self._tokens.save(None)
        self.held = None

    def _ask(self, route: str, body: Mapping[str, str | None], like: httpx.Request | None = None) -> httpx.Request:
        url = httpx.URL(self._base + route)
        content = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "application/json", "Keyturn-Client": "keyturn.httpx"}
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        waits: dict[str, Any] = {}
        if like is not None:
            headers["User-Agent"] = like.headers.get("User-Agent", "keyturn.httpx")
            waits = {name: value for name, value in like.extensions.items() if name == "timeout"}
        return _Question(url, content, headers=headers, extensions=waits)


def _is_lifetime(seconds: object) -> TypeGuard[int]:
    return type(seconds) is int and 0 < seconds <= _LONGEST


def _json_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _error_of(answer: httpx.Response) -> SignInError:
    body, wait = _json_of(answer), answer.headers.get("Retry-After")
    code, detail = body.get("code"), body.get("detail")
    return SignInError(
        str(detail)[:300] if detail else f"The issuer gave no tokens; it answered {answer.status_code}.",
        code=str(code)[:64] if code else None,
        status=answer.status_code,
        headers={"Retry-After": wait} if wait else None,
    )
