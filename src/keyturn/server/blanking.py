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
    r"[\w.-]*(?:passwor[dt]|passwd|pwd|secret|(?:refresh|access|id|reset|bearer)_?token|cookie|authorization"
    r"|api_?key|kt_(?:refresh|bind|access))"
)
_PATTERNS: Final = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), BLANK),
    (re.compile(r"kt\d\.[\w-]{4,}"), BLANK),
    # base64url of `{"`: a JWT, or what is left of one.
    (re.compile(r"eyJ[\w-]{4,}(?:\.[\w-]*)*"), BLANK),
    (re.compile(r"\b(Basic|Bearer)[ \t]+(?!realm=)[\w.~+/=-]{4,}", re.IGNORECASE), rf"\1 {BLANK}"),
    # A password hash in PHC form.
    (re.compile(r"\$(?:argon2\w*|scrypt|pbkdf2[\w-]*|2[abxy])\$[\w$=,+/.-]+"), BLANK),
    # The password in an address.
    (re.compile(r"(\w://[^/\s:@'\"]*:)[^/\s@]+@"), rf"\1{BLANK}@"),
    # A private key's numbers (RFC 7518 section 6).
    (re.compile(r"""(["'](?:d|p|q|dp|dq|qi|k)["']\s*:\s*)(["'])[\w+/=-]{8,}\2"""), rf"\1\2{BLANK}\2"),
    # A header field or a member with a telling name, in quotation marks: ('cookie', 'a=b') or "password": "…".
    (re.compile(rf"""(["']{_NAMES}["']\s*[,:=]\s*b?)(["'])(?:\\.|(?!\2)[^\\])*(?:\2|\Z)""", re.IGNORECASE), rf"\1\2{BLANK}\2"),
    (re.compile(r"\b((?:set-)?cookie|authorization)(\s*:\s*)[^\r\n]+", re.IGNORECASE), rf"\1\2{BLANK}"),
    # The same without: password=…, refresh_token=….
    (re.compile(rf"""\b({_NAMES}\s*=\s*)(?:"[^"]*"?|'[^']*'?|[^\s,;&}})'"]+)""", re.IGNORECASE), rf"\1{BLANK}"),
    # 32 random bytes as base64url: a binding cookie, a client's secret. Key ids in file names have a word before them.
    (re.compile(r"(?<![\w-])(?=[\w-]*[0-9_-])(?=[\w-]*[A-Z])[\w-]{43}(?![\w-])"), BLANK),
)  # fmt: skip


def blanked(text: str) -> str:
    """Give a text for a log: bounded, and without anything that looks like a secret."""
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + " [cut]"
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def visible(text: str) -> str:
    """Give a text in one line: control characters and line separators become escapes, so none can forge a line."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text
    )
