"""The API as applications type it; checked by mypy --strict and pyright, never run."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, assert_type

import httpx
from fastapi import Depends, FastAPI, Request, Response, Security, WebSocket
from fastapi.responses import RedirectResponse
from flask import Blueprint, Flask, Response as FlaskResponse, redirect
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from keyturn import (
    UNCHECKED,
    AsyncSessions,
    Claims,
    Client,
    ConfigurationError,
    CookieSettings,
    EndReason,
    KeyturnError,
    Limits,
    Principal,
    RegisteredClient,
    Reply,
    Service,
    Session,
    SessionEndedError,
    Sessions,
    Settings,
    StoreError,
    TokenPair,
    Users,
    Verifier,
    fastapi as for_fastapi,
    flask as for_flask,
    starlette as for_starlette,
)
from keyturn.events import ReuseDetected, SessionEnded, SessionStarted
from keyturn.httpx import KeyturnAuth, TokenStore
from keyturn.keyrings import KeySource
from keyturn.keyrings.directory import DirectoryKeys
from keyturn.keyrings.static import StaticKeys
from keyturn.remote import RemoteKeys
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing import ManualClock, a_claims, client, signed_in, testing_keys
from keyturn.throttle import Admission, Attempt, Choice, NoThrottle, Throttle, open as open_throttle
from keyturn.throttle.memory import MemoryThrottle
from keyturn.throttle.sqlalchemy import SqlAlchemyThrottle


class PlainUsers:
    """An application's users, in code that blocks."""

    def authenticate(self, username: str, password: str, request: Request | None) -> Principal | None:
        return Principal(subject=username, scopes=frozenset({"read"})) if password else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject)


class AsyncUsers:
    """The same in code that awaits."""

    async def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        return Principal(subject=username, claims={"tenant": "acme"}, source=self) if password else None

    async def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject, disabled=True)


plain: Users = PlainUsers()
awaiting: Users = AsyncUsers()

settings = Settings(
    issuer="https://app.example.org",
    profile="strict",
    leeway=timedelta(seconds=5),
    recovery_window=timedelta(minutes=5),
    transports=["cookie"],
    origins=["https://shop.example.org"],
    cookie=CookieSettings(suffix="shop", access_in_cookie=True),
)


async def on_event(event: object) -> None:
    """An application's listener."""
    match event:
        case SessionStarted(principal=principal, client=device):
            assert_type(principal, Principal)
            assert_type(device, Client)
        case ReuseDetected(behind=behind, since_rotation=since):
            assert_type(behind, int)
            assert_type(since, timedelta)
        case SessionEnded(reason=reason):
            assert_type(reason, EndReason)
        case _:
            pass


def on_reply(request: Request, reply: Reply, principal: Principal | None, session: Session | None) -> Reply | None:
    """An application's hook on replies."""
    return None if session is None else reply


# --- FastAPI -------------------------------------------------------------------------------------------------------

app = FastAPI()
auth = for_fastapi.Keyturn(
    settings,
    store="sqlite:///app.db",
    keys="keys",
    users=awaiting,
    clients=[RegisteredClient(id="shop")],
    listeners=[on_event],
    reply_hooks=[on_reply],
)
auth.install(app)
app.add_middleware(CORSMiddleware, **auth.cors())


@app.get("/me")
async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
    """Somebody must be signed in."""
    assert_type(claims.subject, str)
    assert_type(claims.scope, frozenset[str])
    return {"subject": claims.subject}


@app.get("/front")
async def front(claims: Annotated[Claims | None, Depends(auth.optional)]) -> dict[str, str | None]:
    """Somebody may be signed in."""
    return {"subject": claims.subject if claims else None}


@app.post("/orders")
async def order(claims: Annotated[Claims, Security(auth.required, scopes=["orders"])]) -> str:
    """A scope is needed."""
    return claims.subject


@app.post("/transfer")
def transfer(claims: Annotated[Claims, Depends(auth.fresh(minutes=5, amr=["otp"]))]) -> datetime:
    """A recent sign-in is needed."""
    return claims.authenticated_at


@app.websocket("/live")
async def live(websocket: WebSocket, claims: Annotated[Claims, Depends(auth.required)]) -> None:
    """A guarded socket that may live on."""
    await websocket.accept()
    newer = await auth.renew(websocket, await websocket.receive_text())
    assert_type(newer, Claims)
    await websocket.send_text(claims.subject)


@app.get("/callback")
async def callback(request: Request) -> Response:
    """Social login."""
    return await auth.sign_in(request, Principal(subject="u1"), into=RedirectResponse("/"), amr=["fed"])


