"""What several endpoints need: who is at the other end, which token came, and the hooks on replies."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..._binding import presented_digest
from ..._ends import Origin
from ..._flows import Outcome
from ..._policy import Presented
from ..._refresh_token import RefreshToken
from ...errors import RequestError, ThrottledError, TokenInvalidError, TokenMissingError, kind_and_place
from ...messages import Reply, Request
from ...session import Client, Session, Transport
from ...throttle import Admission, Attempt
from ...tokens import Claims
from ...users import Principal
from .. import credentials, forgery, replies
from ..core import Core

T = TypeVar("T")
_log = logging.getLogger("keyturn")


def origin_of(request: Request, device_name: str | None = None) -> Origin:
    """Say where a request comes from."""
    agent = request.header(b"user-agent") or ""
    client = Client(user_agent=agent[:255], ip=request.peer, device_name=device_name or "")
    return Origin(client=client, request=request.native)


def genuine(core: Core, text: str) -> RefreshToken:
    """Open a refresh token; no store is asked.

    Raises:
        TokenInvalidError: it is not genuine.
    """
    return core.flows.issuer.seals.open(text, core.clock())


def genuine_or_none(core: Core, text: str | None) -> RefreshToken | None:
    """Open a refresh token where a stale or invented one shall do no harm."""
    if text is None:
        return None
    try:
        return genuine(core, text)
    except TokenInvalidError:
        return None


def presented_token(
    core: Core, request: Request, in_body: str | None, client_id: str | None = None
) -> Presented | None:
    """Find the one refresh token that a request presents, checked to be genuine; None where there is none.

    Raises:
        ForgeryError: it came in a cookie, and not from a page of ours.
        RequestError: it came in two ways at once.
        TokenInvalidError: it is not genuine.
    """
    in_cookie = credentials.refresh_cookie(request, core.settings)
    if in_cookie is not None:
        forgery.require_own_page(request, core.settings)
    if in_cookie is not None and in_body is not None:
        raise RequestError("The refresh token came in two ways at once: send the cookie or the body, not both.")
    text = in_cookie or in_body
    if text is None:
        return None
    transport: Transport = "cookie" if in_cookie is not None else "body"
    proof = credentials.binding(request, core.settings) if transport == "cookie" else None
    return Presented(
        token=genuine(core, text), transport=transport, binding=presented_digest(proof), client_id=client_id
    )


def refreshing(core: Core, request: Request, presented: Presented) -> Attempt:
    """Give the attempt of a refresh whose token was found genuine."""
    address = core.proxies.counted_as(request.peer)
    browser = presented.binding.hex() if presented.binding else ""
    return Attempt(
        "refresh", core.clock(), core.settings.realm, address, session_id=presented.token.session_id, browser=browser
    )


async def admitted(core: Core, attempt: Attempt) -> Admission:
    """Ask the throttle before any work.

    Raises:
        ThrottledError: with the time to wait.
        StoreError: it cannot tell.
    """
    admission = await core.throttle.admit(attempt)
    if admission.wait is not None:
        raise ThrottledError(retry_after=admission.wait)
    return admission


async def given_back(core: Core, attempt: Attempt, admission: Admission, browser: bytes | None = None) -> None:
    """Tell the throttle that the password was right.

    Where that fails, the user is signed in all the same, and one attempt stays counted for a while.

    Args:
        browser: the digest of the binding that the sign-in made.
    """
    known = browser.hex() if browser else ""
    try:
        await core.throttle.succeeded(attempt, admission, now=core.clock(), browser=known)
    except Exception as error:  # noqa: BLE001 - the session is there already, and its answer must not be lost
        _log.warning("a successful attempt could not be given back: %s", kind_and_place(error))


async def tried(core: Core, counted: tuple[Attempt, Admission], answer: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer about a password; where it was not looked at, for too many come at once, nothing is counted."""
    try:
        return await answer
    except ThrottledError:
        await given_back(core, *counted)
        raise


def answer(core: Core, request: Request, outcome: Outcome) -> Reply:
    """Give the token answer for what a flow gave; the binding cookie is sent again with its old value."""
    _tell_own(core, outcome)
    binding = outcome.pair.binding
    if binding is None and outcome.session.binding is not None:
        binding = credentials.binding(request, core.settings)
    return replies.token_answer(
        outcome.pair, outcome.session, core.settings, now=outcome.pair.issued_at, binding=binding
    )


def _tell_own(core: Core, outcome: Outcome) -> None:
    """Tell the throttle whose session this is, by the row and not by what came: it is right whoever asked."""
    session = outcome.session
    if session.binding is None:
        return
    try:
        core.throttle.proven(session.id, session.binding.hex(), now=outcome.pair.issued_at)
    except Exception as error:  # noqa: BLE001 - the session has turned, and its answer must not be lost
        _log.warning("a throttle could not be told of a session's browser: %s", kind_and_place(error))


async def hooked(
    core: Core, request: Request, reply: Reply, principal: Principal | None, session: Session | None
) -> Reply:
    """Let the application's hooks look at a reply and replace it; one that fails is logged and changes nothing."""
    for hook in core.reply_hooks:
        try:
            replaced = await core.call(hook, request.native, reply, principal, session)
        except Exception as error:  # noqa: BLE001 - the session has turned: an error page would only lose the answer
            _log.error("a reply hook failed with %s", kind_and_place(error))
            continue
        if isinstance(replaced, Reply):
            reply = replaced
    return reply


async def caller(core: Core, request: Request) -> Claims:
    """Give the claims of a caller who must be signed in, on a fresh picture of ended sessions."""
    claims = await core.guard.check(request)
    if claims is None:
        raise TokenMissingError
    return claims


def shown_claims(claims: Claims) -> dict[str, Any]:
    """Give claims in JWT names, without what only machines need: `bnd` and `jti`."""
    audience = list(claims.audience)
    shown: dict[str, Any] = {
        **claims.extra,
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": audience[0] if len(audience) == 1 else audience,
        "client_id": claims.client_id,
        "sid": claims.session_id,
        "gen": claims.generation,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "auth_time": int(claims.authenticated_at.timestamp()),
        "scope": " ".join(sorted(claims.scope)),
    }
    if claims.realm != "default":
        shown["realm"] = claims.realm
    if claims.amr:
        shown["amr"] = list(claims.amr)
    return _thawed(shown)  # type: ignore[no-any-return]  # a dict stays a dict


def _thawed(value: Any) -> Any:
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: _thawed(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_thawed(item) for item in value]
    return value
