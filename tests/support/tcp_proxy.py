"""A wire between a program and its database that a test can bend: slow, cut at a chosen moment, led elsewhere."""

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # closing sends a reset, as a machine does that went away


class TcpProxy:
    """Listens on a port of its own and passes everything on to `target`, another port of the loopback interface.

    Args:
        target: may be changed at any time; new connections lead there.
        delay: seconds that each piece of an answer waits.
        port: where it listens; a free one where left out.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.delay = 0.0
        self.lost_answers = 0
        self._armed = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=200)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in list(self._threads):
            thread.join(10)

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def lose_the_next_answer(self) -> None:
        """Let the next request through to the server, drop its answer, and reset that connection."""
        self._armed.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _reset(client)
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
            dropping = threading.Event()
            self._start(self._pass_requests, client, server, dropping)
            self._start(self._pass_answers, server, client, dropping)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _pass_requests(self, client: socket.socket, server: socket.socket, dropping: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._armed.is_set():
                    self._armed.clear()
                    dropping.set()
                server.sendall(data)
        _reset(server)

    def _pass_answers(self, server: socket.socket, client: socket.socket, dropping: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if dropping.is_set():
                    self.lost_answers += 1
                    break
                if self.delay:
                    time.sleep(self.delay)
                client.sendall(data)
        _reset(client)
        _reset(server)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
