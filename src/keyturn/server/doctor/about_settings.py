"""Judges the settings: what is weaker than it could be, and what the standards would rather see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from ..._origins import is_loopback
from ..._validation import spelled
from ...settings import Settings
from .facts import Facts
from .finding import Finding, note, ok, weak

_TOPIC: Final = "settings"
#: NIST SP 800-63B-4 section 2.1.3: at assurance level 1 a sign-in should be repeated every 30 days at least.
_NIST_SIGN_IN: Final = timedelta(days=30)
#: A copied access token is worth so long where its binding is not asked for; five minutes are the default.
_LONG_ACCESS: Final = timedelta(minutes=15)
#: Names that RFC 2606 and RFC 6761 keep for documentation and tests; nobody's service has one.
_RESERVED: Final = ("example", "example.com", "example.net", "example.org", "invalid", "test")


def about_settings(facts: Facts) -> Iterator[Finding]:
    """Judge the ``[keyturn]`` table."""
    settings = facts.config.settings
    for judge in (_issuer, _profile, _binding, _lifetimes, _patience, _cookies, _origins):
        yield from judge(settings)


def is_public(settings: Settings) -> bool:
    """Say whether the issuer is meant for others than this machine."""
    return not is_loopback(urlsplit(settings.issuer).hostname)


def _issuer(settings: Settings) -> Iterator[Finding]:
    host = urlsplit(settings.issuer).hostname or ""
    if any(host == name or host.endswith(f".{name}") for name in _RESERVED):
        yield weak(
            _TOPIC,
            f"The issuer is {settings.issuer}, a name that stands for nobody.",
            "Write your own address: issuer in the table [keyturn]. Clients compare it letter by letter.",
        )
    elif not is_public(settings):
        yield note(
            _TOPIC,
            f"The issuer is {settings.issuer}: tokens are for this machine only.",
            "For others, set issuer to the https address that they will use.",
        )
    else:
        yield ok(_TOPIC, f"The issuer is {settings.issuer}.")


def _profile(settings: Settings) -> Iterator[Finding]:
    if settings.profile == "testing" and is_public(settings):
        yield weak(_TOPIC, "The profile is testing.", 'For users: profile = "browser".')
    if settings.development:
        yield note(
            _TOPIC,
            "The profile is development: cookies without Secure, and pages of every port of this machine may sign in.",
            'For others than yourself: profile = "browser".',
        )
    if settings.docs_login and is_public(settings):
        yield weak(_TOPIC, "docs_login lets a documentation page sign users in.", "docs_login = false")


def _binding(settings: Settings) -> Iterator[Finding]:
    if settings.binding == "none" and "cookie" in settings.transports:
        yield weak(
            _TOPIC,
            "binding is none: verifiers check no binding, and a copied token works anywhere until its time is over.",
            'binding = "cookie" where sessions travel in cookies.',
        )


def _lifetimes(settings: Settings) -> Iterator[Finding]:
    if settings.access_token_lifetime > _LONG_ACCESS:
        yield note(
            _TOPIC,
            f"Access tokens live for {spelled(settings.access_token_lifetime)}: so long a copy may work.",
            'access_token_lifetime = "5m"; refreshing is cheap.',
        )
    if settings.session_lifetime > _NIST_SIGN_IN:
        yield note(
            _TOPIC,
            f"Sessions live for {spelled(settings.session_lifetime)}; NIST SP 800-63B-4 would have users sign in every "
            "30 days, and every day where much is at stake.",
            'session_lifetime = "30d", or profile = "strict".',
        )


def _patience(settings: Settings) -> Iterator[Finding]:
    zero = timedelta(0)
    if settings.leeway == zero:
        yield note(
            _TOPIC,
            "leeway is 0: two tabs that refresh at once, or a retry after a lost answer, may count as theft.",
            'leeway = "10s", unless you want it so.',
        )
    if settings.recovery_window == zero:
        yield note(
            _TOPIC,
            "recovery_window is 0: who lost the answer to a refresh must sign in again.",
            "Leave recovery_window out, unless you want it so.",
        )


def _cookies(settings: Settings) -> Iterator[Finding]:
    if settings.cookie.access_in_cookie:
        yield note(_TOPIC, "Access tokens travel in a cookie too: every request to this host carries them.")
    if settings.cookie.same_site == "Lax":
        yield note(_TOPIC, "Cookies are SameSite=Lax: a link from elsewhere carries them.", 'same_site = "Strict"')
    if settings.cookie.same_site == "None":
        yield note(_TOPIC, "Cookies are SameSite=None: pages that other sites embed carry them.")


def _origins(settings: Settings) -> Iterator[Finding]:
    local = [origin for origin in settings.origins if is_loopback(urlsplit(origin).hostname)]
    if local and is_public(settings):
        yield weak(
            _TOPIC,
            f"Pages of {', '.join(local)} may sign users in: any program on a user's machine can serve such a page.",
            "Take them out of origins on the server that users reach.",
        )
