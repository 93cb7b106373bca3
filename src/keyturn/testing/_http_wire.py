"""HTTP/1.1 by hand: what is compared byte for byte must not pass through a client that tidies up."""

from __future__ import annotations

import select
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

Address = tuple[str, int]
Fields = Iterable[tuple[str, str]]

#: What a client of these tests calls the server; the address it connects to is another.
HOST: Final = "id.example.org"
#: A server that takes longer is hanging.
_PATIENCE: Final = 20.0
_CHUNK: Final = b" " * 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, header names in lower case, in the order sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Give every field of that name."""
        return [value for key, value in self.headers if key == name]

    def value(self, name: str) -> str | None:
        """Give the only field of that name, None where there is none."""
        found = self.values(name)
        assert len(found) <= 1, f"{name} occurs {len(found)} times"
        return found[0] if found else None


def exchange(address: Address, method: str, path: str, headers: Fields, body: bytes) -> Answer:
    """Send one request on a connection of its own and read the answer to its end."""
    fields = [*headers, *([("content-length", str(len(body)))] if body or method in {"POST", "PUT"} else [])]
    with socket.create_connection(address, timeout=_PATIENCE) as line:
        line.sendall(_head(method, path, fields) + body)
        return _read(line, method)


def flood(address: Address, path: str, headers: Fields, size: int, *, declared: bool) -> tuple[Answer, int]:
    """Offer a huge body, and stop as soon as there is an answer.

    Args:
        declared: announce its length and wait for the answer; else send it in chunks for as long as it is taken.

    Returns:
        The answer, and how much of the body could be sent before it.
    """
    how = ("content-length", str(size)) if declared else ("transfer-encoding", "chunked")
    with socket.create_connection(address, timeout=_PATIENCE) as line:
        line.sendall(_head("POST", path, [*headers, how]))
        sent = 0 if declared else _pour(line, size)
        return _read(line, "POST"), sent


def _pour(line: socket.socket, size: int) -> int:
    sent = 0
    chunk = b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK)
    while sent < size:
        readable, writable, _ = select.select([line], [line], [], _PATIENCE)
        if readable or not writable:
            break
        try:
            line.sendall(chunk)
        except OSError:  # it hung up on us: whatever it said before is still to be read
            break
        sent += len(_CHUNK)
    return sent


def _head(method: str, path: str, fields: Fields) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if not any(line.lower().startswith("host:") for line in lines):
        lines.insert(1, f"Host: {HOST}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def _read(line: socket.socket, method: str) -> Answer:
    with line.makefile("rb") as stream:
        status = int(stream.readline().split(b" ")[1])
        headers = tuple(_fields(stream))
        if method == "HEAD" or status in {204, 304}:
            return Answer(status, headers, b"")
        return Answer(status, headers, _body(stream, dict(headers)))


def _fields(stream: Any) -> Iterator[tuple[str, str]]:
    while text := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = text.partition(":")
        yield name.lower(), value.strip(" ")


def _body(stream: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return b"".join(_chunks(stream))
    length = headers.get("content-length")
    body: bytes = stream.read() if length is None else stream.read(int(length))
    return body


def _chunks(stream: Any) -> Iterator[bytes]:
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()


@contextmanager
def served_by_uvicorn(app: Any) -> Generator[Address, None, None]:
    """Serve an ASGI application from a thread, on a free port of this machine, for the length of a ``with`` block.

    Its lifespan is left out: what runs by the wall clock has no place in answers that are compared.
    """
    import threading
    import time

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    address: Address = listener.getsockname()[:2]
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield address
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the server did not stop"
