"""HTTP/1.1 as uvicorn speaks it over h11, with the answers that this server gives before any application is asked."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: What a request's line and header fields may hold together: our own need a third of it.
MOST_HEADER_BYTES: Final = 16 * 1024
_REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}
_TOLD: Final = {
    400: ("invalid_request", "The request is wrong", "The request could not be understood."),
    431: ("headers_too_large", "Header fields too large", "The header fields are too long: clear the site's cookies."),
}


class _Bounded(h11.Connection):
    """Bounds what stands before a body however it arrives; h11 itself bounds it only where it comes in pieces."""

    def next_event(self) -> Any:
        """Give what happened next."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            size = len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers)
            if size > MOST_HEADER_BYTES:
                raise h11.RemoteProtocolError("the header fields are too long", error_status_hint=431)
        return event


class LimitedProtocol(H11Protocol):
    """Answers header fields that are too long with 431 (RFC 6585 section 5), and errors as problem documents."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.conn = _Bounded(h11.SERVER, MOST_HEADER_BYTES)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is none; uvicorn calls this while it handles h11's error."""
        error = sys.exception()
        too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431
        self._refuse(431 if too_large else 400)

    def _refuse(self, status: int) -> None:
        code, title, detail = _TOLD[status]
        problem = {
            "type": f"urn:keyturn:problem:{code}", "title": title, "status": status, "detail": detail, "code": code,
        }  # fmt: skip
        body = json.dumps(problem, separators=(",", ":")).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
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
