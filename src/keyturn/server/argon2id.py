"""Argon2id, as PHC strings: what it costs, how one is made and checked. Pure but for the processor's time."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from argon2 import extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import ARGON2_VERSION, Type, hash_secret, verify_secret

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
#: Above these a hash is no password's but a broken row's, or an attempt to use up the memory.
_MOST_KIB: Final = 256 * 1024
_MOST_PASSES: Final = 16
#: At least 8 and 16 bytes in base64; what was cut off would cost nothing to check, or be anybody's.
_SALT_AND_DIGEST: Final = re.compile(r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one guess shall cost an attacker (RFC 9106).

    Args:
        memory: KiB.
        passes: over that memory.
        lanes: threads of one hash.
    """

    memory: int = 19 * 1024
    passes: int = 2
    lanes: int = 1


#: The least that OWASP recommends for argon2id, and all that a sign-in can afford that many people do at once.
COST: Final = Cost()


def made(secret: bytes, salt: bytes, cost: Cost) -> str:
    """Give the PHC string of some octets."""
    return hash_secret(secret, salt, cost.passes, cost.memory, cost.lanes, HASH_BYTES, Type.ID).decode("ascii")


def is_argon2_password(kept: str, secret: bytes) -> bool:
    """Say whether some octets are the password of a PHC string of Argon2."""
    try:
        return verify_secret(kept.encode("ascii"), secret, extract_parameters(kept).type)
    except Argon2Error:  # every other way to say no is a fault of ours
        return False


def is_sane(kept: str) -> bool:
    """Say whether a PHC string of Argon2 is whole, and what it costs what a password's may."""
    try:
        found = extract_parameters(kept)
    except (InvalidHashError, ValueError):
        return False
    cheap = kept.isascii() and found.memory_cost <= _MOST_KIB and found.time_cost <= _MOST_PASSES
    return cheap and _SALT_AND_DIGEST.search(kept) is not None


def prefix_of(cost: Cost) -> str:
    """Give how every PHC string of that cost begins."""
    return f"$argon2id$v={ARGON2_VERSION}$m={cost.memory},t={cost.passes},p={cost.lanes}$"


def nobodys_hash(cost: Cost, salt: bytes, digest: bytes) -> str:
    """Give a PHC string that is no password's: its digest was drawn."""
    return prefix_of(cost) + "$".join(b64encode(part).decode("ascii").rstrip("=") for part in (salt, digest))
