"""A set of public keys as an issuer publishes it (RFC 7517 section 5), read strictly: what verifies our tokens, and no more.

What is of no use for our tokens is passed over, since an issuer may publish keys for other things. What no careful
issuer would publish makes the whole set worth nothing: then something is wrong there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, cast

from ._algorithms import SIGNING, thumbprint
from ._json_values import distinct, frozen
from ._key_json import Reading
from ._ring import Key, KeyRing
from ._weakness import KNOWN_KEYS

#: A ring that rotates daily would publish three at a time; whoever publishes more than this publishes something else.
MOST_KEYS: Final = 32
#: What a key set says nothing about: whatever is in it verifies, for as long as it is in it.
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The algorithm that a type and its curve are for; RSA has no curve.
_ALGORITHMS: Final = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "Ed25519", ("RSA", "None"): "RS256"}
#: Every private member of RFC 7518 section 6; "k" makes a key for which there is no public half.
_PRIVATE: Final = frozenset("d p q dp dq qi oth k".split())


def read_key_set(text: bytes, *, eddsa_alias: bool = False) -> Reading:
    """Read a JWK set: a ring of access keys that verify and cannot sign, or what is wrong with the set."""
    try:
        keys = tuple(key for each in _entries(text) if (key := _key(each, eddsa_alias=eddsa_alias)))
    except ValueError as fault:
        return Reading(faults=(f"{fault}.",))
    if not keys:
        return Reading(
            faults=(f"no key in it is one for access tokens ({', '.join(SIGNING)}, named by its thumbprint)",)
        )
    return Reading(ring=KeyRing(keys=keys))


def _entries(text: bytes) -> list[Mapping[str, Any]]:
    """Give the keys of a set; ValueError says what is wrong with it as a whole."""
    keys = _members(text).get("keys")
    if not isinstance(keys, tuple) or not all(isinstance(each, Mapping) for each in keys):
        raise ValueError('it is no JWK set: {"keys": [...]}')
    if len(keys) > MOST_KEYS:
        raise ValueError(f"it has {len(keys)} keys, more than {MOST_KEYS}")
    entries = cast("list[Mapping[str, Any]]", list(keys))
    ids = [kid for each in entries if isinstance(kid := each.get("kid"), str)]
    if len(set(ids)) < len(ids):
        raise ValueError("a key id is there twice")
    if any(not _PRIVATE.isdisjoint(each) for each in entries):
        raise ValueError("a key in it shows its private half: whoever reads it can sign, so none of it is used")
    return entries


def _members(text: bytes) -> Mapping[str, Any]:
    try:
        # One spelling of JSON: no other encoding than UTF-8, no name twice, no NaN, no depth (RFC 8259; TOK-07).
        read = json.loads(text.decode("utf-8"), object_pairs_hook=distinct, parse_constant=_refuse)
        whole = frozen(read, 1)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON, or has a name twice") from None
    if not isinstance(whole, Mapping):
        raise ValueError('it is no JWK set: {"keys": [...]}')  # noqa: TRY004 - the caller tells faults by ValueError
    return whole


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _key(jwk: Mapping[str, Any], *, eddsa_alias: bool) -> Key | None:
    """Give an access key; None for one that is meant for something else; ValueError where it must not be trusted."""
    algorithm = _ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv"))))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or not _is_for_signatures(jwk):
        return None
    try:
        material = SIGNING[algorithm].from_jwk(jwk)
    except ValueError:
        raise ValueError(f"the numbers of a key for {algorithm} are no key") from None
    name = thumbprint(material.members)
    if weak := material.faults():
        raise ValueError(f"key {name} is weak: {weak[0]}")
    if name in KNOWN_KEYS:
        raise ValueError(f"everybody has the private half of key {name}: it is printed in a standard or in a program")
    if jwk.get("kid", name) != name:  # our tokens name their keys by thumbprint, so nothing could ever ask for it
        return None
    return Key(
        id=name,
        purpose="access",
        algorithm=algorithm,
        created_at=_ALWAYS,
        signs_from=_ALWAYS,
        eddsa_alias=eddsa_alias,
        material=material,
    )


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    """Say whether a key is meant for verifying (RFC 7517 sections 4.2 and 4.3)."""
    operations = jwk.get("key_ops", ("verify",))
    return jwk.get("use", "sig") == "sig" and isinstance(operations, tuple) and "verify" in operations
