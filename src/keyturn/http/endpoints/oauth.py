"""token, revoke, docs-token: for programs that speak OAuth, and for the framework's documentation page."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from ..._admission import Start
from ..._policy import Presented
from ...errors import ForgeryError, KeyturnError, RequestError, TokenError, TokenMissingError
from ...messages import Reply, Request
from ...session import EndReason, Session
from ...tokens import UNCHECKED
from .. import bodies, replies
from ..core import Core
from . import _common, sign_in


def _invalid_client() -> KeyturnError:
    # RFC 6749 section 5.2: with the challenge of the scheme that a client may use here
    return RequestError(
        "The client is unknown or its secret is wrong.", code="invalid_client", status=401,
        headers={"WWW-Authenticate": 'Basic realm="clients"'},
    )  # fmt: skip


def _client_of(core: Core, request: Request, fields: Mapping[str, str]) -> str | None:
    """Say which client calls, proved where it has a secret; None where none is named."""
    client_id, secret = _client_credentials(request, fields)
    if client_id is None or client_id == "default":
        return client_id
    client = core.clients.get(client_id)
    if client is None:
        raise _invalid_client()
    if client.secret_digest is not None and not _is_secret(secret, client.secret_digest):
        raise _invalid_client()
    return client_id


def _client_credentials(request: Request, fields: Mapping[str, str]) -> tuple[str | None, str | None]:
    proofs = request.header_values(b"authorization")
    if len(proofs) > 1:
        raise RequestError("There is more than one Authorization field.")
    basic = bodies.basic(proofs[0]) if proofs else None
    if basic is None:
        return fields.get("client_id"), fields.get("client_secret")
    client_id, secret = map(unquote_plus, basic)  # RFC 6749 section 2.3.1: form-encoded before Basic
    if "client_secret" in fields or fields.get("client_id", client_id) != client_id:
        raise RequestError("The client is named in two ways at once.")
    return client_id, secret


def _is_secret(secret: str | None, digest: str) -> bool:
    given = hashlib.sha256((secret or "").encode()).hexdigest()
    return hmac.compare_digest(given, digest.lower())


async def token(core: Core, request: Request, _last: str) -> Reply:
    """POST /token: the refresh grant of RFC 6749 section 6; cookies are never read."""
    fields = await bodies.form(request)
    client_id = _client_of(core, request, fields)
    if fields.get("grant_type") != "refresh_token":
        code = "unsupported_grant_type" if "grant_type" in fields else "invalid_request"
        raise RequestError("Only grant_type=refresh_token is offered here.", code=code)
    if "refresh_token" not in fields:
        raise TokenMissingError("refresh_token is missing.")
    presented = Presented(token=_common.genuine(core, fields["refresh_token"]), transport="body", client_id=client_id)
    await _common.admitted(core, _common.refreshing(core, request, presented))
    if client_id is None:
        await sign_in.refuse_confidential(core, presented)
    outcome = await core.flows.refresh(presented, _common.origin_of(request), scope=fields.get("scope"))
    reply = _common.answer(core, request, outcome)
    return await _common.hooked(core, request, reply, outcome.principal, outcome.session)


async def revoke(core: Core, request: Request, _last: str) -> Reply:
    """POST /revoke: RFC 7009; a genuine refresh token of any generation, or an unbound access token, ends its session."""
    fields = await bodies.form(request)
    client_id = _client_of(core, request, fields)
    if "token" not in fields:
        raise RequestError("token is missing.")
    session = await _session_of(core, fields["token"])
    if session is not None and _may_revoke(core, client_id, session):
        await core.flows.ends.end([session.id], EndReason.LOGOUT, _common.origin_of(request))
    return replies.json_reply({})


async def _session_of(core: Core, text: str) -> Session | None:
    refresh = _common.genuine_or_none(core, text)
    if refresh is not None:
        return await core.flows.ends.session_of(refresh)
    try:
        claims = core.guard.verifier.verify(text, binding=UNCHECKED)
    except TokenError:
        return None
    # A bound access token without its cookie is what a thief has; it shall not sign the victim out.
    return await core.flows.ends.get(claims.session_id) if claims.binding is None else None


def _may_revoke(core: Core, client_id: str | None, session: Session) -> bool:
    owner = core.clients.get(session.client_id)
    if client_id is not None:
        return client_id == session.client_id
    return owner is None or owner.secret_digest is None


async def docs_token(core: Core, request: Request, _last: str) -> Reply:
    """POST /docs-token: lets the documentation page of the framework sign in; nowhere but from that page."""
    settings = core.settings
    if not (settings.docs_login or settings.development):
        raise RequestError("There is nothing at this address.", code="not_found", status=404)
    if request.header_values(b"sec-fetch-site") != ["same-origin"]:
        raise ForgeryError
    fields = await bodies.form(request)
    username, password = fields.get("username"), fields.get("password")
    if username is None or password is None:
        raise RequestError("username and password are missing.")
    # The page keeps no refresh token, so the session may as well be short.
    how = Start(transport="body", remember=False, scope=fields.get("scope"), amr=("pwd",))
    outcome = await sign_in.admitted(core, request, (username, password), how)
    shown = {"access_token": outcome.pair.access_token, "token_type": "bearer"}
    return replies.json_reply(shown)
