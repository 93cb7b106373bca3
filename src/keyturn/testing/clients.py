"""Clients for tests of applications: one that is nobody, and one that is signed in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from ..session import Transport, is_live
from ..tokens import TokenPair
from ..users import Principal

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from starlette.testclient import TestClient

    from ..flask import Keyturn as FlaskKeyturn
    from ..starlette import Keyturn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for; equal wishes share one authorisation."""

    subject: str
    transport: Transport
    scope: str | None
    amr: tuple[str, ...]
    remember: bool
    client_id: str


@dataclass(slots=True)
class _Given:
    """What was handed out, by the store that the sessions live in, so that a test's own store starts afresh."""

    pairs: WeakKeyDictionary[Any, dict[_Wish, TokenPair]] = field(default_factory=WeakKeyDictionary)


_given = _Given()


@overload
def client(app: Any, auth: Keyturn, **arguments: Any) -> TestClient: ...
@overload
def client(app: Any, auth: FlaskKeyturn, **arguments: Any) -> FlaskClient: ...
def client(app: Any, auth: Any, **arguments: Any) -> Any:
    """Give a client that the application takes for a program: https address, cookie jar, the header Keyturn-Client.

    Args:
        app: the application.
        auth: what was installed into it.
        arguments: handed to Starlette's TestClient, or to Flask's; ``base_url`` and ``headers`` for either.
    """
    with _within(app, auth):
        settings = auth.settings
    if _is_flask(auth):
        from ._flask_clients import client as flask_client

        return flask_client(app, settings, **arguments)
    from starlette.testclient import TestClient

    scheme, host = ("http", "localhost") if settings.development else ("https", "testserver")
    headers = {"Keyturn-Client": "testing", **arguments.pop("headers", {})}
    base_url = arguments.pop("base_url", f"{scheme}://{host}")
    return TestClient(app, base_url=base_url, headers=headers, **arguments)


def _is_flask(auth: Any) -> bool:
    return hasattr(auth, "init_app")


def _within(app: Any, auth: Any) -> AbstractContextManager[Any]:
    """Make a Flask application the current one: each has a service of its own, and its users may need it."""
    return cast("AbstractContextManager[Any]", app.app_context()) if _is_flask(auth) else nullcontext()


@overload
def signed_in(app: Any, auth: Keyturn, subject: str, *, principal: Principal | None = None,
    transport: Transport = "cookie", scope: str | None = None, amr: Sequence[str] = ("pwd",),
    remember: bool = True, client_id: str = "default", **arguments: Any) -> TestClient: ...  # fmt: skip
@overload
def signed_in(app: Any, auth: FlaskKeyturn, subject: str, *, principal: Principal | None = None,
    transport: Transport = "cookie", scope: str | None = None, amr: Sequence[str] = ("pwd",),
    remember: bool = True, client_id: str = "default", **arguments: Any) -> FlaskClient: ...  # fmt: skip
def signed_in(
    app: Any,
    auth: Any,
    subject: str,
    *,
    principal: Principal | None = None,
    transport: Transport = "cookie",
    scope: str | None = None,
    amr: Sequence[str] = ("pwd",),
    remember: bool = True,
    client_id: str = "default",
    **arguments: Any,
) -> Any:
    """Give a client that is signed in as a user, with neither a login request nor a password hash.

    The authorisation is kept and given again for the same user and wishes, for as long as its session lives.

    Args:
        app: the application.
        auth: what was installed into it.
        subject: the user's id; asked of ``auth.users`` where no `principal` is given.
        principal: the user, where the application's users do not know them.
        transport, scope, amr, remember, client_id: as `AsyncSessions.start`.
        arguments: as `client`.
    """
    wish = _Wish(subject, transport, scope, tuple(amr), remember, client_id)
    with _within(app, auth):
        pair = _run(_authorisation(auth, wish, principal))
        settings = auth.settings
    test_client: Any = client(app, auth, **arguments)
    if _is_flask(auth):
        from ._flask_clients import sign_in

        sign_in(test_client, settings, pair, transport)
        return test_client
    test_client.headers["Authorization"] = f"Bearer {pair.access_token}"
    if transport == "cookie":
        test_client.cookies.set(settings.refresh_cookie, pair.refresh_token)
        test_client.cookies.set(settings.binding_cookie, pair.binding or "")
    return test_client


async def _authorisation(auth: Any, wish: _Wish, principal: Principal | None) -> TokenPair:
    kept = _given.pairs.setdefault(auth.store, {})
    pair = kept.get(wish)
    if pair is None or not await _is_good(auth, pair):
        pair = kept[wish] = await _start(auth, wish, principal)
    return pair


async def _is_good(auth: Any, pair: TokenPair) -> bool:
    now = auth.guard.clock()
    session = await auth.store.get(pair.session_id)
    fresh = pair.issued_at <= now < pair.expires_at
    return fresh and session is not None and session.generation == 0 and is_live(session, now)


async def _start(auth: Any, wish: _Wish, principal: Principal | None) -> TokenPair:
    who = principal or await _load(auth, wish.subject)
    started: Any = auth.sessions.start(
        who, transport=wish.transport, scope=wish.scope, amr=wish.amr, remember=wish.remember, client_id=wish.client_id
    )
    pair: TokenPair = started if isinstance(started, TokenPair) else await started
    return pair


async def _load(auth: Any, subject: str) -> Principal:
    loaded = auth.users.load(subject)
    principal = loaded if isinstance(loaded, Principal | None) else await loaded
    if principal is None:
        raise LookupError(f"auth.users knows no {subject!r}: give signed_in(…, principal=…)")
    return principal


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where the test itself runs in an event loop."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(work,))
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
