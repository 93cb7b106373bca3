"""Keyturn for Flask: ``auth = Keyturn(users=…)``, then ``auth.init_app(app)``.

Example::

    @app.get("/me")
    @auth.required
    def me():
        return {"subject": auth.claims.subject}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, cast

from flask import Request, has_request_context, request
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from . import _wsgi
from ._colour import drive
from ._flask_extension import ASKED, Extension
from ._flask_guards import Fresh, Optional, Required, Rule, response_of
from .errors import KeyturnError
from .http import forgery
from .http.endpoints.application import SignIn, StepUp
from .http.guard import NOTHING_SPECIAL, Need, Stale
from .messages import Reply, Request as Asked
from .service import Service
from .session import Transport
from .tokens import Claims
from .users import Principal

__all__ = ["Extension", "Fresh", "Keyturn", "Optional", "Required", "Rule"]

#: As in the applications of other frameworks; flask-cors takes a text with such characters for an expression.
_LOOPBACK: Final = r"https?://(localhost|127\.0\.0\.1|\[::1\]|[a-z0-9.-]+\.localhost)(:\d+)?\Z"
#: Gives the request itself; quicker than to ask it through the proxy.
_current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]  # noqa: SLF001 - werkzeug's public name


class Keyturn(Extension):
    """Sessions for Flask applications: one service for each, built by `init_app` from the arguments and its config.

    Args:
        app: an application to begin with.
        settings: of one issuer and realm; where left out, ``app.config`` spells them: ``KEYTURN_ISSUER``,
            ``KEYTURN_COOKIE__SUFFIX`` and so on.
        users: the application's users; plain functions.
        store: where sessions are kept, or its address; ``KEYTURN_STORE`` where left out. A relative path is below the
            application's instance folder.
        keys: a key source, a ring, or the path of a key ring's directory; ``KEYTURN_KEYS`` where left out.
        throttle, trusted_proxies: see `keyturn.Service`; ``KEYTURN_THROTTLE``, ``KEYTURN_TRUSTED_PROXIES``.
        clients, listeners, reply_hooks, readers, chance: see `keyturn.Service`.
        config_prefix: what the names in ``app.config`` begin with, for a second Keyturn in one application.

    Raises:
        ConfigurationError: what was given awaits, and Flask blocks; with `app`, also what `init_app` raises.
    """

    # --- guards ----------------------------------------------------------------------------------------------------

    @cached_property
    def required(self) -> Required:
        """The guard of views that need a signed-in caller."""
        return Required(Rule(self, NOTHING_SPECIAL))

    @cached_property
    def optional(self) -> Optional:
        """The guard of views that like to know who calls; a bad token counts as none."""
        return Optional(Rule(self, Need(optional=True)))

    @cached_property
    def fresh(self) -> Fresh:
        """The guard of views that need a sign-in not longer ago than five minutes, or as it is called for."""
        return Fresh(Rule(self, Need(within=timedelta(minutes=5))))

    def scopes(self, *scopes: str) -> Rule:
        """The guard of views that need all of these scopes."""
        return self.require(*scopes)

    def require(
        self, *scopes: str, within: timedelta | None = None, amr: Sequence[str] = (), stale: Stale = "auto"
    ) -> Rule:
        """The guard of views that need more: scopes, a recent or stronger sign-in, a picture without delay.

        Args:
            scopes: all of them are needed.
            within: how far back the sign-in may lie.
            amr: one of these methods must have been used.
            stale: see `keyturn.Need`.
        """
        return Rule(self, Need(scopes=frozenset(scopes), within=within, amr=frozenset(amr), stale=stale))

    def check(self, need: Need = NOTHING_SPECIAL) -> Claims | None:
        """Give the claims of whoever sent the current request; None where nobody is there and nobody is needed.

        Raises:
            KeyturnError: as `keyturn.Service.check`.
            RuntimeError: there is no request.
        """
        native = _current_request()
        environ = native.environ
        visit = _wsgi.visit_of(environ, self) or self._visit(environ)
        asked = _wsgi.guarded_request(environ, visit, native)
        guard = visit.parts.guard
        if visit.found is _wsgi.UNJUDGED:
            visit.found = None  # for hooks of the application that look at a refusal
        if visit.parts.guarded is None or guard.is_due(need):
            found = drive(visit.service.check(asked, need))
        else:  # the same, without the way round through a coroutine
            found = guard.judge(asked, need)
        visit.found = found
        return found

    def _visit(self, environ: _wsgi.Environ) -> _wsgi.Visit:
        # Not through our layer: a test's request context.
        return _wsgi.visit_of(environ, self) or _wsgi.enter(environ, self, self._current())

    def is_visited(self) -> bool:
        """Say whether a request that came to the application is being handled."""
        return bool(request) and _wsgi.visit_of(request.environ, self) is not None

    @property
    def claims(self) -> Claims:
        """The caller's claims, in a guarded view; elsewhere a proxy to those of whatever request it is used in.

        Where there are none, reading something of them raises RuntimeError.
        """
        found = self._found() if has_request_context() else None
        return found if isinstance(found, Claims) else self._proxy

    @cached_property
    def _proxy(self) -> Claims:
        return cast("Claims", LocalProxy(self._claims_or_raise))

    def _found(self) -> Claims | None | _wsgi.Unjudged:
        visit = _wsgi.visit_of(_current_request().environ, self)
        return _wsgi.UNJUDGED if visit is None else visit.found

    def get_claims(self) -> Claims | None:
        """Give what the guard found for this request; None where nobody is signed in.

        Raises:
            RuntimeError: there is no request, or no guard has judged it.
        """
        found = self._found()
        if isinstance(found, _wsgi.Unjudged):
            raise RuntimeError("nobody has judged this request: guard its view with @auth.required or @auth.optional")  # noqa: TRY004
        return found

    def _claims_or_raise(self) -> Claims:
        claims = self.get_claims()
        if claims is None:
            raise RuntimeError("nobody is signed in: where the guard is @auth.optional, ask auth.get_claims()")
        return claims

    def cors(self) -> dict[str, Any]:
        """Give the arguments for flask-cors that let the configured origins call the application."""
        names = {"allow_credentials": "supports_credentials", "allow_methods": "methods"}
        shared = {names.get(name, name): value for name, value in forgery.CORS_ARGUMENTS.items()}
        origins: list[Any] = [re.compile(re.escape(origin) + r"\Z") for origin in self.settings.origins]
        return {"origins": [*origins, *([_LOOPBACK] if self.settings.development else [])], **shared}

    # --- for applications with a login of their own ----------------------------------------------------------------

    def sign_in(
        self,
        principal: Principal,
        *,
        into: Response | None = None,
        transport: Transport | None = None,
        remember: bool = True,
        client_id: str = "default",
        amr: Sequence[str] = (),
        scope: str | None = None,
        claims: Mapping[str, Any] | None = None,
        device_name: str | None = None,
    ) -> Response:
        """Start a session for a user whom the application has authenticated; give the token answer.

        Args:
            principal: the user.
            into: a response of the application's that shall carry the cookies instead (a redirect after social login).
            transport, remember, client_id, amr, scope, claims, device_name: see `Sessions.start`.

        Raises:
            KeyturnError: where not answered by a handler of the application's, ours answers it.
        """
        how = SignIn(
            transport="cookie" if into is not None else transport, remember=remember, client_id=client_id,
            amr=tuple(amr), scope=scope, claims=dict(claims or {}), device_name=device_name,
        )  # fmt: skip
        return self._ask(lambda service, asked: service.start_session(asked, principal, how), into)

    def step_up(
        self,
        *,
        refresh_token: str | None = None,
        amr: Sequence[str] | None = None,
        claims: Mapping[str, Any] | None = None,
        rebind: bool = False,
        into: Response | None = None,
    ) -> Response:
        """Note that the caller proved again who they are; give the token answer, older tokens are dead.

        Args:
            refresh_token: the current one, for sessions that carry it in bodies; else the request has it in a cookie.
            amr, claims, rebind: see `Sessions.step_up`.
            into: a response of the application's that shall carry the cookies instead.
        """
        new_amr = None if amr is None else tuple(amr)
        how = StepUp(refresh_token=refresh_token, amr=new_amr, claims=claims, rebind=rebind)
        return self._ask(lambda service, asked: service.raise_session(asked, how), into)

    def sign_out(self, *, into: Response | None = None) -> Response:
        """End the caller's session and clear the cookies, as POST /logout does.

        Args:
            into: a response of the application's that shall carry the cleared cookies instead.
        """
        return self._ask(lambda service, asked: service.finish_session(asked), into)

    def _ask(self, question: Callable[[Service, Asked], Coroutine[Any, Any, Reply]], into: Response | None) -> Response:
        native = _current_request()
        environ = native.environ
        visit = _wsgi.visit_of(environ, self) or self._visit(environ)
        try:
            reply = drive(question(visit.service, _wsgi.request_of(environ, visit.cookies, native)))
        except KeyturnError:
            environ[ASKED] = self
            raise
        return response_of(reply) if into is None else _with_cookies(into, reply)


def _with_cookies(into: Response, reply: Reply) -> Response:
    for name, value in _wsgi.fields_of(reply):
        if name == "set-cookie":
            into.headers.add("Set-Cookie", value)
    into.headers["Cache-Control"] = "no-store"
    return into
