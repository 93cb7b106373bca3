"""The last line of defence of a log: whatever looks like a secret is blanked, whoever wrote it there.

What Keyturn logs holds none by construction. Other libraries, and exceptions, may repeat what they were given.
"""

from __future__ import annotations

import re
from typing import Final

#: What stands in the place of a secret.
BLANK: Final = "***"
#: A line of a log that is longer helps nobody, and looking through it takes time.
MOST_CHARACTERS: Final = 16_384

_NAMES: Final = (
    r"(?:passwor[dt]|passwd|pwd|secret|(?:refresh|access|id|reset|bearer)_?token|cookie|authorization|api_?key"
    r"|kt_(?:refresh|bind|access))(?:_hash|_digest)?"
)
_NEAR_NAMES: Final = ("passw", "pwd", "secret", "token", "cookie", "authorization", "key", "kt_")
#: What a text in lower case must hold for a pattern to be tried (searching for a word costs next to nothing), the
#: pattern, and what is written instead.
_PATTERNS: Final = (
    (("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", BLANK),
    (("kt",), r"kt(?:reset)?\d\.[\w-]{4,}", BLANK),
    # base64url of `{"`: a JWT, or what is left of one.
    (("eyj",), r"eyJ[\w-]{4,}(?:\.[\w-]*)*", BLANK),
    (("basic", "bearer"), r"\b([Bb][Aa][Ss][Ii][Cc]|[Bb][Ee][Aa][Rr][Ee][Rr])[ \t]+(?!realm=)[\w.~+/=-]{4,}", rf"\1 {BLANK}"),
    # A password hash in PHC form.
    (("$",), r"\$(?:argon2\w*|scrypt|pbkdf2[\w-]*|2[abxy])\$[\w$=,+/.-]+", BLANK),
    # The password in an address.
    (("://",), r"(\w://[^/\s:@'\"]*:)[^/\s@]+@", rf"\1{BLANK}@"),
    # A private key's numbers (RFC 7518 section 6).
    (("'", '"'), r"""(["'](?:d|p|q|dp|dq|qi|k)["']\s*:\s*)(["'])[\w+/=-]{8,}\2""", rf"\1\2{BLANK}\2"),
    # A header field or a member with a telling name, in quotation marks: ('cookie', 'a=b') or "password": "…".
    (
        _NEAR_NAMES,
        rf"""(?i:(["'][\w.-]{{0,40}}{_NAMES}["']\s*[,:=]\s*b?))(["'])(?:\\.|(?!\2)[^\\])*(?:\2|\Z)""",
        rf"\1\2{BLANK}\2",
    ),
    (("cookie", "authorization"), r"(?i:\b((?:set-)?cookie|authorization))(\s*:\s*)[^\r\n]+", rf"\1\2{BLANK}"),
    # The same without: password=…, refresh_token=….
    (
        _NEAR_NAMES,
        rf"""(?i:({_NAMES}\s{{0,4}}=\s{{0,4}}))(?:"[^"]*"?|'[^']*'?|[^\s,;&}})'"]+)""",
        rf"\1{BLANK}",
    ),
)  # fmt: skip
_COMPILED: Final = tuple((needles, re.compile(pattern, re.DOTALL), instead) for needles, pattern, instead in _PATTERNS)
#: 32 random bytes as base64url: a binding cookie, a client's secret. Key ids in file names have a word before them.
_RANDOM: Final = re.compile(r"(?<![\w-])(?=[\w-]*[0-9_-])(?=[\w-]*[A-Z])[\w-]{43}(?![\w-])")
_RANDOM_CHARACTERS: Final = 43


#: None of the patterns can match a short text without one of these: most values in a log are such.
_ANY_SIGN: Final = re.compile(r"[=:\"'$\s]|kt|eyJ")


def blanked(text: str) -> str:
    """Give a text for a log: bounded, and without anything that looks like a secret."""
    if len(text) < _RANDOM_CHARACTERS and _ANY_SIGN.search(text) is None:
        return text
    return _searched(text)


def _searched(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + " [cut]"
    lower = text.lower()
    for needles, pattern, instead in _COMPILED:
        for needle in needles:  # written out: `any` takes three times as long
            if needle in lower:
                text = pattern.sub(instead, text)
                break
    return _RANDOM.sub(BLANK, text) if len(text) >= _RANDOM_CHARACTERS else text


def visible(text: str) -> str:
    """Give a text in one line: control characters and line separators become escapes, so none can forge a line."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text
    )