@app.post("/second-factor")
async def second_factor(request: Request) -> Response:
    """Step-up by another factor."""
    return await auth.step_up(request, amr=["pwd", "otp"])


@app.post("/bye")
async def bye(request: Request) -> Response:
    """Sign-out of the application's own."""
    return await auth.sign_out(request)


@app.post("/disable/{subject}")
async def disable(subject: str) -> int:
    """End everything of a user."""
    return await auth.sessions.end_user(subject, reason=EndReason.USER_DISABLED)


# --- Starlette -----------------------------------------------------------------------------------------------------

other = for_starlette.Keyturn(settings, store=MemoryStore(), keys=testing_keys(), users=plain)


async def page(request: StarletteRequest) -> JSONResponse:
    """A guarded endpoint."""
    claims = await other.required(request)
    assert_type(claims, Claims)
    maybe = await other.optional(request)
    assert_type(maybe, Claims | None)
    return JSONResponse({"subject": claims.subject})


async def inner(request: StarletteRequest) -> JSONResponse:
    """Behind a guard that stands before a whole application."""
    claims = other.claims(request)
    return JSONResponse({"subject": claims.subject if claims else None})


api = Starlette(routes=[Route("/inner", inner)])
site = Starlette(
    routes=[Route("/page", page), Mount("/api", app=other.protect(api, "read"))],
    middleware=[Middleware(CORSMiddleware, **other.cors())],
)
other.install(site)

# --- Flask ---------------------------------------------------------------------------------------------------------

flask_app = Flask(__name__)
flask_app.config.update(KEYTURN_ISSUER="https://app.example.org", KEYTURN_STORE="sqlite:///app.db", KEYTURN_KEYS="keys")
flask_auth = for_flask.Keyturn(flask_app, users=plain)
staff = for_flask.Keyturn(users=plain)


@flask_app.get("/me")
@flask_auth.required
def flask_me() -> dict[str, str]:
    """Somebody must be signed in."""
    assert_type(flask_auth.claims, Claims)
    return {"subject": flask_auth.claims.subject}


@flask_app.get("/front/<int:page>")
@flask_auth.optional
def flask_front(page: int) -> str:
    """Somebody may be signed in."""
    claims = flask_auth.get_claims()
    assert_type(claims, Claims | None)
    return claims.subject if claims else str(page)


@flask_app.post("/orders")
@flask_auth.scopes("orders", "write")
def flask_order() -> str:
    """Scopes are needed."""
    return flask_auth.claims.subject


@flask_app.post("/transfer")
@flask_auth.fresh(minutes=5, amr=["otp"])
async def flask_transfer() -> dict[str, str]:
    """A recent sign-in is needed; views may be async."""
    return {"at": flask_auth.claims.authenticated_at.isoformat()}


@flask_app.delete("/orders/<name>")
@flask_auth.required(scopes={"orders"}, within=timedelta(minutes=5), stale="ask")
def flask_remove(name: str) -> tuple[str, int]:
    """All of it at once."""
    return name, 200


assert_type(flask_remove("a"), tuple[str, int] | FlaskResponse)


class Items(MethodView):
    """A view of methods."""

    decorators = [flask_auth.fresh]  # noqa: RUF012 - as Flask's documentation has it

    @flask_auth.require("items", amr=["otp"])
    def get(self, item: int) -> str:
        """One of its methods needs more."""
        return str(item)


admin = Blueprint("admin", __name__)
admin.before_request(flask_auth.required(scopes={"admin"}))
flask_app.before_request(flask_auth.optional())


@flask_app.get("/callback")
def flask_callback() -> ResponseReturnValue:
    """Social login."""
    return flask_auth.sign_in(Principal(subject="u1"), into=redirect("/"), amr=["fed"])


@flask_app.post("/second-factor")
def flask_second_factor() -> ResponseReturnValue:
    """Step-up by another factor."""
    return flask_auth.step_up(amr=["pwd", "otp"])


@flask_app.post("/bye")
def flask_bye() -> ResponseReturnValue:
    """Sign-out of the application's own."""
    return flask_auth.sign_out()


def create_app() -> Flask:
    """An application factory."""
    made = Flask(__name__)
    made.config.from_prefixed_env()
    staff.init_app(made, store=MemoryStore())
    with made.app_context():
        assert_type(staff.sessions.end_user("u1"), int)
    return made


# --- no framework --------------------------------------------------------------------------------------------------


