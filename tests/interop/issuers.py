"""Running servers whose tokens are handed to libraries that are not ours: one for each algorithm, and one behind TLS."""

import hashlib
import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.browser import serving
from tests.support.serve_process import Served, served

PASSWORD = "a shed, a lamp, a ladder"
SECRET = "s3cret+with/signs = and spaces"
PUBLIC, PROVED = "shop-web", "shop-api"

_CONFIGURATION = """
[keyturn]
{settings}

[server]
trusted_proxies = ["127.0.0.1"]

[throttle]
login_per_user_and_address = ""
login_per_user = ""
login_per_address = ""
refresh_per_session = ""

[[clients]]
id = "{public}"

[[clients]]
id = "{proved}"
secret_digest = "{digest}"
"""


@dataclass
class Issuer:
    """A server that issues tokens, as others see it.

    Args:
        url: the issuer.
        certificate: what a client must trust to reach it; None where it speaks plain http.
    """

    folder: Path
    url: str
    algorithm: str
    server: Served
    certificate: Path | None = None
    trust: ssl.SSLContext | None = field(default=None, repr=False)

    def fetch(self, url: str) -> Any:
        """Fetch a document as a library does."""
        with urllib.request.urlopen(url, timeout=30, context=self.trust) as answer:
            return json.load(answer)

    @property
    def metadata_url(self) -> str:
        """Where RFC 8414 section 3.1 says that the metadata is: before the issuer's path."""
        scheme, _, rest = self.url.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}"

    @property
    def metadata(self) -> Any:
        return self.fetch(self.metadata_url)

    @property
    def keys(self) -> Any:
        return self.fetch(self.metadata["jwks_uri"])

    def sign_in(self, **more: Any) -> Any:
        """Sign in; give the token answer."""
        asked = {"username": "ada", "password": PASSWORD, "transport": "body", **more}
        return self.server.call("POST", "/auth/login", asked).body


@contextmanager
def issuing(folder: Path, algorithm: str = "ES256") -> Iterator[Issuer]:
    """Serve with one algorithm on plain http."""
    configure(folder, f'algorithm = "{algorithm}"')
    with served(folder, users={"ada": PASSWORD}, roles=["read", "write"]) as server:
        yield Issuer(folder, server.address, algorithm, server)


@contextmanager
def issuing_behind_tls(folder: Path) -> Iterator[Issuer]:
    """Serve on plain http behind a proxy that speaks TLS and gives the server a path of its own: ``https://…/id``."""
    bound = serving.free_socket()
    url = f"https://localhost:{bound.getsockname()[1]}/id"
    configure(folder, f'issuer = "{url}"')
    serving.make_certificate(folder, ["localhost"])
    trust = ssl.create_default_context(cafile=folder / "cert.pem")
    with (
        served(folder, users={"ada": PASSWORD}, roles=["read", "write"]) as server,
        serving.served(_proxy(server.address, "/id"), bound, tls=folder),
    ):
        yield Issuer(folder, url, "ES256", server, folder / "cert.pem", trust)


def configure(folder: Path, settings: str) -> None:
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    text = _CONFIGURATION.format(settings=settings, public=PUBLIC, proved=PROVED, digest=digest)
    (folder / "keyturn.toml").write_text(text)


def _proxy(behind: str, path: str) -> Starlette:
    """What a web server's few lines do: one path to the server without it, and the metadata where it belongs."""

    async def forward(request: Request) -> Response:
        wanted = request.url.path
        if not wanted.startswith("/.well-known/"):
            wanted = wanted.removeprefix(path)
        headers = [(name, value) for name, value in request.headers.items() if name not in {"host", "connection"}]
        headers += [("x-forwarded-proto", "https"), ("x-forwarded-for", "127.0.0.1")]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.request(
                request.method, behind + wanted, headers=headers, content=await request.body(), timeout=60
            )
        kept = {
            name: value for name, value in answer.headers.items() if name not in {"transfer-encoding", "connection"}
        }
        return Response(answer.content, answer.status_code, kept)

    methods = ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"]
    return Starlette(routes=[Route(f"{path}/{{rest:path}}", forward, methods=methods),
                             Route("/.well-known/{rest:path}", forward)])  # fmt: skip
