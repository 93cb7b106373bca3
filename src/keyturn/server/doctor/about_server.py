"""Judges how the server is set up: where it listens, whom it believes, whom it counts, who may read its files."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from shlex import quote
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from ..._origins import is_loopback as is_loopback_name
from ...limits import LIMIT_NAMES
from ..config import ServerConfig
from ..remarks import is_loopback
from .about_settings import is_public
from .facts import Facts
from .finding import Finding, note, ok, weak

#: More than these many addresses are no proxies but a neighbourhood: a private /16 is the largest that people use.
_MANY: Final = 2**16
_LOGIN_LIMITS: Final = ("login_per_user_and_address", "login_per_user", "login_per_address")
_TLS: Final = frozenset({"sslmode", "ssl", "sslrootcert", "ssl_ca", "ssl_verify_cert", "ssl_verify_identity"})
_WITHOUT_TLS: Final = frozenset({"disable", "allow", "prefer", "false", "0"})


def about_server(facts: Facts) -> Iterator[Finding]:
    """Judge the ``[server]`` and ``[throttle]`` tables."""
    for judge in (_proxies, _widths, _listening, _throttle, _store, _wire):
        yield from judge(facts.config)


def about_files(facts: Facts) -> Iterator[Finding]:
    """Judge who may read and change the files beside the keys."""
    found = False
    for each in facts.files:
        too_open = each.mode & (0o022 if each.kind == "folder" else 0o077)
        if too_open:
            found = True
            verb = "change" if each.kind == "folder" else "read or change"
            bits = "go-w" if each.kind == "folder" else "go-rwx"
            yield weak(
                "files",
                f"Others may {verb} {each.path} (mode {each.mode:o}).",
                f"chmod {bits} {quote(str(each.path))}",
            )
    if facts.files and not found:
        yield ok("files", "Only their owner may change the folders and read the files.")


def _proxies(config: ServerConfig) -> Iterator[Finding]:
    behind = config.settings.issuer.startswith("https:")
    if behind and not config.configuration.trusted_proxies:
        yield weak(
            "proxies",
            "The issuer is https, so a proxy stands in front, and trusted_proxies names none: it is taken for a "
            "client, and requests for http.",
            'In the table [server]: trusted_proxies = ["127.0.0.1"], the address that it connects from.',
        )


def _widths(config: ServerConfig) -> Iterator[Finding]:
    for proxy in config.configuration.trusted_proxies:
        try:
            network = ip_network(proxy, strict=False)
        except ValueError:
            continue
        if network.num_addresses > _MANY and not network.is_loopback:
            yield weak(
                "proxies",
                f"trusted_proxies has {proxy}: each of {network.num_addresses} addresses may claim to be anybody, and "
                "limits by address mean nothing.",
                "Name the proxies alone.",
            )


def _listening(config: ServerConfig) -> Iterator[Finding]:
    if is_loopback(config.host):
        return
    if not is_public(config.settings):
        yield weak(
            "server",
            f"It listens at {config.host} for other machines, and tokens name {config.settings.issuer}.",
            'Set an https issuer and a TLS proxy in front, or host = "127.0.0.1".',
        )
    else:
        yield note(
            "server",
            f"It listens at {config.host} without TLS.",
            "See that nobody but the proxy reaches this port.",
        )
    if config.metrics:
        yield note(
            "server",
            "/metrics may be read by everybody who reaches the port.",
            "Let the proxy keep it from the outside, or metrics = false.",
        )


def _throttle(config: ServerConfig) -> Iterator[Finding]:
    limits = config.configuration.limits
    off = [name for name in LIMIT_NAMES if getattr(limits, name) is None]
    if all(name in off for name in _LOGIN_LIMITS):
        yield weak("throttle", "Nobody counts failed sign-ins: passwords can be guessed at full speed.", _TURN_ON)
    elif missing := [name for name in _LOGIN_LIMITS if name in off]:
        yield weak("throttle", f"Turned off: {', '.join(missing)}.", _TURN_ON)
    else:
        yield ok("throttle", "Failed sign-ins are counted by user, by address, and by both.")
    if "refresh_per_session" in off:
        yield note("throttle", "Refreshes of a session are not counted.", 'refresh_per_session = "60/minute"')
    if config.counters.startswith("memory:"):
        counted = f"by each of {config.workers} workers for itself" if config.workers > 1 else "in memory"
        level = weak if config.workers > 1 else note
        yield level("throttle", f"Attempts are counted {counted}, and forgotten at a restart.", 'counters = "store"')


_TURN_ON: Final = "Leave it out of the table [throttle]: the defaults let nobody who knows a password wait."


def _store(config: ServerConfig) -> Iterator[Finding]:
    if config.store.startswith("memory:"):
        yield weak(
            "database",
            "The store is memory: a restart signs everybody out and forgets all users.",
            'store = "sqlite:///keyturn.db" keeps them.',
        )


def _wire(config: ServerConfig) -> Iterator[Finding]:
    parts = urlsplit(config.store.replace("+", "-", 1))
    host = parts.hostname
    if host is None or is_loopback_name(host) or is_loopback(host):
        return
    said = {name: value.lower() for name, value in parse_qsl(parts.query)}
    if not any(name in _TLS and value not in _WITHOUT_TLS for name, value in said.items()):
        yield weak(
            "database",
            f"The way to {host} may be in the clear: the address asks for no TLS.",
            "Add ?sslmode=verify-full (PostgreSQL) or ?ssl_ca=FILE (MariaDB), unless the network is yours alone.",
        )
