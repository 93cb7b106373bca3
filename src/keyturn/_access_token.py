"""The access token (RFC 9068): claims to JWT, JWT to claims. Reading it is a numbered checklist.

The header is compared with those that our keys issue and never parsed, so nothing in it can choose an algorithm, a key
or a place to fetch one from (RFC 8725 sections 3.1 and 3.10).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ._binding import claim_of
from ._json_values import MAX_DEPTH, distinct, frozen, plain
from ._jws import base64url, canonical, header_segment
from .errors import KeyturnError, TokenExpiredError, TokenInvalidError, TokenStaleError
from .keys import Key
from .session import MAX_GENERATION
from .tokens import RESERVED_CLAIMS, Claims

#: Cut before any decoding; no front end lets a longer header field through either.
MAX_TOKEN: Final = 8192

_NO_TIME: Final = timedelta(0)
#: 9999-01-01: a skew added to an earlier time stays within what a datetime holds.
_LATEST: Final = 253_370_764_800
_NOT_JSON: Final = (
    "The application's claims must be JSON: texts, finite numbers, true, false, null, "
    f"lists and mappings of these, at most {MAX_DEPTH} deep."
)
#: What `_claims` fills, by the slots' own descriptors.
_FILL: Final = tuple(getattr(Claims, field.name).__set__ for field in fields(Claims))
#: SHA-256.
_DIGEST_BYTES: Final = 32
#: 16 bytes in base64url (`session.session_id_bytes`, without the bytes): the last character holds two bits.
_is_session_id: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]").fullmatch
_NO_EXTRA: Final[Mapping[str, Any]] = MappingProxyType({})
_DEFAULT_REALM: Final = "default"


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The claims that we know, in their JSON types: true and "1" are no numbers."""

    iss: str
    sub: str
    aud: str | list[str]
    client_id: str
    iat: int | float
    exp: int | float
    jti: str
    sid: str
    gen: int
    auth_time: int | float
    realm: str = _DEFAULT_REALM
    scope: str = ""
    amr: tuple[str, ...] = ()
    bnd: str | msgspec.UnsetType = msgspec.UNSET


