"""How the npm package oidc-provider is spoken to: its default paths, and a password grant that its server must add.

The package has none of its own; `registerGrantType` takes one of some fifteen lines.
"""

from __future__ import annotations

from ._oauth import OAuthAdapter


class OidcProviderAdapter(OAuthAdapter):
    """Speaks to oidc-provider; the guarded GET is its own userinfo endpoint."""

    name = "oidc-provider"
    usual = {"revoke": "/token/revocation", "scope": "openid offline_access"}  # noqa: RUF012 - read only


ADAPTER = OidcProviderAdapter
