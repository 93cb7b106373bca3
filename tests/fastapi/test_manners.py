"""How Keyturn behaves inside a FastAPI application: guards as dependencies, and our routes on its page."""

import json
from importlib.resources import files
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.openapi.models import OpenAPI

from keyturn import Claims
from keyturn.fastapi import Keyturn
from keyturn.http.routes import ROUTES
from keyturn.settings import Settings
from keyturn.testing import a_claims
from keyturn.testing.entropy import CountingEntropy
from tests.support.front import PASSWORD, REFRESH, BrokenStore, settings_with
from tests.support.site import a_site, bearer, sign_in, visitor


def a_shop(settings=None, **more):
    site = a_site(settings, kind=Keyturn, **more)
    auth = site.service
    app = FastAPI()

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.required)]):
        return {"subject": claims.subject}

    @app.get("/maybe")
    def maybe(claims: Annotated[Claims | None, Depends(auth.optional)]):
        return {"subject": claims and claims.subject}

    @app.get("/write")
    async def write(claims: Annotated[Claims, Security(auth.required, scopes=["write"])]):
        return {"subject": claims.subject}

    @app.get("/delete")
    async def delete(claims: Annotated[Claims, Security(auth.require("write"), scopes=["delete"])]):
        return {"subject": claims.subject}

    @app.get("/fresh")
    async def fresh(claims: Annotated[Claims, Depends(auth.fresh(minutes=1))]):
        return {"subject": claims.subject}

    @app.websocket("/ws")
    async def socket(websocket: WebSocket, claims: Annotated[Claims, Depends(auth.required)]):
        await websocket.accept()
        await websocket.send_text(claims.subject)
        await websocket.close()

    auth.install(app)
    return site, app


