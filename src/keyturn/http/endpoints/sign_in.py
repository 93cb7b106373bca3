"""login, refresh, step-up, logout, logout-all: where sessions begin, turn and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from ..._admission import Start, printable
from ..._application import checked_principal
from ..._binding import presented_digest
from ..._flows import Outcome
from ..._policy import Presented
from ...errors import (
    BindingMismatchError,
    ConfigurationError,
    CredentialsError,
    ForgeryError,
    KeyturnError,
    RequestError,
    SessionEndedError,
    StoreError,
    TokenError,
    TokenMissingError,
    TokenStaleError,
)
from ...events import LoginFailed
from ...messages import Reply, Request
from ...session import Client, EndReason, Transport
from ...throttle import Admission, Attempt
from ...users import DEFAULT_CLIENT, Principal, RegisteredClient
from .. import bodies, credentials, forgery, replies
from ..core import Core
from . import _common

# --- login ---------------------------------------------------------------------------------------------------------


async def login(core: Core, request: Request, _last: str) -> Reply:
    """POST /login: a user name and a password for a session."""
    body = await bodies.json_object(request)
    username, password, basic = _name_and_password(request, body)
    how = await _how(core, body, basic=basic)
    if how.transport == "cookie":
        forgery.require_own_page(request, core.settings)
    presented = credentials.refresh_cookie(request, core.settings) or bodies.text(body, "refresh_token")
    outcome = await admitted(core, request, (username, password), how, presented)
    reply = _common.answer(core, request, outcome)
    return await _common.hooked(core, request, reply, outcome.principal, outcome.session)


def _name_and_password(request: Request, body: Mapping[str, Any]) -> tuple[str, str, bool]:
    headers = request.header_values(b"authorization")
    basic = bodies.basic(headers[0]) if len(headers) == 1 and not body else None
    given = body if basic is None else {"username": basic[0], "password": basic[1]}
    username, password = bodies.text(given, "username"), bodies.text(given, "password")
    if username is None or password is None:
        raise RequestError('Send {"username": …, "password": …} as JSON, or HTTP Basic with an empty body.')
    return username, password, basic is not None


async def _how(core: Core, body: Mapping[str, Any], *, basic: bool) -> Start:
    client_id = bodies.text(body, "client_id") or DEFAULT_CLIENT
    transport = _transport(core, {"transport": "body"} if basic else body)
    await _require_client(core, client_id, transport)
    return Start(
        transport=transport,
        remember=bodies.flag(body, "remember", default=True),
        client_id=client_id,
        scope=bodies.text(body, "scope"),
        amr=("pwd",),
        client=Client(device_name=bodies.text(body, "device_name") or ""),
    )


async def _require_client(core: Core, client_id: str, transport: Transport) -> None:
    """Refuse a sign-in for a program that is not registered, or that could not use what it would get."""
    if client_id == DEFAULT_CLIENT:
        return
    client = await core.clients.find(client_id)
    if client is None:
        raise RequestError("client_id is not registered.")
    if not can_keep(client, transport):
        raise RequestError('A client with a secret keeps its own refresh tokens: sign in with transport "body".')


def can_keep(client: RegisteredClient, transport: Transport) -> bool:
    """Say whether a client could refresh a session of that transport.

    A page cannot prove a secret, and without it nothing refreshes the session (RFC 6749 section 6).
    """
    return transport == "body" or client.secret_digest is None


def _transport(core: Core, body: Mapping[str, Any]) -> Transport:
    offered = core.settings.transports
    chosen = bodies.text(body, "transport") or offered[0]
    for transport in offered:
        if transport == chosen:
            return transport
    raise RequestError(f"transport must be one of: {', '.join(offered)}.")


def attempt_of(core: Core, request: Request, action: Literal["login", "step_up"], **more: str) -> Attempt:
    """Give the attempt of whoever is about to try a password.

    Args:
        more: ``username`` or ``session_id``.
    """
    digest = presented_digest(credentials.binding(request, core.settings))
    address = core.proxies.counted_as(request.peer)
    return Attempt(action, core.clock(), core.settings.realm, address, browser=digest.hex() if digest else "", **more)


async def admitted(
    core: Core, request: Request, secret: tuple[str, str], how: Start, presented: str | None = None
) -> Outcome:
    """Start a session for whoever knows the password; a failure is counted and told.

    Args:
        secret: user name and password.
        presented: a refresh token that the sign-in still carried.
    """
    attempt = attempt_of(core, request, "login", username=secret[0])
    try:
        admission = await _common.admitted(core, attempt)
        principal = await _common.tried(core, (attempt, admission), authenticate(core, request, *secret))
        if principal is None or principal.disabled:
            raise CredentialsError
        return await _sign_in(core, request, principal, how, (attempt, admission), presented)
    except KeyturnError as error:
        await tell_failed(core, request, secret[0], error)
        raise


async def _sign_in(
    core: Core, request: Request, principal: Principal, how: Start, counted: tuple[Attempt, Admission],
    presented: str | None,
) -> Outcome:  # fmt: skip
    origin = _common.origin_of(request, how.client.device_name)
    token = _common.genuine_or_none(core, presented)
    binding: bytes | None = None
    try:
        outcome = await core.flows.start(principal, replace(how, client=origin.client), origin, presented=token)
        binding = outcome.session.binding
    finally:  # whatever stands in the way now, the password was right
        await _common.given_back(core, *counted, binding)
    return outcome


async def authenticate(core: Core, request: Request, username: str, password: str) -> Principal | None:
    """Ask the application whose name and password these are.

    Raises:
        StoreError: it cannot tell right now.
    """
    found = await _asked(core, core.users.authenticate, username, password, request.native)
    return checked_principal(found, "users.authenticate")


async def _asked(core: Core, ask: Callable[..., Any], *args: Any) -> Any:
    try:
        return await core.call(ask, *args)
    except KeyturnError:
        raise
    except Exception as error:  # by its type alone: its message may repeat the password
        raise StoreError(cause=f"users.{ask.__name__} raised {type(error).__name__}") from error


async def tell_failed(core: Core, request: Request, username: str, error: KeyturnError) -> None:
    """Tell listeners that a password was refused; what is not about the caller is no failed sign-in."""
    if isinstance(error, ForgeryError | StoreError | ConfigurationError):
        return
    origin = _common.origin_of(request)
    fact = LoginFailed(
        at=core.clock(), client=origin.client, request=origin.request,
        username=printable(username, 255), reason=error.code,
    )  # fmt: skip
    await core.flows.ends.teller.tell(fact)


# --- refresh -------------------------------------------------------------------------------------------------------


async def refresh(core: Core, request: Request, _last: str) -> Reply:
    """POST /refresh: the next token of a session for its current one."""
    body = await bodies.json_object(request)
    presented = _common.presented_token(core, request, bodies.text(body, "refresh_token"))
    if presented is None:
        raise TokenMissingError("No refresh token was presented. Sign in.")
    try:
        await _common.admitted(core, _common.refreshing(core, request, presented))
        await refuse_confidential(core, presented)
        outcome = await core.flows.refresh(presented, _common.origin_of(request), scope=bodies.text(body, "scope"))
    except (SessionEndedError, BindingMismatchError) as error:
        # The only errors that clear cookies, and only where the token came in one.
        reply = replies.problem(error, core.settings)
        cleared = replies.cleared_cookies(core.settings) if presented.transport == "cookie" else ()
        return await _common.hooked(core, request, replies.with_cookies(reply, cleared), None, None)
    reply = _common.answer(core, request, outcome)
    return await _common.hooked(core, request, reply, outcome.principal, outcome.session)


async def refuse_confidential(core: Core, presented: Presented) -> None:
    """A client with a secret refreshes at /token, where it proves who it is; asked only where such clients exist."""
    if not core.clients.any_proves:
        return
    session = await core.flows.ends.get(presented.token.session_id)
    client = await core.clients.find(session.client_id) if session is not None else None
    if client is None or client.secret_digest is None:
        return
    if presented.transport == "body":
        raise RequestError("This session belongs to a client with a secret: refresh it at /token.")
    # It got its secret after this sign-in: a page cannot prove it, so only a new sign-in helps.
    raise SessionEndedError("client_has_secret")


# --- step-up -------------------------------------------------------------------------------------------------------


async def step_up(core: Core, request: Request, _last: str) -> Reply:
    """POST /step-up: the password once more, inside the session."""
    body = await bodies.json_object(request)
    claims = await _common.caller(core, request)
    presented = _common.presented_token(core, request, bodies.text(body, "refresh_token"))
    password = bodies.text(body, "password")
    if presented is None:
        raise TokenMissingError("The session's current refresh token is needed too.")
    if password is None:
        raise RequestError("password is missing.")
    if presented.token.session_id != claims.session_id:
        raise TokenStaleError(cause="step-up: the tokens belong to two sessions")
    attempt = attempt_of(core, request, "step_up", session_id=claims.session_id)
    admission = await _common.admitted(core, attempt)
    await refuse_confidential(core, presented)
    proved = _proved(core, request, claims.subject, password, bodies.text(body, "username"))
    if not await _common.tried(core, (attempt, admission), proved):
        error = CredentialsError("The password is not right.")
        await tell_failed(core, request, bodies.text(body, "username") or "", error)
        raise error
    await _common.given_back(core, attempt, admission)
    outcome = await core.flows.step_up(presented, _common.origin_of(request), amr=("pwd",))
    return _common.answer(core, request, outcome)


async def _proved(core: Core, request: Request, subject: str, password: str, username: str | None) -> bool:
    """Ask the application whether this password is this user's.

    `Users` may offer ``reauthenticate(subject, password, request)``; where it does not, the request names the user.
    """
    ask = getattr(core.users, "reauthenticate", None)
    if ask is not None:
        return bool(await _asked(core, ask, subject, password, request.native))
    if username is None:
        raise RequestError("username is missing: this application needs it to check the password.")
    principal = await authenticate(core, request, username, password)
    return principal is not None and not principal.disabled and principal.subject == subject


# --- logout --------------------------------------------------------------------------------------------------------


async def logout(core: Core, request: Request, _last: str) -> Reply:
    """POST /logout: the session ends, whichever genuine token of it came; 204 also when there was nothing to end."""
    body = await bodies.json_object(request)
    in_cookie = credentials.refresh_cookie(request, core.settings)
    if in_cookie is not None or request.cookies.doubled:
        forgery.require_own_page(request, core.settings)
    origin = _common.origin_of(request)
    ended = None
    for text in (in_cookie, bodies.text(body, "refresh_token")):
        if (token := _common.genuine_or_none(core, text)) is not None:
            ended = await core.flows.ends.end_by_token(token, origin) or ended
    if ended is None and (session_id := _session_by_access_token(core, request)) is not None:
        gone = await core.flows.ends.end([session_id], EndReason.LOGOUT, origin)
        ended = gone[0] if gone else None
    # A page of another site makes a browser send a form without our cookies, and would have them cleared.
    is_own = forgery.is_own_page(request, core.settings)
    reply = replies.no_content(replies.cleared_cookies(core.settings) if is_own else ())
    return await _common.hooked(core, request, reply, None, ended)


def _session_by_access_token(core: Core, request: Request) -> str | None:
    try:
        claims = core.guard.identify(request)
    except (TokenError, RequestError):
        return None
    return claims.session_id if claims is not None else None


async def logout_all(core: Core, request: Request, _last: str) -> Reply:
    """POST /logout-all: every session of the caller ends."""
    claims = await _common.caller(core, request)
    ended = await core.flows.ends.end_all(claims.subject, EndReason.LOGOUT_ALL, _common.origin_of(request))
    own = next((session for session in ended if session.id == claims.session_id), None)
    reply = replies.json_reply({"ended": len(ended)}, cookies=replies.cleared_cookies(core.settings))
    return await _common.hooked(core, request, reply, None, own)
