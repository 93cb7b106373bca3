"""The settings of both sites: as their packages' documentation has them, for production."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

HERE = __package__


def common(database: str, apps: list[str]) -> dict[str, Any]:
    """Give what both have: no DEBUG, kept connections, no middleware that an API does not need."""
    address = urlsplit(database)
    return {
        "DEBUG": False,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": ["127.0.0.1", "localhost", "testserver", "app.example.org"],
        "USE_TZ": True,
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", *apps],
        "MIDDLEWARE": ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
        # One turn of the hash: what a sign-in costs is not what is measured.
        "PASSWORD_HASHERS": [f"{HERE}.passwords.QuickHasher"],
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": address.hostname,
                "PORT": address.port,
                "NAME": address.path[1:],
                "USER": address.username,
                "PASSWORD": address.password or "",
                "CONN_MAX_AGE": None,
            }
        },
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    }


def simplejwt() -> dict[str, Any]:
    """Refresh tokens for one use: the package's rotation, and its blacklist."""
    return {
        "ROOT_URLCONF": f"{HERE}.simplejwt_urls",
        "INSTALLED_APPS": ["rest_framework", "rest_framework_simplejwt", "rest_framework_simplejwt.token_blacklist"],
        "REST_FRAMEWORK": _rest("rest_framework_simplejwt.authentication.JWTAuthentication"),
        "SIMPLE_JWT": {
            "ROTATE_REFRESH_TOKENS": True,
            "BLACKLIST_AFTER_ROTATION": True,
            "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
            "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
        },
    }


def toolkit(grace_seconds: int) -> dict[str, Any]:
    """Refresh tokens for one use, whose families are ended when one is used twice later than so many seconds."""
    return {
        "ROOT_URLCONF": f"{HERE}.toolkit_urls",
        "INSTALLED_APPS": ["rest_framework", "oauth2_provider"],
        "REST_FRAMEWORK": _rest("oauth2_provider.contrib.rest_framework.OAuth2Authentication"),
        "OAUTH2_PROVIDER": {
            "ROTATE_REFRESH_TOKEN": True,
            "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": False,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": grace_seconds,
            "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
            "REFRESH_TOKEN_EXPIRE_SECONDS": 30 * 86400,
        },
    }


def _rest(authentication: str) -> dict[str, Any]:
    return {
        "DEFAULT_AUTHENTICATION_CLASSES": [authentication],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    }
