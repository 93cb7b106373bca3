"""What a guard adds to one GET: the same route with and without it, called in process."""

# No `from __future__ import annotations`: FastAPI could not find the local names in the annotations of routes.

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException as FastAPIError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from keyturn import Claims, fastapi, starlette

from . import guarded_flask
from .guarding import Stage, worker
from .measure import Effort, Rounds, added, medians, per_await
from .peers.environment import peers_python
from .report import Goal, Table, at_least, at_most, unknown

NAME = "guarded_get"
BARE, MOUNTED = "no authentication", "no authentication, mounted"
EMPTY = "an empty async dependency"
PYJWT, AUTHX = "PyJWT by hand", "AuthX"
OURS, BEFORE = "Keyturn in the endpoint", "Keyturn before a mounted application"
OURS_DEPENDENCY = "Keyturn as a dependency"
AUTHX_BARE = "no authentication, beside AuthX"
_AUTHX_WORKER = "benchmarks.peers.authx_worker"
_AUTHX = {AUTHX_BARE: "bare", AUTHX: "guarded"}


def run(effort: Effort) -> list[Table]:
    """Measure Starlette, FastAPI and Flask."""
    stage = Stage()
    return [_starlette(stage, effort), _fastapi(stage, effort), guarded_flask.table(stage, effort)]


# --- Starlette -----------------------------------------------------------------------------------------------------


def _starlette(stage: Stage, effort: Effort) -> Table:
    sides = {
        BARE: stage.caller(_bare_starlette()),
        PYJWT: stage.caller(_pyjwt_starlette(stage)),
        OURS: stage.caller(_our_starlette(stage)),
        MOUNTED: stage.caller(Starlette(routes=[Mount("/api", app=_bare_starlette())]), "/api/me"),
        BEFORE: stage.caller(_protected(stage, starlette.Keyturn, Starlette, _reading_starlette), "/api/me"),
    }
    rounds = per_await(sides, calls=effort.of(3000), rounds=effort.rounds)
    pyjwt, ours, before = added(rounds, PYJWT, BARE), added(rounds, OURS, BARE), added(rounds, BEFORE, MOUNTED)
    middle = medians(rounds)
    return Table(
        title="What a guard adds to one GET in Starlette (CPU µs)",
        rows={
            BARE: {"whole request": middle[BARE]},
            PYJWT: {"whole request": middle[PYJWT], "added": pyjwt},
            OURS: {"whole request": middle[OURS], "added": ours},
            MOUNTED: {"whole request": middle[MOUNTED]},
            BEFORE: {"whole request": middle[BEFORE], "added": before},
        },
        goals=[
            at_most("Starlette: at most 10 µs", ours, 10, "µs"),
            at_least("Starlette: at least 6 times less than PyJWT by hand", pyjwt / ours, 6, "times"),
        ],
        notes=[stage.note("starlette", "pyjwt", "cryptography")],
        rounds=rounds,
    )


def _answer(subject: str) -> JSONResponse:
    return JSONResponse({"subject": subject})


def _bare_starlette() -> Starlette:
    async def me(_request: Request) -> JSONResponse:
        return _answer("user-4711")

    return Starlette(routes=[Route("/me", me)])


