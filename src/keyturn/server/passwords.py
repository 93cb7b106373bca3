"""Password hashes by the standard library's scrypt (RFC 7914)."""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Final

SALT_BYTES: Final = 16
#: The smallest memory of OWASP's equally strong choices: 16 MiB and some 50 ms each, half of what Python allows unasked.
_COST: Final = {"n": 2**14, "r": 8, "p": 5}


def password_hash(password: str, salt: bytes) -> bytes:
    """Give what is kept of a password: the salt, then 64 bytes.

    Args:
        password: as it was typed.
        salt: 16 random bytes.
    """
    # HMAC, inside scrypt, takes zero bytes at the end of a key for none; with a last byte of ours they count.
    typed = password.encode("utf-8", "surrogatepass") + b"\x80"
    return salt + hashlib.scrypt(typed, salt=salt, dklen=64, **_COST)


def is_password(password: str, kept: bytes) -> bool:
    """Say whether a password is the one that `kept` was made of; takes as long for a wrong one."""
    return compare_digest(password_hash(password, kept[:SALT_BYTES]), kept)
