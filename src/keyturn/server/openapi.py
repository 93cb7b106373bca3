"""``/openapi.json``: what the stand-alone server answers, as an OpenAPI 3.1 document.

Keyturn's own routes are told by the same source as on an application's documentation page (`keyturn._openapi`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route

from .. import __version__, _openapi, _openapi_schemas as schemas
from .._openapi import OWN_CHANGE, TOKENS, Operation, Spec
from ..http import replies
from ..http.routes import ROUTES
from ..settings import Settings, origin_of
from ..starlette import Keyturn, response_of
from . import account_routes, health, metrics
from .password_rules import MAX_BYTES

PATH: Final = "/openapi.json"
_WELL_KNOWN: Final = "/.well-known/"

_NEW_PASSWORD: Final = {
    **schemas.PASSWORD,
    "maxLength": MAX_BYTES,
    "description": "8 bytes at least, and no common one",
}
_CHANGE: Final = schemas.record(
    {
        "current_password": schemas.PASSWORD, "new_password": _NEW_PASSWORD,
        "refresh_token": schemas.maybe(schemas.REFRESH_TOKEN),
    },
    ("current_password", "new_password"),
)  # fmt: skip
_RESET: Final = schemas.record({"token": schemas.GIVEN, "new_password": _NEW_PASSWORD}, ("token", "new_password"))
_METADATA: Final = schemas.record(
    {
        "issuer": {"type": "string", "format": "uri"}, "token_endpoint": {"type": "string", "format": "uri"},
        "revocation_endpoint": {"type": "string", "format": "uri"}, "jwks_uri": {"type": "string", "format": "uri"},
        "introspection_endpoint": {"type": "string", "format": "uri"}, "grant_types_supported": schemas.TEXTS,
        "response_types_supported": schemas.TEXTS, "token_endpoint_auth_methods_supported": schemas.TEXTS,
    },
    ("issuer", "token_endpoint", "jwks_uri", "response_types_supported"),
)  # fmt: skip
_HEALTH: Final = schemas.record({"status": schemas.TEXT, "checks": {"type": "object"}}, ("status",))

_ACCOUNTS: Final[Mapping[str, Spec]] = {
    account_routes.PASSWORD: Spec(
        name="change_password", summary="Change the own password",
        description="Ends the other sessions of the caller; older tokens of this one are dead, the answer has new ones.",
        answer=TOKENS, body=_CHANGE, guarded=True, codes=_openapi.joined(OWN_CHANGE, {400: ("password_refused",)}),
        example={"current_password": "a shed, a lamp, a ladder", "new_password": "a lake, a boat, an oar"},
    ),
    account_routes.RESET: Spec(
        name="reset_password", summary="Set a first or forgotten password",
        description="With a one-time token that an operator has given out.", body=_RESET,
        example={"token": "…", "new_password": "a lake, a boat, an oar"},
        codes=_openapi.joined(_openapi.BODY, {400: ("reset_invalid", "password_refused")}, _openapi.THROTTLED, _openapi.STORE),
    ),
}  # fmt: skip
_NOTHING_THERE: Final[_openapi.Codes] = {404: ("not_found",)}


def openapi_route(auth: Keyturn, *, with_metrics: bool = True) -> Route:
    """Give ``GET /openapi.json``.

    Args:
        auth: whose settings the document tells.
        with_metrics: whether ``/metrics`` is answered.
    """

    async def show(_request: StarletteRequest) -> Response:
        headers = (("Cache-Control", "public, max-age=300"),)
        reply = replies.json_reply(document(auth.settings, with_metrics=with_metrics), headers=headers)
        return response_of(replies.hardened(reply, auth.settings))

    return Route(PATH, show, methods=["GET"])


def document(settings: Settings, *, with_metrics: bool = True) -> dict[str, Any]:
    """Give the OpenAPI document of the stand-alone server."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method, tag, operation in _operations(settings, with_metrics=with_metrics):
        paths.setdefault(path, {})[method.lower()] = _written(operation, tag)
    if urlsplit(settings.issuer).path.strip("/"):  # RFC 8414 section 3.1: before the issuer's path, not below it
        paths[_metadata_path(settings)]["servers"] = [{"url": origin_of(settings.issuer)}]
    if with_metrics:  # to whoever asks for it
        paths[metrics.PATH]["get"]["responses"]["200"]["content"]["application/openmetrics-text"] = {
            "schema": schemas.TEXT
        }
    _add_other_proofs(paths, settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Keyturn", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": settings.issuer.rstrip("/")}],
        "paths": paths,
        "components": {"securitySchemes": _schemes(settings)},
    }


