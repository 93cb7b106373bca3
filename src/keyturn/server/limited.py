"""HTTP/1.1 as uvicorn speaks it over h11, with the answers that this server gives before any application is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any, Final, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..http.replies import HARDENING
from .logs import FIELDS
from .room import most_connections

#: What a request's line and header fields may hold together: our own need a third of it.
MOST_HEADER_BYTES: Final = 16 * 1024
_REASONS: Final = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}
_TOLD: Final = {
    400: ("invalid_request", "The request is wrong", "The request could not be understood."),
    408: ("request_timeout", "The request took too long", "The request did not come to its end in time."),
    431: ("headers_too_large", "Header fields too large", "The header fields are too long: clear the site's cookies."),
}
_FIELDS: Final = [(name.lower().encode(), value.encode()) for name, value in HARDENING]
#: Stands in what all connections of a process share, once it ends.
ENDS: Final = "keyturn.ends"
_requests: Final = logging.getLogger("keyturn.requests")
_log: Final = logging.getLogger("keyturn.server")


class _Bounded(h11.Connection):
    """Bounds what stands before a body however it arrives; h11 itself bounds it only where it comes in pieces.

    What it gives to be sent: the head of an answer together with what follows it, one visit to the network instead of two.
    """

    _head = b""

    def send(self, event: Any) -> Any:
        """Give the octets of an event; those of a head come with the next one's."""
        octets = self._head + (super().send(event) or b"")
        self._head = octets if isinstance(event, h11.Response) else b""
        return b"" if self._head else octets

    def next_event(self) -> Any:
        """Give what happened next."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            size = len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers)
            if size > MOST_HEADER_BYTES:
                raise h11.RemoteProtocolError("the header fields are too long", error_status_hint=431)
            # A proxy that goes by the other of the two sees two requests here, or half of one (RFC 9112 section 6.1).
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("the body has two lengths", error_status_hint=400)
        return event


class LimitedProtocol(H11Protocol):
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
        self.conn = _Bounded(h11.SERVER, MOST_HEADER_BYTES)
        self._awaited: Literal["header", "body"] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._spoken = False

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

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._spoken = True
        super().data_received(data)

    def handle_events(self) -> None:
        """Act on what has come, and see what is waited for now."""
        super().handle_events()
        self._watch()

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
        if self.transport.is_closing():
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        # After an answer uvicorn waits for the first byte of the next request by a time of its own.
        waits = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        return "header" if waits else None

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

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is none; uvicorn calls this while it handles h11's error."""
        error = sys.exception()
        too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        if self._may_answer():
            self._refuse(431 if too_large else 400)
        else:
            self.transport.close()

    def _may_answer(self) -> bool:
        return self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    def _refuse(self, status: int) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn's annotation says
        if cycle is not None and not cycle.response_complete:  # the application's own answer comes too late
            cycle.disconnected = True
            cycle.message_event.set()
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
        events = (
            h11.Response(status_code=status, headers=headers, reason=_REASONS[status]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._stop_watching()
        client = self.client[0] if self.client else ""
        # The layer that logs requests sees none of these.
        _requests.info("request", extra={FIELDS: {"status": status, "code": code, "client": client}})
