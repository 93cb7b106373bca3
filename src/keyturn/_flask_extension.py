"""Keyturn as an extension of Flask: one service for each application, built from the code and ``app.config``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from weakref import WeakSet

from flask import Flask, Response, current_app, has_app_context, request

from . import _flask_config, _wsgi
from ._application import async_faults
from ._build import Chance
from ._clients import taken
from ._colour import drive
from ._doors import blocking_faults
from ._flask_guards import response_of
from ._wsgi_service import WsgiService
from .errors import ConfigurationError, KeyturnError
from .events import Listener, ReplyHook
from .http.credentials import Reader
from .http.guard import Guard
from .http.routes import error_reply
from .service import Service
from .sessions import Sessions
from .settings import Settings
from .stores import SessionStore
from .throttle import Choice, NoThrottle
from .users import RegisteredClient, Users
from .verifier import Verifier

_EXTENSION: Final = "keyturn"
#: Whose question was answered with an error, for the handler that tells it.
ASKED: Final = "keyturn.asked"


class Extension:
    """What `keyturn.flask.Keyturn` is besides its guards and sign-ins; the arguments are told there."""

    def __init__(
        self,
        app: Flask | None = None,
        settings: Settings | None = None,
        *,
        users: Users | None = None,
        store: SessionStore | str | None = None,
        keys: Any = None,
        throttle: Choice = "default",
        clients: Mapping[str, RegisteredClient] | Iterable[RegisteredClient] = (),
        listeners: Iterable[Listener] = (),
        reply_hooks: Iterable[ReplyHook] = (),
        readers: Iterable[Reader] = (),
        trusted_proxies: Iterable[str] = (),
        chance: Chance = Chance(),  # noqa: B008 - a frozen value
        config_prefix: str = "KEYTURN_",
    ) -> None:
        self._given: dict[str, Any] = {
            "settings": settings, "users": users, "store": store, "keys": keys,
            "throttle": NoThrottle() if throttle is None else None if throttle == "default" else throttle,
            "trusted_proxies": tuple(trusted_proxies) or None,
        }  # fmt: skip
        self._more: dict[str, Any] = {
            "clients": taken(clients), "listeners": tuple(listeners),
            "reply_hooks": tuple(reply_hooks), "readers": tuple(readers), "chance": chance,
        }  # fmt: skip
        self._config_prefix = config_prefix
        self._apps: WeakSet[Flask] = WeakSet()
        if faults := self._colour_faults(users, store):
            raise ConfigurationError(faults)
        if app is not None:
            self.init_app(app)

    def _colour_faults(self, users: Users | None, store: SessionStore | str | None) -> list[str]:
        blocking = [] if store is None or isinstance(store, str) else blocking_faults(store)
        return [*blocking, *async_faults(users, [*self._more["listeners"], *self._more["reply_hooks"]])]

    # --- installing ------------------------------------------------------------------------------------------------

    def init_app(
        self,
        app: Flask,
        *,
        users: Users | None = None,
        store: SessionStore | str | None = None,
        keys: Any = None,
    ) -> None:
        """Build the service of an application; bring our routes, the error handler and the layer that hides our cookies.

        Args:
            app: may be one of several.
            users, store, keys: where they are known only now.

        Raises:
            ConfigurationError: with every fault of the configuration.
            RuntimeError: the application has it already.
        """
        services: dict[Extension, WsgiService] = app.extensions.setdefault(_EXTENSION, {})
        if self in services:
            raise RuntimeError("this Keyturn is installed in this application already")
        late = {name: part for name, part in (("users", users), ("store", store), ("keys", keys)) if part is not None}
        service = self._built(app, {**self._given, **late})
        if any(other.settings.prefix == service.settings.prefix for other in services.values()):
            raise ConfigurationError([f"another Keyturn of this application answers at {service.settings.prefix}"])
        theirs = app.error_handler_spec[None][None].get(KeyturnError, _answer_error)
        app.register_error_handler(KeyturnError, theirs)  # before all else: Flask refuses it after the first request
        services[self] = service
        self._apps.add(app)

        @contextmanager
        def within(environ: _wsgi.Environ) -> Generator[Any, None, None]:
            with app.request_context(environ):
                yield request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - werkzeug's public name

        app.wsgi_app = _wsgi.wrap(self, service, app.wsgi_app, within)  # type: ignore[assignment,method-assign]  # Flask's own way

    def _built(self, app: Flask, given: Mapping[str, Any]) -> WsgiService:
        folder, config = app.instance_path, app.config
        return WsgiService(**_flask_config.arguments_of(config, self._config_prefix, folder, given), **self._more)

    # --- the parts -------------------------------------------------------------------------------------------------

    @property
    def service(self) -> Service:
        """The service of the current application; outside of one, of the only application there is.

        Raises:
            RuntimeError: there is none, or several.
        """
        return self._current()

    def _current(self) -> WsgiService:
        app: Flask | None = next(iter(self._apps)) if len(self._apps) == 1 else None
        if has_app_context():
            app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        if app is None:
            raise RuntimeError(
                "this Keyturn has no application yet: call auth.init_app(app)" if not self._apps
                else "this Keyturn has several applications: use it within `with app.app_context():`"
            )  # fmt: skip
        service: WsgiService | None = app.extensions.get(_EXTENSION, {}).get(self)
        if service is None:
            raise RuntimeError("this Keyturn is not installed in the current application: call auth.init_app(app)")
        return service

    def serves(self, view: Callable[..., Any]) -> bool:
        """Say whether an application of ours has this very view already."""
        return any(view is known for app in self._apps for known in app.view_functions.values())

    @property
    def settings(self) -> Settings:
        """The settings of the current application's service."""
        return self._current().settings

    @property
    def store(self) -> SessionStore:
        """Where its sessions are kept."""
        return self._current().store

    @property
    def sessions(self) -> Sessions:
        """Start, end and look at sessions with no request at hand."""
        return self._current().sessions

    @property
    def users(self) -> Users:
        """The application's users."""
        return self._current().users

    @property
    def verifier(self) -> Verifier:
        """Checks access tokens with no I/O."""
        return self._current().verifier

    @property
    def guard(self) -> Guard:
        """The rule of guarded views."""
        return self._current().guard

    def override(self, **parts: Any) -> AbstractContextManager[None]:
        """Replace parts for the length of a ``with`` block, see `keyturn.Service.override`: for tests."""
        return self._current().override(**parts)

    def close(self) -> None:
        """Report what was seen and close a store that was opened from an address: where a process ends in good order.

        Such as gunicorn's ``worker_exit``. A later call opens it again.
        """
        service = self._current()
        drive(service.keep_up())
        service.close()


def _answer_error(error: KeyturnError) -> Response:
    """Answer what was raised in a view, in the words of the Keyturn that raised it."""
    services: dict[object, WsgiService] = current_app.extensions[_EXTENSION]
    service = services.get(request.environ.get(ASKED)) or next(iter(services.values()))
    return response_of(error_reply(error, service.settings))
