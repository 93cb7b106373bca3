"""Clients that refresh as fast as they are answered, over kept connections, on plain sockets: cheap, so that the
server is what is measured.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from ..processes import family_cpu_seconds

_HEAD = (
    b"POST %s HTTP/1.1\r\nHost: app.example.org\r\nUser-Agent: benchmark\r\nAccept: application/json\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
#: A server that is silent for so long has failed.
_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Route:
    """Where a server refreshes, and what it calls the token, in the question and in the answer."""

    path: str = "/auth/refresh"
    field: str = "refresh_token"


OURS = Route()


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one round found; times in seconds, CPU of the server's process and its children."""

    count: int
    seconds: float
    server_cpu: float
    latencies: Sequence[float]


class Client:
    """One client of one session: it presents each token once, and goes on with the answer's.

    It connects when it is first used: a server with a thread for each connection shall not wait for those that are not.
    """

    def __init__(self, port: int, token: str, route: Route = OURS) -> None:
        self._port = port
        self._path, self._field = route.path.encode("ascii"), route.field.encode("ascii")
        self._in_answer = re.compile(b'"%s": ?"([^"]+)"' % self._field)
        self._token = token.encode("ascii")
        self._answer = b""
        self.sent_at = 0.0

    @cached_property
    def socket(self) -> socket.socket:
        """The connection."""
        made = socket.create_connection(("127.0.0.1", self._port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def close(self) -> None:
        """Close the connection, where there is one."""
        if "socket" in vars(self):
            self.socket.close()

    def send(self) -> None:
        """Present the token."""
        body = b'{"%s":"%s"}' % (self._field, self._token)
        self._answer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(_HEAD % (self._path, len(body)) + body)

    def receive(self) -> bool:
        """Read on; say whether the answer is whole."""
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the server closed a connection")
        self._answer += received
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n") if found else None
        if length is None or len(body) < int(length[1]):
            return False
        token = self._in_answer.search(body)
        if not head.startswith(b"HTTP/1.1 200") or token is None:
            raise AssertionError(f"a refresh was answered with {head.splitlines()[0]!r}: {body!r}")
        self._token = token[1]
        return True


@contextmanager
def clients(port: int, tokens: Sequence[str], route: Route = OURS) -> Iterator[list[Client]]:
    """Give a client for each token."""
    made = [Client(port, token, route) for token in tokens]
    try:
        yield made
    finally:
        for client in made:
            with suppress(OSError):
                client.close()


def refresh_for(seconds: float, some: Sequence[Client], pid: int) -> Load:
    """Let clients refresh for so long, and wait for the last answers."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for client in some:
            selector.register(client.socket, selectors.EVENT_READ, client)
        cpu, begin = family_cpu_seconds(pid), time.perf_counter()
        for client in some:
            client.send()
        waiting, end = len(some), begin + seconds
        while waiting:
            ready = selector.select(_PATIENCE_SECONDS)
            if not ready:
                raise TimeoutError("the server does not answer")
            for key, _ in ready:
                client = key.data
                if client.receive():
                    now = time.perf_counter()
                    latencies.append(now - client.sent_at)
                    if now < end:
                        client.send()
                    else:
                        waiting -= 1
        lasted = time.perf_counter() - begin
    return Load(count=len(latencies), seconds=lasted, server_cpu=family_cpu_seconds(pid) - cpu, latencies=latencies)
