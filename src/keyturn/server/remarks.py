"""What a start has to say about a configuration: where things are, and what in it will surprise somebody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from . import database
from .config import ServerConfig


def welcome(config: ServerConfig, *, version: str, address: str, users: bool) -> Sequence[str]:
    """Give the lines that a start shows.

    Args:
        config: what is served.
        version: the program's.
        address: where it listens, as a URL.
        users: whether there are any.
    """
    base = address + config.settings.prefix
    workers = "1 worker" if config.workers == 1 else f"{config.workers} workers"
    lines = [
        f"Keyturn {version} listens at {address} with {workers}. Ctrl-C stops it.",
        f"  issuer    {config.settings.issuer}",
        f"  sign in   POST {base}/login",
        f"  keys      {base}/jwks.json, kept in {config.keys}",
        f"  health    {address}/health/ready",
        f"  store     {shown_store(config.store)}",
        f"  settings  {config.path or 'the defaults: `keyturn init` writes a file to change them'}",
    ]
    lines += [f"Mind: {remark}" for remark in remarks(config)]
    if not users:
        lines.append(f"There are no users yet. In another terminal: keyturn users create NAME{_where(config)}")
    return lines


def remarks(config: ServerConfig) -> Sequence[str]:
    """Give what works, but perhaps otherwise than was meant; a sentence each."""
    return [*_about_issuer(config), *_about_store(config)]


def shown_store(url: str) -> str:
    """Give a database's address for people, without a password."""
    if (path := database.sqlite_path(url)) is not None:
        return f"SQLite, {path}"
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if found else f"{url} (gone when the server stops)"


def _about_issuer(config: ServerConfig) -> Iterator[str]:
    issuer = urlsplit(config.settings.issuer)
    proxies = config.configuration.trusted_proxies
    if issuer.scheme == "https" and not proxies:
        yield (
            "the issuer is https and this server speaks http, so a proxy must stand in front; name it in "
            "trusted_proxies, or all clients share the proxy's address"
        )
    if issuer.scheme == "http" and not is_loopback(config.host):
        yield (
            f"it listens at {config.host}, but tokens name {config.settings.issuer}, which means this machine only; "
            "for other machines set an https issuer and put a TLS proxy in front"
        )


def _about_store(config: ServerConfig) -> Iterator[str]:
    if config.store.startswith("memory:"):
        yield "the store is memory: when the server stops, everybody is signed out and all users are gone"
    if config.counters.startswith("memory:") and config.workers > 1:
        yield f"each of the {config.workers} workers counts attempts by itself, so that many more are let through"


def is_loopback(host: str) -> bool:
    """Say whether a server that listens there is heard by this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _where(config: ServerConfig) -> str:
    return "" if config.path is None or config.path.name == "keyturn.toml" else f" --config {config.path}"
