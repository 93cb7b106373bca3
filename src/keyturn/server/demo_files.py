"""The demonstration's page as it comes with the package: a handful of files, and what browsers may do with them."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files
from typing import Final

from .._client_files import is_held
from ..messages import Reply, Request

#: The page itself.
INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
}
#: A file's name and nothing else: no folder, no dot before the last.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\.([a-z]{2,4})")
#: Whatever the page shows comes from here, no text of it becomes code or markup, and nobody frames it. The one frame in
#: it is a stranger's page, which is of this server too.
POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = (
    # Kept, but asked for anew each time: another version of the package has other files under the same names.
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


def page_file(request: Request, name: str) -> Reply | None:
    """Give the answer for one of the page's files; None where there is no such file.

    Args:
        request: may say which version it has (``If-None-Match``, RFC 9110 section 13.1.2).
        name: the file's.
    """
    shape = _NAME.fullmatch(name)
    media_type = _TYPES.get(shape[1]) if shape else None
    found = files("keyturn.server") / "page" / name
    if media_type is None or not found.is_file():
        return None
    body = found.read_bytes()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = (("ETag", tag), *_HEADERS)
    if is_held(request.header_values(b"if-none-match"), tag):
        return Reply(status=304, headers=headers)
    return Reply(status=200, headers=(("Content-Type", media_type), *headers), body=body)
