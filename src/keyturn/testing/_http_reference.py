"""The application of the HTTP suite, for Starlette: the one that the transcript is recorded from."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ..starlette import Keyturn, Required
from ..users import Principal
from ._http_stage import seen_by_the_application

_ALICE = Principal(subject="u-alice", scopes=frozenset({"read", "write"}))


def application(auth: Keyturn) -> Starlette:
    """Give an application with the routes that `HttpConformance` asks for."""

    def told_to(guard: Required) -> object:
        async def endpoint(request: Request) -> Response:
            return PlainTextResponse((await guard(request)).subject)

        return endpoint

    async def maybe(request: Request) -> Response:
        claims = await auth.optional(request)
        return PlainTextResponse(claims.subject if claims else "nobody")

    async def echo(request: Request) -> Response:
        seen = request.headers.getlist("cookie")
        text = seen_by_the_application("; ".join(seen), request.cookies, request.headers.get("authorization"))
        return PlainTextResponse(text)

    async def welcome(request: Request) -> Response:
        return await auth.sign_in(request, _ALICE, into=RedirectResponse("/home", 303))

    async def bye(request: Request) -> Response:
        return await auth.sign_out(request, into=RedirectResponse("/", 303))

    async def raise_(request: Request) -> Response:
        return await auth.step_up(request, amr=("otp",))

    app = Starlette(
        routes=[
            Route("/me", told_to(auth.required), methods=["GET", "POST"]),  # type: ignore[arg-type]
            Route("/maybe", maybe),
            Route("/write", told_to(auth.require("write"))),  # type: ignore[arg-type]
            Route("/admin", told_to(auth.require("admin"))),  # type: ignore[arg-type]
            Route("/fresh", told_to(auth.fresh(minutes=5))),  # type: ignore[arg-type]
            Route("/echo", echo, methods=["GET", "POST"]),
            Route("/welcome", welcome, methods=["GET", "POST"]),
            Route("/bye", bye, methods=["POST"]),
            Route("/raise", raise_, methods=["POST"]),
        ]
    )
    auth.install(app)
    return app
