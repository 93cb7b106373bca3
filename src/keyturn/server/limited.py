"""HTTP/1.1 as uvicorn speaks it over httptools, with the answers that this server gives before any application is asked."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final, Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..http.replies import HARDENING
from .logs import FIELDS
from .room import most_connections

#: What a request's line and header fields may hold together: our own need a third of it.
MOST_HEADER_BYTES: Final = 16 * 1024
#: How many requests may stand in line on one connection; hardly a client sends a second before the first is answered.
MOST_IN_LINE: Final = 16
_TOLD: Final = {
    400: ("invalid_request", "The request is wrong", "The request could not be understood."),
    408: ("request_timeout", "The request took too long", "The request did not come to its end in time."),
    431: ("headers_too_large", "Header fields too large", "The header fields are too long: clear the site's cookies."),
}
_FIELDS: Final = [(name.lower().encode(), value.encode()) for name, value in HARDENING]
#: How a message's body is bounded (RFC 9112 section 6).
_BOUNDS: Final = frozenset({b"content-length", b"transfer-encoding"})
#: Stands in what all connections of a process share, once it ends.
ENDS: Final = "keyturn.ends"
_requests: Final = logging.getLogger("keyturn.requests")
_log: Final = logging.getLogger("keyturn.server")


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


class LimitedProtocol(HttpToolsProtocol):
    """Gives a request only so long to come, and answers what is none by a problem document.

    Header fields that are too long are 431 (RFC 6585 section 5), what takes too long is 408 (RFC 9110 section 15.5.9).
    """

    #: From the first moment of a connection, or the first byte after an answer, to the end of the header fields.
    header_seconds: float = 20
    #: For a body of 16 KiB; the slowest of mobile networks needs a quarter of it.
    body_seconds: float = 30
    #: For an answer that fills all buffers because nobody reads it.
    unread_seconds: float = 30
    #: How many connections a process keeps open; None where its limit on open files decides.
    most: int | None = None

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        #: What is yet to come of the message that has begun.
        self._comes: Literal["header", "body"] | None = None
        #: Of the message's line and fields, trailers included.
        self._field_bytes = 0
        #: Since the parser last had something to tell: it keeps what it has not told.
        self._untold_bytes = 0
        #: Whether a parser is told once more what the one before it knew.
        self._again = False
        #: The status of what cannot be read on; it is answered after all that came before it.
        self._wrong: int | None = None
        self._awaited: Literal["header", "body"] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._spoken = False

    # -- The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room."""
        super().connection_made(transport)
        if ENDS in self.app_state:  # taken in the last moment: uvicorn has asked the others already, and asks once
            self.shutdown()
            return
        most = most_connections() if self.most is None else self.most
        if len(self.connections) > most:
            _log.warning("more than %d connections are open: new ones are closed", most)
            transport.abort()
        else:
            self._watch()

    def shutdown(self) -> None:
        """End after the answer that is under way."""
        self.app_state[ENDS] = True
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_watching()
        self.resume_writing()
        # uvicorn takes its own back only where a connection ended without an error.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for ever."""
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing came after an answer."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # nor was the answer read: closing would wait for that
            self.transport.abort()

    # -- Reading

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
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
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
        self._untold_bytes = 0
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

    # -- Waiting, and answering without any application

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        super().on_response_complete()
        self._settle()

    def _settle(self) -> None:
        """Answer what cannot be read, as soon as all that came before it is answered; see what is waited for now."""
        if self._wrong is not None and not self.pipeline and not self.transport.is_closing():
            if self._may_answer():
                self._refuse(self._wrong)
            elif self._comes == "body":  # its answer has begun
                self.transport.close()
        self._watch()

    def _is_busy(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn's annotation says
        return cycle is not None and not cycle.response_complete

    def _may_answer(self) -> bool:
        return not self.cycle.response_started if self._comes == "body" else not self._is_busy()

    def _watch(self) -> None:
        awaited = self._awaits()
        if awaited == self._awaited:
            return
        self._stop_watching()
        self._awaited = awaited
        if awaited is not None:
            seconds = self.header_seconds if awaited == "header" else self.body_seconds
            self._deadline = self.loop.call_later(seconds, self._too_late)

    def _awaits(self) -> Literal["header", "body"] | None:
        if self.transport.is_closing() or self.pipeline:
            return None
        if self._comes == "body":
            return "body"
        if self._is_busy():
            return None
        # After an answer uvicorn waits for the first byte of the next request by a time of its own.
        return "header" if self._comes == "header" or self.timeout_keep_alive_task is None else None

    def _stop_watching(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        if self.transport.is_closing():
            return
        if self._spoken and self._may_answer():
            self._refuse(408)
        else:
            self.transport.abort()  # it has its answer, or asked nothing

    def _refuse(self, status: int) -> None:
        if self._is_busy():  # the application's own answer comes too late
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        code, title, detail = _TOLD[status]
        problem = {
            "type": f"urn:keyturn:problem:{code}", "title": title, "status": status, "detail": detail, "code": code,
        }  # fmt: skip
        body = json.dumps(problem, separators=(",", ":")).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *_FIELDS,
            (b"connection", b"close"),
        ]
        fields = b"".join(b"%s: %s\r\n" % field for field in headers)
        self.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[status], fields, body))
        self.transport.close()
        self._stop_watching()
        client = self.client[0] if self.client else ""
        # The layer that logs requests sees none of these.
        _requests.info("request", extra={FIELDS: {"status": status, "code": code, "client": client}})


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
