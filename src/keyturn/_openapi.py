"""Our routes as OpenAPI operations, for documentation pages; plain data, no framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .settings import Settings

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
_FLAG: Final = {"type": "boolean"}
_MOMENT: Final = {"type": "string", "format": "date-time"}


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


def _object(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_TOKENS: Final = _object(
    {
        "access_token": _TEXT,
        "token_type": {"const": "Bearer", "type": "string"},
        "expires_in": {**_NUMBER, "description": "seconds"},
        "session_id": _TEXT,
        "scope": _TEXT,
        "refresh_expires_in": {**_NUMBER, "description": "seconds"},
        "refresh_token": {**_TEXT, "description": "only where refresh tokens travel in bodies"},
    },
    ("token_type", "expires_in", "session_id", "scope", "refresh_expires_in"),
)
_OAUTH_TOKENS: Final = _TOKENS
_PROBLEM: Final = _object(
    {"type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT, "code": _TEXT},
    ("type", "title", "status", "detail", "code"),
)
_OAUTH_ERROR: Final = _object({"error": _TEXT, "error_description": _TEXT}, ("error",))
_SESSION: Final = _object(
    {
        "id": _TEXT, "created_at": _MOMENT, "refreshed_at": _MOMENT, "expires_at": _MOMENT,
        "idle_expires_at": _MOMENT, "user_agent": _TEXT, "ip": _TEXT, "device_name": _TEXT, "current": _FLAG,
    },
    ("id", "current"),
)  # fmt: skip
_ENDED: Final = _object({"ended": _NUMBER}, ("ended",))
_LOGIN: Final = _object(
    {
        "username": _TEXT, "password": {**_TEXT, "format": "password"},
        "transport": {"enum": ["cookie", "body"], "type": "string"}, "remember": {**_FLAG, "default": True},
        "scope": _TEXT, "client_id": _TEXT, "device_name": _TEXT,
    },
    ("username", "password"),
)  # fmt: skip
_REFRESH: Final = _object({"refresh_token": _TEXT, "scope": _TEXT})
_STEP_UP: Final = _object(
    {"password": {**_TEXT, "format": "password"}, "refresh_token": _TEXT, "username": _TEXT}, ("password",)
)
_TOKEN_FORM: Final = _object(
    {
        "grant_type": {"const": "refresh_token", "type": "string"}, "refresh_token": _TEXT, "scope": _TEXT,
        "client_id": _TEXT, "client_secret": {**_TEXT, "format": "password"},
    },
    ("grant_type", "refresh_token"),
)  # fmt: skip
_REVOKE_FORM: Final = _object(
    {"token": _TEXT, "token_type_hint": _TEXT, "client_id": _TEXT, "client_secret": {**_TEXT, "format": "password"}},
    ("token",),
)

_INTROSPECTED: Final = _object(
    {
        "active": _FLAG, "token_type": {"enum": ["Bearer", "N_A"], "type": "string"}, "scope": _TEXT, "client_id": _TEXT,
        "sub": _TEXT, "aud": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}, "iss": _TEXT, "sid": _TEXT,
        "jti": _TEXT, "exp": _NUMBER, "iat": _NUMBER, "auth_time": _NUMBER, "amr": {"type": "array", "items": _TEXT},
    },
    ("active",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Spec:
    name: str
    summary: str
    description: str
    answer: dict[str, Any] | None
    errors: tuple[int, ...]
    body: dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    guarded: bool = False


_OPERATIONS: Final[dict[tuple[str, str], _Spec]] = {
    ("/login", "POST"): _Spec(
        "login", "Sign in", "A user name and a password for a session. HTTP Basic with an empty body works too.",
        _TOKENS, (400, 401, 403, 409, 413, 415, 429, 503), body=_LOGIN,
    ),
    ("/refresh", "POST"): _Spec(
        "refresh", "Refresh", "The next tokens of a session. In browsers the cookie says it all and the body is empty.",
        _TOKENS, (400, 401, 403, 413, 415, 429, 503), body=_REFRESH,
    ),
    ("/step-up", "POST"): _Spec(
        "step_up", "Prove again who you are", "The password once more, inside the session.",
        _TOKENS, (400, 401, 403, 413, 415, 429, 503), body=_STEP_UP, guarded=True,
    ),
    ("/logout", "POST"): _Spec(
        "logout", "Sign out", "Ends the session; its access tokens die too. Also 204 when there was nothing to end.",
        None, (400, 403, 413, 415, 503), body=_object({"refresh_token": _TEXT}),
    ),
    ("/logout-all", "POST"): _Spec(
        "logout_all", "Sign out everywhere", "Ends all sessions of the caller.", _ENDED, (401, 403, 503), guarded=True,
    ),
    ("/session", "GET"): _Spec(
        "session", "Who am I", "The claims of the caller's access token.", _object({"sub": _TEXT, "sid": _TEXT}),
        (400, 401, 503), guarded=True,
    ),
    ("/sessions", "GET"): _Spec(
        "sessions", "Where am I signed in", "The caller's live sessions, oldest first.",
        _object({"sessions": {"type": "array", "items": _SESSION}}, ("sessions",)), (400, 401, 503), guarded=True,
    ),
    ("/sessions", "DELETE"): _Spec(
        "end_other_sessions", "Sign out elsewhere", "Ends all sessions of the caller but this one.",
        _ENDED, (400, 401, 403, 503), guarded=True,
    ),
    ("/sessions/", "DELETE"): _Spec(
        "end_session", "End one session", "Another session than the own one asks for a recent sign-in.",
        None, (400, 401, 403, 404, 503), guarded=True,
    ),
    ("/token", "POST"): _Spec(
        "token", "Refresh (OAuth)", "The refresh grant of RFC 6749 section 6; cookies are never read.",
        _OAUTH_TOKENS, (400, 401, 413, 415, 429, 503), form=_TOKEN_FORM,
    ),
    ("/revoke", "POST"): _Spec(
        "revoke", "Revoke (OAuth)", "RFC 7009: ends the session of a token; 200 for unknown ones too.",
        _object({}), (400, 401, 413, 415, 503), form=_REVOKE_FORM,
    ),
    ("/introspect", "POST"): _Spec(
        "introspect", "Look at a token (OAuth)", "RFC 7662: whether a token is good now; for clients with a secret.",
        _INTROSPECTED, (400, 401, 413, 415, 503), form=_REVOKE_FORM,
    ),
    ("/jwks.json", "GET"): _Spec(
        "jwks", "Public keys", "RFC 7517; what verifies access tokens.",
        _object({"keys": {"type": "array", "items": {"type": "object"}}}, ("keys",)), (),
    ),
}  # fmt: skip
_OAUTH_PATHS: Final = frozenset({"/token", "/revoke", "/introspect"})


def operation(template: str, method: str, settings: Settings) -> Operation:
    """Give what the documentation page says of one route."""
    spec = _OPERATIONS[template, method]
    status = 204 if spec.answer is None else 200
    extra: dict[str, Any] = {}
    if spec.guarded:
        name = "Keyturn" if settings.realm == "default" else f"Keyturn ({settings.realm})"
        extra["security"] = [{name: []}]
    if template.endswith("/"):
        extra["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": _TEXT}]
    if (body := spec.body or spec.form) is not None:
        media = "application/json" if spec.body is not None else "application/x-www-form-urlencoded"
        required = bool(body.get("required"))
        extra["requestBody"] = {"required": required, "content": {media: {"schema": body}}}
    responses: dict[int | str, dict[str, Any]] = {status: _answer(spec)}
    responses.update({code: _error(code, template) for code in spec.errors})
    return Operation(
        name=f"keyturn_{'' if settings.realm == 'default' else settings.realm + '_'}{spec.name}", summary=spec.summary, description=spec.description, status=status,
        responses=responses, extra=extra,
    )  # fmt: skip


def _answer(spec: _Spec) -> dict[str, Any]:
    if spec.answer is None:
        return {"description": "Done"}
    return {"description": "Done", "content": {"application/json": {"schema": spec.answer}}}


def _error(status: int, template: str) -> dict[str, Any]:
    if template in _OAUTH_PATHS and status not in (413, 415):
        return {"description": "Refused", "content": {"application/json": {"schema": _OAUTH_ERROR}}}
    return {"description": "Refused", "content": {"application/problem+json": {"schema": _PROBLEM}}}
