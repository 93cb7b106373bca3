"""Every choice that can be made, in one frozen value; contradictions are refused at once, all of them.

A profile is a starting point that the other arguments refine: ``Settings(issuer=…, profile="strict", leeway=…)``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from ._origins import is_loopback, origin_of
from ._validation import (
    ACCESS_TOKEN_CEILING,
    LEEWAY_CEILING,
    LISTS,
    SESSION_CEILING,
    SKEW_CEILING,
    faults_of,
)
from .errors import ConfigurationError
from .messages import SameSite
from .session import Transport

__all__ = [
    "ACCESS_TOKEN_CEILING",
    "LEEWAY_CEILING",
    "SESSION_CEILING",
    "SETTING_NAMES",
    "SKEW_CEILING",
    "UNREMEMBERED_IDLE",
    "CookieSettings",
    "Profile",
    "Settings",
    "is_loopback",
    "origin_of",
]

Profile: TypeAlias = Literal["browser", "native", "strict", "development", "testing"]

#: A session that is not remembered ends after a day without use, whatever the idle lifetime is.
UNREMEMBERED_IDLE: Final = timedelta(hours=24)
_ZERO: Final = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class CookieSettings:
    """How our cookies look.

    Args:
        suffix: added to the names, for several applications on one host; the realm where left empty.
        access_in_cookie: the access token travels in a cookie too, and no token answer shows it.
        same_site: ``Strict``, ``Lax``, or ``None`` for pages embedded in other sites (needs `partitioned`).
        partitioned: one jar for each embedding site (CHIPS).
    """

    suffix: str = ""
    access_in_cookie: bool = False
    same_site: SameSite = "Strict"
    partitioned: bool = False


_BROWSER: Mapping[str, Any] = {
    "access_token_lifetime": timedelta(minutes=5),
    "idle_lifetime": timedelta(days=30),
    "session_lifetime": timedelta(days=90),
    "leeway": timedelta(seconds=10),
    "max_sessions": 50,
    "transports": ("cookie", "body"),
}
_PROFILES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "browser": _BROWSER,
        "native": {
            **_BROWSER,
            "idle_lifetime": timedelta(days=90),
            "session_lifetime": timedelta(days=365),
            "transports": ("body", "cookie"),
        },
        "strict": {
            **_BROWSER,
            "idle_lifetime": timedelta(minutes=15),
            "session_lifetime": timedelta(hours=12),
            "leeway": _ZERO,
            "recovery_window": _ZERO,
            "max_sessions": 1,
        },
        "development": {**_BROWSER, "issuer": "http://localhost:8000"},
        "testing": {**_BROWSER, "issuer": "https://testserver"},
    }
)


@dataclass(frozen=True, kw_only=True, slots=True, init=False)
class Settings:
    """The settings of one issuer and realm. Whatever is left out is as the profile says.

    Args:
        issuer: the URL of this service, the ``iss`` of its tokens; https, or http on a loopback host.
        audience: the ``aud`` of its access tokens; the issuer where left out.
        realm: separates user classes, areas or tenants; a lower-case word of at most 32 characters.
        profile: where to start from: ``browser``, ``native``, ``strict``, ``development``, ``testing``.
        access_token_lifetime: at most an hour.
        idle_lifetime: a session that is not refreshed for so long is over.
        session_lifetime: a session is over after so long, however much it is used; at most 400 days.
        sliding: whether a refresh renews the idle lifetime.
        leeway: within it a retry, or a second tab, gets the same successor; 0 to 60 s.
        recovery_window: so long an undelivered successor can still be fetched; the idle lifetime where left out.
        clock_skew: how far a verifier's clock may be off; at most 60 s.
        max_sessions: how many sessions a user may have in this realm.
        on_limit: what happens beyond: ``end_oldest`` or ``refuse``.
        recent_auth: how long after a sign-in other sessions may be ended.
        transports: how refresh tokens may travel, the default first.
        binding: ``cookie``: cookie sessions are bound to a second cookie; ``none``.
        cookie: how cookies look.
        origins: other origins whose pages may sign in here (``https://app.example.org``).
        algorithm: what access tokens are signed with: ``ES256``, ``Ed25519`` or ``RS256``.
        staleness_bound: within it a session's end is felt by every verifier.
        prefix: where the routes are mounted.
        docs_login: let the framework's documentation page sign in.
        wire_format: ``standard``.

    Besides, it tells ``refresh_cookie``, ``binding_cookie``, ``access_cookie`` (their names, which follow from the
    rest) and ``cookie_names`` (all of them).

    Raises:
        ConfigurationError: with every fault that was found.
    """

    issuer: str
    audience: str
    realm: str
    profile: Profile
    access_token_lifetime: timedelta
    idle_lifetime: timedelta
    session_lifetime: timedelta
    sliding: bool
    leeway: timedelta
    recovery_window: timedelta
    clock_skew: timedelta
    max_sessions: int
    on_limit: Literal["end_oldest", "refuse"]
    recent_auth: timedelta
    transports: tuple[Transport, ...]
    binding: Literal["cookie", "none"]
    cookie: CookieSettings
    origins: tuple[str, ...]
    algorithm: Literal["ES256", "Ed25519", "RS256"]
    staleness_bound: timedelta
    prefix: str
    docs_login: bool
    wire_format: Literal["standard"]
    refresh_cookie: str = field(init=False, repr=False, compare=False)
    binding_cookie: str = field(init=False, repr=False, compare=False)
    access_cookie: str = field(init=False, repr=False, compare=False)
    cookie_names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        realm: str = "default",
        profile: Profile = "browser",
        access_token_lifetime: timedelta | None = None,
        idle_lifetime: timedelta | None = None,
        session_lifetime: timedelta | None = None,
        sliding: bool = True,
        leeway: timedelta | None = None,
        recovery_window: timedelta | None = None,
        clock_skew: timedelta = timedelta(seconds=30),
        max_sessions: int | None = None,
        on_limit: Literal["end_oldest", "refuse"] = "end_oldest",
        recent_auth: timedelta = timedelta(minutes=15),
        transports: Sequence[Transport] | None = None,
        binding: Literal["cookie", "none"] = "cookie",
        cookie: CookieSettings = CookieSettings(),
        origins: Sequence[str] = (),
        algorithm: Literal["ES256", "Ed25519", "RS256"] = "ES256",
        staleness_bound: timedelta = timedelta(seconds=5),
        prefix: str = "/auth",
        docs_login: bool = False,
        wire_format: Literal["standard"] = "standard",
    ) -> None:
        given: dict[str, Any] = dict(locals())
        del given["self"]
        base = _PROFILES.get(str(profile), _BROWSER)  # an unknown one is a fault, told below
        chosen: dict[str, Any] = {name: base.get(name) if value is None else value for name, value in given.items()}
        if faults := faults_of(chosen, cookie_type=CookieSettings):
            raise ConfigurationError(faults)
        chosen["audience"] = chosen["audience"] or chosen["issuer"]
        if chosen["recovery_window"] is None:
            chosen["recovery_window"] = chosen["idle_lifetime"]
        for name, value in chosen.items():
            object.__setattr__(self, name, tuple(value) if name in LISTS else value)
        names = _cookie_names(self)
        for field_name, name in zip(("refresh_cookie", "binding_cookie", "access_cookie"), names, strict=True):
            object.__setattr__(self, field_name, name)
        object.__setattr__(self, "cookie_names", frozenset(names))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Settings:
        """Give the settings that a mapping spells: ``{"issuer": …, "leeway": "5s", "cookie": {"suffix": "shop"}}``.

        Args:
            values: names in any case; durations as timedelta, as ``"2s"``, ``"5m"``, ``"12h"``, ``"30d"``, or in seconds.

        Raises:
            ConfigurationError: with every fault that was found, unknown names among them.
        """
        from ._loading import settings_from_mapping

        return settings_from_mapping(values)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], *, environment: Mapping[str, str] | None = None) -> Settings:
        """Give the settings of a file's ``[keyturn]`` table; what the environment says goes before it.

        Args:
            path: a TOML file, mostly ``keyturn.toml``.
            environment: the process's own where left out; ``{}`` for the file alone.

        Raises:
            ConfigurationError: with every fault that was found; also where the file cannot be read.
        """
        from ._loading import load_configuration

        return load_configuration(path, environment=environment).settings

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Give the settings that ``KEYTURN_ISSUER``, ``KEYTURN_COOKIE__SUFFIX`` and the like spell.

        Args:
            environment: the process's own where left out.

        Raises:
            ConfigurationError: with every fault that was found.
        """
        from ._loading import load_configuration

        return load_configuration(environment=environment).settings

    @property
    def development(self) -> bool:
        """Whether this is the ``development`` profile: http on loopback, no cookie prefix, every loopback origin."""
        return self.profile == "development"


def _cookie_names(settings: Settings) -> tuple[str, str, str]:
    suffix = settings.cookie.suffix or ("" if settings.realm == "default" else settings.realm)
    prefix = "" if settings.development else "__Host-Http-"
    tail = f"_{suffix}" if suffix else ""
    refresh, binding, access = (f"{prefix}kt_{part}{tail}" for part in ("refresh", "bind", "access"))
    return refresh, binding, access


SETTING_NAMES: Final = tuple(item.name for item in fields(Settings) if item.init)
