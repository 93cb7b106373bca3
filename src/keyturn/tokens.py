"""What leaves (the token pair) and what arrives (the claims of a verified access token)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

_NOTHING: Mapping[str, Any] = MappingProxyType({})

#: Names that an application's own claims may not bear: they would change what a verifier decides (docs/reference/protocol.md).
RESERVED_CLAIMS: Final = frozenset(
    "iss sub aud client_id iat exp jti sid gen auth_time realm scope amr bnd cnf nbf acr".split()
)


class Unchecked:
    """The type of `UNCHECKED`, a choice that should look like one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCHECKED"


#: Given as ``binding=`` to a verifier on a host that the binding cookie does not reach: a copied token works there.
UNCHECKED: Final = Unchecked()


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a verified access token says; deeply immutable.

    Args:
        session_id: 22 characters; the JWT's ``sid``.
        generation: the session's generation when the token was issued; ``gen``.
        token_id: ``jti``.
        scope: the granted scopes.
        authenticated_at: when the user last proved who they are; ``auth_time``.
        binding: the 32-byte digest of the binding cookie, None for an unbound token; ``bnd``.
        extra: every other claim.
    """

    issuer: str
    realm: str
    subject: str
    audience: tuple[str, ...]
    client_id: str
    session_id: str
    generation: int
    token_id: str
    issued_at: datetime
    expires_at: datetime
    scope: frozenset[str]
    authenticated_at: datetime
    amr: tuple[str, ...] = ()
    binding: bytes | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh hands out; its ``repr`` shows none of the secrets.

    Args:
        access_token: the signed JWT.
        refresh_token: the refresh token, ``kt1.…``.
        binding: the binding cookie's value, 43 characters; None where the session is unbound or the caller brought it.
        expires_at: the end of the access token.
        refresh_expires_at: when the session ends if it is not used: idle or absolute end, whichever comes first.
        scope: what the access token grants.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    binding: str | None = field(default=None, repr=False)
    issued_at: datetime
    expires_at: datetime
    refresh_expires_at: datetime
    session_id: str
    scope: frozenset[str]
