"""A line between browser and server that a test can bend: answers lost, late, doubled, crossed, or somebody else's.

It ends the browser's TLS, reads whole requests and whole answers, and asks the rules of the test what to do with each.
A WebSocket goes through untouched. What passed is recorded by method, path and status, never by value.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Self

import h11

from tests.browser.serving import PATIENCE, wait_until

Headers = list[tuple[bytes, bytes]]
#: Between the line and the server every request has its own connection; these say so, or are the line's to write.
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding"}


@dataclass(frozen=True)
class Asked:
    """A request of the browser's."""

    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        return next((value.decode("latin-1") for key, value in self.headers if key == name.lower().encode()), "")


@dataclass(frozen=True)
class Told:
    """An answer; a cut one breaks off in the middle of its body."""

    status: int
    headers: Headers = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)
    cut: bool = False


@dataclass(frozen=True)
class Passed:
    """What became of a request: how often it reached the server, and the status that the browser saw (0 for none)."""

    method: str
    path: str
    reached: int
    status: int


Forward = Callable[[], Told]
#: What becomes of a request: `forward` lets the server handle it; None breaks the connection in mid-answer.
Act = Callable[[Asked, Forward], Told | None]


def lost(_asked: Asked, forward: Forward) -> None:
    """The server handled it; its answer never arrives."""
    forward()


def closed(_asked: Asked, _forward: Forward) -> None:
    """Nothing comes back, and nothing arrived."""


def half(_asked: Asked, forward: Forward) -> Told:
    """The answer's headers arrive, and half of its body."""
    return replace(forward(), cut=True)


def doubled(*, deliver: int) -> Act:
    """The request arrives twice, one after the other; the browser sees the first (0) or the second (1) answer."""
    return lambda _asked, forward: (forward(), forward())[deliver]


def answered(status: int, body: str = "", **headers: str) -> Act:
    """Somebody else answers; the server never hears of it."""
    written = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return lambda _asked, _forward: Told(status, written, body.encode())


