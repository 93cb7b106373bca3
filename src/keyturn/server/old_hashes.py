"""Passwords that were hashed otherwise: checked once more, then made anew with argon2id."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from hmac import compare_digest
from typing import Final

#: base64 without padding; one character more than a multiple of four is none.
_BASE64: Final = r"(?:[A-Za-z0-9+/]{4}){0,32}(?:[A-Za-z0-9+/]{2,3})?"
_SCRYPT: Final = re.compile(
    r"\$scrypt\$ln=(?P<ln>[0-9]{1,2}),r=(?P<r>[0-9]{1,2}),p=(?P<p>[0-9]{1,2})"
    rf"\$(?P<salt>{_BASE64})\$(?P<digest>{_BASE64})"
)
#: What is shorter was cut off, and would be anybody's.
_LEAST_DIGEST: Final = 16
#: The largest that are checked: 64 MiB, and a second or so.
_MOST_MEMORY: Final = 64 * 1024 * 1024
_MOST_LANES: Final = 16


def is_scrypt_password(kept: str, secret: bytes) -> bool:
    """Say whether some octets are the password of ``$scrypt$ln=14,r=8,p=5$salt$digest`` (RFC 7914).

    Args:
        kept: base64 without padding in its last two parts, as passlib and its successors write it.
        secret: the password's octets.
    """
    found = _SCRYPT.fullmatch(kept)
    if found is None:
        return False
    n, r, p = 2 ** int(found["ln"]), int(found["r"]), int(found["p"])
    if not (n > 1 and r > 0 and 0 < p <= _MOST_LANES and 128 * n * r <= _MOST_MEMORY):
        return False
    if len(found["digest"]) * 6 < _LEAST_DIGEST * 8:
        return False
    salt, digest = (b64decode(found[part] + "=" * (-len(found[part]) % 4)) for part in ("salt", "digest"))
    made = hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, dklen=len(digest), maxmem=2 * _MOST_MEMORY)
    return compare_digest(made, digest)
