"""Our routes as OpenAPI operations, for documentation pages; plain data, no framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import _openapi_schemas as schemas
from ._openapi_schemas import Schema
from .settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation of the documentation page."""

    name: str
    summary: str
    description: str
    status: int
    responses: dict[int | str, dict[str, Any]]
    extra: dict[str, Any]


def path(template: str) -> str:
    """Give a route's path as OpenAPI writes it."""
    return template + "{id}" if template.endswith("/") else template


#: Status -> the codes that an operation answers with it.
Codes = Mapping[int, tuple[str, ...]]


def joined(*codes: Codes) -> dict[int, tuple[str, ...]]:
    """Give what each says, together."""
    told: dict[int, tuple[str, ...]] = {}
    for each in codes:
        for status, names in each.items():
            told[status] = (*told.get(status, ()), *(name for name in names if name not in told.get(status, ())))
    return dict(sorted(told.items()))


STORE: Final[Codes] = {503: ("store_unavailable",)}
THROTTLED: Final[Codes] = {429: ("rate_limited",)}
_FORGERY: Final[Codes] = {403: ("cross_site",)}
BODY: Final[Codes] = {400: ("invalid_request",), 413: ("body_too_large",), 415: ("unsupported_media_type",)}
_BAD_TOKEN: Final = ("token_missing", "token_invalid", "token_stale", "session_ended", "binding_mismatch")
#: A route that needs a caller, and one that changes something (where the token may come in a cookie).
_CALLER: Final[Codes] = {400: ("invalid_request",), 401: (*_BAD_TOKEN, "token_expired"), **STORE}
_ACTING: Final = joined(_CALLER, _FORGERY)
#: A change that the caller makes in their session: body, both tokens and a password.
OWN_CHANGE: Final = joined(_ACTING, BODY, {401: ("invalid_credentials",)}, THROTTLED)
_SIGNING_IN: Final = joined(BODY, {401: ("invalid_credentials",)}, THROTTLED, STORE)
_OAUTH: Final = joined(BODY, {401: ("invalid_client",), 503: ("temporarily_unavailable",)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What is said of one operation.

    Args:
        answer: the schema of a good answer; None where it has no body.
        otherwise: schemas of answers that are no errors of ours, by status.
        codes: how it refuses.
        body, form: what it takes, as JSON or as form fields.
        example: of what it takes.
        guarded: whether it needs an access token.
        oauth: whether it refuses as RFC 6749 says.
    """

    name: str
    summary: str
    description: str
    answer: Schema | None = None
    codes: Codes = field(default_factory=dict[int, tuple[str, ...]])
    body: Schema | None = None
    form: Schema | None = None
    example: Mapping[str, Any] | None = None
    guarded: bool = False
    oauth: bool = False
    otherwise: Mapping[int, Schema] = field(default_factory=dict[int, Schema])
    media_type: str = "application/json"


#: Stands for the token answer, which the settings decide on.
TOKENS: Final[Schema] = {}

_OPERATIONS: Final[dict[tuple[str, str], Spec]] = {
    ("/login", "POST"): Spec(
        name="login", summary="Sign in",
        description="A user name and a password for a session. HTTP Basic with an empty body works too.",
        answer=TOKENS, body=schemas.LOGIN, example={"username": "ada", "password": "a shed, a lamp, a ladder"},
        codes=joined(_SIGNING_IN, _FORGERY, {400: ("invalid_scope",), 409: ("session_limit",)}),
    ),
    ("/refresh", "POST"): Spec(
        name="refresh", summary="Refresh",
        description="The next tokens of a session. In browsers the cookie says it all and the body is empty.",
        answer=TOKENS, body=schemas.REFRESH, example={"refresh_token": "kt1.…"},
        codes=joined(BODY, {400: ("invalid_scope",), 401: _BAD_TOKEN}, _FORGERY, THROTTLED, STORE),
    ),
    ("/step-up", "POST"): Spec(
        name="step_up", summary="Prove again who you are", description="The password once more, inside the session.",
        answer=TOKENS, body=schemas.STEP_UP, codes=OWN_CHANGE, guarded=True,
        example={"password": "a shed, a lamp, a ladder", "refresh_token": "kt1.…"},
    ),
    ("/logout", "POST"): Spec(
        name="logout", summary="Sign out",
        description="Ends the session; its access tokens die too. Also 204 when there was nothing to end.",
        body=schemas.LOGOUT, example={"refresh_token": "kt1.…"}, codes=joined(BODY, _FORGERY, STORE),
    ),
    ("/logout-all", "POST"): Spec(
        name="logout_all", summary="Sign out everywhere", description="Ends all sessions of the caller.",
        answer=schemas.ENDED, codes=_ACTING, guarded=True,
    ),
    ("/session", "GET"): Spec(
        name="session", summary="Who am I", description="The claims of the caller's access token.",
        answer=schemas.CLAIMS, codes=_CALLER, guarded=True,
    ),
    ("/sessions", "GET"): Spec(
        name="sessions", summary="Where am I signed in", description="The caller's live sessions, oldest first.",
        answer=schemas.SESSIONS, codes=_CALLER, guarded=True,
    ),
    ("/sessions", "DELETE"): Spec(
        name="end_other_sessions", summary="Sign out elsewhere",
        description="Ends all sessions of the caller but this one.", answer=schemas.ENDED, guarded=True,
        codes=joined(_ACTING, {401: ("reauthentication_required",)}),
    ),
    ("/sessions/", "DELETE"): Spec(
        name="end_session", summary="End one session",
        description="Another session than the own one asks for a recent sign-in.", guarded=True,
        codes=joined(_ACTING, {401: ("reauthentication_required",), 404: ("not_found",)}),
    ),
    ("/token", "POST"): Spec(
        name="token", summary="Refresh (OAuth)",
        description="The refresh grant of RFC 6749 section 6; cookies are never read.",
        answer=schemas.tokens(access_in_cookie=False), form=schemas.TOKEN_FORM, oauth=True,
        example={"grant_type": "refresh_token", "refresh_token": "kt1.…"},
        codes=joined(_OAUTH, {400: ("invalid_grant", "invalid_scope", "unsupported_grant_type"),
                            429: ("temporarily_unavailable",)}),
    ),
    ("/revoke", "POST"): Spec(
        name="revoke", summary="Revoke (OAuth)",
        description="RFC 7009: ends the session of a token; 200 for unknown ones too.",
        answer=schemas.NOTHING, form=schemas.REVOKE_FORM, oauth=True, codes=_OAUTH, example={"token": "kt1.…"},
    ),
    ("/introspect", "POST"): Spec(
        name="introspect", summary="Look at a token (OAuth)",
        description="RFC 7662: whether a token is good now; for clients with a secret.",
        answer=schemas.INTROSPECTED, form=schemas.REVOKE_FORM, oauth=True, codes=_OAUTH, example={"token": "kt1.…"},
    ),
    ("/jwks.json", "GET"): Spec(
        name="jwks", summary="Public keys", description="RFC 7517; what verifies access tokens.",
        answer=schemas.KEYS, media_type="application/jwk-set+json",
    ),
}  # fmt: skip


def operation(template: str, method: str, settings: Settings) -> Operation:
    """Give what the documentation page says of one of our routes."""
    return describe(_OPERATIONS[template, method], settings, has_id=template.endswith("/"))


def describe(spec: Spec, settings: Settings, *, has_id: bool = False) -> Operation:
    """Give what a documentation page says of an operation.

    Args:
        has_id: whether its path ends with an id.
    """
    status = 204 if spec.answer is None else 200
    extra: dict[str, Any] = {}
    if spec.guarded:
        extra["security"] = [{scheme_name(settings): []}]
    if has_id:
        extra["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": schemas.TEXT}]
    if (body := spec.body or spec.form) is not None:
        extra["requestBody"] = _request_body(body, spec)
    codes = joined(spec.codes, {421: ("misdirected_request",)} if settings.development else {})
    responses: dict[int | str, dict[str, Any]] = {status: _answer(spec, settings)}
    for other, schema in spec.otherwise.items():
        responses[other] = {"description": "Not now", "content": {spec.media_type: {"schema": schema}}}
    responses.update({code: _error(code, names, oauth=spec.oauth) for code, names in codes.items()})
    return Operation(
        name=f"keyturn_{'' if settings.realm == 'default' else settings.realm + '_'}{spec.name}", summary=spec.summary, description=spec.description, status=status,
        responses=responses, extra=extra,
    )  # fmt: skip


def scheme_name(settings: Settings) -> str:
    """Give the name under which a page shows how guarded routes are called; one a realm."""
    return "Keyturn" if settings.realm == "default" else f"Keyturn ({settings.realm})"


def _request_body(body: Schema, spec: Spec) -> dict[str, Any]:
    media = "application/json" if spec.body is not None else "application/x-www-form-urlencoded"
    example = {"example": dict(spec.example)} if spec.example is not None else {}
    return {"required": bool(body.get("required")), "content": {media: {"schema": body, **example}}}


def _answer(spec: Spec, settings: Settings) -> dict[str, Any]:
    if spec.answer is None:
        return {"description": "Done"}
    schema = spec.answer
    if schema is TOKENS:
        schema = schemas.tokens(access_in_cookie=settings.cookie.access_in_cookie)
    return {"description": "Done", "content": {spec.media_type: {"schema": schema}}}


#: About the address and the body, not about the grant: there the OAuth routes answer as all others do.
_NOT_OAUTH: Final = frozenset({413, 415, 421})
_HEADERS: Final[Mapping[int, str]] = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


def _error(status: int, codes: tuple[str, ...], *, oauth: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"description": "Refused: " + ", ".join(codes)}
    if status in _HEADERS:
        told["headers"] = {_HEADERS[status]: {"required": True, "schema": schemas.TEXT}}
    if oauth and status not in _NOT_OAUTH:
        return {**told, "content": {"application/json": {"schema": schemas.oauth_error(codes)}}}
    return {**told, "content": {"application/problem+json": {"schema": schemas.problem(codes, status)}}}
