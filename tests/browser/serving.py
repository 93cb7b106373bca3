"""Real servers for a real browser: uvicorn in a thread, on a free loopback port, with TLS where it is wanted."""

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE = 15.0
#: Everything below .test is this machine to the browser.
HOSTS = ("app.example.test", "*.example.test", "evil.test")


def free_socket() -> socket.socket:
    """A socket that is bound to a free port of this machine."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


@contextmanager
def served(app: Any, bound: socket.socket, tls: Path | None = None) -> Iterator[None]:
    """Serve an ASGI application on a bound socket, until the test is through with it."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="wsproto", timeout_graceful_shutdown=1,
        ssl_certfile=tls and tls / "cert.pem", ssl_keyfile=tls and tls / "key.pem",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    assert server.started, "uvicorn did not start"
    try:
        yield
    finally:
        with suppress(
            AssertionError
        ):  # a closed browser's connections end in a moment; a WebSocket must, before uvicorn
            wait_until(lambda: not server.server_state.connections, patience=2)
        server.should_exit = True
        thread.join(PATIENCE)
        bound.close()
        assert not thread.is_alive(), "uvicorn did not stop"


def wait_until(holds: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait for something that another thread or process brings about."""
    last = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < last, "waited in vain"
        time.sleep(0.01)


def make_certificate(folder: Path, hosts: Sequence[str] = HOSTS) -> Path:
    """Write a key and a certificate for our hosts; its word counts nowhere, the browser is told to take it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, bare))
    return folder


class Gates:
    """A line on which a test holds requests before they are handled, and answers before they are delivered.

    A request to ``/auth/refresh?hold=answer-a`` is handled at once and answered when ``answer-a`` is let go; one with
    ``?hold=request-b`` is handled only then.
    """

    def __init__(self) -> None:
        self.arrived: set[str] = set()
        self.open: set[str] = set()

    def let_go(self, name: str) -> None:
        """Let a request or an answer pass; wait first until it is there."""
        wait_until(lambda: name in self.arrived)
        self.open.add(name)

    def is_waiting(self, name: str) -> bool:
        """Say whether something is held under that name."""
        return name in self.arrived and name not in self.open

    def around(self, app: Any) -> Any:
        """Put the gates before an ASGI application."""

        async def gated(scope: Any, receive: Any, send: Any) -> None:
            name = scope.get("query_string", b"").decode().partition("hold=")[2]
            if name.startswith("request-"):
                await self._hold(name)
            answer: list[Any] = []

            async def keep(message: Any) -> None:
                answer.append(message)

            await app(scope, receive, keep if name.startswith("answer-") else send)
            if answer:
                await self._hold(name)
            for message in answer:
                await send(message)

        return gated

    async def _hold(self, name: str) -> None:
        self.arrived.add(name)
        with anyio.fail_after(PATIENCE):
            while name not in self.open:  # noqa: ASYNC110 - another thread says so
                await anyio.sleep(0.005)
