"""Who is at the other end, where proxies stand in between: only those that are configured are believed.

Of the fields that proxies add, ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are read. ``Forwarded`` (RFC 7239) is not:
a proxy that writes the one hands on the other as a client sent it, so believing both means believing clients.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from ._validation import shown
from .errors import ConfigurationError
from .messages import RawHeaders, Request

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: Means the peer of a Unix socket, which has no address.
_SOCKET: Final = "unix"
#: Proxies in a row that are believed; nobody has more, and a field may be long.
_MOST_HOPS: Final = 32
_SCHEMES: Final = ("http", "https")
#: What stands between the addresses of ``X-Forwarded-For`` and ``Forwarded``.
_BETWEEN: Final = re.compile(r"[,;=\s]+")
_log = logging.getLogger("keyturn")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that are believed.

    Args:
        networks: where they stand.
        sockets: whether a peer without an address is one.
    """

    networks: tuple[Network, ...] = ()
    sockets: bool = False

    def __bool__(self) -> bool:
        return self.sockets or bool(self.networks)

    def seen_through(self, request: Request) -> Request:
        """Give a request as the outermost trusted proxy saw it; where the peer is no trusted proxy, as it came."""
        if not self.trusts(request.peer):
            return request
        scheme = _last(request, b"x-forwarded-proto").lower()
        host = _last(request, b"x-forwarded-host")
        return request._replace(
            peer=self._client(request),
            scheme=_same_kind(scheme, websocket=request.websocket) if scheme in _SCHEMES else request.scheme,
            headers=_with_host(request.headers, host) if host else request.headers,
        )

    def counted_as(self, client: str) -> str:
        """Give the address that a client is counted under, empty where it has none of its own.

        Whoever comes from this machine and was not named is mostly a proxy with all users behind it: counting its
        address would let one guesser shut out all of them.

        Args:
            client: the peer of a request that was `seen_through`.
        """
        return "" if _is_here(client) and not self.trusts(client) else client

    def trusts(self, peer: str) -> bool:
        """Say whether the other end of a connection is one of them.

        Args:
            peer: its address, empty for a Unix socket's.
        """
        if not peer:
            return self.sockets
        if not self.networks:
            return False
        address = _address(peer)
        return address is not None and any(address in network for network in self.networks)

    def _client(self, request: Request) -> str:
        """Give the rightmost address that is no trusted proxy's: what stands left of it, anybody may have written.

        Where a proxy names no address (``unknown``, a made-up name), nobody is known beyond it: it counts itself.
        """
        client = request.peer
        for _, hop in zip(range(_MOST_HOPS), _hops(request), strict=False):
            address = _address(hop)
            if address is None:
                return client
            client = str(address)
            if not self.trusts(client):
                return client
        return client


def _hops(request: Request) -> Iterator[str]:
    for line in reversed(request.header_values(b"x-forwarded-for")):
        rest = line
        while rest:
            rest, _, hop = rest.rpartition(",")
            yield hop


def _address(text: str) -> Address | None:
    """Read an address as proxies write it: with a port or without, IPv6 in brackets or without, perhaps quoted."""
    text = text.strip(' \t"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=1024)  # an address asks often or never
def _is_here(peer: str) -> bool:
    address = _address(peer)
    return address is not None and address.is_loopback


class UnnamedProxy:
    """Says once, in the log, that a proxy is at work which the configuration does not name."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told = False

    def look_at(self, request: Request) -> None:
        """Look at a request where no proxy is trusted; what its fields say is never told."""
        if not self._told and _comes_by_proxy(request):
            self._told = True
            _log.warning(
                "a proxy stands in front, and trusted_proxies names none: clients cannot be told apart by address, "
                "so throttling by address covers all of them together or nobody"
            )


def _comes_by_proxy(request: Request) -> bool:
    """Say whether a proxy's fields came along that the server itself has not read: if it has, the peer is in them."""
    told = [*request.header_values(b"x-forwarded-for"), *request.header_values(b"forwarded")]
    if not told:
        return False
    peer = _address(request.peer)
    hops = (hop for line in told for hop in _BETWEEN.split(line)[-_MOST_HOPS:])
    return peer is None or all(_address(hop) != peer for hop in hops)


def _last(request: Request, name: bytes) -> str:
    values = request.header_values(name)
    return values[-1].rpartition(",")[2].strip(" \t") if values else ""


def _same_kind(scheme: str, *, websocket: bool) -> str:
    return scheme.replace("http", "ws") if websocket else scheme


def _with_host(headers: RawHeaders, host: str) -> RawHeaders:
    return [*(field for field in headers if field[0] != b"host"), (b"host", host.encode("latin-1"))]


# --- configuration -------------------------------------------------------------------------------------------------


def read_proxies(values: Iterable[str]) -> Proxies:
    """Give the proxies that some addresses and networks spell.

    Args:
        values: ``"10.0.0.7"``, ``"10.0.0.0/8"``, ``"2001:db8::/32"``, or ``"unix"`` for the peer of a Unix socket.

    Raises:
        ConfigurationError: with every one that spells nothing.
    """
    networks: list[Network] = []
    faults: list[str] = []
    chosen = [values] if isinstance(values, str) else list(values)
    for value in chosen:
        if value == _SOCKET:
            continue
        try:
            networks.append(ip_network(value))
        except ValueError as error:
            faults.append(f"trusted_proxies has {shown(value)}, which is no address and no network: {error}")
    if faults:
        raise ConfigurationError(faults)
    return Proxies(networks=tuple(networks), sockets=_SOCKET in chosen)
