"""How a session's tokens are made: the claims, the signature, the seal."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from . import _access_token, _admission
from ._seals import SealedRing
from .session import Session
from .settings import Settings
from .tokens import Claims, TokenPair
from .users import Principal

_TOKEN_LIMIT: Final = 8192
#: RFC 6265bis section 5.6 lets browsers drop a cookie of more than 4096 octets; name and attributes take some of them.
_COOKIE_LIMIT: Final = 4096 - 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """Makes token pairs; asks no store."""

    settings: Settings
    seals: SealedRing
    entropy: Callable[[int], bytes]

    def pair(
        self,
        session: Session,
        seed: bytes,
        principal: Principal,
        *,
        now: datetime,
        binding: str | None = None,
        scope: str | None = None,
    ) -> TokenPair:
        """Give the tokens of a session's current generation.

        Args:
            seed: the session's 16 bytes, from the refresh token.
            binding: a new binding cookie's value, to be handed out.
            scope: narrows what the access token grants; None leaves all that is granted.
        """
        granted = _admission.granted_scope(session.scope, principal)
        if scope:
            granted &= frozenset(scope.split())
        claims = self._claims(session, principal, granted, now)
        return TokenPair(
            access_token=_access_token.issue(claims, self.seals.ring(now).signing(now), limit=self._limit()),
            refresh_token=self.seals.seal(session.id, session.generation, seed, now),
            binding=binding,
            issued_at=now,
            expires_at=claims.expires_at,
            refresh_expires_at=min(session.idle_expires_at, session.expires_at),
            session_id=session.id,
            scope=granted,
        )

    def check(self, extra: Mapping[str, Any], now: datetime) -> None:
        """See whether an application's claims can be signed.

        Raises:
            KeyturnError: a reserved name, not JSON, or too much.
        """
        claims = Claims(
            issuer=self.settings.issuer, realm=self.settings.realm, subject="", audience=(), client_id="",
            session_id="", generation=0, token_id="", issued_at=now, expires_at=now, authenticated_at=now,
            scope=frozenset(), extra=extra,
        )  # fmt: skip
        _access_token.issue(claims, self.seals.ring(now).signing(now), limit=self._limit())

    def _limit(self) -> int:
        return _COOKIE_LIMIT if self.settings.cookie.access_in_cookie else _TOKEN_LIMIT

    def _claims(self, session: Session, principal: Principal, scope: frozenset[str], now: datetime) -> Claims:
        return Claims(
            issuer=self.settings.issuer,
            realm=self.settings.realm,
            subject=session.subject,
            audience=(self.settings.audience,),
            client_id=session.client_id,
            session_id=session.id,
            generation=session.generation,
            token_id=urlsafe_b64encode(self.entropy(16)).rstrip(b"=").decode("ascii"),
            issued_at=now,
            expires_at=min(now + self.settings.access_token_lifetime, session.expires_at),
            scope=scope,
            authenticated_at=session.authenticated_at,
            amr=session.amr,
            binding=session.binding,
            extra={**principal.claims, **session.claims},
        )
