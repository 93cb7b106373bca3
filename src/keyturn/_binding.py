"""The binding cookie's value and the digest that rows and access tokens commit to.

The value never changes for the life of a session, so tabs that refresh side by side do not disturb each other.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from hmac import compare_digest
from typing import Final

#: 256 random bits; nothing about them can be guessed.
BINDING_BYTES: Final = 32
_CHARACTERS: Final = 43


def new_binding(random: bytes) -> str:
    """Give a binding cookie's 43 characters for 32 random bytes."""
    return urlsafe_b64encode(random).rstrip(b"=").decode("ascii")


def binding_digest(value: str) -> bytes:
    """Give the 32-byte digest of a binding cookie's characters as sent."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()


def presented_digest(value: str | None) -> bytes | None:
    """Give the digest of a presented binding, None for one that cannot be ours."""
    return None if value is None or len(value) != _CHARACTERS else binding_digest(value)


def proves(value: str | None, digest: bytes | None) -> bool:
    """Say whether a presented value proves a binding; where nothing is bound, nothing needs proof."""
    if digest is None:
        return True
    return value is not None and compare_digest(binding_digest(value), digest)


def claim_of(digest: bytes) -> str:
    """Give a binding digest as the ``bnd`` claim writes it."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
