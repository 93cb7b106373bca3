"""One document over HTTP, within hard limits: so many seconds in all, so many bytes, from this address and no other."""

from __future__ import annotations

import io
import socket
import ssl
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult

#: What the head of an answer and the seams of a chunked body may take besides the document.
_BESIDES: Final = 32_768
_PORTS: Final = {"http": 80, "https": 443}


class FetchError(Exception):
    """The document did not come; says why, in words that are safe to log: nothing of what came is in them."""


def fetch(
    address: SplitResult, *, accept: frozenset[str], seconds: float, most: int, tls: ssl.SSLContext | None
) -> bytes:
    """Give the document at an address.

    No redirect is followed, no proxy asked, nothing unpacked.

    Args:
        address: an http or https URL without user, password and fragment.
        accept: the media types that the document may have.
        seconds: for everything from connecting to the last byte; bytes that trickle in do not stretch it. (Only names
            that resolve slowly, or to several addresses, do.)
        most: bytes that the document may have.
        tls: how https is spoken; None for http.

    Raises:
        FetchError: it did not come, was not what was asked for, or came too slowly.
    """
    until = monotonic() + seconds
    try:
        with _connection(address, until, tls) as connection:
            connection.sendall(_request(address, accept))
            answer = HTTPResponse(_BoundedSocket(connection, until, most + _BESIDES), method="GET")  # type: ignore[arg-type]  # it asks for `makefile` alone
            try:
                answer.begin()
                return _document(answer, accept, most)
            finally:
                answer.close()
    except TimeoutError:
        raise FetchError(f"it did not come within {seconds:g} seconds") from None
    except ssl.SSLError as error:
        raise FetchError(f"TLS failed: {error.reason or type(error).__name__}") from None
    except OSError as error:
        raise FetchError(f"the connection failed: {error.strerror or type(error).__name__}") from None
    except HTTPException as error:  # its text may quote what came
        raise FetchError(f"the answer is not HTTP: {type(error).__name__}") from None


def _connection(address: SplitResult, until: float, tls: ssl.SSLContext | None) -> socket.socket:
    port = address.port or _PORTS[address.scheme]
    plain = socket.create_connection((address.hostname, port), timeout=_left(until))
    if tls is None:
        return _at_home(plain)
    with plain:  # the socket that speaks TLS takes it over; where that fails, it must not stay open
        plain.settimeout(_left(until))
        return tls.wrap_socket(plain, server_hostname=address.hostname)


def _at_home(plain: socket.socket) -> socket.socket:
    """Give a connection on to this machine; a name that sounds like it may lead elsewhere (RFC 6761 section 6.3)."""
    if ip_address(plain.getpeername()[0]).is_loopback:
        return plain
    plain.close()
    raise FetchError("plain http led to another machine")


def _left(until: float) -> float:
    if (left := until - monotonic()) <= 0:
        raise TimeoutError
    return left


def _request(address: SplitResult, accept: frozenset[str]) -> bytes:
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    fields = {
        "Host": address.netloc,
        "Accept": ", ".join(sorted(accept)),
        "Accept-Encoding": "identity",
        "Cache-Control": "no-cache",  # a copy on the way would add its age to ours
        "Connection": "close",
        "User-Agent": "keyturn",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {target} HTTP/1.1\r\n{head}\r\n".encode("ascii")


def _document(answer: HTTPResponse, accept: frozenset[str], most: int) -> bytes:
    if answer.status != 200:
        moved = "; a redirect is not followed: give the address where it leads" if 300 <= answer.status < 400 else ""
        raise FetchError(f"the answer is {answer.status}{moved}")
    if (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower() not in accept:
        raise FetchError(f"its type is none of {', '.join(sorted(accept))}")
    if (answer.getheader("Content-Encoding") or "identity").strip().lower() != "identity":
        raise FetchError("it is packed, and nothing is unpacked here")
    body = answer.read(most + 1)
    if len(body) > most:
        raise _too_long(most)
    if answer.length:
        raise FetchError("it broke off")
    return body


def _too_long(most: int) -> FetchError:
    return FetchError(f"it is longer than {most} bytes")


class _BoundedSocket(io.RawIOBase):
    """What `HTTPResponse` reads from: a connection until a moment, and up to a number of bytes."""

    def __init__(self, connection: socket.socket, until: float, most: int) -> None:
        self._connection, self._until, self._most = connection, until, most
        self._left = most

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise _too_long(self._most)
        self._connection.settimeout(_left(self._until))
        size = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= size
        return size
