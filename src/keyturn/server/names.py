"""User names and e-mail addresses as they are compared: `key_of`, a pure function, and nothing else decides it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from ..errors import RequestError

#: Characters of a user name; more is a mistake, and an index must hold it.
MAX_NAME: Final = 128
#: Octets of an address (RFC 5321 section 4.5.3.1.3, without the angle brackets), and of the part before the ``@``.
MAX_EMAIL: Final = 254
_MAX_LOCAL: Final = 64
#: Every subject begins so, and no user name does: neither can be taken for the other on a command line.
SUBJECT_PREFIX: Final = "usr_"
#: Marks and letters that leave no ink, and so make two names of one that is read: joiners, fillers, variation selectors.
_INKLESS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_DOMAIN: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


class AccountError(RequestError):
    """An account cannot be as it was asked for; nothing was changed.

    Args:
        faults: every fault that was found, a sentence each; none repeats a password.
        code: a stable code.
    """

    default_code = "account_refused"

    def __init__(self, faults: Iterable[str], *, code: str | None = None) -> None:
        self.faults = tuple(faults)
        super().__init__(" ".join(self.faults), code=code)


def key_of(text: str) -> str:
    """Give the canonical form of a user name or an e-mail address: two that are the same to people are the same here.

    Compatibility forms and case are folded (NFKC, casefold), blanks around it go. What has an ``@`` is an e-mail
    address and has the form that `email_key_of` gives.

    Args:
        text: as it was typed.

    Raises:
        AccountError: it is no user name and no address.
    """
    folded = _folded(text)
    return _email_key(folded) if "@" in folded else _name_key(folded)


def email_key_of(text: str) -> str:
    """Give the canonical form of an e-mail address: folded whole, and its domain in ASCII (RFC 5890).

    The part before the ``@`` is folded too, though RFC 5321 lets its host tell cases apart: none is known that does,
    and two accounts whose addresses differ in case alone are one person, or one who poses as another.

    Raises:
        AccountError: it is no address.
    """
    return _email_key(_folded(text))


def _folded(text: str) -> str:
    if len(text) > MAX_EMAIL:  # before any work on it
        raise AccountError([f"A name or an address has at most {MAX_EMAIL} characters."])
    folded = text.strip()
    for _ in range(4):  # folding may undo what normalising did; no text needs more than three rounds
        folded = unicodedata.normalize("NFKC", folded.casefold()).strip()
    return folded


def _name_key(folded: str) -> str:
    faults: list[str] = []
    if not 1 <= len(folded) <= MAX_NAME:
        faults.append(f"A user name has 1 to {MAX_NAME} characters.")
    if not _is_visible(folded):
        faults.append("A user name has no blanks and no invisible characters.")
    if ":" in folded:
        faults.append('A user name has no ":": HTTP Basic ends it there (RFC 7617 section 2).')
    if folded.startswith(("-", SUBJECT_PREFIX)):
        faults.append(f'A user name does not begin with "-" or "{SUBJECT_PREFIX}".')
    if faults:
        raise AccountError(faults)
    return folded


def _email_key(folded: str) -> str:
    local, _, domain = folded.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_domain = ""
    key = f"{local}@{ascii_domain}"
    is_local = 1 <= len(local.encode("utf-8", "replace")) <= _MAX_LOCAL and "@" not in local and _is_visible(local)
    if not (is_local and ":" not in local and _DOMAIN.fullmatch(ascii_domain) and len(key.encode()) <= MAX_EMAIL):
        raise AccountError(["This is no e-mail address: write it as name@example.org."])
    return key


def _is_visible(text: str) -> bool:
    """Say whether every character leaves ink: no controls, formats, surrogates, unknown ones, blanks."""
    return not any(unicodedata.category(character)[0] in "CZ" for character in text) and not _INKLESS.search(text)
