"""How django-oauth-toolkit is spoken to: its views below ``/o/``, as its documentation mounts them."""

from __future__ import annotations

from ._oauth import OAuthAdapter


class DjangoOauthToolkitAdapter(OAuthAdapter):
    """Speaks to django-oauth-toolkit; the application (its word for a client) allows the password grant."""

    name = "django-oauth-toolkit"
    usual = {"token": "/o/token/", "revoke": "/o/revoke_token/"}  # noqa: RUF012 - read only


ADAPTER = DjangoOauthToolkitAdapter
