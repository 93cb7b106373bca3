"""Everything in one object: what an application builds and reaches everything from.

A framework's ``Keyturn`` is this, with the framework's manners: it turns its requests into `Request`, awaits `handle`
or `check`, and turns a `Reply` into its response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from . import stores
from ._application import async_faults, client_faults
from ._build import Chance, build_flows, open_keys
from ._clients import Clients, by_id, living_faults, taken
from ._colour import Bridge, Caller, call_blocking, resolve
from ._doors import Asked, async_caller, blocking_faults, run_async, throttle_faults
from ._proxies import UnnamedProxy, read_proxies
from .errors import ConfigurationError, KeyturnError
from .events import Listener, ReplyHook
from .http import routes
from .http.bodies import BODY_LIMIT
from .http.core import Core, Inputs as Inputs, Parts as Parts  # noqa: PLC0414 - known by this place too
from .http.credentials import Reader
from .http.endpoints import application
from .http.guard import NOTHING_SPECIAL, Guard, Need
from .keyrings import KeySource
from .keys import KeyRing
from .messages import Cookies, CookieTaker, RawHeaders, Reply, Request
from .sessions import AsyncSessions, Sessions
from .settings import Settings
from .stores import SessionStore
from .throttle import Choice, Throttle, begun_anew, chosen
from .tokens import Claims
from .users import Principal, RegisteredClient, Users
from .verifier import Verifier

T = TypeVar("T")


class Service:
    """Settings, sessions, verifier, users and throttle, joined.

    Args:
        settings: of one issuer and realm.
        store: where sessions are kept, or its address (``sqlite:///app.db``).
        keys: a key source, a ring, or the path of a key ring's directory (made with fresh keys where it is missing).
        users: the application's users.
        throttle: how often is too often: ``Limits(…)`` counts in this process's memory; an address
            (``sqlite:///counters.db``, or ``"store"``: beside the sessions) counts for all workers together; a
            `Throttle`; None for nobody. Left out: `Limits` as they are, but nobody in the ``testing`` profile.
        clients: registered programs; or a mapping of them by id, which may change meanwhile. An id that is not in it is
            asked for, before it is refused, at its method ``look_up(client_id)`` where it has one, plain or async.
        listeners: told what happened, one event each.
        reply_hooks: ``(request, reply, principal, session) -> Reply or None`` on login, refresh and logout.
        readers: further places where access tokens may be found, asked after the standard ones; never a cookie, since
            what they find is taken for a token that no browser sends by itself.
        trusted_proxies: addresses and networks whose ``X-Forwarded-…`` fields are believed; ``"unix"`` for a Unix socket.
        chance: the clock and the entropy.

    Raises:
        ConfigurationError: with every fault that was found.
    """

    #: How this door calls the application's functions; a framework that awaits says ``async``.
    door: Literal["sync", "async"] = "sync"

    def __init__(
        self,
        settings: Settings,
        *,
        store: SessionStore | str,
        keys: KeySource | KeyRing | str | Any,
        users: Users,
        throttle: Choice = "default",
        clients: Mapping[str, RegisteredClient] | Iterable[RegisteredClient] = (),
        listeners: Iterable[Listener] = (),
        reply_hooks: Iterable[ReplyHook] = (),
        readers: Iterable[Reader] = (),
        trusted_proxies: Iterable[str] = (),
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
    ) -> None:
        opened = stores.open(store, colour=self.door) if isinstance(store, str) else store
        counting = chosen(throttle, profile=settings.profile, store=store if isinstance(store, str) else None)
        self._opened_here: list[object] = [opened] if isinstance(store, str) else []
        self._opened_here += [counting] if isinstance(throttle, str) else []
        inputs = Inputs(
            settings=settings,
            store=opened,
            keys=open_keys(keys, settings, chance),
            users=users,
            throttle=counting,
            clients=taken(clients),
            listeners=tuple(listeners),
            reply_hooks=tuple(reply_hooks),
            readers=tuple(readers),
            proxies=read_proxies(trusted_proxies),
            chance=chance,
        )
        self._unnamed_proxy = UnnamedProxy()
        self._parts = self._build(inputs)

    # --- the parts -------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings of this issuer and realm."""
        return self._parts.core.settings

    @property
    def store(self) -> SessionStore:
        """Where sessions are kept."""
        return self._parts.inputs.store

    @property
    def verifier(self) -> Verifier:
        """Checks access tokens with no I/O."""
        return self._parts.core.guard.verifier

    @property
    def guard(self) -> Guard:
        """The rule of guarded routes."""
        return self._parts.core.guard

    @property
    def users(self) -> Users:
        """The application's users."""
        return self._parts.core.users

    @property
    def throttle(self) -> Throttle:
        """Who is counted."""
        return self._parts.inputs.throttle

    def _blocking_sessions(self) -> Sessions:
        return Sessions.over(self._parts.core.flows)

    def _async_sessions(self) -> AsyncSessions:
        return AsyncSessions.over(self._parts.core.flows, self._bridge())

    def _bridge(self) -> Bridge | None:
        """Give the framework's way between loop and threads; None where the door blocks."""
        return None

    def take_cookies(self, headers: RawHeaders) -> tuple[RawHeaders, Cookies]:
        """Split our cookies from a request's headers, before anything of the application sees them."""
        return self._parts.take_cookies(headers)

    # --- the two questions -----------------------------------------------------------------------------------------

    def answers(self, path: str) -> bool:
        """Say whether a path, below the application's root, is ours to answer."""
        return routes.is_ours(path, self._parts.core.settings)

    async def handle(self, request: Request, route: routes.Route | None = None) -> Reply:
        """Answer a request to one of our routes; errors are replies, nothing is raised through a framework.

        Args:
            route: one of a program around us, to be answered as ours are; the one of the request's path where left out.
        """
        request = self._seen(request)
        if self._moves_to_thread():
            try:
                request = await _with_body(request)
            except KeyturnError as error:
                return routes.error_reply(error, self._parts.core.settings)
        core = self._parts.core
        return await self._run(routes.answer(core, request, route) if route else routes.dispatch(core, request))

    async def check(self, request: Request, need: Need = NOTHING_SPECIAL) -> Claims | None:
        """Give the caller's claims, or raise what the guard says; no I/O but one look at the log per half bound."""
        guard = self._parts.core.guard
        if guard.settings.development:  # the only guards that ask where a request comes from
            request = self._seen(request)
        if guard.is_due(need):
            await self._run(guard.keep_up(request, need))
        return guard.judge(request, need)

    async def keep_up(self) -> None:
        """Read the log of ended sessions on and report what was seen: for runners ahead of time, and at shutdown."""
        await self._run(self._parts.core.guard.read_log())

    def close(self) -> None:
        """Close the store and the throttle if they were opened from an address here; others are their owner's to close.

        Waits for what is being written. A later call opens them again.
        """
        for opened in self._opened_here:
            close = getattr(opened, "close", None)
            if close is not None:
                close()

    # --- for applications with a login of their own ----------------------------------------------------------------

    async def start_session(self, request: Request, principal: Principal, how: application.SignIn) -> Reply:
        """Sign a user in whom the application has authenticated itself; give the token answer."""
        return await self._run(application.sign_in(self._parts.core, self._seen(request), principal, how))

    async def raise_session(self, request: Request, how: application.StepUp) -> Reply:
        """Step a session up after the application has checked another factor; give the token answer."""
        return await self._run(application.step_up(self._parts.core, self._seen(request), how))

    async def finish_session(self, request: Request) -> Reply:
        """Sign the caller out, as POST /logout does; give the answer that clears the cookies."""
        return await self._run(application.sign_out(self._parts.core, self._seen(request)))

    # --- tests -----------------------------------------------------------------------------------------------------

    @contextmanager
    def override(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        entropy: Callable[[int], bytes] | None = None,
        store: SessionStore | str | None = None,
        keys: KeySource | KeyRing | None = None,
        settings: Settings | None = None,
        throttle: Choice = "default",
    ) -> Generator[None, None, None]:
        """Replace parts for the length of a ``with`` block: for tests. A throttle in memory begins anew."""
        before = self._parts
        old = before.inputs
        chance = Chance(clock=clock or old.chance.clock, entropy=entropy or old.chance.entropy)
        new_settings = settings or old.settings
        self._parts = self._build(
            replace(
                old,
                settings=new_settings,
                chance=chance,
                store=stores.open(store, colour=self.door) if isinstance(store, str) else store or old.store,
                throttle=begun_anew(old.throttle)
                if throttle == "default"
                else chosen(throttle, profile=new_settings.profile, store=None),
                keys=old.keys if keys is None else open_keys(keys, new_settings, chance),
            )
        )
        try:
            yield
        finally:
            self._parts = before

    # --- building --------------------------------------------------------------------------------------------------

    def _build(self, inputs: Inputs) -> Parts:
        if faults := self._faults(inputs):
            raise ConfigurationError(faults)
        call = self._caller(inputs.store)
        clients = Clients(by_id(inputs.clients), call)
        clock = inputs.chance.clock
        verifier = Verifier(inputs.settings, inputs.keys, clock=clock)
        flows = build_flows(
            inputs.settings, inputs.store, inputs.keys, inputs.users,
            chance=inputs.chance, call=call, floors=verifier.floors, listeners=inputs.listeners,
            report=verifier.report, clients=clients,
        )  # fmt: skip
        guard = Guard(
            settings=inputs.settings, verifier=verifier, clock=clock, feed=inputs.store,
            acknowledge=inputs.store.acknowledge, readers=inputs.readers,
        )  # fmt: skip
        core = Core(
            settings=inputs.settings, flows=flows, guard=guard, users=inputs.users, throttle=Asked(inputs.throttle, call),
            clock=clock, call=call, clients=clients, proxies=inputs.proxies, reply_hooks=inputs.reply_hooks,
        )  # fmt: skip
        return Parts(inputs=inputs, core=core, take_cookies=CookieTaker(inputs.settings.cookie_names))

    def _faults(self, inputs: Inputs) -> list[str]:
        faults = client_faults(inputs.clients)
        faults += [
            f"users has no method {name}" for name in ("authenticate", "load") if not hasattr(inputs.users, name)
        ]
        if self.door == "async":
            return faults
        called: list[Callable[..., Any]] = [*inputs.listeners, *inputs.reply_hooks]
        blocking = [*blocking_faults(inputs.store), *throttle_faults(inputs.throttle), *living_faults(inputs.clients)]
        return [*faults, *blocking, *async_faults(inputs.users, called)]

    def _caller(self, store: SessionStore) -> Caller:
        return async_caller(store, self._bridge()) if self.door == "async" else call_blocking

    def _moves_to_thread(self) -> bool:
        return self._parts.inputs.store.colour == "sync" and self._bridge() is not None

    def _seen(self, request: Request) -> Request:
        proxies = self._parts.inputs.proxies
        if proxies:
            return proxies.seen_through(request)
        self._unnamed_proxy.look_at(request)
        return request

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return run_async(coroutine, self._parts.inputs.store, self._bridge())


async def _with_body(request: Request) -> Request:
    """Read the body before the flow moves to a thread, where nothing can be awaited."""
    body = await resolve(request.read(BODY_LIMIT + 1))
    return request._replace(read=lambda limit: body[:limit])
