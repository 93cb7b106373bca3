"""What our documentation pages say of our routes is what our routes do."""

import json
from importlib.resources import files

import pytest

from keyturn import _openapi
from keyturn.http.routes import ROUTES
from tests.support.front import settings_with

SHOWN = [(route, method) for route in ROUTES if not route.hidden for method in route.methods]


def told() -> dict[tuple[str, str], _openapi.Operation]:
    settings = settings_with()
    return {
        (f"/auth{_openapi.path(route.path)}", method): _openapi.operation(route.path, method, settings)
        for route, method in SHOWN
    }


def answers():
    """What the routes answered when the conformance suite was recorded: method, path, status and body."""
    transcript = json.loads((files("keyturn.testing") / "http_transcript.json").read_text("utf-8"))
    for exchange in (one for scenario in transcript.values() for one in scenario):
        method, path = exchange["asked"].split(" ")[:2]
        path = path.partition("?")[0]
        path = "/auth/sessions/{id}" if path.startswith("/auth/sessions/") else path
        yield method, path, exchange


@pytest.mark.ids("HT-03", "HT-04")
def test_every_code_of_the_recorded_answers_is_told():
    operations, missing, seen = told(), set(), 0
    for method, path, exchange in answers():
        operation = operations.get((path, method))
        if operation is None or exchange["status"] in {200, 204, 405, 421}:
            continue
        body = json.loads(exchange["body"])
        ((_, media),) = operation.responses[exchange["status"]]["content"].items()
        name = "error" if "error" in body else "code"
        codes = media["schema"]["properties"].get(name, {}).get("enum", ())
        seen += 1
        if body[name] not in codes:
            missing.add((method, path, exchange["status"], body[name]))
    assert missing == set()
    assert seen > 50


def test_the_routes_that_refuse_as_oauth_does_are_told_so():
    settings = settings_with()
    for route, method in SHOWN:
        refusal = _openapi.operation(route.path, method, settings).responses.get(400)
        if refusal is not None:
            assert (list(refusal["content"]) == ["application/json"]) == route.oauth, route.path


def test_an_access_token_is_promised_where_bodies_carry_it():
    with_token = _openapi.operation("/login", "POST", settings_with())
    assert "access_token" in with_token.responses[200]["content"]["application/json"]["schema"]["required"]
