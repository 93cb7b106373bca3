"""A proxy between a client and a database that counts what goes through, and can be as bad as any network.

It runs in threads, so blocking and awaiting tests use it alike.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

from ._process import PATIENCE, free_port

CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends RST, as a host that lost its memory does


@dataclass
class Turns:
    """How often the client spoke after an answer (or first): what a network's latency is multiplied with."""

    count: int = 0


@dataclass
class Trap:
    """Cuts the connection on which a text is seen, once or for good.

    Args:
        text: what the client's message holds.
        when: "before": the server never sees the message; "after": it does, and its answer is lost.
        times: for how many connections.
    """

    text: bytes
    when: Literal["before", "after"]
    times: int
    sprung: int = 0


@dataclass(eq=False)
class Line:
    """One connection through the proxy."""

    client: socket.socket
    server: socket.socket
    answered: bool = True  # whoever connects may speak
    deaf: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
            with suppress(OSError):
                end.close()


class Proxy:
    """A TCP proxy on a free port of the loopback interface.

    Args:
        url: the address of the server behind it, as a database's.
    """

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._url = there
        self._there = (str(there.hostname), there.port or 0)
        self.port = free_port()
        self.delay = 0.0
        self.connections = 0
        self._turns: list[Turns] = []
        self._traps: list[Trap] = []
        self._lines: set[Line] = set()
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.thaw()
        self.cut()

    @property
    def url(self) -> str:
        """The server's address, by way of this proxy."""
        return self.through(urlunsplit(self._url))

    def through(self, url: str) -> str:
        """Give an address of the same server by way of this proxy."""
        there = urlsplit(url)
        person = there.netloc.rpartition("@")[0]
        return urlunsplit(there._replace(netloc=f"{person + '@' if person else ''}127.0.0.1:{self.port}"))

    @contextmanager
    def counting(self) -> Iterator[Turns]:
        """Count the network turns of a block."""
        turns = Turns()
        self._turns.append(turns)
        try:
            yield turns
        finally:
            self._turns.remove(turns)

    def accept(self) -> None:
        """Take connections (again)."""
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
            self._listener = listener
            self._accepting = threading.Thread(target=self._accept_on, args=(listener,), daemon=True)
            self._accepting.start()

    def refuse(self) -> None:
        """Refuse new connections, as a port does where nobody listens; those there are stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            assert self._accepting is not None
            self._accepting.join(PATIENCE)

    def cut(self) -> None:
        """Reset every connection, now."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()
        for line in lines:
            for thread in line.threads:
                thread.join(PATIENCE)

    def freeze(self) -> None:
        """Let nothing through, but keep the connections: as a host that is gone without a word."""
        self._flows.clear()

    def thaw(self) -> None:
        """Let everything through again, also what waited."""
        self._flows.set()

    @contextmanager
    def cutting(self, text: str, when: Literal["before", "after"], times: int = 1) -> Iterator[Trap]:
        """Within the block, cut the connection on which the client says `text`; see `Trap`."""
        trap = Trap(text.encode(), when, times)
        self._traps.append(trap)
        try:
            yield trap
        finally:
            self._traps.remove(trap)

    def _accept_on(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._there, timeout=PATIENCE)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(Line(client, server))

    def _begin(self, line: Line) -> None:
        line.threads = [
            threading.Thread(target=self._pump, args=(line, way), daemon=True) for way in (self._ask, self._answer)
        ]
        with self._lock:
            self._lines.add(line)
        for thread in line.threads:
            thread.start()

    def _pump(self, line: Line, way: Callable[[Line], bool]) -> None:
        with suppress(OSError):
            while way(line):
                pass
        line.cut()
        with self._lock:
            self._lines.discard(line)

    def _ask(self, line: Line) -> bool:
        said = line.client.recv(CHUNK)
        if not said:
            return False
        if line.answered:
            line.answered = False
            for turns in self._turns:
                turns.count += 1
        trap = self._springs(said)
        if trap is not None and trap.when == "before":
            return False
        if self.delay:
            time.sleep(self.delay)
        self._flows.wait()
        line.deaf = trap is not None
        line.server.sendall(said)
        return True

    def _answer(self, line: Line) -> bool:
        said = line.server.recv(CHUNK)
        self._flows.wait()
        if not said or line.deaf:
            return False
        line.answered = True
        line.client.sendall(said)
        return True

    def _springs(self, said: bytes) -> Trap | None:
        with self._lock:
            for trap in self._traps:
                if trap.text in said and trap.sprung < trap.times:
                    trap.sprung += 1
                    return trap
        return None
