"""HTTP/1.1 as uvicorn speaks it over httptools, with the answers that this server gives before any application is asked."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..http.replies import HARDENING
from .logs import FIELDS
from .reading import ReadingProtocol
from .room import most_connections

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


class LimitedProtocol(ReadingProtocol):
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
        self._awaited: Literal["header", "body"] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

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

    # -- Waiting, and answering without any application

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
