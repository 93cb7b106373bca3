"""The application that is served: Keyturn's own routes, those of the server around them, and one last line of defence."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from .._asgi import App as AsgiApp, Message, Receive, Scope, Send, noted, send_reply
from .._proxies import read_proxies
from ..errors import KeyturnError, RequestError, StoreError, kind_and_place
from ..events import Listener
from ..http import replies
from ..messages import Reply
from ..settings import Settings
from ..starlette import Keyturn, response_of
from . import account_routes
from .config import ServerConfig
from .demo_page import DemoPage
from .health import Readiness, Vitals, checks_of, health_routes
from .installation import Installation
from .late_sign_ins import ending_late_ones
from .metrics import Metrics, metrics_route
from .observing import RouteNames, observed, watching
from .openapi import openapi_route
from .sampling import Sources

_log: Final = logging.getLogger("keyturn.server")


class App:
    """The server's ASGI application.

    Args:
        asgi: what answers.
        auth: Keyturn in it.
        installation: what it stands on; closed when the application's life ends.
    """

    def __init__(self, asgi: AsgiApp, auth: Keyturn, installation: Installation) -> None:
        self._asgi = asgi
        self.auth = auth
        self.installation = installation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as ASGI says."""
        if scope["type"] == "lifespan":
            await _live(self._asgi, scope, receive, send)
        else:
            await self._asgi(scope, receive, send)


def build(config: ServerConfig, page: DemoPage | None = None) -> App:
    """Give the application for a configuration; `Installation.prepare` has been called by whoever starts it.

    Args:
        config: what is served.
        page: the demonstration's, for this machine only; None for none.

    Raises:
        ConfigurationError: with every fault.
    """
    installation = Installation(config, "async")
    metrics = Metrics(installation.chance.clock) if config.metrics else None
    auth = _keyturn(installation, metrics, *([page.events.tell] if page else []))
    if metrics is not None:
        metrics.watch(_sources(installation, auth))
    routes = _routes(installation, auth, metrics)
    starlette = Starlette(routes=routes, lifespan=_life(installation), exception_handlers=_handlers(config.settings))
    starlette.router.redirect_slashes = False  # never a redirect: it would be followed with a body, or without one
    auth.install(starlette)

    def around(app: AsgiApp) -> AsgiApp:
        names = RouteNames(config.settings, starlette.routes)
        proxies = read_proxies(config.configuration.trusted_proxies)
        return observed(guarded(app, config.settings), names=names, metrics=metrics, proxies=proxies)

    asgi = page.install(starlette, auth, around) if page else around(starlette)
    return App(asgi, auth, installation)


def _keyturn(installation: Installation, metrics: Metrics | None, *more: Listener) -> Keyturn:
    config, colour = installation.config, installation.store.colour
    late = ending_late_ones(
        installation.records,
        colour,
        awaiting=lambda: auth.sessions,
        blocking=lambda: auth._blocking_sessions(),  # noqa: PLW0108, SLF001 - not there yet; its own house
    )
    auth = Keyturn(
        config.settings,
        store=installation.store,
        keys=installation.keys,
        users=installation.users,
        throttle=installation.throttle,
        clients=installation.clients,
        listeners=[watching(metrics, colour), late, *more],
        trusted_proxies=config.configuration.trusted_proxies,
        chance=installation.chance,
    )
    return auth


def _sources(installation: Installation, auth: Keyturn) -> Sources:
    keys = installation.keys
    return Sources(
        floors=lambda: auth.verifier.floors,
        ring=lambda: keys.ring,
        key_trouble=lambda: keys.trouble is not None,
        hashing=installation.hashing,
    )


def _routes(installation: Installation, auth: Keyturn, metrics: Metrics | None) -> Sequence[BaseRoute]:
    settings = auth.settings
    vitals = Vitals(
        settings=settings, store=installation.store, records=installation.records, guard=auth.guard,
        keys=installation.keys, clock=installation.chance.clock,
    )  # fmt: skip
    accounts = installation.accounts_over(auth.sessions)  # so that this process feels at once what it ends
    routes: list[BaseRoute] = [*health_routes(Readiness(checks_of(vitals)), settings)]
    routes += account_routes.routes(auth, accounts)
    routes.append(openapi_route(auth, with_metrics=metrics is not None))
    if metrics is not None:
        routes.append(metrics_route(metrics, settings))
    return routes


def _handlers(settings: Settings) -> Mapping[Any, Callable[[Request, Exception], Response]]:
    return {HTTPException: _answer_starlette(settings), Exception: _answer_fault(settings)}


def _life(installation: Installation) -> Callable[[Starlette], Any]:
    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            await _know_clients(installation)
            group.start_soon(_keep_knowing_clients, installation)
            # What was imported and built lives as long as the worker: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            _log.debug("worker %d is ready, %d objects frozen", os.getpid(), gc.get_freeze_count())
            yield
            group.cancel_scope.cancel()
        await installation.aclose()

    return life


async def _know_clients(installation: Installation) -> None:
    try:
        await installation.clients.refresh()
    except StoreError as error:
        _log.warning("the registered clients cannot be read: %s", error.cause)


async def _keep_knowing_clients(installation: Installation) -> None:
    # A client that was removed is known no longer than an end of a session takes to be felt.
    pause = installation.config.settings.staleness_bound.total_seconds() / 2
    while True:
        await anyio.sleep(pause)
        await _know_clients(installation)


def _answer_starlette(settings: Settings) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        reply = replies.hardened(replies.problem(_of_ours(error), settings), settings)
        return response_of(noted(reply, request.scope))

    return answer


def _answer_fault(settings: Settings) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, _error: Exception) -> Response:
        return response_of(
            noted(_fault(settings), request.scope)
        )  # the error itself goes on to `guarded`, which logs it

    return answer


def _fault(settings: Settings) -> Reply:
    return replies.hardened(replies.problem(KeyturnError(), settings), settings)


def _of_ours(error: HTTPException) -> KeyturnError:
    # In one order: Starlette's is that of a set, which is another in each process.
    allowed = {
        name: ", ".join(sorted(value.split(", ")))
        for name, value in (error.headers or {}).items()
        if name.lower() == "allow"
    }
    match error.status_code:
        case 404:
            return RequestError("There is nothing at this address.", code="not_found", status=404)
        case 405:
            taken = allowed.get("Allow") or "other methods"
            return RequestError(f"This address takes {taken}.", code="method_not_allowed", status=405, headers=allowed)
        case status:
            return RequestError(status=status, headers=allowed)


def guarded(app: AsgiApp, settings: Settings) -> AsgiApp:
    """Answer where an application fails: an error's message may repeat what was in the request, so it goes no further."""

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _log.error("%s failed with %s", scope["method"], kind_and_place(error))
            if not begun:
                await send_reply(noted(_fault(settings), scope), send)

    return layer


async def _live(app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Say that the end is complete when it is: a server ends the loop then, and what still ran in it."""
    last: list[Message] = []

    async def held(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            last.append(message)
        else:
            await send(message)

    await app(scope, receive, held)
    for message in last:
        await send(message)
