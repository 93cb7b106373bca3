"""Which passwords are taken: long enough, not too long, and not what everybody tries first. No rules of composition."""

from __future__ import annotations

import gzip
import unicodedata
from collections.abc import Callable, Collection, Iterable
from functools import cache
from importlib.resources import files
from typing import Final

#: ASVS 6.2.1 and NIST SP 800-63B: characters, whatever they are.
MIN_CHARACTERS: Final = 8
#: UTF-8 octets as received: far above every passphrase, and what a login request may carry.
MAX_BYTES: Final = 1024
_FILE: Final = "common_passwords.txt.gz"


def normalised(password: str) -> bytes:
    """Give the octets that are hashed: NFKC, then UTF-8 (NIST SP 800-63B section 3.1.1.2).

    So a password is the same from every keyboard: an accent typed as one character or two, a wide digit or a narrow
    one. Nothing is cut off, and no blank is removed.
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def is_too_long(password: str) -> bool:
    """Say whether a password has more than `MAX_BYTES` octets, as it was received."""
    return len(password) > MAX_BYTES or len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES


def password_faults(
    password: str, own: Iterable[str] = (), common: Callable[[], Collection[str]] | None = None
) -> list[str]:
    """Say why a password is not taken, a sentence each that does not repeat it; empty where it is.

    Args:
        password: as it was typed.
        own: what is known of the account, and the server's own name: the first that a guesser would try.
        common: gives the refused passwords, folded; `common_passwords` where left out.
    """
    if is_too_long(password):
        return [f"The password has more than {MAX_BYTES} bytes."]
    if not _is_text(password):
        return ["The password has characters in it that cannot be typed everywhere."]
    if min(len(password), len(unicodedata.normalize("NFKC", password))) < MIN_CHARACTERS:
        return [f"The password has fewer than {MIN_CHARACTERS} characters."]
    folded = _folded(password)
    if folded in {_folded(text) for text in own}:
        return ["The password is the account's own name or address, or this server's."]
    if folded in (common or common_passwords)():
        return ["The password is one of those that everybody tries first."]
    return []


def _is_text(password: str) -> bool:
    return "\x00" not in password and not any("\ud800" <= character <= "\udfff" for character in password)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


@cache  # read when the first password is set, and never by a server where none is
def common_passwords() -> frozenset[str]:
    """Give the passwords of at least eight characters that are used most, folded."""
    packed = files("keyturn.server").joinpath(_FILE).read_bytes()
    return frozenset(gzip.decompress(packed).decode("utf-8").split("\n")) - {""}
