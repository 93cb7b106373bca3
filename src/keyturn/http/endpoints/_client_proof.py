"""Which client calls an OAuth endpoint, and the proof that it is the one (RFC 6749 section 2.3)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

from ...errors import KeyturnError, RequestError
from ...messages import Request
from ...users import DEFAULT_CLIENT, RegisteredClient
from .. import bodies
from ..core import Core

#: Compared with where there is no digest, so that an unknown client costs what a wrong secret costs; no text has it.
_NOBODYS_DIGEST: Final = "0" * 64


def _invalid_client() -> KeyturnError:
    # RFC 6749 section 5.2: with the challenge of the scheme that a client may use here
    return RequestError(
        "The client is unknown or its secret is wrong.", code="invalid_client", status=401,
        headers={"WWW-Authenticate": 'Basic realm="clients"'},
    )  # fmt: skip


async def named(core: Core, request: Request, fields: Mapping[str, str]) -> str | None:
    """Say which client calls, proved where it has a secret; None where none is named.

    Raises:
        RequestError: ``invalid_client`` (401), or it is named in two ways at once.
        StoreError: it cannot be told whether there is such a client.
    """
    client_id, secret = _credentials(request, fields)
    if client_id is None or (client_id == DEFAULT_CLIENT and not secret):
        return client_id
    return (await _checked(core, client_id, secret)).id


async def proved(core: Core, request: Request, fields: Mapping[str, str]) -> str:
    """Give the id of the client that calls and has proved its secret.

    Raises:
        RequestError: ``invalid_client`` (401) for anybody else; or it is named in two ways at once.
        StoreError: it cannot be told whether there is such a client.
    """
    client_id, secret = _credentials(request, fields)
    client = await _checked(core, client_id or "", secret)
    if client.secret_digest is None:
        raise _invalid_client()
    return client.id


async def _checked(core: Core, client_id: str, secret: str | None) -> RegisteredClient:
    client = await core.clients.find(client_id)
    digest = client.secret_digest if client is not None else None
    is_right = _is_secret(secret, digest or _NOBODYS_DIGEST)
    # A public client that sends a secret means to prove something, and nothing here can tell that it does.
    if client is None or (digest is None and secret) or (digest is not None and not is_right):
        raise _invalid_client()
    return client


def _credentials(request: Request, fields: Mapping[str, str]) -> tuple[str | None, str | None]:
    proofs = request.header_values(b"authorization")
    if len(proofs) > 1:
        raise RequestError("There is more than one Authorization field.")
    basic = _basic(proofs[0]) if proofs else None
    if basic is None:
        return _in_the_form(fields)
    client_id, secret = map(unquote_plus, basic)  # RFC 6749 section 2.3.1: form-encoded before Basic
    if "client_secret" in fields or fields.get("client_id", client_id) != client_id:
        raise RequestError("The client is named in two ways at once.")
    return client_id, secret


def _basic(field: str) -> tuple[str, str] | None:
    try:
        return bodies.basic(field)
    except RequestError:
        raise _invalid_client() from None  # RFC 6749 section 5.2: a proof in this field that fails is a 401


def _in_the_form(fields: Mapping[str, str]) -> tuple[str | None, str | None]:
    client_id, secret = fields.get("client_id"), fields.get("client_secret")
    if client_id is None and secret is not None:
        raise RequestError("client_secret came without client_id.")
    return client_id, secret


def _is_secret(secret: str | None, digest: str) -> bool:
    given = hashlib.sha256((secret or "").encode()).hexdigest()
    # As octets: a digest that somebody wrote in other characters is wrong, not an accident.
    return hmac.compare_digest(given.encode(), digest.lower().encode()) and bool(secret)
