from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request, Security
from fastapi.responses import PlainTextResponse, RedirectResponse

from keyturn import Claims, Principal
from keyturn.fastapi import Keyturn
from keyturn.testing.http_conformance import HttpConformance, seen_by_the_application, served_by_uvicorn

ALICE = Principal(subject="u-alice", scopes=frozenset({"read", "write"}))


def application(auth):
    app = FastAPI(default_response_class=PlainTextResponse)

    @app.api_route("/me", methods=["GET", "POST"])
    async def me(claims: Annotated[Claims, Depends(auth.required)]):
        return claims.subject

    @app.get("/maybe")
    def maybe(claims: Annotated[Claims | None, Depends(auth.optional)]):
        return claims.subject if claims else "nobody"

    @app.get("/write")
    async def write(claims: Annotated[Claims, Security(auth.required, scopes=["write"])]):
        return claims.subject

    @app.get("/admin")
    async def admin(claims: Annotated[Claims, Depends(auth.require("admin"))]):
        return claims.subject

    @app.get("/fresh")
    async def fresh(claims: Annotated[Claims, Depends(auth.fresh(minutes=5))]):
        return claims.subject

    @app.api_route("/echo", methods=["GET", "POST"])
    async def echo(request: Request):
        seen = "; ".join(request.headers.getlist("cookie"))
        return seen_by_the_application(seen, request.cookies, request.headers.get("authorization"))

    @app.api_route("/welcome", methods=["GET", "POST"])
    async def welcome(request: Request):
        return await auth.sign_in(request, ALICE, into=RedirectResponse("/home", 303))

    @app.post("/bye")
    async def bye(request: Request):
        return await auth.sign_out(request, into=RedirectResponse("/", 303))

    @app.post("/raise")
    async def raise_(request: Request):
        return await auth.step_up(request, amr=("otp",))

    auth.install(app)
    return app


@pytest.mark.ids(
    "CK-01", "CK-02", "CK-08", "CK-09", "CK-14", "DS-01", "HT-01", "HT-04", "HT-05", "HT-06", "M42", "M46", "M49",
    "RT-13", "SE-02", "TOK-23", "XS-01", "XS-03", "XS-06", "XS-07", "XS-09", "XS-12",
)  # fmt: skip
class TestFastAPI(HttpConformance):
    @classmethod
    def make_service(cls, **parts):
        return Keyturn(**parts)

    @classmethod
    def serve(cls, service):
        return served_by_uvicorn(application(service))