_encode: Final = msgspec.json.Encoder().encode
_decode_known: Final = msgspec.json.Decoder(_Body).decode
_decode_all: Final = msgspec.json.Decoder(dict[str, Any]).decode
_KNOWN: Final = frozenset(_Body.__struct_fields__)
#: RFC 7519 section 4.1.5 and RFC 7800: we issue neither, and a token that sets a condition must not be taken without.
_CONDITIONS: Final = frozenset(("nbf", "cnf"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a verifier asks of every token.

    Args:
        issuer: compared octet for octet (RFC 9068 section 4).
        audience: must be among the token's.
        realm: must be the token's; a token that names none is of ``default``.
        skew: how far the issuer's clock may be off.
        ceiling: a token that lives longer is refused, whoever signed it.
    """

    issuer: str
    audience: str
    realm: str
    skew: timedelta
    ceiling: timedelta


def issue(claims: Claims, key: Key, *, limit: int = MAX_TOKEN) -> str:
    """Sign claims as an access token.

    Args:
        claims: times are cut to whole seconds.
        key: the access key that signs.
        limit: how many characters the token may have.

    Raises:
        KeyturnError: ``claim_reserved``, ``claim_not_json`` or ``token_too_large``: the application's claims are wrong.
    """
    head = header_segment(key.header_algorithms[0], key.id)
    signed = head + b"." + base64url(_payload(claims))
    token = signed + b"." + base64url(key.sign(signed))
    if len(token) > limit:
        raise KeyturnError(
            f"The access token would have {len(token)} characters; {limit} are allowed. Put less into its claims.",
            code="token_too_large",
        )
    return token.decode("ascii")


def read(token: str, keys: Mapping[bytes, Key], expected: Expected, now: datetime) -> Claims:
    """Verify an access token up to its times; binding and floors are for the caller to check.

    Args:
        token: as it arrived.
        keys: acceptable first segments, from `_jws.header_segments`.
        expected: what this verifier asks for.
        now: aware UTC.

    Raises:
        TokenInvalidError: not a genuine token for this verifier; the cause names the check that failed.
        TokenExpiredError: a genuine one whose time is over.
        TokenStaleError: a genuine one whose time has not come: some clock went back.
    """
    body, extra = _strict(_genuine(token, keys, now))
    audience = _meant_for(body, expected)
    issued_at, expires_at = _in_time(body, expected, now)
    binding = _complete(body)
    return _claims(
        (
            body.iss,
            body.realm,
            body.sub,
            audience,
            body.client_id,
            body.sid,
            body.gen,
            body.jti,
            issued_at,
            expires_at,
            frozenset(body.scope.split()),
            _moment(body.auth_time),
            body.amr,
            binding,
            extra,
        )
    )


def _genuine(token: str, keys: Mapping[bytes, Key], now: datetime) -> bytes:
    """Give the payload of a token that one of the keys signed."""
    # 1. Length, before any work that grows with it.
    if len(token) > MAX_TOKEN or not token.isascii():
        raise _invalid("length or alphabet")
    # 2. Three segments, canonical base64url: one spelling for each token (RFC 7515 section 2).
    signed, _, last = token.encode("ascii").rpartition(b".")
    first, _, middle = signed.partition(b".")
    payload, signature = canonical(middle), canonical(last)
    if payload is None or signature is None:
        raise _invalid("segments")
    # 3. A header that we issue, octet for octet, so its segment is canonical too.
    key = keys.get(first)
    if key is None or (key.verifies_until is not None and now >= key.verifies_until):
        raise _invalid("header")
    # 4. The signature. Nothing of the token was looked into so far.
    if not key.verify(signed, signature):
        raise _invalid("signature")
    return payload


def _strict(payload: bytes) -> tuple[_Body, Mapping[str, Any]]:
    """Give the known claims and all others."""
    # 5. Strict JSON (RFC 8259; RFC 8725 section 3.7): what decodes and encodes back to itself has no name twice.
    try:
        body = _decode_known(payload)
        if _encode(body) == payload:
            return body, _NO_EXTRA
        whole = _decode_all(payload)
        if _encode(whole) != payload:
            json.loads(payload, object_pairs_hook=distinct)
        extra = {name: frozen(whole[name], 2) for name in whole if name not in _KNOWN}
    except (ValueError, RecursionError, msgspec.MsgspecError):  # not a ValueError before msgspec 0.20
        raise _invalid("JSON") from None
    if not _CONDITIONS.isdisjoint(extra):
        raise _invalid("a condition that is not known here")
    return body, MappingProxyType(extra)


def _meant_for(body: _Body, expected: Expected) -> tuple[str, ...]:
    """Give the audiences of a token that is for this verifier."""
    # 6. Issuer, audience, realm (RFC 9068 section 4).
    if body.iss != expected.issuer:
        raise _invalid("issuer")
    audience = (body.aud,) if isinstance(body.aud, str) else tuple(body.aud)
    if expected.audience not in audience:
        raise _invalid("audience")
    if body.realm != expected.realm:
        raise _invalid("realm")
    return audience


def _in_time(body: _Body, expected: Expected, now: datetime) -> tuple[datetime, datetime]:
    """Give the beginning and the end of a token that is good at `now`."""
    # 7. Times (RFC 7519 section 4.1): whether they can be ours at all, and only then whether they are over.
    issued_at, expires_at = _moment(body.iat), _moment(body.exp)
    if not _NO_TIME <= expires_at - issued_at <= expected.ceiling:
        raise _invalid("lifetime")
    if issued_at > now + expected.skew:
        # Ours, made while a clock was wrong: a refresh mends it, where "invalid" would tell the client to sign in.
        raise TokenStaleError(cause="access token: issued in the future")
    if now >= expires_at + expected.skew:
        raise TokenExpiredError
    return issued_at, expires_at


def _complete(body: _Body) -> bytes | None:
    """Give the binding of a token that has the claims that every token of ours has."""
    # 8. Required claims (RFC 9068 section 2.2), and ours.
    if not (body.sub and body.client_id and body.jti):
        raise _invalid("an empty claim")
    if not 0 <= body.gen <= MAX_GENERATION or not _is_session_id(body.sid):
        raise _invalid("session")
    if isinstance(body.bnd, msgspec.UnsetType):
        return None
    binding = canonical(body.bnd.encode())
    if binding is None or len(binding) != _DIGEST_BYTES:
        raise _invalid("binding")
    return binding


def _claims(values: tuple[Any, ...]) -> Claims:
    """Give claims by the values of their fields, in order.

    A frozen class fills its fields through ``object.__setattr__``, which takes longer than decoding the JSON did.
    """
    claims = object.__new__(Claims)
    for fill, value in zip(_FILL, values, strict=True):
        fill(claims, value)
    return claims


def _moment(seconds: float) -> datetime:
    if not 0 <= seconds < _LATEST:
        raise _invalid("a time out of range")
    return datetime.fromtimestamp(seconds, UTC)


def _invalid(check: str) -> TokenInvalidError:
    return TokenInvalidError(cause=f"access token: {check}")


def _payload(claims: Claims) -> bytes:
    body = _Body(
        iss=claims.issuer,
        sub=claims.subject,
        aud=claims.audience[0] if len(claims.audience) == 1 else list(claims.audience),
        client_id=claims.client_id,
        iat=int(claims.issued_at.timestamp()),
        exp=int(claims.expires_at.timestamp()),
        jti=claims.token_id,
        sid=claims.session_id,
        gen=claims.generation,
        auth_time=int(claims.authenticated_at.timestamp()),
        # The encoder knows a default by its identity, and a realm that was read from a file equals it only.
        realm=_DEFAULT_REALM if claims.realm == _DEFAULT_REALM else claims.realm,
        scope=" ".join(sorted(claims.scope)),
        amr=claims.amr,
        bnd=msgspec.UNSET if claims.binding is None else claim_of(claims.binding),
    )
    known = _encode(body)
    return known[:-1] + b"," + _extra(claims.extra)[1:] if claims.extra else known


def _extra(extra: Mapping[str, Any]) -> bytes:
    if taken := sorted(RESERVED_CLAIMS.intersection(extra)):
        raise KeyturnError(
            f"The application's claims may not be called {', '.join(taken)}: these names decide who is let in.",
            code="claim_reserved",
        )
    try:
        return _encode(plain(extra, 1))
    except (TypeError, ValueError, msgspec.MsgspecError):  # lone surrogates, numbers without end
        raise KeyturnError(_NOT_JSON, code="claim_not_json") from None
