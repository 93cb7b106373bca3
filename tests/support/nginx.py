"""nginx as deploy/nginx.conf has it, on free ports of the loopback interface, and a browser that visits it."""

import datetime as dt
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.programs import find_program
from tests.support.serve_process import PATIENCE, Answer

FILE = Path(__file__).parents[2] / "deploy/nginx.conf"
HOST = "id.example.org"
#: The proxy comes from 127.0.0.1; whoever visits it from here is somebody else.
CLIENT = "127.0.0.2"


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """An nginx that runs.

    Args:
        tls: its port for https.
        plain: its port for http.
        servers: the ports that it expects servers at.
        application: the port that it expects the application at.
        trusted: a context that believes its certificate.
        folder: where its logs are.
    """

    tls: int
    plain: int
    servers: tuple[int, int]
    application: int
    trusted: ssl.SSLContext
    folder: Path
    visitors: list["Visitor"] = field(default_factory=list)

    @property
    def errors(self) -> str:
        """What it has complained about so far."""
        return (self.folder / "error.log").read_text()

    def visitor(self, **more: Any) -> "Visitor":
        """Give a browser on a page of the host's; its connection is closed when nginx ends."""
        self.visitors.append(Visitor(self, **more))
        return self.visitors[-1]


class _Connection(http.client.HTTPSConnection):
    """A connection to the host by its name, wherever it is."""

    def __init__(self, nginx: Nginx, name: str, client: str) -> None:
        super().__init__(name, context=nginx.trusted, timeout=PATIENCE)
        self._nginx, self._client = nginx, client

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self._nginx.tls), PATIENCE, source_address=(self._client, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._nginx.trusted.wrap_socket(raw, server_hostname=self.host)


@dataclass
class Visitor:
    """A browser: it keeps cookies that it may keep, and one connection."""

    nginx: Nginx
    cookies: dict[str, str] = field(default_factory=dict)
    name: str = HOST
    client: str = CLIENT
    connection: http.client.HTTPSConnection | None = None

    def call(
        self, method: str, path: str, body: Any = None, *, token: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request; `body` is JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
        sent |= {"Content-Type": "application/json"} if raw is not None else {}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        if self.connection is None:
            self.connection = _Connection(self.nginx, self.name, self.client)
        try:
            self.connection.request(method, path, raw, {**sent, **(headers or {})})
            answer = self.connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        for line in answer.headers.get_all("Set-Cookie", ()):
            self._keep(line)
        return Answer(status=answer.status, headers=answer.headers, text=text)

    def _keep(self, line: str) -> None:
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        # What a browser demands of such a name.
        assert not name.startswith("__Host-") or {"Secure", "Path=/"} <= set(attributes), line
        assert not name.startswith("__Host-Http-") or "HttpOnly" in attributes, line
        assert not any(each.startswith("Domain") for each in attributes), line
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def sign_in(self, username: str, password: str, **more: Any) -> Any:
        """Sign in, with cookies where nothing else is said; give the token answer."""
        answer = self.call("POST", "/auth/login", {"username": username, "password": password, **more})
        assert answer.status == 200, answer
        return answer.body

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@contextmanager
def nginx_before(
    folder: Path, servers: tuple[int, int], application: int = 9, *, changes: Mapping[str, str] | None = None
) -> Iterator[Nginx]:
    """Run nginx for the length of a ``with`` block.

    Args:
        folder: an empty one, for its certificate, its logs and what it sets aside.
        servers: where the servers will be.
        application: where the application will be.
        changes: what else is written otherwise than in the file.
    """
    program = find_program("nginx")
    trusted = _certified(folder)
    tls, plain = free_ports(2)
    written = {
        "server 127.0.0.1:8000": f"server 127.0.0.1:{servers[0]}",
        "server 127.0.0.1:8001": f"server 127.0.0.1:{servers[1]}",
        "server 127.0.0.1:9000": f"server 127.0.0.1:{application}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl default_server;": f"listen 127.0.0.1:{tls} ssl default_server;",
        "listen 443 ssl;": f"listen 127.0.0.1:{tls} ssl;",
        "/etc/ssl/id.example.org": str(folder),
        **(changes or {}),
    }
    text = FILE.read_text()
    for old, new in written.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "keyturn.conf").write_text(text)
    (folder / "nginx.conf").write_text(_around(folder))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        _wait_for(process, tls, folder)
        running = Nginx(tls=tls, plain=plain, servers=servers, application=application, trusted=trusted, folder=folder)
        yield running
        for visitor in running.visitors:
            visitor.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _around(folder: Path) -> str:
    """Give what Debian's nginx.conf would be around our file; `user` is for one that root starts."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"{user}daemon off;\nworker_processes 2;\npid {folder}/pid;\nevents {{ worker_connections 512; }}\n"
        f"http {{\n{places}\n    access_log {folder}/access.log;\n    include {folder}/keyturn.conf;\n}}\n"
    )


def _wait_for(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            told = (folder / "said").read_text()
            assert process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.02)
        else:
            return


def free_ports(count: int) -> tuple[int, ...]:
    """Give ports that are free, all of them different."""
    opened = [socket.socket() for _ in range(count)]
    for each in opened:
        each.bind(("127.0.0.1", 0))
    ports = tuple(each.getsockname()[1] for each in opened)
    for each in opened:
        each.close()
    return ports


def _certified(folder: Path) -> ssl.SSLContext:
    """Write a certificate for the host by an authority of our own, and give a context that believes that one alone."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _signed("authority of the tests", authority.public_key(), authority, x509.BasicConstraints(True, None))
    leaf = _signed(
        "authority of the tests", key.public_key(), authority, x509.SubjectAlternativeName([x509.DNSName(HOST)])
    )
    pem, pkcs8, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "fullchain.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(key.private_bytes(pem, pkcs8, bare))
    (folder / "authority.pem").write_bytes(root.public_bytes(pem))
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))


def _signed(issuer: str, key: Any, by: Any, about: x509.ExtensionType) -> x509.Certificate:
    def called(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(called(issuer if isinstance(about, x509.BasicConstraints) else HOST))
        .issuer_name(called(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(about, critical=isinstance(about, x509.BasicConstraints))
        .sign(by, hashes.SHA256())
    )