class Held:
    """A place on the line where requests wait before they are handled, or answers before they are delivered."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.waiting = 0
        self._open = threading.Event()

    def __call__(self, _asked: Asked, forward: Forward) -> Told:
        told = forward() if self.answers else None
        self.waiting += 1
        self._open.wait()
        return told or forward()

    def wait_for(self, many: int = 1) -> None:
        """Wait until so many have arrived."""
        wait_until(lambda: self.waiting >= many)

    def let_go(self) -> None:
        self._open.set()


@dataclass
class Rule:
    """What becomes of the requests that it is for."""

    act: Act
    matches: Callable[[Asked], bool]
    times: int | None = None
    chance: float = 1.0
    random: Random = field(default_factory=Random)
    used: int = 0

    def takes(self, asked: Asked) -> bool:
        if not self.matches(asked) or (self.times is not None and self.used >= self.times):
            return False
        if self.chance < 1.0 and self.random.random() >= self.chance:
            return False
        self.used += 1
        return True


class Line:
    """Listens with TLS (or without) on a bound socket and passes everything on to `target`, a port of this machine."""

    def __init__(self, bound: socket.socket, target: int, tls: Path | None) -> None:
        self.port: int = bound.getsockname()[1]
        self.target = target
        self.passed: list[Passed] = []
        self._rules: list[Rule] = []
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._bound = bound
        self._tls = _server_context(tls) if tls else None

    def bend(
        self,
        path: str | Callable[[Asked], bool],
        act: Act,
        *,
        times: int | None = None,
        chance: float = 1.0,
        seed: int = 0,
    ) -> Rule:
        """Let this become of the requests to a path (or those that a function picks), so often or for ever.

        The newest rule that takes a request decides. With a chance, the seed says which ones are hit.
        """
        matches = path if callable(path) else lambda asked: asked.path == path
        rule = Rule(act, matches, times, chance, Random(seed))
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def hold(self, path: str | Callable[[Asked], bool], *, answers: bool = False, times: int | None = 1) -> Held:
        """Hold requests, or their answers, until they are let go."""
        held = Held(answers=answers)
        self.bend(path, held, times=times)
        return held

    def straighten(self) -> None:
        """Forget the rules; what is held passes."""
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            if isinstance(rule.act, Held):
                rule.act.let_go()

    def never(self, _asked: Asked, _forward: Forward) -> None:
        """No answer, for as long as the test runs."""
        self._over.wait()

    def count(self, path: str, method: str = "POST") -> int:
        """How many such requests reached the server."""
        return sum(one.reached for one in self.passed if (one.method, one.path) == (method, path))

    def statuses(self, path: str, method: str = "POST") -> list[int]:
        """What the browser saw of such requests."""
        return [one.status for one in self.passed if (one.method, one.path) == (method, path)]

    def cut(self) -> None:
        """Break every connection, now."""
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            _shut(end)

    def __enter__(self) -> Self:
        self._bound.listen(128)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.straighten()
        _shut(self._bound)
        for _ in range(2):  # a connection that was just being accepted is there by the second time
            self.cut()
            for thread in list(self._threads):
                thread.join(PATIENCE)
        self._bound.close()
        assert not any(thread.is_alive() for thread in self._threads), "the line did not come to rest"

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                plain, _ = self._bound.accept()
                self._start(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._kept(plain), suppress(OSError):
            plain.settimeout(PATIENCE)  # for the handshake alone
            end = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            end.settimeout(None)
            with self._kept(end), suppress(OSError, h11.ProtocolError):
                self._talk(end)

    @contextmanager
    def _kept(self, end: socket.socket) -> Iterator[None]:
        """Know an open end for as long as it is in use, so that it can be broken from outside."""
        with self._lock:
            self._ends.add(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.discard(end)
            end.close()

    def _talk(self, browser: socket.socket) -> None:
        talk = h11.Connection(h11.SERVER)
        while not self._over.is_set() and (asked := _read_request(talk, browser)):
            if asked.header("upgrade"):
                self._tunnel(browser, asked)
                return
            told = self._handled(asked)
            if told is None or told.cut:
                _break_off(talk, browser, told)
                return
            browser.sendall(_written(talk, told, asked.method))
            if talk.our_state is not h11.DONE:
                return
            talk.start_next_cycle()

    def _handled(self, asked: Asked) -> Told | None:
        reached = 0

        def forward() -> Told:
            nonlocal reached
            reached += 1
            return self._forward(asked)

        with self._lock:
            act = next((rule.act for rule in self._rules if rule.takes(asked)), None)
        told = act(asked, forward) if act else forward()
        self.passed.append(Passed(asked.method, asked.path, reached, 0 if told is None or told.cut else told.status))
        return told

    def _forward(self, asked: Asked) -> Told:
        with socket.create_connection(("127.0.0.1", self.target)) as server, self._kept(server):
            talk = h11.Connection(h11.CLIENT)
            headers = [pair for pair in asked.headers if pair[0] not in _HOP_BY_HOP]
            request = h11.Request(
                method=asked.method, target=asked.target, headers=[*headers, (b"connection", b"close")]
            )
            server.sendall(
                (talk.send(request) or b"")
                + (talk.send(h11.Data(data=asked.body)) or b"")
                + (talk.send(h11.EndOfMessage()) or b"")
            )
            head, body = _read(talk, server)
            assert isinstance(head, h11.Response), "the server broke off"
            kept = [pair for pair in head.headers if pair[0] not in _HOP_BY_HOP | {b"content-length"}]
            return Told(head.status_code, kept, body)

    def _tunnel(self, browser: socket.socket, asked: Asked) -> None:
        with socket.create_connection(("127.0.0.1", self.target)) as server, self._kept(server):
            lines = [f"{asked.method} {asked.target} HTTP/1.1".encode()]
            lines += [name + b": " + value for name, value in asked.headers]
            server.sendall(b"\r\n".join([*lines, b"", b""]))
            self.passed.append(Passed(asked.method, asked.path, 1, 101))
            while True:
                decrypted = isinstance(browser, ssl.SSLSocket) and browser.pending() > 0
                ready = [browser] if decrypted else select.select([browser, server], [], [])[0]
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    (server if end is browser else browser).sendall(data)


def _server_context(tls: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    return context


def _read_request(talk: h11.Connection, browser: socket.socket) -> Asked | None:
    head, body = _read(talk, browser)
    if not isinstance(head, h11.Request):
        return None
    return Asked(head.method.decode(), head.target.decode(), list(head.headers), body)


def _read(talk: h11.Connection, end: socket.socket) -> tuple[h11.Event | None, bytes]:
    head, body = None, b""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(end.recv(65536))
        elif isinstance(event, h11.Request | h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.InformationalResponse):
            continue
        elif event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
            return head, body
        else:
            return None, b""


def _written(talk: h11.Connection, told: Told, method: str) -> bytes:
    bare = method == "HEAD" or told.status in {204, 304}
    headers = told.headers if bare else [*told.headers, (b"content-length", str(len(told.body)).encode())]
    parts = [talk.send(h11.Response(status_code=told.status, headers=headers))]
    if not bare:
        parts.append(talk.send(h11.Data(data=told.body)))
    parts.append(talk.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)


def _break_off(talk: h11.Connection, browser: socket.socket, told: Told | None) -> None:
    """Say the beginning of an answer, and no more.

    A browser that gets nothing at all on a connection that served before sends its request again, on its own account:
    what the page does about a loss would not be seen.
    """
    if told is None:
        browser.sendall(b"HTTP/1.1 200 ")
    else:
        whole = _written(talk, told, "GET")
        browser.sendall(whole[: len(whole) - (len(told.body) + 1) // 2])


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(end, socket.SHUT_RDWR)  # past TLS, whose state belongs to another thread


@contextmanager
def line_to(target: int, bound: socket.socket, tls: Path | None) -> Iterator[Line]:
    """Lay a line from a bound socket to a server's port."""
    with Line(bound, target, tls) as line:
        yield line
