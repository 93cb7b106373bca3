"""There are no CSRF tokens: no route takes or gives one, for the rule about origins stands in their place."""

import json
from importlib.resources import files

import pytest

from keyturn import CookieSettings, Settings
from keyturn._openapi import operation
from keyturn.http.forgery import CORS_ARGUMENTS
from keyturn.http.routes import ROUTES
from keyturn.settings import SETTING_NAMES

#: What such things are called, here and elsewhere.
WORDS = ("csrf", "xsrf", "authenticity", "nonce", "antiforgery")


def mentioned(text: str) -> list[str]:
    return [word for word in WORDS if word in text.lower()]


@pytest.mark.ids("XS-11")
def test_no_route_takes_or_gives_a_csrf_token() -> None:
    settings = Settings(issuer="https://id.example.org", cookie=CookieSettings(access_in_cookie=True), docs_login=True)
    described = [
        json.dumps(operation(route.path, method, settings), default=str)
        for route in ROUTES
        for method in route.methods
        if not route.hidden
    ]
    assert len(described) > 10
    assert [text for text in described if mentioned(text)] == []
    # Every answer to every request of the suite that all frameworks play, word for word.
    recorded = (files("keyturn.testing") / "http_transcript.json").read_text()
    assert "set-cookie" in recorded
    assert mentioned(recorded) == []
    assert mentioned(" ".join(settings.cookie_names)) == []
    assert mentioned(" ".join(CORS_ARGUMENTS["allow_headers"])) == []
    assert mentioned(" ".join(SETTING_NAMES)) == []