# --- guards --------------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-01", "HT-02")
@pytest.mark.parametrize("colour", ["both", "sync"])
def test_guards_are_dependencies(colour):
    site, app = a_shop(store=BrokenStore(colour=colour))
    client = visitor(app)
    headers = sign_in(client)
    assert client.get("/me", headers=headers).json() == {"subject": "u-alice"}
    assert client.get("/me").json()["code"] == "token_missing"
    assert client.get("/maybe", headers=headers).json() == {"subject": "u-alice"}
    assert client.get("/maybe").json() == {"subject": None}
    assert client.get("/write", headers=headers).status_code == 200
    refused = client.get("/delete", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="delete write"' in refused.headers["www-authenticate"]
    site.advance(61)
    assert client.get("/fresh", headers=headers).json()["code"] == "reauthentication_required"
    client.post("/auth/logout")
    assert client.get("/me", headers=headers).status_code == 401


def test_a_refusal_has_the_content_type_of_a_problem():
    _, app = a_shop()
    answer = visitor(app).get("/me")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


def test_scopes_of_a_router_and_of_a_route_add_up():
    site = a_site(kind=Keyturn)
    auth = site.service
    router = APIRouter(dependencies=[Security(auth.required, scopes=["read"])])

    @router.get("/both")
    async def both(claims: Annotated[Claims, Security(auth.required, scopes=["write"])]):
        return sorted(claims.scope)

    app = FastAPI()
    app.include_router(router)
    auth.install(app)
    client = visitor(app)
    assert client.get("/both", headers=sign_in(client)).json() == ["read", "write"]
    assert client.get("/both", headers=sign_in(client, scope="write")).status_code == 403


def test_a_guard_can_be_overridden_as_any_dependency():
    site, app = a_shop()
    app.dependency_overrides[site.service.required] = lambda: a_claims(subject="somebody")
    client = visitor(app)
    assert client.get("/me").json() == {"subject": "somebody"}
    assert client.get("/write").json() == {"subject": "somebody"}
    assert client.get("/fresh").status_code == 401
    app.dependency_overrides.clear()
    assert client.get("/me").status_code == 401


def test_a_guard_is_asked_once_a_request_however_often_it_is_named():
    site = a_site(kind=Keyturn)
    auth = site.service
    asked = []
    plain = auth.check_connection

    async def counting(conn, need):
        asked.append(need)
        return await plain(conn, need)

    auth.check_connection = counting

    async def current(claims: Annotated[Claims, Depends(auth.required)]):
        return claims.subject

    app = FastAPI()

    @app.get("/twice")
    async def twice(claims: Annotated[Claims, Depends(auth.required)], subject: Annotated[str, Depends(current)]):
        return subject == claims.subject

    auth.install(app)
    client = visitor(app)
    assert client.get("/twice", headers=sign_in(client)).json() is True
    assert len(asked) == 1


@pytest.mark.ids("TOK-23")
def test_a_websocket_is_guarded_by_the_same_dependency():
    _, app = a_shop()
    client = visitor(app)
    headers = sign_in(client)
    token = headers["authorization"].removeprefix("Bearer ")
    with client.websocket_connect("wss://id.example.org/ws", subprotocols=["keyturn", token]) as socket:
        assert socket.accepted_subprotocol == "keyturn"
        assert socket.receive_text() == "u-alice"


def test_a_sub_application_has_its_own_sign_in():
    _, inner = a_shop()
    app = FastAPI()
    app.mount("/shop", inner)
    client = visitor(app)
    headers = sign_in(client, prefix="/shop/auth")
    assert client.get("/shop/me", headers=headers).json() == {"subject": "u-alice"}
    assert client.post("/shop/auth/refresh").status_code == 200
    assert client.post("/auth/login").status_code == 404
    assert "/auth/login" in client.get("/shop/openapi.json").json()["paths"]


def test_installing_twice_is_refused():
    site, app = a_shop()
    with pytest.raises(RuntimeError, match="already"):
        site.service.install(app)


def test_settings_may_be_overridden_for_the_length_of_a_test():
    site, app = a_shop()
    client = visitor(app)
    with site.service.override(settings=settings_with(realm="other")):
        answer = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        assert f"{REFRESH}_other" in client.cookies
        assert client.get("/me", headers=bearer(answer.json()["access_token"])).status_code == 200
    assert client.get("/me", headers=bearer(answer.json()["access_token"])).json()["code"] == "token_invalid"


# --- the documentation page ----------------------------------------------------------------------------------------


def spec_of(app):
    return visitor(app).get("/openapi.json").json()


def test_every_route_is_on_the_page_but_the_hidden_one():
    _, app = a_shop()
    paths = spec_of(app)["paths"]
    shown = {(path, method.upper()) for path in paths for method in paths[path] if path.startswith("/auth")}
    assert shown == {
        ("/auth" + route.path + ("{id}" if route.path.endswith("/") else ""), method)
        for route in ROUTES if not route.hidden for method in route.methods
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"realm": "staff"}, {"docs_login": True}, {"prefix": "/api/session"}])
def test_the_page_is_a_valid_document(changes):
    _, app = a_shop(settings_with(**changes))
    spec = spec_of(app)
    OpenAPI.model_validate(spec)
    operations = [one for path in spec["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    schemes = spec["components"]["securitySchemes"]
    assert {name for one in operations for needed in one.get("security", ()) for name in needed} == set(schemes)
    for one in operations:
        for code, answer in one["responses"].items():
            assert code.isdecimal()
            assert answer["description"]
            if code == "204":
                assert "content" not in answer


@pytest.mark.ids("HT-04", "HT-06")
def test_the_page_tells_every_status_that_a_route_is_known_to_answer():
    """The transcript of the conformance suite knows what is answered."""
    _, app = a_shop()
    paths = spec_of(app)["paths"]
    transcript = json.loads((files("keyturn.testing") / "http_transcript.json").read_text("utf-8"))
    missing = set()
    for exchange in (one for scenario in transcript.values() for one in scenario):
        method, path = exchange["asked"].split(" ")[:2]
        path = path.partition("?")[0]
        path = "/auth/sessions/{id}" if path.startswith("/auth/sessions/") else path
        told = paths.get(path, {}).get(method.lower()) if path.startswith("/auth/") else None
        # 405 belongs to the path and 421 to the host: neither is an operation's
        if (
            told is not None
            and exchange["status"] not in {405, 421}
            and str(exchange["status"]) not in told["responses"]
        ):
            missing.add((method, path, exchange["status"]))
    assert missing == set()


def test_guarded_routes_of_the_application_show_the_scheme_and_their_scopes():
    _, app = a_shop(settings_with(docs_login=True))
    paths = spec_of(app)["paths"]
    assert paths["/me"]["get"]["security"] == [{"Keyturn": []}]
    # Older FastAPI asks a scheme's class for its flows and leaves the scopes out.
    assert paths["/write"]["get"]["security"] in ([{"Keyturn": ["write"]}], [{"Keyturn": []}])


def test_guarded_routes_show_the_scheme_where_the_page_cannot_sign_in():
    _, app = a_shop()
    paths = spec_of(app)["paths"]
    # Older FastAPI shows scopes of OAuth schemes only, as OpenAPI before 3.1 had it.
    assert [list(paths[path]["get"]["security"][0]) for path in ("/me", "/write")] == [["Keyturn"], ["Keyturn"]]


def test_two_realms_are_both_on_one_page():
    site, app = a_shop()
    staff = a_site(
        settings_with(realm="staff", prefix="/staff-auth"), kind=Keyturn, store=site.store, clock=site.clock,
        entropy=CountingEntropy("staff"),
    ).service  # fmt: skip
    staff.install(app)

    @app.get("/staff")
    async def of_staff(claims: Annotated[Claims, Depends(staff.required)]):
        return {"subject": claims.subject}

    spec = spec_of(app)
    assert set(spec["components"]["securitySchemes"]) == {"Keyturn", "Keyturn (staff)"}
    assert {"/auth/login", "/staff-auth/login", "/staff"} <= set(spec["paths"])
    client = visitor(app)
    customer, employee = sign_in(client), sign_in(client, prefix="/staff-auth")
    assert client.get("/staff", headers=employee).status_code == 200
    assert client.get("/staff", headers=customer).status_code == 401


@pytest.mark.ids("M53")
def test_the_page_can_sign_in_where_that_is_on():
    _, app = a_shop(settings_with(docs_login=True))
    scheme = spec_of(app)["components"]["securitySchemes"]["Keyturn"]
    assert scheme["flows"]["password"]["tokenUrl"] == "auth/docs-token"
    client = visitor(app)
    answer = client.post("/auth/docs-token", data={"username": "alice", "password": PASSWORD, "grant_type": "password"})
    assert client.get("/me", headers=bearer(answer.json()["access_token"])).json() == {"subject": "u-alice"}
    _, app = a_shop()
    assert spec_of(app)["components"]["securitySchemes"]["Keyturn"]["scheme"] == "bearer"
    assert visitor(app).post("/auth/docs-token", data={"username": "alice", "password": PASSWORD}).status_code == 404


@pytest.mark.ids("M53", "CK-12")
def test_the_page_can_sign_in_in_development():
    _, app = a_shop(Settings(profile="development"))
    client = visitor(app, base_url="http://localhost:8000")
    assert "password" in client.get("/openapi.json").json()["components"]["securitySchemes"]["Keyturn"]["flows"]
    answer = client.post("/auth/docs-token", data={"username": "alice", "password": PASSWORD})
    assert client.get("/me", headers=bearer(answer.json()["access_token"])).status_code == 200
