"""Request bodies: bounded before they are read, strict when they are parsed, and no other type than asked for."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

from .._colour import resolve
from ..errors import RequestError
from ..messages import Request

#: Our largest body is a sign-in; 16 KiB leave room for a long password (security-checklist.md DS-01).
BODY_LIMIT: Final = 16 * 1024
#: Bytes of one text in a JSON body: longer passwords are refused, tokens are shorter.
TEXT_LIMIT: Final = 1024
_MAX_DEPTH: Final = 8
#: Of a form; ours have five.
MOST_FIELDS: Final = 32

T = TypeVar("T")


async def json_object(request: Request) -> dict[str, Any]:
    """Give a request's JSON object; an empty body is an empty object.

    Raises:
        RequestError: 400, 413 or 415.
    """
    body = await _read(request)
    if not body:
        return {}
    _require_type(request, "application/json")
    return _parse_object(body)


async def form(request: Request) -> dict[str, str]:
    """Give a request's form fields; a repeated field is an error, an empty one counts as absent (RFC 6749 3.2).

    Raises:
        RequestError: 400, 413 or 415.
    """
    body = await _read(request)
    _require_type(request, "application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise RequestError("The body is not a form.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise RequestError("A field occurs more than once.")
    return {name: _clean(value) for name, value in fields.items() if value}


async def _read(request: Request) -> bytes:
    declared = request.header(b"content-length")
    if declared is not None and declared.isdecimal() and int(declared[:20]) > BODY_LIMIT:
        raise _too_large()
    body = await resolve(request.read(BODY_LIMIT + 1))
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> RequestError:
    return RequestError(f"The body is larger than {BODY_LIMIT} bytes.", code="body_too_large", status=413)


def _require_type(request: Request, wanted: str) -> None:
    types = request.header_values(b"content-type")
    essence = types[0].partition(";")[0].strip(" \t").lower() if len(types) == 1 else ""
    if essence != wanted or request.header(b"content-encoding") not in (None, "identity"):
        raise RequestError(f"The body must be {wanted}.", code="unsupported_media_type", status=415)


def _parse_object(body: bytes) -> dict[str, Any]:
    if _depth(body) > _MAX_DEPTH:
        raise RequestError("The body is nested too deeply.")
    try:
        value = _decode(body.decode("utf-8"))
        if b"\\u" in body:  # nothing else can spell a lone surrogate, and that is no text
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise RequestError("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise RequestError("The body is not a JSON object.")
    return cast("dict[str, Any]", value)


def _depth(body: bytes) -> int:
    """Say how deep brackets may nest, before a parser may recurse; those in strings count, which only refuses more."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= _MAX_DEPTH:
        return opened
    depth = deepest = 0
    for byte in body:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("duplicate name")
    return value


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constants).decode


def text(body: Mapping[str, Any], name: str, *, limit: int = TEXT_LIMIT) -> str | None:
    """Give a text member; None where it is absent, null or empty.

    Raises:
        RequestError: it is no text, too long, or holds NUL.
    """
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RequestError(f"{name} must be a text.")
    if len(value.encode("utf-8", "surrogatepass")) > limit:
        raise RequestError(f"{name} is longer than {limit} bytes.")
    return _clean(value)


def flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Give a boolean member.

    Raises:
        RequestError: it is neither true nor false.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false.")
    return value


def _clean(value: str) -> str:
    if "\x00" in value:
        raise RequestError("A text must not hold the character NUL.")
    return value


def basic(header: str) -> tuple[str, str] | None:
    """Give user name and password of an ``Authorization: Basic`` field, UTF-8 (RFC 7617); None for another scheme.

    Raises:
        RequestError: it is malformed.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = b64decode(encoded.strip(" "), validate=True).decode("utf-8").partition(":")
    except ValueError:
        colon = name = password = ""
    if not colon:
        raise RequestError("The Authorization field is malformed.")
    return _clean(name), _clean(password)