def without_http() -> None:
    """Sessions in blocking code."""
    sessions = Sessions(settings, SqliteStore("app.db"), DirectoryKeys("keys"), users=PlainUsers())
    pair = sessions.start(Principal(subject="u1"), amr=["pwd"], client=Client(device_name="phone"))
    assert_type(pair, TokenPair)
    try:
        pair = sessions.refresh(pair.refresh_token)
    except SessionEndedError as error:
        assert_type(error.reason, str | None)
    except StoreError as error:
        assert_type(error.cause, str | None)
    assert_type(sessions.list("u1"), Sequence[Session])
    assert_type(sessions.end("id"), bool)
    assert_type(sessions.purge(before=datetime(2026, 1, 1, tzinfo=UTC), progress=print), int)


async def without_http_awaiting() -> None:
    """Sessions in code that awaits."""
    sessions = AsyncSessions(settings, "memory:", "keys", users=awaiting)
    pair = await sessions.start(Principal(subject="u1"), scope="read")
    assert_type(await sessions.step_up(pair.refresh_token, amr=["otp"]), TokenPair)
    assert_type(await sessions.require("u1"), int)


def verify_only(token: str, cookie: str | None) -> Claims:
    """A service that only verifies."""
    verifier = Verifier(settings, DirectoryKeys("keys"))
    verifier.verify(token, binding=UNCHECKED)
    return verifier.verify(token, binding=cookie)


def build() -> Service:
    """The framework-free service."""
    try:
        return Service(settings, store="memory:", keys=testing_keys(), users=plain)
    except ConfigurationError as error:
        assert_type(error.faults, tuple[str, ...])
        raise
    except KeyturnError as error:
        assert_type(error.code, str)
        raise


# --- tests of applications -----------------------------------------------------------------------------------------


def test_of_an_application() -> None:
    """As applications test themselves."""
    clock = ManualClock()
    with auth.override(clock=clock, store="memory:"):
        assert client(app, auth).get("/me").status_code == 401
        assert signed_in(app, auth, "alice").get("/me").status_code == 200
    with flask_auth.override(clock=clock, store="memory:"):
        assert client(flask_app, flask_auth).get("/me").status_code == 401
        assert signed_in(flask_app, flask_auth, "alice").get("/me").status_code == 200
    app.dependency_overrides[auth.required] = lambda: a_claims("bob", scope=["read"])


# --- throttling ----------------------------------------------------------------------------------------------------


def throttled(engine: Engine | AsyncEngine) -> list[Service]:
    """Every way to say how often is too often."""
    limits = Limits(login_per_user="50/hour", login_per_address="")
    shared = SqlAlchemyThrottle(engine, limits, secret=b"one for all workers")
    ways: list[Choice] = [limits, None, "store", "sqlite:///counters.db", NoThrottle(), MemoryThrottle(limits), shared]
    assert_type(Limits.from_toml("keyturn.toml"), Limits)
    assert_type(open_throttle("postgresql://app@db/app", limits), Throttle)
    return [
        Service(
            settings, store="memory:", keys=testing_keys(), users=plain, throttle=way, trusted_proxies=["10.0.0.0/8"]
        )
        for way in ways
    ]


class OwnThrottle:
    """A throttle of an application's own."""

    colour: Literal["async"] = "async"

    async def admit(self, attempt: Attempt) -> Admission:
        """Let every other one wait."""
        return Admission(wait=timedelta(seconds=1)) if attempt.action == "login" else Admission()

    async def succeeded(self, attempt: Attempt, admission: Admission, *, now: datetime, browser: str = "") -> None:
        """Give nothing back."""


counting: Throttle = OwnThrottle()


class OwnTokens:
    """A program's own place for its refresh token."""

    def load(self) -> str | None:
        """Give nothing."""

    def save(self, token: str | None) -> None:
        """Keep nothing."""


def program() -> tuple[httpx.Client, httpx.AsyncClient]:
    """Every way for a program to sign in."""
    kept: TokenStore = OwnTokens()
    ada = KeyturnAuth("https://id.example.org", username="ada", password=lambda: "from a vault", tokens=kept)
    session = KeyturnAuth("https://id.example.org", refresh_token="kt1.", origins=["https://api.example.org"])
    return httpx.Client(auth=ada), httpx.AsyncClient(auth=session)


# --- a service that only verifies ----------------------------------------------------------------------------------


async def elsewhere(token: str, tls: ssl.SSLContext) -> Claims:
    """Every way to come by an issuer's public keys."""
    keys = RemoteKeys("https://id.example.org/auth/jwks.json", tls=tls)
    ways: list[KeySource] = [keys, StaticKeys.from_jwks('{"keys": []}'), StaticKeys.from_jwks(b"")]
    await keys.ready()
    assert_type(keys.trouble, str | None)
    verifiers = [Verifier(Settings(issuer="https://id.example.org"), way) for way in ways]
    return verifiers[0].verify(token, binding=UNCHECKED)
