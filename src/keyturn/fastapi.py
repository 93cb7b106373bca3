"""Keyturn for FastAPI: `keyturn.starlette` with guards as dependencies and our routes on the documentation page.

Example::

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
        return {"subject": claims.subject}
"""

# No `from __future__ import annotations` here: older FastAPI reads the annotations of a guard, which is no function,
# without the names of this module, and asks the query for what it cannot resolve.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import FastAPI, Request as FastAPIRequest, Response
from fastapi.openapi.models import HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows, SecurityBase as Model
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from . import _asgi, _openapi, starlette
from .errors import TokenMissingError
from .http.guard import NOTHING_SPECIAL, Need, Stale
from .http.routes import ROUTES
from .starlette import response_of, with_scopes
from .tokens import Claims


class _Scheme(SecurityBase):
    """How the documentation page shows what a guard needs, and how it may sign in."""

    auth: "Keyturn"

    @property
    def model(self) -> Model:  # type: ignore[override]  # computed, since settings may be overridden in tests
        """What OpenAPI says of it."""
        settings = self.auth.settings
        if settings.development or settings.docs_login:
            flow = OAuthFlowPassword(tokenUrl=settings.prefix.lstrip("/") + "/docs-token")
            return OAuth2(flows=OAuthFlows(password=flow))
        return HTTPBearer(bearerFormat="JWT")

    @property
    def scheme_name(self) -> str:  # type: ignore[override]  # the same
        """Its name on the page; one a realm."""
        realm = self.auth.settings.realm
        return "Keyturn" if realm == "default" else f"Keyturn ({realm})"


@dataclass(frozen=True, slots=True)
class Required(_Scheme):
    """Gives the caller's claims; a dependency for HTTP and WebSocket routes alike. Equal needs are equal dependencies.

    Args:
        auth: whose sessions count.
        need: what the route needs; ``Security(auth.required, scopes=[…])`` adds scopes.
    """

    auth: "Keyturn"
    need: Need

    def __hash__(self) -> int:
        return hash((Required, id(self.auth)))  # FastAPI hashes a dependency several times a request

    async def __call__(self, conn: HTTPConnection, scopes: SecurityScopes) -> Claims:
        """Give the caller's claims.

        Raises:
            KeyturnError: there is nobody, or what they hold is not enough; the installed handler answers it.
        """
        claims = await self.auth.check_connection(conn, with_scopes(self.need, scopes.scopes))
        if claims is None:
            raise TokenMissingError
        return claims


@dataclass(frozen=True, slots=True)
class Optional(_Scheme):
    """Gives the caller's claims, or None where nobody (or nobody any more) is signed in."""

    auth: "Keyturn"
    need: Need

    def __hash__(self) -> int:
        return hash((Optional, id(self.auth)))

    async def __call__(self, conn: HTTPConnection, scopes: SecurityScopes) -> Claims | None:
        """Give the caller's claims, None without a good token."""
        return await self.auth.check_connection(conn, with_scopes(self.need, scopes.scopes))


class Keyturn(starlette.Keyturn):
    """Sessions for a FastAPI application; the arguments are those of `keyturn.Service`."""

    def install(self, app: Starlette) -> None:
        """Bring our routes, the error handler and the layer that hides our cookies into an application.

        Raises:
            RuntimeError: the application has started already.
        """
        super().install(app)
        if isinstance(app, FastAPI):
            self._document_late(app)

    def _document_late(self, app: FastAPI) -> None:
        """Add our routes to the schema behind all others, so that none of the application's is matched later for it."""
        describe, build = app.openapi, app.build_middleware_stack
        documented: list[bool] = []

        def document() -> None:
            if not documented:
                documented.append(True)
                self._document(app)

        def openapi() -> dict[str, Any]:
            document()
            return describe()

        def build_middleware_stack() -> ASGIApp:
            document()
            return build()

        app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the schema
        app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]  # as in Starlette's install

    def _document(self, app: FastAPI) -> None:
        async def answer(request: FastAPIRequest) -> Response:
            # Reached only where the layer is not around the application, as in a router that was mounted by hand.
            read = _asgi.Body(request.receive).read
            return response_of(await self.handle(_asgi.request_of(self, request.scope, request, read)))

        for route in ROUTES:
            for method in () if route.hidden else route.methods:
                operation = _openapi.operation(route.path, method, self.settings)
                app.add_api_route(
                    self.settings.prefix + _openapi.path(route.path), answer, methods=[method],
                    tags=["sessions"], summary=operation.summary, description=operation.description,
                    name=operation.name, operation_id=operation.name, responses=operation.responses,
                    status_code=operation.status, response_model=None, response_class=Response,
                    openapi_extra=operation.extra,
                )  # fmt: skip

    @property
    def required(self) -> Required:  # type: ignore[override]  # the same guard with FastAPI's manners
        """The guard of routes that need a signed-in caller."""
        return Required(self, NOTHING_SPECIAL)

    @property
    def optional(self) -> Optional:  # type: ignore[override]  # the same
        """The guard of routes that like to know who calls; a bad token counts as none."""
        return Optional(self, Need(optional=True))

    def fresh(self, *, minutes: float = 5, amr: Sequence[str] = ()) -> Required:  # type: ignore[override]  # the same
        """The guard of routes that need a sign-in not longer ago than that.

        Args:
            minutes: how far back the sign-in may lie.
            amr: one of these methods must have been used.
        """
        return self.require(within=timedelta(minutes=minutes), amr=amr)

    def require(  # type: ignore[override]  # the same
        self, *scopes: str, within: timedelta | None = None, amr: Sequence[str] = (), stale: Stale = "auto"
    ) -> Required:
        """The guard of routes that need more: scopes, a recent or stronger sign-in, a picture without delay.

        Args:
            scopes: all of them are needed.
            within: how far back the sign-in may lie.
            amr: one of these methods must have been used.
            stale: see `keyturn.Need`.
        """
        need = Need(scopes=frozenset(scopes), within=within, amr=frozenset(amr), stale=stale)
        return Required(self, need)


__all__ = ["Keyturn", "Optional", "Required"]
