"""Real WSGI servers in a thread of the test: the one of ``flask run``, and gunicorn's reading and writing."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.config import Config
from gunicorn.http import get_parser, wsgi
from gunicorn.util import close_graceful
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    """Says nothing about requests."""

    protocol_version = "HTTP/1.1"  # else it knows no bodies in chunks

    def log(self, *args: Any) -> None:
        pass


@contextmanager
def served_by_werkzeug(app: Any) -> Iterator[tuple[str, int]]:
    """Serve an application as ``flask run`` does: a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def served_by_gunicorns_parser(app: Any) -> Iterator[tuple[str, int]]:
    """Serve an application with what gunicorn's workers read requests and write answers with."""
    config = Config()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket, address: Any) -> None:
        asked = next(get_parser(config, client, address))
        response, environ = wsgi.create(asked, client, address, listener.getsockname(), config)
        response.force_close()
        for part in app(environ, response.start_response):
            response.write(part)
        response.close()
        close_graceful(client)

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, address = listener.accept()
                threading.Thread(target=answer, args=(client, address), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
