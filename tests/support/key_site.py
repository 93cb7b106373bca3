"""A site that publishes keys over plain sockets, well-behaved or as hostile as a test needs it."""

import json
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeAlias

#: What is done with a connection whose request has been read.
Manner: TypeAlias = Callable[[socket.socket], None]


class KeySite:
    """Answers every connection in the manner of the moment, each in a thread, and counts them.

    Args:
        manner: how the first requests are answered.
    """

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.requests: list[bytes] = []
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/auth/jwks.json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.go_away()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def go_away(self) -> None:
        """Stop listening: whoever connects is refused."""
        with suppress(OSError):  # wakes the one that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                if not (part := connection.recv(65536)):
                    return
                request += part
            self.requests.append(request)
            self.manner(connection)


def key_set(keys: Sequence[Any], **more: Any) -> bytes:
    return json.dumps({"keys": list(keys), **more}).encode()


def answering(
    body: bytes, *, status: str = "200 OK", media_type: str = "application/jwk-set+json", more: str = ""
) -> Manner:
    """Answer with a document, in one piece."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def saying(text: bytes) -> Manner:
    """Answer with these bytes, whatever they mean."""
    return lambda connection: connection.sendall(text)
