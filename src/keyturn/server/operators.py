"""Who may look at the server's inner numbers: who comes straight from this machine or from a private network."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from .._asgi import Scope

#: What proxies add to what they hand on. Who stands behind one is anybody.
_BY_PROXY: Final = frozenset(
    {
        b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-server",
        b"x-real-ip", b"x-client-ip", b"cf-connecting-ip", b"true-client-ip", b"x-original-forwarded-for",
    }
)  # fmt: skip


def is_operator(scope: Scope) -> bool:
    """Say whether a request comes straight from this machine or from a private network.

    One that came through a proxy is nobody's in particular, whatever it says of itself; one from a public address
    found a door that should be closed.
    """
    peer = scope.get("client")
    return peer is not None and _is_near(peer[0]) and not any(name.lower() in _BY_PROXY for name, _ in scope["headers"])


def _is_near(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:  # a Unix socket's, or a made-up one
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    near = mapped or address
    return near.is_loopback or near.is_private or near.is_link_local