def _operations(settings: Settings, *, with_metrics: bool) -> Iterable[tuple[str, str, str, Operation]]:
    for route in ROUTES:
        for method in () if route.hidden else route.methods:
            path = settings.prefix + _openapi.path(route.path)
            yield path, method, "oauth" if route.oauth else "sessions", _openapi.operation(route.path, method, settings)
    for path, spec in _ACCOUNTS.items():
        yield path, "POST", "accounts", _openapi.describe(spec, settings)
    for path, spec in _plain(settings, with_metrics=with_metrics).items():
        yield path, "GET", "server", _openapi.describe(spec, settings)


def _metadata_path(settings: Settings) -> str:
    return f"{_WELL_KNOWN}oauth-authorization-server{urlsplit(settings.issuer).path.rstrip('/')}"


def _plain(settings: Settings, *, with_metrics: bool) -> dict[str, Spec]:
    told = {
        f"{_WELL_KNOWN}jwks.json": Spec(
            name="well_known_jwks", summary="Public keys", description="RFC 7517; the same as the other one.",
            answer=schemas.KEYS, media_type="application/jwk-set+json",
        ),
        _metadata_path(settings): Spec(
            name="metadata", summary="What this server can do", description="RFC 8414.", answer=_METADATA,
        ),
        health.LIVE: Spec(
            name="live", summary="Does it live?", description="200 as long as it answers.", answer=_HEALTH
        ),
        health.READY: Spec(
            name="ready", summary="Should it be sent requests?", description="503 where not. Operators see the checks.",
            answer=_HEALTH, otherwise={503: _HEALTH},
        ),
        PATH: Spec(name="openapi", summary="This document", description="OpenAPI 3.1.", answer={"type": "object"}),
    }  # fmt: skip
    if with_metrics:
        told[metrics.PATH] = Spec(
            name="metrics", summary="Numbers for Prometheus", answer=schemas.TEXT, media_type="text/plain",
            description="For operators, from this machine or a private network; nothing is there for others.",
            codes=_NOTHING_THERE,
        )  # fmt: skip
    return told


def _written(operation: Operation, tag: str) -> dict[str, Any]:
    told = {"operationId": operation.name, "summary": operation.summary, "description": operation.description}
    answers = {str(status): answer for status, answer in operation.responses.items()}
    return {**told, "tags": [tag], **operation.extra, "responses": answers}


# --- proofs --------------------------------------------------------------------------------------------------------


def _schemes(settings: Settings) -> dict[str, Any]:
    return {
        _openapi.scheme_name(settings): {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The access token; where the session came by cookies, the binding cookie comes with it.",
        },
        "RefreshCookie": {"type": "apiKey", "in": "cookie", "name": settings.refresh_cookie},
        "Client": {"type": "http", "scheme": "basic", "description": "client_id and secret; or both as form fields."},
    }  # fmt: skip


def _add_other_proofs(paths: dict[str, dict[str, Any]], settings: Settings) -> None:
    """Say what else proves a caller: each may as well come in the body, so none is required."""
    for below, scheme in (
        ("/refresh", "RefreshCookie"), ("/logout", "RefreshCookie"),
        ("/token", "Client"), ("/revoke", "Client"), ("/introspect", "Client"),
    ):  # fmt: skip
        paths[settings.prefix + below]["post"]["security"] = [{scheme: []}, {}]
