"""Who is at the other end, where proxies stand in between: only those that are configured are believed.

Of the fields that proxies add, ``X-Forwarded-For``, ``-Proto`` and ``-Host`` are read. ``Forwarded`` (RFC 7239) is not:
a proxy that writes the one hands on the other as a client sent it, so believing both means believing clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
        if not self._trusts(request.peer):
            return request
        scheme = _last(request, b"x-forwarded-proto").lower()
        host = _last(request, b"x-forwarded-host")
        return request._replace(
            peer=self._client(request),
            scheme=_same_kind(scheme, websocket=request.websocket) if scheme in _SCHEMES else request.scheme,
            headers=_with_host(request.headers, host) if host else request.headers,
        )

    def _trusts(self, peer: str) -> bool:
        if not peer:
            return self.sockets
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
            if not self._trusts(client):
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
