"""HTTP/1.1 as uvicorn reads it over httptools, without what a proxy may read otherwise than we do."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: What a request's line and header fields may hold together: our own need a third of it.
MOST_HEADER_BYTES: Final = 16 * 1024
#: How many requests may stand in line on one connection; hardly a client sends a second before the first is answered.
MOST_IN_LINE: Final = 16
#: How a message's body is bounded (RFC 9112 section 6).
_BOUNDS: Final = frozenset({b"content-length", b"transfer-encoding"})


class _WrongError(Exception):
    """What a callback raises where a request is none that we answer."""

    def __init__(self, status: int = 400) -> None:
        super().__init__()
        self.status = status


class _Together:
    """Sends the head of an answer together with what follows it: one visit to the network instead of two."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def write(self, octets: bytes) -> None:
        """Send what is written; the first that is no interim answer (RFC 9110 section 15.2) waits for the next."""
        if self._head is not None:
            octets, self._head = self._head + octets, b""
        elif not octets.startswith(b"HTTP/1.1 1"):
            octets, self._head = b"", octets
        if octets:
            self._transport.write(octets)

    def close(self) -> None:
        """Send what waits, and close."""
        self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether nothing more can be sent."""
        return self._transport.is_closing()


class ReadingProtocol(HttpToolsProtocol):
    """Hands requests on, and keeps what nobody should answer as a request for the one who refuses it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: What is yet to come of the message that has begun.
        self._comes: Literal["header", "body"] | None = None
        #: Of the message's line and fields, trailers included.
        self._field_bytes = 0
        #: Since the last piece of a body or the end of a message: the parser keeps what it has not told.
        self._untold_bytes = 0
        #: Whether a parser is told once more what the one before it knew.
        self._again = False
        #: The status of what cannot be read on; it is answered after all that came before it.
        self._wrong: int | None = None
        #: Whether anything came at all.
        self._spoken = False

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._spoken = True
        self._unset_keepalive_if_required()
        if self._wrong is None:
            try:
                self._read(data)
            except HttpParserError as error:
                cause = error.__context__
                self._wrong = cause.status if isinstance(cause, _WrongError) else 400
        self._settle()

    def _read(self, data: bytes) -> None:
        self._untold_bytes += len(data)
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                self._read_on()
            else:
                break
        if self._untold_bytes > MOST_HEADER_BYTES:
            self._wrong = 400 if self._comes == "body" else 431

    def _read_on(self) -> None:
        """Read the body of a request that would like another protocol, which we do not speak (RFC 9110 section 7.8).

        The parser takes for granted that the protocol changes, and passes the body over: a new one is given the fields
        that bound it. Java's client, for one, asks for HTTP/2 in this way whatever it sends.
        """
        self._again = True
        self.parser = HttpRequestParser(self)
        bounds = b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] in _BOUNDS)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % bounds)

    def on_message_begin(self) -> None:
        """Begin a request; the parser calls this and what follows."""
        if self._again:
            return
        if len(self.pipeline) >= MOST_IN_LINE:
            raise _WrongError
        self._comes, self._field_bytes = "header", 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        if not self._again:
            self._count(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; one that comes after the body is dropped (RFC 9110 section 6.5.1)."""
        if self._again:
            return
        self._count(len(name) + len(value) + 4)
        if self._comes == "header":
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > MOST_HEADER_BYTES:
            raise _WrongError(431)

    def on_headers_complete(self) -> None:
        """Hand a request to the application."""
        if self._again:
            self._again = False
            return
        if _is_wrong(self.headers, self.parser.get_http_version()):
            raise _WrongError
        super().on_headers_complete()
        self._comes = "body"
        cycle: Any = self.cycle
        if self.scope["method"] != "HEAD":  # after the head of such an answer nothing is written
            cycle.transport = _Together(self.transport)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._untold_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self.parser.should_upgrade():  # else its body is yet to be read
            self._comes, self._untold_bytes = None, 0
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        super().on_response_complete()
        self._settle()

    def _settle(self) -> None:
        """See what is to be done after something came or an answer ended."""
        raise NotImplementedError


def _is_wrong(headers: list[tuple[bytes, bytes]], version: str) -> bool:
    """Say whether a request must be refused for what the parser lets pass."""
    hosts, encodings = 0, 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            # Of codings other than `chunked` a proxy may think otherwise than we do (RFC 9112 section 6.1).
            encodings += 1 if value.lower() == b"chunked" else 2
    if version == "1.1":
        return hosts != 1 or encodings > 1  # RFC 9112 section 3.2
    return version != "1.0" or hosts > 1 or encodings > 0
