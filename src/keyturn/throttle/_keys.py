"""What attempts are counted under: user names and addresses in one spelling, and as digests only."""

from __future__ import annotations

import re
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

    Databases compare names in ways of their own: without case, accents, strokes or blanks, with the figures of all
    scripts for one ("user٤٢" is "user42" to most of MariaDB's and MySQL's collations). Whatever may be the same Latin
    letters and figures to one of them is the same here; else a guesser would have a count for each spelling. Two users
    who share a spelling share a count, which costs them nothing but room. Browsers are known by the name as it is typed.
    """
    taken_apart = unicodedata.normalize("NFKD", username[:_MOST])[:_MOST]  # a character may be eighteen
    # Folding may compose again what was taken apart, so it is taken apart once more.
    folded = unicodedata.normalize("NFKD", "".join(map(_plain, taken_apart)).casefold())
    return _ESSES.sub("s", "".join(map(_plain, folded)))


#: A sharp s is one s to some collations and two to others.
_ESSES: Final = re.compile("s+")
_FIGURES: Final = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
#: "LATIN SMALL LETTER O WITH STROKE" is an o to a collation, "COMBINING LATIN SMALL LETTER A" an a.
_LATIN: Final = re.compile(
    r"LATIN (?:SMALL |CAPITAL )?(?:LETTER|LIGATURE) (?:SMALL CAPITAL )?"
    r"(?:DOTLESS |INSULAR |LONG |MIDDLE-WELSH |FLATTENED OPEN |FLATTENED )?([A-Z]{1,2})(?: |$)"
)
#: Characters whose names do not say what they are compared as, and some that collations pass over.
_ODD: Final = {
    "\u00f0": "d", "\u00d0": "d", "\u1dd9": "d", "\u00df": "s", "\u1e9e": "s", "\u018d": "zw", "\u01be": "ts",
    **dict.fromkeys("\u00b7\u0640\u06de\u07fa\u0824\u0828\u180a\u1cd3\u1cf2\u1cf3\ufe73", ""),
}  # fmt: skip
#: Older collations have one weight for all characters beyond the basic plane.
_BEYOND: Final = "\ufffd"


def _plain(character: str) -> str:
    """Give a character without what collations look past; nothing for marks, blanks and controls."""
    if "!" <= character <= "~":
        return character
    if (odd := _ODD.get(character)) is not None:
        return odd
    kind, name = unicodedata.category(character)[0], unicodedata.name(character, "")
    if kind == "N":
        return _figure(character, name)
    if latin := _LATIN.search(name):
        return latin[1].lower()
    if kind in "MZC":
        return ""
    return character if character < "\U00010000" else _BEYOND


def _figure(character: str, name: str) -> str:
    value = float(unicodedata.numeric(character, -1))
    if value >= 0 and value.is_integer():
        return str(int(value))
    found = (str(_FIGURES.index(word)) for word in name.split() if word in _FIGURES)
    return next(found, character)


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
