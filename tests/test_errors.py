"""Errors: a code of the contract, a status, a sentence for whoever reads it; the cause stays inside."""

import inspect
import re
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from keyturn import errors
from keyturn.errors import (
    ConfigurationError,
    KeyturnError,
    ReauthenticationError,
    RequestError,
    ScopeError,
    SessionEndedError,
    ThrottledError,
    TokenError,
    TokenInvalidError,
)

# What clients are promised; a code that is not here is a new promise.
CODES = {
    "token_missing": 401, "token_expired": 401, "token_stale": 401, "token_invalid": 401, "session_ended": 401,
    "binding_mismatch": 401, "insufficient_scope": 403, "cross_site": 403, "reauthentication_required": 401,
    "rate_limited": 429, "store_unavailable": 503, "invalid_credentials": 401, "invalid_request": 400,
    "session_limit": 409,
}  # fmt: skip
#: Never in an answer: something of ours is wrong, or is being built.
INSIDE = {"error": 500, "configuration_error": 500}


def every_error() -> list[type[KeyturnError]]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, KeyturnError)]


def one_of(kind: type[KeyturnError]) -> KeyturnError:
    arguments: dict[type[KeyturnError], dict[str, Any]] = {
        ConfigurationError: {"faults": ["leeway is not a timedelta"]},
        ThrottledError: {"retry_after": timedelta(seconds=3)},
        ScopeError: {"needed": ["b", "a"]},
    }
    return kind(**arguments.get(kind, {}))


def with_causes() -> Iterator[KeyturnError]:
    for kind in every_error():
        if "cause" in inspect.signature(kind).parameters:
            yield kind(cause="hunter2")
    yield SessionEndedError("hunter2")


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_code_of_the_contract_and_its_status(kind: type[KeyturnError]) -> None:
    error = one_of(kind)
    assert {**CODES, **INSIDE}[error.code] == error.status


def test_every_code_that_is_an_errors_own_is_raised_by_some_class() -> None:
    assert {kind.default_code for kind in every_error()} == CODES.keys() | INSIDE.keys()


@pytest.mark.parametrize("kind", every_error())
def test_every_error_says_something_that_may_be_shown(kind: type[KeyturnError]) -> None:
    error = one_of(kind)
    assert str(error) == error.message
    if kind is not ConfigurationError:
        assert re.fullmatch(r"[A-Z][^\n\"\\]*[.!]", error.message), "a sentence, fit for a header field"
        assert error.message.isascii()


@pytest.mark.parametrize("kind", every_error())
def test_every_error_says_in_its_docstring_what_it_means(kind: type[KeyturnError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.splitlines()[0].endswith((".", ":"))


@pytest.mark.ids("ST-01", "TOK-20")
@pytest.mark.parametrize("error", list(with_causes()), ids=lambda error: type(error).__name__)
def test_no_error_shows_its_cause(error: KeyturnError) -> None:
    assert error.cause == "hunter2"
    shown = f"{error!r} {error} {error.args} {error.message} {''.join(traceback.format_exception(error))}"
    assert "hunter2" not in shown


@pytest.mark.ids("TOK-20")
def test_a_token_that_is_not_ours_is_refused_in_the_same_words_whatever_is_wrong() -> None:
    one, other = TokenInvalidError(cause="bad signature"), TokenInvalidError(cause="wrong issuer")
    assert (one.message, one.code, one.status, one.headers) == (other.message, other.code, other.status, other.headers)
    assert repr(one) == repr(other)


def test_the_reason_of_an_ended_session_stays_inside() -> None:
    one, other = SessionEndedError("reuse"), SessionEndedError("logout")
    assert (one.reason, one.cause) == ("reuse", "reuse")
    assert (one.message, repr(one)) == (other.message, repr(other))


@pytest.mark.parametrize("kind", [kind for kind in every_error() if issubclass(kind, TokenError)])
def test_every_error_about_a_token_is_caught_as_one_and_is_a_401(kind: type[KeyturnError]) -> None:
    assert kind.default_status == 401


def test_what_an_error_is_given_goes_before_what_its_class_says() -> None:
    error = RequestError("Too long.", code="body_too_large", status=413, headers={"Connection": "close"})
    assert (str(error), error.code, error.status, error.headers) == (
        "Too long.", "body_too_large", 413, {"Connection": "close"},
    )  # fmt: skip
    assert repr(error) == "RequestError(code='body_too_large', message='Too long.')"


def test_the_header_fields_of_an_error_are_its_own() -> None:
    fields = {"Allow": "GET"}
    error = RequestError(headers=fields)
    fields["Allow"] = "POST"
    assert error.headers == {"Allow": "GET"}
    assert KeyturnError().headers == {}


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize(
    ("wait", "seconds"),
    [(timedelta(0), "1"), (timedelta(milliseconds=1), "1"), (timedelta(seconds=1), "1"), (timedelta(milliseconds=1001), "2"),
     (timedelta(minutes=2), "120"), (timedelta(seconds=-5), "1")],
)  # fmt: skip
def test_a_throttled_caller_is_told_whole_seconds_and_never_too_few(wait: timedelta, seconds: str) -> None:
    error = ThrottledError(retry_after=wait)
    assert error.headers == {"Retry-After": seconds}
    assert error.retry_after == wait


def test_needed_scopes_are_told_in_order() -> None:
    assert ScopeError({"write", "admin", "read"}).needed == ("admin", "read", "write")


def test_reauthentication_tells_how_recent_and_by_what() -> None:
    error = ReauthenticationError(max_age=timedelta(minutes=5), amr=["otp"])
    assert (error.max_age, error.amr) == (timedelta(minutes=5), ("otp",))
    assert (ReauthenticationError().max_age, ReauthenticationError().amr) == (None, ())


@pytest.mark.ids("M54")
def test_a_configuration_error_lists_its_faults() -> None:
    error = ConfigurationError(fault for fault in ("a is wrong", "b is missing"))
    assert error.faults == ("a is wrong", "b is missing")
    assert str(error) == "Keyturn cannot be built:\n  - a is wrong\n  - b is missing"
