"""One ladder of errors: a stable code, an HTTP status hint, a sentence that is safe to show, a cause for the log."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar


class KeyturnError(Exception):
    """The root of every error that Keyturn raises on purpose.

    Args:
        message: a sentence that may be shown to the caller; the class's own sentence where left out.
        code: a stable code that programs compare; the class's own where left out.
        status: the HTTP status that a server might answer; the class's own where left out.
        cause: what a log should say besides, never shown to the caller and never a secret.
        headers: HTTP header fields that belong to the answer (``Allow``, ``Retry-After``).
    """

    default_code: ClassVar[str] = "error"
    default_status: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        cause: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.code = code or self.default_code
        self.status = status or self.default_status
        self.cause = cause
        self.headers: Mapping[str, str] = dict(headers or {})
        super().__init__(self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, message={self.message!r})"


class ConfigurationError(KeyturnError):
    """Settings, keys or parts contradict each other; raised only while something is built.

    Args:
        faults: every fault that was found, a sentence each, with what to do about it.
    """

    default_code = "configuration_error"

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("Keyturn cannot be built:\n" + "\n".join(f"  - {fault}" for fault in self.faults))


class StoreError(KeyturnError):
    """The store cannot be asked now; the session is kept and the caller tries again later."""

    default_code = "store_unavailable"
    default_status = 503
    default_message = "The session store cannot be reached right now. Nothing is lost; try again in a moment."

    def __init__(self, message: str | None = None, *, cause: str | None = None) -> None:
        super().__init__(message, cause=cause, headers={"Retry-After": "1"})


class ForgeryError(KeyturnError):
    """A request that carries cookies did not come from a page of ours (security-checklist.md XS-01)."""

    default_code = "cross_site"
    default_status = 403
    default_message = (
        "This request carries cookies but does not say that it comes from a page of this site. "
        "No page sent this? Add the header Keyturn-Client. A page on another origin? Add it to origins."
    )


class CredentialsError(KeyturnError):
    """The user name or the password is wrong, or the user may not sign in: one answer for all."""

    default_code = "invalid_credentials"
    default_status = 401
    default_message = "The user name or the password is not right."


class RequestError(KeyturnError):
    """The request itself is wrong: its shape, its method, its size or its type."""

    default_code = "invalid_request"
    default_status = 400
    default_message = "The request could not be understood."


class SessionLimitError(KeyturnError):
    """The user has as many sessions as the settings allow, and the settings say to refuse more."""

    default_code = "session_limit"
    default_status = 409
    default_message = "There are as many sessions as allowed. End one of them, then sign in again."


class ReauthenticationError(KeyturnError):
    """The sign-in lies too far back, or was too weak, for this action (RFC 9470).

    Args:
        max_age: how old the sign-in may be; None where age is not the matter.
        amr: the methods of which one is needed; empty where any will do.
    """

    default_code = "reauthentication_required"
    default_status = 401
    default_message = "Please prove once more who you are, then repeat this."

    def __init__(self, *, max_age: timedelta | None = None, amr: Iterable[str] = ()) -> None:
        self.max_age = max_age
        self.amr = tuple(amr)
        super().__init__()


class ThrottledError(KeyturnError):
    """There were too many attempts.

    Args:
        retry_after: how long to wait before the next attempt; rounded up to whole seconds on the wire.
    """

    default_code = "rate_limited"
    default_status = 429
    default_message = "There were too many attempts. Wait a moment, then try again."

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        seconds = max(1, -(-retry_after // timedelta(seconds=1)))
        super().__init__(headers={"Retry-After": str(seconds)})


class ScopeError(KeyturnError):
    """The access token is good, but does not grant what this route needs (RFC 6750 section 3.1).

    Args:
        needed: the scopes that the route asks for.
    """

    default_code = "insufficient_scope"
    default_status = 403
    default_message = "This sign-in does not grant what this request needs."

    def __init__(self, needed: Iterable[str]) -> None:
        self.needed = tuple(sorted(needed))
        super().__init__()


class TokenError(KeyturnError):
    """A token was presented that is not accepted, or none was."""

    default_code = "token_invalid"
    default_status = 401
    default_message = "The token is not valid. Sign in again."


class TokenMissingError(TokenError):
    """No token was presented."""

    default_code = "token_missing"
    default_message = "No token was presented. Refresh, or sign in."


class TokenInvalidError(TokenError):
    """The value is not a genuine token of ours; why is for the log only (security-checklist.md TOK-20)."""


class TokenExpiredError(TokenError):
    """A token of ours whose time is over; said only after its signature was found good."""

    default_code = "token_expired"
    default_message = "The access token is too old. Refresh it, then repeat the request."


class TokenStaleError(TokenError):
    """A token of ours that was overtaken: a newer one exists or must be fetched."""

    default_code = "token_stale"
    default_message = "A newer token exists or is due. Refresh, then repeat the request."


class BindingMismatchError(TokenError):
    """A genuine token came without the proof that belongs to it."""

    default_code = "binding_mismatch"
    default_message = "The token came without the cookie that belongs to it. Sign in again."


class SessionEndedError(TokenError):
    """The session is over; for which reason stays inside.

    Args:
        reason: why, for the log (an ``EndReason`` value, ``expired`` or ``unknown``).
    """

    default_code = "session_ended"
    default_message = "The session is over. Sign in again."

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(cause=reason)


def kind_and_place(error: BaseException) -> str:
    """Give what a log may know of an exception that is not ours: its kind, and where it was raised.

    Its message may repeat a secret, its frames hold them, and reporting tools look into both.
    """
    return f"{type(error).__name__} at\n" + "".join(traceback.format_tb(error.__traceback__))
