"""What attempts are counted under: user names and addresses in one spelling, and as digests only."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

#: Bytes of a digest: nobody finds two names with one digest in 2**64 tries.
DIGEST: Final = 16
#: A name is counted by so many characters of it; what is longer is no name.
_MOST: Final = 1024
#: What one line's provider hands to one customer at least; a single address of it costs an attacker nothing.
_NETWORK: Final = 64


def digest(secret: bytes, *parts: str) -> bytes:
    """Give the digest of some texts, keyed with a secret; no two lists of texts share one.

    Args:
        secret: at most 64 bytes; it may be empty.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST, key=secret).digest()


def one_spelling(username: str) -> str:
    """Give the one spelling under which a user name is counted.

    Databases compare names in ways of their own (without case, accents, or blanks at the end). Whatever may be the same
    user to one of them is the same user here; else a guesser would have a count for each spelling. Two users who
    share a spelling share a count, which costs them nothing but room. Browsers are known by the name as it is typed.
    """
    decomposed = unicodedata.normalize("NFKD", username[:_MOST]).casefold()
    # Folding may compose again what was taken apart, so it is taken apart once more.
    return "".join(c for c in unicodedata.normalize("NFKD", decomposed) if unicodedata.category(c)[0] not in "MZC")


@lru_cache(maxsize=1024)  # an address asks often or never
def network(address: str) -> str:
    """Give what an address is counted as: itself, or of IPv6 its /64 network; what is no address as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if isinstance(parsed, IPv4Address) or mapped is not None:
        return str(mapped or parsed)
    return str(IPv6Address(int(parsed) >> _NETWORK << _NETWORK)) + f"/{_NETWORK}"
