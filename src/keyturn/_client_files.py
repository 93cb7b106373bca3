"""The browser client, as it lies in the package, and which form of it a caller gets: pure functions decide.

It is read once, when somebody first asks, by importlib.resources: a package in a zip has it too.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: A member of Accept-Encoding with its weight (RFC 9110 sections 12.4.2 and 12.5.3); others weigh nothing.
_CODING: Final = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")
#: 96 bits: nobody else writes our client, so that no two of them meet by chance is enough.
_TAG_LENGTH: Final = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One representation of the client.

    Args:
        body: the exact octets.
        etag: the strong entity tag, with its quotes; no two forms have the same one (RFC 9110 section 8.8.3.3).
        coding: the content coding, empty for none.
    """

    body: bytes = field(repr=False)
    etag: str
    coding: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientFile:
    """The client in both of its forms."""

    plain: Form
    gzipped: Form

    def chosen(self, accept_encoding: Iterable[str]) -> Form:
        """Give the form for a caller with these ``Accept-Encoding`` fields."""
        return self.gzipped if accepts_gzip(accept_encoding) else self.plain


def accepts_gzip(fields: Iterable[str]) -> bool:
    """Say whether a caller with these ``Accept-Encoding`` fields takes gzip (RFC 9110 section 12.5.3)."""
    members = (_CODING.fullmatch(part.strip(" \t").lower()) for part in ",".join(fields).split(","))
    weights = {member[1]: float(member[2] or "1") for member in members if member}
    named = weights.get("gzip", weights.get("x-gzip"))
    return (weights.get("*", 0.0) if named is None else named) > 0


def is_held(fields: Iterable[str], etag: str) -> bool:
    """Say whether a caller with these ``If-None-Match`` fields holds the form of that tag.

    The comparison is the weak one (RFC 9110 section 13.1.2): a proxy that compresses on its way weakens our tag.
    """
    text = ",".join(fields)
    return text.strip(" \t") == "*" or etag in text  # with its quotes: the whole tag, weak or strong


@cache
def shipped() -> ClientFile | None:
    """Give the client as this package has it; None where somebody left it out."""
    from importlib.resources import files  # slow to import, and most processes never serve the client

    return read(files("keyturn") / "client" / "client.js")


def read(path: Traversable) -> ClientFile | None:
    """Give the file at a path; None where there is none."""
    if not path.is_file():
        return None
    body = path.read_bytes()
    tag = sha256(body).hexdigest()[:_TAG_LENGTH]
    gzipped = gzip.compress(body, mtime=0)  # no time in it: workers and restarts give the same octets
    return ClientFile(
        plain=Form(body=body, etag=f'"{tag}"'), gzipped=Form(body=gzipped, etag=f'"{tag}-gzip"', coding="gzip")
    )
