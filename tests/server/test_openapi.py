"""The stand-alone server's OpenAPI document, for any settings."""

import pytest
from fastapi.openapi.models import OpenAPI

from keyturn.server.openapi import document
from keyturn.settings import CookieSettings
from tests.support.front import settings_with

METADATA = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("changes", [{}, {"realm": "staff"}, {"prefix": "/api/session"},
                                     {"issuer": "https://id.example.org/tenant"}])  # fmt: skip
def test_the_document_is_valid_whatever_the_settings(changes):
    told = document(settings_with(**changes))
    OpenAPI.model_validate(told)
    operations = [one for path in told["paths"].values() for method, one in path.items() if method != "servers"]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names) == 21
    used = {name for one in operations for needed in one.get("security", ()) for name in needed}
    assert used == set(told["components"]["securitySchemes"])


def test_metrics_are_told_where_they_are_answered_only():
    assert "/metrics" in document(settings_with())["paths"]
    assert "/metrics" not in document(settings_with(), with_metrics=False)["paths"]


def test_the_refresh_cookie_is_told_by_its_name():
    schemes = document(settings_with(realm="staff"))["components"]["securitySchemes"]
    assert schemes["RefreshCookie"]["name"] == settings_with(realm="staff").refresh_cookie


@pytest.mark.ids("OA-05")
def test_the_metadata_of_an_issuer_with_a_path_is_told_where_it_is():
    told = document(settings_with(issuer="https://id.example.org/tenant/"))
    assert told["servers"] == [{"url": "https://id.example.org/tenant"}]
    assert told["paths"][f"{METADATA}/tenant"]["servers"] == [{"url": "https://id.example.org"}]
    assert "servers" not in document(settings_with())["paths"][METADATA]


def test_a_good_answer_carries_an_access_token_unless_a_cookie_does():
    def required(**changes):
        told = document(settings_with(**changes))["paths"]["/auth/login"]["post"]
        return told["responses"]["200"]["content"]["application/json"]["schema"]["required"]

    assert "access_token" in required()
    assert "access_token" not in required(cookie=CookieSettings(access_in_cookie=True))
