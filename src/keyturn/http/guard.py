"""The whole rule of a guarded route, once: find the token, verify it, and see that it grants what the route needs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from ..errors import (
    ForgeryError,
    ReauthenticationError,
    RequestError,
    ScopeError,
    StoreError,
    TokenError,
    TokenInvalidError,
    TokenMissingError,
)
from ..feeds import Feed
from ..messages import Request
from ..revocation import read_on
from ..settings import Settings
from ..tokens import Claims
from ..verifier import Verifier
from . import credentials
from .credentials import Reader
from .forgery import SAFE_METHODS, require_own_host, require_own_page

_log = logging.getLogger("keyturn")

Stale: TypeAlias = Literal["auto", "serve", "ask", "refuse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a route needs; equal needs are equal dependencies.

    Args:
        optional: no token, or a bad one, is answered with None instead of an error.
        scopes: all of them are needed.
        within: the sign-in lies at most so far back (RFC 9470).
        amr: at least one of these methods was used; empty where any will do.
        stale: what happens when the log of ended sessions was not read for longer than the bound: ``auto`` refuses
            unsafe methods and serves safe ones; ``serve`` and ``refuse`` do so whatever the method; ``ask`` reads the
            log before every answer, so that an end elsewhere is felt at once.
    """

    optional: bool = False
    scopes: frozenset[str] = frozenset()
    within: timedelta | None = None
    amr: frozenset[str] = frozenset()
    stale: Stale = "auto"


NOTHING_SPECIAL = Need()


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """The half of a service that a program needs which only verifies.

    Args:
        settings: of the issuer and realm whose tokens are accepted.
        verifier: knows the keys and the floors.
        clock: gives the time, aware UTC.
        feed: where ended sessions are announced.
        acknowledge: told which generations were seen in use, session id -> generation; None tells nobody.
        readers: further places where access tokens may be found.
    """

    settings: Settings
    verifier: Verifier
    clock: Callable[[], datetime]
    feed: Feed
    acknowledge: Callable[[Mapping[str, int]], Awaitable[None]] | None = None
    readers: tuple[Reader, ...] = ()
    half_bound: timedelta = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_bound", self.settings.staleness_bound / 2)

    async def check(self, request: Request, need: Need = NOTHING_SPECIAL) -> Claims | None:
        """Give the caller's claims; None where there is nobody and nobody is needed.

        Raises:
            TokenError, ScopeError, ReauthenticationError, ForgeryError, RequestError, StoreError: as the names say.
        """
        if self.is_due(need):
            await self.keep_up(request, need)
        return self.judge(request, need)

    # --- the log of ended sessions ---------------------------------------------------------------------------------

    def is_due(self, need: Need = NOTHING_SPECIAL) -> bool:
        """Say whether the log must be read before the next answer: it is older than half the bound."""
        loaded_at = self.verifier.floors.loaded_at
        if loaded_at is None or need.stale == "ask":
            return True
        return not loaded_at <= self.clock() < loaded_at + self.half_bound

    async def keep_up(self, request: Request, need: Need = NOTHING_SPECIAL) -> None:
        """Read the log, or go on where another caller is reading it; refuse what would be too stale.

        Where no token came, nothing in the log matters: public pages stay up while the store is away.

        Raises:
            StoreError: the log cannot be read, and the bound is passed.
        """
        if self._is_anonymous(request):
            return
        try:
            await self._read_or_go_on(request, need)
        except StoreError as error:
            _log.warning("the log of ended sessions cannot be read: %s", error.cause)
            if need.stale == "ask":
                raise
        if not self._is_fresh_enough(request, need):
            raise StoreError(cause="the log of ended sessions was not read for longer than the bound")
        if self._is_stale():
            self.verifier.floors.served_stale += 1

    def _is_stale(self) -> bool:
        age = self.verifier.age(self.clock())
        return age is None or age >= self.settings.staleness_bound

    async def _read_or_go_on(self, request: Request, need: Need) -> None:
        if need.stale == "ask":
            await self.read_log(at_once=True)
        elif await self.verifier.catch_up(self.feed):
            await self._report()
        elif not self._is_fresh_enough(request, need):
            # Another caller reads, and may take long; a request is not refused because it was quiet before.
            await self.read_log(at_once=True)

    def _is_fresh_enough(self, request: Request, need: Need) -> bool:
        age = self.verifier.age(self.clock())
        return is_fresh_enough(age, request, need, self.settings.staleness_bound)

    def _is_anonymous(self, request: Request) -> bool:
        try:
            return credentials.access_token(request, self.settings, self.readers) is None
        except RequestError:
            return False

    async def read_log(self, *, at_once: bool = False) -> None:
        """Read the log of ended sessions on, and tell which generations were seen in use.

        Args:
            at_once: read even while another caller does.

        Raises:
            StoreError: the store cannot be asked.
        """
        if at_once:
            await read_on(self.feed, self.verifier.floors, self.clock())
        else:
            await self.verifier.catch_up(self.feed)
        await self._report()

    async def _report(self) -> None:
        if self.acknowledge is not None:
            await self.verifier.report(self.acknowledge)

    # --- the rule --------------------------------------------------------------------------------------------------

    def judge(self, request: Request, need: Need = NOTHING_SPECIAL) -> Claims | None:
        """Give the caller's claims on what is known now; no I/O.

        Raises:
            TokenError, ScopeError, ReauthenticationError, ForgeryError, RequestError: as the names say.
        """
        require_own_host(request, self.settings)
        try:
            claims = self.identify(request)
        except (TokenError, ForgeryError, RequestError):
            if need.optional:  # a stale token must not lock anybody out of a public page
                return None
            raise
        if claims is None:
            if need.optional:
                return None
            raise TokenMissingError
        require_grant(claims, need, self.clock)
        return claims

    def identify(self, request: Request) -> Claims | None:
        """Say who is calling; None where no token came."""
        credential = credentials.access_token(request, self.settings, self.readers)
        if credential is None:
            return None
        if credential.ambient and (request.websocket or request.method not in SAFE_METHODS):
            require_own_page(request, self.settings)
        return self.verify(credential.token, credentials.binding(request, self.settings))

    def verify(self, token: str, binding: str | None) -> Claims:
        """Verify an access token; where its key is unknown, look once whether the ring has a new one."""
        try:
            return self.verifier.verify(token, binding=binding)
        except TokenInvalidError:
            if not self.verifier.wants_reload:
                raise
        self.verifier.reload()
        return self.verifier.verify(token, binding=binding)


def require_grant(claims: Claims, need: Need, clock: Callable[[], datetime]) -> None:
    """Refuse claims that do not grant what is needed.

    Raises:
        ScopeError, ReauthenticationError: as the names say.
    """
    if need.scopes and not need.scopes <= claims.scope:
        raise ScopeError(need.scopes)
    too_old = need.within is not None and clock() - claims.authenticated_at > need.within
    if too_old or (need.amr and need.amr.isdisjoint(claims.amr)):
        raise ReauthenticationError(max_age=need.within, amr=sorted(need.amr))


def is_fresh_enough(age: timedelta | None, request: Request, need: Need, bound: timedelta) -> bool:
    """Say whether a request may be answered on a picture of ended sessions of that age.

    Args:
        age: of that picture; None where there is none yet.
        bound: an older one is good for safe methods only, or as `need` says.
    """
    if age is None:
        return False
    if age < bound or need.stale == "serve":
        return True
    return need.stale == "auto" and request.method in SAFE_METHODS and not request.websocket
