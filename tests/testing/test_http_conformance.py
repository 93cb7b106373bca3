"""The HTTP suite itself: it fails where it should, and leaves nothing of the contract out."""

import json
import re
from importlib.resources import files

import pytest

from keyturn.http import replies
from keyturn.http.routes import ROUTES
from keyturn.messages import Cookie
from keyturn.starlette import Keyturn
from keyturn.testing import _http_promises, http_conformance
from keyturn.testing._http_reference import application
from keyturn.testing.http_conformance import HttpConformance, served_by_uvicorn

TRANSCRIPT = json.loads((files("keyturn.testing") / "http_transcript.json").read_text("utf-8"))
EXCHANGES = [one for scenario in TRANSCRIPT.values() for one in scenario]

#: Everything that protocol section 7 lists, and what OAuth's endpoints say.
CODES = {
    "token_missing", "token_expired", "token_stale", "token_invalid", "session_ended", "binding_mismatch", "insufficient_scope",
    "cross_site", "reauthentication_required", "rate_limited", "store_unavailable", "invalid_request", "invalid_scope",
    "invalid_credentials", "not_found", "method_not_allowed", "session_limit", "body_too_large", "unsupported_media_type",
    "misdirected_request",
}  # fmt: skip
OAUTH_ERRORS = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unsupported_grant_type",
    "temporarily_unavailable",
}


class Suite(HttpConformance):
    """The suite on Starlette, started by hand."""

    __test__ = False

    @classmethod
    def make_service(cls, **parts):
        return Keyturn(**parts)

    @classmethod
    def serve(cls, service):
        return served_by_uvicorn(application(service))


@pytest.fixture(scope="module")
def suite():
    Suite.setup_class()
    yield Suite()
    Suite.teardown_class()


def fails(suite, scenario):
    try:
        suite.test_every_answer_is_the_recorded_one(scenario)
    except AssertionError:
        return True
    return False


def test_it_passes_where_nothing_is_wrong(suite):
    assert not fails(suite, "sign_out")


def test_a_cookie_without_httponly_fails(suite, monkeypatch):
    plain = Cookie.render
    monkeypatch.setattr(Cookie, "render", lambda cookie: plain(cookie).replace("; HttpOnly", ""))
    assert fails(suite, "sign_out")


def test_another_word_in_a_body_fails(suite, monkeypatch):
    monkeypatch.setattr(replies, "_TITLES", {})
    assert fails(suite, "sign_in")


def test_a_missing_header_fails(suite, monkeypatch):
    monkeypatch.setattr(replies, "HARDENING", replies.HARDENING[1:])
    assert fails(suite, "public")


def test_another_entropy_fails(suite, monkeypatch):
    monkeypatch.setattr(http_conformance, "CountingEntropy", lambda name: lambda size: b"x" * size)
    assert fails(suite, "sign_in_again")


def test_an_application_that_sees_our_cookies_fails(suite, monkeypatch):
    monkeypatch.setattr("keyturn.messages._looks_like_ours", lambda name, lookalikes: False)
    assert fails(suite, "hidden_cookies")


@pytest.mark.parametrize("field", ["cache-control: no-store", "hardened: yes", "www-authenticate: Bearer x"])
def test_an_answer_that_lacks_what_all_must_have_fails_whatever_the_transcript_says(field):
    one = {
        "asked": "GET /auth/session", "status": 401, "body": "",
        "headers": ["cache-control: no-store", "hardened: yes", "www-authenticate: Bearer x"],
    }  # fmt: skip
    _http_promises.keep([one])
    one["headers"].remove(field)
    with pytest.raises(AssertionError):
        _http_promises.keep([one])


def test_every_route_is_asked_and_answered_well():
    asked = {
        (one["asked"].split(" ")[0], re.sub(r"/sessions/.+", "/sessions/", one["asked"].split(" ")[1]))
        for one in EXCHANGES
        if one["status"] < 300
    }
    assert {(method, "/auth" + route.path) for route in ROUTES for method in route.methods} <= asked


def test_every_code_is_answered_somewhere():
    bodies = [json.loads(one["body"]) for one in EXCHANGES if one["body"].startswith("{")]
    assert {body["code"] for body in bodies if "code" in body} == CODES
    assert {body["error"] for body in bodies if "error" in body} >= OAUTH_ERRORS


@pytest.mark.ids("ST-01")
def test_no_token_lies_in_the_transcript():
    assert not re.search(r"kt1\.[\w-]{20}|eyJ[\w-]{20}", json.dumps(TRANSCRIPT))


def test_the_transcript_is_what_the_command_writes(tmp_path, monkeypatch):
    target = tmp_path / "transcript.json"
    monkeypatch.setattr(http_conformance, "_TRANSCRIPT", target)
    http_conformance.record()
    assert json.loads(target.read_text("utf-8")) == TRANSCRIPT
