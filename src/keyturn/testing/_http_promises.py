"""What holds for every single answer, whatever a transcript says: a wrong recording cannot make it right."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PUBLIC = ("jwks.json", "/.well-known/oauth-authorization-server")
_CLIENT = "client.js"


def keep(told: Sequence[Mapping[str, Any]]) -> None:
    """Fail on the first answer that breaks a promise."""
    for one in told:
        headers = dict(line.split(": ", 1) for line in one["headers"] if ": " in line)
        cookies = [line.partition(": ")[2] for line in one["headers"] if line.startswith("set-cookie:")]
        path = one["asked"].split(" ")[1]
        assert "www-authenticate" in headers or one["status"] != 401, one
        _cookies_have_every_attribute(cookies, one)
        if path.startswith(("/auth", "/.well-known")):
            _is_hardened(one, headers, path)
            _shows_no_cookie(one, cookies)


def _is_hardened(one: Mapping[str, Any], headers: Mapping[str, str], path: str) -> None:
    public = one["status"] == 200 and path.endswith(_PUBLIC)
    client = one["status"] in {200, 304} and path.endswith(_CLIENT)
    kept = "public, max-age=300" if public else "no-cache" if client else "no-store"
    assert headers.get("cache-control") == kept, one
    if "hardened" not in headers:  # strict transport security is left out where the issuer is http
        assert headers.get("x-content-type-options") == "nosniff", one
        assert headers.get("cross-origin-resource-policy") == "same-origin", one
    assert client or not 300 <= one["status"] < 400, one
    assert headers.get("access-control-allow-origin") != "*", one
    if one["body"] and not client:
        body = json.loads(one["body"])
        assert isinstance(body, dict), one
        if headers["content-type"] == "application/problem+json":
            assert body["status"] == one["status"], one


def _shows_no_cookie(one: Mapping[str, Any], cookies: Sequence[str]) -> None:
    values = [line.partition(";")[0].partition("=")[2] for line in cookies]
    assert not [value for value in values if value and value in one["body"]], one


def _cookies_have_every_attribute(cookies: Sequence[str], one: Mapping[str, Any]) -> None:
    for line in cookies:
        pair, *attributes = line.split("; ")
        assert re.fullmatch(r"(__Host-Http-)?kt_(refresh|bind|access)(_x)?=.*", pair), one
        assert attributes[0] == "Path=/", one
        assert "HttpOnly" in attributes, one
        assert any(part.startswith("SameSite=") for part in attributes), one
        assert ("Secure" in attributes) is pair.startswith("__Host-"), one
        assert not any(part.startswith(("Domain", "Expires")) for part in attributes), one
