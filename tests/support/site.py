"""A small site on Starlette and clients that visit it."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from keyturn.starlette import Keyturn
from keyturn.users import Principal
from tests.support.front import PASSWORD, Front, a_front

ALICE = Principal(subject="u-alice", scopes=frozenset({"read", "write"}))


def a_site(settings: Any = None, *, kind: type[Keyturn] = Keyturn, **more: Any) -> Front:
    """Give a front whose service is the framework's."""
    return a_front(settings, kind=kind, **more)


def visitor(app: Any, **more: Any) -> TestClient:
    """A browser on a page of ours."""
    headers = {"sec-fetch-site": "same-origin", **more.pop("headers", {})}
    return TestClient(app, base_url=more.pop("base_url", "https://id.example.org"), headers=headers, **more)


def sign_in(client: TestClient, username: str = "alice", prefix: str = "/auth", **how: Any) -> dict[str, str]:
    """Sign in; give the Authorization field."""
    answer = client.post(f"{prefix}/login", json={"username": username, "password": PASSWORD, **how})
    assert answer.status_code == 200, answer.text
    return bearer(answer.json().get("access_token", ""))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def starlette_app(auth: Keyturn, *routes: Any, install: bool = True, **more: Any) -> Starlette:  # noqa: C901 - a row of small ones
    """Give an application with a few guarded routes."""

    async def me(request: Request) -> Any:
        claims = await auth.required(request)
        return JSONResponse({"subject": claims.subject, "amr": list(claims.amr), **claims.extra})

    async def headers(request: Request) -> Any:
        return JSONResponse({"headers": [[k, v] for k, v in request.headers.items()], "cookies": request.cookies})

    async def enter(request: Request) -> Any:
        return await auth.sign_in(
            request, ALICE, into=RedirectResponse("/home", 303), amr=["fed"], claims={"via": "idp"}
        )

    async def plain_enter(request: Request) -> Any:
        return await auth.sign_in(request, ALICE, **dict(request.query_params))

    async def leave(request: Request) -> Any:
        return await auth.sign_out(request)

    async def socket(websocket: WebSocket) -> None:
        claims = await auth.required(websocket)
        await websocket.accept()
        await websocket.send_text(claims.subject)
        try:
            while True:
                text = await websocket.receive_text()
                if text.startswith("renew "):
                    claims = await auth.renew(websocket, text.removeprefix("renew "))
                    text = f"until {claims.expires_at:%H:%M:%S}"
                if text == "close":
                    await websocket.close(1000)
                await websocket.send_text(text) if text != "close" else None
        except WebSocketDisconnect:
            pass

    app = Starlette(
        routes=[
            Route("/me", me, methods=["GET", "POST"]), Route("/headers", headers), Route("/enter", enter),
            Route("/plain-enter", plain_enter, methods=["GET", "POST"]), Route("/leave", leave, methods=["POST"]),
            WebSocketRoute("/ws", socket), *routes,
        ],
        **more,
    )  # fmt: skip
    if install:
        auth.install(app)
    return app
