"""The keys and the server's self-description: the only answers that caches may keep."""

from __future__ import annotations

from typing import Any, Final

from ...messages import Reply, Request
from .. import replies
from ..core import Core

#: An access key is published for at least so long before it signs (docs/how-to/keys.md).
_CACHED: Final = (("Cache-Control", "public, max-age=300"),)


async def jwks(core: Core, _request: Request, _last: str) -> Reply:
    """GET /jwks.json: the public keys (RFC 7517)."""
    now = core.clock()
    keys = core.flows.issuer.seals.ring(now).jwks(now)
    return replies.json_reply(keys, headers=_CACHED, media_type="application/jwk-set+json")


async def server(core: Core, _request: Request, _last: str) -> Reply:
    """GET /.well-known/oauth-authorization-server: RFC 8414."""
    return replies.json_reply(_metadata(core), headers=_CACHED)


def _metadata(core: Core) -> dict[str, Any]:
    settings = core.settings
    base = settings.issuer.rstrip("/") + settings.prefix
    with_secret = ["client_secret_basic", "client_secret_post"] if core.clients.may_prove else []
    methods = ["none", *with_secret]
    told = {
        "issuer": settings.issuer,
        "token_endpoint": f"{base}/token",
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": f"{base}/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
        "jwks_uri": f"{base}/jwks.json",
        "grant_types_supported": ["refresh_token"],
        # Required and never empty (sections 2 and 3.2); "none" says that no authorization endpoint answers with anything.
        "response_types_supported": ["none"],
    }
    if with_secret:  # nobody else may ask there
        told["introspection_endpoint"] = f"{base}/introspect"
        told["introspection_endpoint_auth_methods_supported"] = with_secret
    return told
