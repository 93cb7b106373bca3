"""Serves an ASGI application from a thread of this program, on this machine only."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from .demo_line import DemoProtocol

LOOPBACK: Final = "127.0.0.1"
#: Starting takes some 50 ms; a machine that needs so long is in trouble.
_PATIENCE_SECONDS: Final = 20
#: Requests under way at Ctrl-C may take so long; nobody waits longer for a demonstration to stop.
_FAREWELL_SECONDS: Final = 2


def tcp_socket(family: int) -> socket.socket:
    """Make a socket whose connections send at once: asyncio sees to that where the protocol is told, and only there."""
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def listen(port: int = 0) -> socket.socket:
    """Open a port on the loopback interface; 0 takes a free one.

    Raises:
        OSError: the port cannot be had.
    """
    opened = tcp_socket(socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((LOOPBACK, port))
        # At once, so that another program cannot take the port between now and the server's start.
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened


@contextmanager
def served(app: Any, listening: socket.socket) -> Generator[None]:
    """Serve an application for the length of a ``with`` block.

    Args:
        app: an ASGI application.
        listening: an open port; closed at the end.

    Raises:
        RuntimeError: the server did not start.
    """
    config = uvicorn.Config(
        app, loop="asyncio", http=DemoProtocol, ws="none", lifespan="on", log_config=None, access_log=False,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="keyturn-demo", daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_SECONDS)
        listening.close()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
