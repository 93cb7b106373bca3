"""What of a URL matters here: whose it is, and whether it can only be this machine."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: What a browser writes into ``Origin``: letters, digits, dots, dashes; other scripts as punycode. No wildcard.
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
#: RFC 3986: no white space, no control character (`urlsplit` would silently drop some), nothing beyond ASCII.
_URL: Final = re.compile(r"[!-~]+")


def split_url(url: str) -> SplitResult | None:
    """Give the parts of an http or https URL whose host is written out, None for any other text."""
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        return None
    return parts


def is_loopback(hostname: str | None) -> bool:
    """Say whether a host name, without port or brackets, can only be this machine."""
    return hostname is not None and (hostname in _LOOPBACK or hostname.endswith(".localhost"))


def origin_of(url: str) -> str:
    """Give a URL's origin as browsers write it: lower case, default ports left out (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
