"""What our routes take and give, as JSON Schema: plain data."""

from __future__ import annotations

from typing import Any, Final

from .http.bodies import MOST_FIELDS, TEXT_LIMIT
from .session import ID_CHARACTERS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer"}
SECONDS: Final[Schema] = {"type": "integer", "minimum": 0, "description": "seconds"}
INSTANT: Final[Schema] = {"type": "integer", "description": "seconds since 1970 (RFC 7519 section 2)"}
FLAG: Final[Schema] = {"type": "boolean"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
_ID: Final[Schema] = {
    "type": "string",
    "pattern": f"^[A-Za-z0-9_-]{{{ID_CHARACTERS}}}$",
    "examples": ["Ag3n0bq1Zc5iXw6Tq9yR2A"],
}
#: What a text of a request may be: no NUL, and of bounded length.
GIVEN: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT, "pattern": r"^[^\u0000]*$"}
PASSWORD: Final[Schema] = {**GIVEN, "format": "password"}
#: A field of a form, which only the size of the whole bounds; an empty one counts as absent (RFC 6749 section 3.2).
MAYBE_FIELD: Final[Schema] = {"type": "string", "pattern": r"^[^\u0000]*$"}
FIELD: Final[Schema] = {**MAYBE_FIELD, "minLength": 1}
REFRESH_TOKEN: Final[Schema] = {**GIVEN, "description": "kt1.…"}


def record(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """Give the schema of an object."""
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def maybe(schema: Schema) -> Schema:
    """Give the schema of what may be left out, or null, or empty."""
    empty = [{"const": "", "type": "string"}] if schema.get("type") == "string" else []
    return {"anyOf": [schema, *empty, {"type": "null"}]}


def tokens(*, access_in_cookie: bool) -> Schema:
    """Give the schema of a token answer."""
    always = ("token_type", "expires_in", "session_id", "scope", "refresh_expires_in")
    return record(
        {
            "access_token": TEXT, "token_type": {"const": "Bearer", "type": "string"}, "expires_in": SECONDS,
            "session_id": _ID, "scope": {**TEXT, "description": "words with blanks between"},
            "refresh_expires_in": SECONDS,
            "refresh_token": {**TEXT, "description": "only where refresh tokens travel in bodies"},
        },
        always if access_in_cookie else ("access_token", *always),
    )  # fmt: skip


LOGIN: Final = record(
    {
        "username": GIVEN, "password": PASSWORD, "transport": maybe({"enum": ["cookie", "body"], "type": "string"}),
        "remember": {**maybe(FLAG), "default": True}, "scope": maybe(GIVEN), "client_id": maybe(GIVEN),
        "device_name": maybe(GIVEN),
    },
    ("username", "password"),
)  # fmt: skip
REFRESH: Final = record({"refresh_token": maybe(REFRESH_TOKEN), "scope": maybe(GIVEN)})
STEP_UP: Final = record(
    {"password": PASSWORD, "refresh_token": maybe(REFRESH_TOKEN), "username": maybe(GIVEN)}, ("password",)
)
LOGOUT: Final = record({"refresh_token": maybe(REFRESH_TOKEN)})
#: A client proves itself by Basic, or by both of these.
_CLIENT: Final[Schema] = {"client_id": MAYBE_FIELD, "client_secret": {**MAYBE_FIELD, "format": "password"}}
_FORM: Final[Schema] = {
    "additionalProperties": MAYBE_FIELD,  # ignored, but none may occur twice
    "maxProperties": MOST_FIELDS,
    "if": {"properties": {"client_secret": {"minLength": 1}}, "required": ["client_secret"]},
    "then": {"properties": {"client_id": {"minLength": 1}}, "required": ["client_id"]},
}
_GRANT: Final[Schema] = {"const": "refresh_token", "type": "string"}
TOKEN_FORM: Final = _FORM | record(
    {"grant_type": _GRANT, "refresh_token": FIELD, "scope": MAYBE_FIELD, **_CLIENT}, ("grant_type", "refresh_token")
)
REVOKE_FORM: Final = _FORM | record({"token": FIELD, "token_type_hint": MAYBE_FIELD, **_CLIENT}, ("token",))

CLAIMS: Final = record(
    {
        "iss": TEXT, "sub": TEXT, "aud": {"anyOf": [TEXT, TEXTS]}, "client_id": TEXT, "sid": _ID,
        "gen": {**NUMBER, "minimum": 0}, "iat": INSTANT, "exp": INSTANT, "auth_time": INSTANT, "scope": TEXT,
        "realm": TEXT, "amr": TEXTS,
    },
    ("iss", "sub", "aud", "client_id", "sid", "gen", "iat", "exp", "auth_time", "scope"),
)  # fmt: skip
SESSION: Final = record(
    {
        "id": _ID, "created_at": MOMENT, "refreshed_at": MOMENT, "expires_at": MOMENT, "idle_expires_at": MOMENT,
        "user_agent": TEXT, "ip": TEXT, "device_name": TEXT, "current": FLAG,
    },
    ("id", "created_at", "refreshed_at", "expires_at", "idle_expires_at", "current"),
)  # fmt: skip
SESSIONS: Final = record({"sessions": {"type": "array", "items": SESSION}}, ("sessions",))
ENDED: Final = record({"ended": {**NUMBER, "minimum": 0}}, ("ended",))
NOTHING: Final[Schema] = {"type": "object", "maxProperties": 0}
INTROSPECTED: Final = record(
    {
        "active": FLAG, "token_type": {"enum": ["Bearer", "N_A"], "type": "string"}, "scope": TEXT, "client_id": TEXT,
        "sub": TEXT, "aud": {"anyOf": [TEXT, TEXTS]}, "iss": TEXT, "sid": _ID, "jti": TEXT, "exp": INSTANT,
        "iat": INSTANT, "auth_time": INSTANT, "amr": TEXTS,
    },
    ("active",),
)  # fmt: skip
_KEY: Final = record({"kty": TEXT, "kid": TEXT, "use": {"const": "sig", "type": "string"}, "alg": TEXT},
                     ("kty", "kid", "use", "alg"))  # fmt: skip
KEYS: Final = record({"keys": {"type": "array", "minItems": 1, "items": _KEY}}, ("keys",))


def problem(codes: tuple[str, ...], status: int) -> Schema:
    """Give the schema of a problem document (RFC 9457)."""
    return record(
        {
            "type": {**TEXT, "format": "uri"}, "title": TEXT, "status": {"const": status, "type": "integer"},
            "detail": TEXT, "code": {"enum": list(codes), "type": "string"},
        },
        ("type", "title", "status", "detail", "code"),
    )  # fmt: skip


def oauth_error(codes: tuple[str, ...]) -> Schema:
    """Give the schema of an error of RFC 6749 section 5.2."""
    plain = {"type": "string", "pattern": r"^[\x20-\x21\x23-\x5B\x5D-\x7E]*$"}
    return record({"error": {"enum": list(codes), "type": "string"}, "error_description": plain}, ("error",))
