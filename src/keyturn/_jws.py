"""The outside of a token (RFC 7515): base64url in its one spelling, and the headers that our keys issue."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .keys import Key

#: What base64url does not have becomes what base64 does not have either; padding too, which RFC 7515 leaves out.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", b"===", b"==", b"=")
#: The last characters that leave no bit over, by the length of the text modulo 4; one over is no length of a text.
_LAST: Final[tuple[frozenset[int] | None, ...]] = (
    None,
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)

#: What one of our headers looks like, whichever key it names. Only `looks_issued` asks.
_HEADER: Final = re.compile(rb'\{"alg":"(?:ES256|Ed25519|EdDSA|RS256)","kid":"[A-Za-z0-9_-]{43}","typ":"at\+jwt"\}')
#: Longer than any header that matches.
_HEADER_SEGMENT: Final = 128


def header_segments(keys: Iterable[Key]) -> dict[bytes, Key]:
    """Give the first segments of all tokens that these keys issue, each with its key."""
    return {header_segment(algorithm, key.id): key for key in keys for algorithm in key.header_algorithms}


@lru_cache(maxsize=64)  # a pure function of public words, asked for at every signature
def header_segment(algorithm: str, key_id: str) -> bytes:
    """Give the first segment of a token: the one spelling that we issue and accept (RFC 9068 section 2.1)."""
    header = f'{{"alg":"{algorithm}","kid":"{key_id}","typ":"at+jwt"}}'
    return base64url(header.encode("ascii"))


def looks_issued(token: str) -> bool:
    """Say whether a token's header could be one of ours under a key that is not known here.

    Good only for deciding to look at the key ring again; anybody can write such a header.
    """
    segment = token[: _HEADER_SEGMENT + 1].partition(".")[0]
    raw = canonical(segment.encode("ascii", "replace"))
    return raw is not None and _HEADER.fullmatch(raw) is not None


def base64url(raw: bytes) -> bytes:
    """Encode without padding (RFC 7515 section 2)."""
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL)


def canonical(segment: bytes) -> bytes | None:
    """Decode base64url; None for anything that encoding the result again would not give (RFC 4648 section 3.5)."""
    over = len(segment) % 4
    last = _LAST[over]
    if last is not None and segment[-1] not in last:
        return None
    try:
        return a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[over], strict_mode=True)
    except ValueError:
        return None