def _pyjwt_starlette(stage: Stage) -> Starlette:
    claims_of = stage.claims_by_pyjwt()

    async def me(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise HTTPException(401)
        try:
            claims = claims_of(token)
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None
        return _answer(claims["sub"])

    return Starlette(routes=[Route("/me", me)])


def _our_starlette(stage: Stage) -> Starlette:
    auth = stage.keyturn(starlette.Keyturn)

    async def me(request: Request) -> JSONResponse:
        claims = await auth.required(request)
        return _answer(claims.subject)

    app = Starlette(routes=[Route("/me", me)])
    auth.install(app)
    return app


def _reading_starlette(auth: Any) -> Starlette:
    async def me(request: Request) -> JSONResponse:
        return _answer(auth.claims(request).subject)

    return Starlette(routes=[Route("/me", me)])


def _protected(stage: Stage, kind: Callable[..., Any], outer: Callable[[], Any], build: Callable[[Any], Any]) -> Any:
    """Give an application with another one mounted in it, and the guard between them."""
    auth = stage.keyturn(kind)
    app = outer()
    app.mount("/api", auth.protect(build(auth)))
    auth.install(app)
    return app


# --- FastAPI -------------------------------------------------------------------------------------------------------


def _fastapi(stage: Stage, effort: Effort) -> Table:
    sides = {
        BARE: stage.caller(_bare_fastapi()),
        EMPTY: stage.caller(_empty_fastapi()),
        PYJWT: stage.caller(_pyjwt_fastapi(stage)),
        OURS_DEPENDENCY: stage.caller(_our_fastapi(stage)),
        MOUNTED: stage.caller(_mounted_fastapi(), "/api/me"),
        BEFORE: stage.caller(_protected(stage, fastapi.Keyturn, FastAPI, _reading_fastapi), "/api/me"),
    }
    calls = effort.of(1500)
    with ExitStack() as stack:
        python = peers_python(effort)
        elsewhere = stack.enter_context(worker(python, _AUTHX_WORKER, _AUTHX, calls)) if python is not None else {}
        rounds = per_await(sides, calls=calls, rounds=effort.rounds, elsewhere=elsewhere)
    return _fastapi_table(stage, rounds, with_authx=python is not None)


def _fastapi_table(stage: Stage, rounds: Rounds, *, with_authx: bool) -> Table:
    middle = medians(rounds)
    pairs = {BARE: None, EMPTY: BARE, PYJWT: BARE, AUTHX: AUTHX_BARE, OURS_DEPENDENCY: BARE, MOUNTED: None}
    pairs = {side: over for side, over in {**pairs, BEFORE: MOUNTED}.items() if side in rounds}
    more = {side: added(rounds, side, over) for side, over in pairs.items() if over is not None}
    rows = {side: {"whole request": middle[side], **({"added": more[side]} if side in more else {})} for side in pairs}
    peers = ["authx"] if with_authx else []
    return Table(
        title="What a guard adds to one GET in FastAPI (CPU µs)",
        rows=rows,
        goals=list(_fastapi_goals(more)),
        notes=[stage.note("fastapi", "starlette", "pyjwt", "cryptography"), *(_AUTHX_NOTE for _ in peers)],
        rounds=rounds,
    )


_AUTHX_NOTE = (
    "AuthX runs in a process and an environment of its own (`benchmarks/peers/requirements.txt`), beside its own bare "
    "route, in turns with the others."
)


def _fastapi_goals(more: dict[str, float]) -> Iterator[Goal]:
    ours, before = more[OURS_DEPENDENCY], more[BEFORE]
    yield at_most("FastAPI, dependency: at most 24 µs", ours, 24, "µs")
    yield at_most("FastAPI, before a mounted application: at most 13 µs", before, 13, "µs")
    peers = {side: more[side] for side in (PYJWT, AUTHX) if side in more}
    best = min(peers, key=peers.__getitem__)
    yield at_least(f"FastAPI: at least 4 times less than the best peer ({best})", peers[best] / ours, 4, "times")
    if AUTHX not in more:
        yield unknown("FastAPI: the same beside AuthX", "its environment is missing")


def _bare_fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me() -> dict[str, str]:
        return {"subject": "user-4711"}

    return app


def _mounted_fastapi() -> FastAPI:
    app = FastAPI()
    app.mount("/api", _bare_fastapi())
    return app


def _empty_fastapi() -> FastAPI:
    async def nothing() -> None:
        pass

    app = FastAPI()

    @app.get("/me")
    async def me(_nothing: Annotated[None, Depends(nothing)]) -> dict[str, str]:
        return {"subject": "user-4711"}

    return app


def _pyjwt_fastapi(stage: Stage) -> FastAPI:
    claims_of = stage.claims_by_pyjwt()
    bearer = HTTPBearer()

    async def current(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
        try:
            return claims_of(credentials.credentials)
        except jwt.InvalidTokenError:
            raise FastAPIError(401) from None

    app = FastAPI()

    @app.get("/me")
    async def me(claims: Annotated[dict[str, Any], Depends(current)]) -> dict[str, str]:
        return {"subject": claims["sub"]}

    return app


def _our_fastapi(stage: Stage) -> FastAPI:
    auth = stage.keyturn(fastapi.Keyturn)
    app = FastAPI()

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
        return {"subject": claims.subject}

    auth.install(app)
    return app


def _reading_fastapi(auth: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    async def me(request: Request) -> dict[str, str]:
        return {"subject": auth.claims(request).subject}

    return app
