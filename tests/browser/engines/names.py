"""Names below .test for a browser that asks the system for names: a proxy to which they all are this machine."""

import socket
import threading
from contextlib import suppress
from typing import BinaryIO

from tests.browser.engines.face import PATIENCE

#: Octets of an address by its kind: IPv4, a name, which says its own length, and IPv6.
ADDRESSES = {1: 4, 3: 0, 4: 16}


class Names:
    """A SOCKS 5 proxy (RFC 1928) that leads to this machine, whatever name or address it is asked for."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that are there end with the browser."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError), client.makefile("rb") as asked:
            client.settimeout(PATIENCE)
            _read(asked, _read(asked, 2)[1])
            client.sendall(b"\x05\x00")  # no authentication
            with socket.create_connection(("127.0.0.1", _asked_port(asked))) as server:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                client.settimeout(None)
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()


def _asked_port(asked: BinaryIO) -> int:
    """Read the request to connect, up to its port."""
    kind = _read(asked, 4)[3]
    _read(asked, ADDRESSES[kind] or _read(asked, 1)[0])
    return int.from_bytes(_read(asked, 2), "big")


def _read(asked: BinaryIO, size: int) -> bytes:
    """Read so many octets; a browser that was closed sends fewer."""
    if len(data := asked.read(size)) < size:
        raise ConnectionError
    return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
