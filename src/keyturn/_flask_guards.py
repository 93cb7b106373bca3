"""Guards in Flask's idiom: decorators with and without parentheses, which also stand before a blueprint."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from functools import wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from flask import Response, request
from werkzeug.datastructures import Headers

from . import _wsgi
from .errors import KeyturnError, TokenMissingError
from .http.guard import Need, Stale
from .http.routes import error_reply
from .messages import Reply
from .settings import Settings
from .tokens import Claims

P = ParamSpec("P")
R = TypeVar("R")


class Asked(Protocol):
    """Whose sessions count: `keyturn.flask.Keyturn`."""

    @property
    def settings(self) -> Settings:
        """Those of the current application."""
        ...

    def check(self, need: Need, /) -> Claims | None:
        """Judge the current request, or raise."""
        ...

    def is_visited(self) -> bool:
        """Say whether a request is being handled."""
        ...

    def serves(self, view: Callable[..., Any], /) -> bool:
        """Say whether an application has this view already."""
        ...


class Rule:
    """What a view needs. It decorates a view, or stands before a whole application or blueprint.

    As in ``@auth.scopes("write")`` and ``blueprint.before_request(auth.scopes("write"))``. A refusal is the view's
    answer, and passes no error handler.

    Args:
        auth: whose sessions count.
        need: what is needed.
    """

    __slots__ = ("auth", "need")

    def __init__(self, auth: Asked, need: Need) -> None:
        self.auth = auth
        self.need = need

    @overload
    def __call__(self, /) -> Response | None: ...
    @overload
    def __call__(
        self, view: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | Response]]: ...
    @overload
    def __call__(self, view: Callable[P, R], /) -> Callable[P, R | Response]: ...
    def __call__(self, view: Callable[..., Any] | None = None, /) -> Any:
        """Decorate a view; or, called with nothing while a request is handled, give its refusal or None."""
        if view is not None:
            return _guarded(self, view)
        rule = request.url_rule
        if request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return None  # Flask answers it without a view: what pages of other origins ask before they sign in
        return self.refusal()

    def refusal(self) -> Response | None:
        """Judge the current request; give the answer that refuses it, None where it may go on."""
        try:
            claims = self.auth.check(self.need)
            if claims is None and not self.need.optional:
                raise TokenMissingError
        except KeyturnError as error:
            return response_of(error_reply(error, self.auth.settings))
        return None


def _guarded(rule: Rule, view: Callable[..., Any]) -> Callable[..., Any]:
    if isclass(view):
        raise TypeError(f"{view.__name__} is a class: guard its methods, or give it `decorators = [auth.required]`")
    if rule.auth.serves(view):
        raise TypeError(f"{view.__name__} is served already, without a guard: put the guard below the route")
    refusal = rule.refusal
    if iscoroutinefunction(view):

        @wraps(view)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            if (refused := refusal()) is not None:
                return refused
            return await view(*args, **kwargs)

        return guarded_async

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if (refused := refusal()) is not None:
            return refused
        return view(*args, **kwargs)

    return guarded


class _Guard:
    """A rule that may be used as it is or called for a narrower one."""

    __slots__ = ("_rule",)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def _apply(self, view: Callable[..., Any] | None, need: Need) -> Any:
        if view is not None:
            return self._rule(view)
        if need == self._rule.need:
            # `app.before_request(auth.required)`, without parentheses: Flask is calling.
            return self._rule() if self._rule.auth.is_visited() else self._rule
        return Rule(self._rule.auth, need)


class Required(_Guard):
    """The guard of views that need a signed-in caller, with and without parentheses."""

    __slots__ = ()

    @overload
    def __call__(
        self, view: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | Response]]: ...
    @overload
    def __call__(self, view: Callable[P, R], /) -> Callable[P, R | Response]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        scopes: Iterable[str] = (),
        within: timedelta | None = None,
        amr: Iterable[str] = (),
        stale: Stale = "auto",
    ) -> Rule: ...
    def __call__(
        self,
        view: Callable[..., Any] | None = None,
        /,
        *,
        scopes: Iterable[str] = (),
        within: timedelta | None = None,
        amr: Iterable[str] = (),
        stale: Stale = "auto",
    ) -> Any:
        """Decorate a view; or say what more is needed.

        Args:
            scopes: all of them are needed; one text is split at blanks.
            within: how far back the sign-in may lie.
            amr: one of these methods must have been used.
            stale: see `keyturn.Need`.
        """
        return self._apply(view, _need(scopes, within, amr, stale))


class Optional(_Guard):
    """The guard of views that like to know who calls, with and without parentheses; a bad token counts as none."""

    __slots__ = ()

    @overload
    def __call__(
        self, view: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | Response]]: ...
    @overload
    def __call__(self, view: Callable[P, R], /) -> Callable[P, R | Response]: ...
    @overload
    def __call__(self, /) -> Rule: ...
    def __call__(self, view: Callable[..., Any] | None = None, /) -> Any:
        """Decorate a view."""
        return self._apply(view, self._rule.need)


class Fresh(_Guard):
    """The guard of views that need a recent sign-in, with and without parentheses."""

    __slots__ = ()

    @overload
    def __call__(
        self, view: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R | Response]]: ...
    @overload
    def __call__(self, view: Callable[P, R], /) -> Callable[P, R | Response]: ...
    @overload
    def __call__(self, /, *, minutes: float = 5, amr: Iterable[str] = ()) -> Rule: ...
    def __call__(
        self, view: Callable[..., Any] | None = None, /, *, minutes: float = 5, amr: Iterable[str] = ()
    ) -> Any:
        """Decorate a view; or say how recent the sign-in must be.

        Args:
            minutes: how far back it may lie.
            amr: one of these methods must have been used.
        """
        return self._apply(view, _need((), timedelta(minutes=minutes), amr, "auto"))


def _need(scopes: Iterable[str], within: timedelta | None, amr: Iterable[str], stale: Stale) -> Need:
    words = scopes.split() if isinstance(scopes, str) else scopes
    methods = amr.split() if isinstance(amr, str) else amr
    return Need(scopes=frozenset(words), within=within, amr=frozenset(methods), stale=stale)


def response_of(reply: Reply) -> Response:
    """Give a reply as Flask's response."""
    response = Response(reply.body, reply.status)
    response.headers = Headers(_wsgi.fields_of(reply))
    return response
