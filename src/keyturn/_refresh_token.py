"""The refresh token's bytes: sealed by us, told genuine or not before any I/O.

    kt1.<base64url of: key id (1) | session id (16) | generation (4) | seed (16) | tag (16)>

The seed is nowhere but in the token: neither the database, nor the refresh key, nor both can forge one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ._jws import base64url, canonical
from .errors import TokenInvalidError
from .session import session_id_bytes, session_id_text

#: Secret scanners and log filters find tokens by it (security-checklist.md RT-19).
PREFIX: Final = "kt1."
#: 128 random bits: what RFC 6749 section 10.10 and ASVS ask of a token that cannot be guessed.
SEED_BYTES: Final = 16
_TAG_BYTES: Final = 16
_LABEL: Final = b"keyturn refresh v1"
_BODY: Final = struct.Struct(f">B16sI{SEED_BYTES}s")
_LENGTH: Final = len(PREFIX) + -(-(_BODY.size + _TAG_BYTES) * 8 // 6)
_has_shape: Final = re.compile(rf"{re.escape(PREFIX)}[A-Za-z0-9_-]{{{_LENGTH - len(PREFIX)}}}").fullmatch


@dataclass(frozen=True, kw_only=True, slots=True)
class RefreshToken:
    """A refresh token's parts; a string on the wire, this value inside.

    Args:
        key_id: which refresh key sealed it, one byte.
        session_id: 22 characters.
        generation: which turn of the key it is good for.
        seed: 16 random bytes, the same for the session's whole life.
    """

    key_id: int
    session_id: str
    generation: int
    seed: bytes = field(repr=False)


class UnknownKeyIdError(TokenInvalidError):
    """The token names a refresh key that this ring does not hold; reading the ring again may help."""


def seed_digest(seed: bytes) -> bytes:
    """Give what the store keeps of a seed: its SHA-256, 32 bytes."""
    return hashlib.sha256(seed).digest()


def derive(secret: bytes, realm: str) -> bytes:
    """Derive a realm's sealing key from a refresh key: 32 bytes by HKDF-SHA-256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_LABEL + b" " + realm.encode()).derive(secret)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seals:
    """A realm's sealing keys, ready for use.

    Args:
        current: the id of the key that seals.
        keys: every key id whose seals are good -> 32 bytes from `derive`.
    """

    current: int
    keys: Mapping[int, bytes] = field(repr=False)

    def seal(self, session_id: str, generation: int, seed: bytes) -> str:
        """Give the token of a session's generation, sealed by the newest key.

        Args:
            session_id: 22 characters.
            generation: 0 to 2**32 - 1.
            seed: the session's 16 bytes.
        """
        raw_id = session_id_bytes(session_id)
        if raw_id is None:
            raise ValueError("not a session id")
        body = _BODY.pack(self.current, raw_id, generation, seed)
        token = body + _tag(self.keys[self.current], body)
        return PREFIX + base64url(token).decode("ascii")

    def open(self, text: str) -> RefreshToken:
        """Give the parts of a genuine token. No I/O, constant time in the tag.

        Raises:
            UnknownKeyIdError: the key it names is not in this ring.
            TokenInvalidError: it is not genuine, or of another realm.
        """
        # 1. length and alphabet
        if not _has_shape(text):
            raise TokenInvalidError(cause="refresh token: shape")
        # 2. canonical: two spellings of one token would be two names for one thing
        raw = canonical(text[len(PREFIX) :].encode("ascii"))
        if raw is None:
            raise TokenInvalidError(cause="refresh token: not canonical")
        body, tag = raw[: _BODY.size], raw[_BODY.size :]
        # 3. key id
        key = self.keys.get(raw[0])
        if key is None:
            raise UnknownKeyIdError(cause="refresh token: unknown key id")
        # 4. tag
        if not hmac.compare_digest(tag, _tag(key, body)):
            raise TokenInvalidError(cause="refresh token: tag")
        key_id, raw_id, generation, seed = _BODY.unpack(body)
        return RefreshToken(key_id=key_id, session_id=session_id_text(raw_id), generation=generation, seed=seed)


def _tag(key: bytes, body: bytes) -> bytes:
    # Not hmac.digest: it lets go of the interpreter's lock, and to get it back from a store's busy thread takes longer
    # than the whole of this function.
    return hmac.new(key, _LABEL + body, "sha256").digest()[:_TAG_BYTES]
