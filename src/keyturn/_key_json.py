"""A key as a JSON object, private half included: what a key file, a mapping or an environment value holds.

An access key is a private JWK (RFC 7517) with ``created_at`` and ``signs_from`` besides, a refresh key one of type
``oct``. What is read is judged without ever being quoted: messages name members, never what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from ._algorithms import SIGNING, RefreshSecret, SigningMaterial, from_base64url, thumbprint, to_base64url
from ._ring import Key, KeyRing, SpentId, ring_faults
from ._weakness import KNOWN_KEYS

#: Where a JWK from elsewhere does not say since when it signs.
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Final = {"EC": "ES256", "OKP": "Ed25519", "RSA": "RS256"}
_MEMBERS: Final = frozenset("kty crv x y d n e p q dp dq qi k kid alg use key_ops created_at signs_from".split())
_SPENT_MEMBERS: Final = frozenset({"kid", "spent_until"})
#: What a key may be meant for (RFC 7517 section 4.3); a file that says otherwise is believed.
_ACCESS_OPERATIONS: Final = frozenset({"sign", "verify"})
_REFRESH_OPERATIONS: Final = frozenset({"deriveKey", "deriveBits"})


class KeyText(bytes):
    """The text of a key, which no ``repr`` shows: not in a traceback with local variables either."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<the text of a key>"


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading keys: a ring, or the faults that keep them from being one."""

    ring: KeyRing | None = None
    faults: tuple[str, ...] = ()


def file_name(key: Key | SpentId) -> str:
    """Give the name of the file that holds a key."""
    return f"{key.purpose if isinstance(key, Key) else 'refresh'}-{key.id}.json"


def files_of(ring: KeyRing) -> dict[str, KeyText]:
    """Give every file that a ring consists of; refresh keys first, since a ring without one is not taken for new."""
    entries: list[Key | SpentId] = [*ring.spent, *ring.keys]
    entries.sort(key=lambda each: file_name(each).startswith("access"))
    return {file_name(each): KeyText(json.dumps(to_jwk(each), indent=1).encode() + b"\n") for each in entries}


def to_jwk(key: Key | SpentId) -> dict[str, Any]:
    """Give a key as a private JWK, or what is left of a removed refresh key."""
    if isinstance(key, SpentId):
        return {"kid": key.id, "spent_until": _text(key.until)}
    times = {"created_at": _text(key.created_at), "signs_from": _text(key.signs_from)}
    if isinstance(key.material, SigningMaterial):
        return {**key.public_jwk(), **key.material.private_members(), **times}
    secret = {"kty": "oct", "k": to_base64url(key.secret), "kid": key.id, "alg": key.algorithm}
    return {**secret, "key_ops": ["deriveKey"], **times}


def read_ring(documents: Mapping[str, KeyText | Mapping[str, Any]], *, eddsa_alias: bool = False) -> Reading:
    """Read keys, each under the name that a fault should call it by; the ring needs no key to be one."""
    read = {name: _read(document) for name, document in documents.items()}
    faults = tuple(f"{name}: {each}." for name, each in read.items() if isinstance(each, str))
    keys = tuple(replace(key, eddsa_alias=eddsa_alias) for key in read.values() if isinstance(key, Key))
    spent = tuple(each for each in read.values() if isinstance(each, SpentId))
    faults += ring_faults(keys, spent)
    return Reading(faults=faults) if faults else Reading(ring=KeyRing(keys=keys, spent=spent))


def _read(document: KeyText | Mapping[str, Any]) -> Key | SpentId | str:
    """Read one key, or say what is wrong with it as the end of a sentence."""
    try:
        jwk = json.loads(document) if isinstance(document, bytes) else document
    except (ValueError, RecursionError):
        jwk = None
    if not isinstance(jwk, Mapping):
        return "it is not a key, or was not written to its end"
    try:
        return _spent(jwk) if "spent_until" in jwk else _key(cast("Mapping[str, Any]", jwk))
    except ValueError as fault:
        return str(fault)


def _spent(jwk: Mapping[str, Any]) -> SpentId:
    if set(jwk) != _SPENT_MEMBERS or not isinstance(jwk["kid"], str):
        raise ValueError("it is not the record of a removed key")
    return SpentId(id=jwk["kid"], until=_time(jwk, "spent_until", _ALWAYS))


def _key(jwk: Mapping[str, Any]) -> Key:
    if not set(jwk) <= _MEMBERS:
        raise ValueError(f"it has a member that keys do not have; they have {', '.join(sorted(_MEMBERS))}")
    key = _refresh_key(jwk) if jwk.get("kty") == "oct" else _access_key(jwk)
    if _known_name(key) in KNOWN_KEYS:
        raise ValueError("it is printed in a standard or in a program's source, so everybody has it")
    return key


def _access_key(jwk: Mapping[str, Any]) -> Key:
    algorithm = _TYPES.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise ValueError(f'its "kty" and "alg" are not those of {", ".join(SIGNING)} or {RefreshSecret.algorithm}')
    if jwk.get("use", "sig") != "sig" or not _allows(jwk, _ACCESS_OPERATIONS):
        raise ValueError('it is not meant for signing: its "use" or "key_ops" say so')
    if "d" not in jwk:
        raise ValueError('it has no private half (member "d")')
    try:
        material = SIGNING[algorithm].from_jwk(jwk)
    except ValueError as fault:
        # `cryptography` finds some of the faults, and words them for others than the owner of a file.
        raise ValueError(str(fault) if str(fault).startswith("its ") else "its numbers are no key") from None
    name = thumbprint(material.members)
    if jwk.get("kid", name) != name:
        raise ValueError(f'its "kid" is not its RFC 7638 thumbprint, {name}')
    created_at, signs_from = _times(jwk)
    return Key(
        id=name,
        purpose="access",
        algorithm=algorithm,
        created_at=created_at,
        signs_from=signs_from,
        material=material,
    )


def _refresh_key(jwk: Mapping[str, Any]) -> Key:
    if jwk.get("alg") != RefreshSecret.algorithm or "use" in jwk or not _allows(jwk, _REFRESH_OPERATIONS):
        raise ValueError(f'it is a secret that is not meant for refresh tokens ("alg": "{RefreshSecret.algorithm}")')
    try:
        material = RefreshSecret(from_base64url(jwk["k"]))
    except (KeyError, AttributeError, ValueError):
        raise ValueError('its member "k" is missing or malformed') from None
    created_at, signs_from = _times(jwk)
    return Key(
        id=str(jwk.get("kid")),
        purpose="refresh",
        algorithm=RefreshSecret.algorithm,
        created_at=created_at,
        signs_from=signs_from,
        material=material,
    )


def _allows(jwk: Mapping[str, Any], operations: frozenset[str]) -> bool:
    if "key_ops" not in jwk:
        return True
    named = jwk["key_ops"]
    return isinstance(named, list) and bool(named) and operations.issuperset(map(str, named))


def _known_name(key: Key) -> str:
    if isinstance(key.material, RefreshSecret):
        return thumbprint({"k": to_base64url(key.secret), "kty": "oct"})
    return key.id


def _times(jwk: Mapping[str, Any]) -> tuple[datetime, datetime]:
    created_at = _time(jwk, "created_at", _ALWAYS)
    return created_at, _time(jwk, "signs_from", created_at)


def _time(jwk: Mapping[str, Any], name: str, default: datetime) -> datetime:
    if name not in jwk:
        return default
    try:
        time = datetime.fromisoformat(jwk[name])
        in_utc = time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise ValueError(f'its member "{name}" is no time with a zone, like 2026-01-31T12:00:00Z')
    return in_utc


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
