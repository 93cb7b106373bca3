"""The application around Keyturn's routes: every answer is ours, behind a proxy as in front, and faults say nothing."""

import http.client
import json
import socket
from contextlib import closing

import httpx
import pytest

from keyturn.server import app as application
from keyturn.server.config import load
from keyturn.server.installation import Installation
from keyturn.server.reading import MOST_HEADER_BYTES
from tests.support.serve_process import served

USERS = {"ada": "correct horse battery"}
ISSUER = "https://id.example.org"
#: As a proxy on this machine hands on what came to it by TLS.
BY_PROXY = {
    "Host": "127.0.0.1",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "id.example.org",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server"), users=USERS) as server:
        yield server


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    folder = tmp_path_factory.mktemp("behind")
    text = f'[keyturn]\nissuer = "{ISSUER}"\n[server]\ntrusted_proxies = ["127.0.0.1"]\n'
    (folder / "keyturn.toml").write_text(text)
    with served(folder, users=USERS) as server:
        yield server


def problem(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.body
    assert body["status"] == answer.status
    assert body["type"] == f"urn:keyturn:problem:{body['code']}"
    return answer.status, body["code"]


def raw(server, request: bytes) -> bytes:
    """Send bytes as they are; give all that comes back until the server closes."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as wire:
        wire.sendall(request)
        return b"".join(iter(lambda: wire.recv(65536), b""))


# --- every answer is ours --------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-04", "HT-06")
@pytest.mark.parametrize(
    "path",
    [
        "/", "/nowhere", "/health", "/health/live/", "//example.org", "/auth/../x", "/%00",
        # The demonstration's page is nowhere but where `--demo` asks for it.
        "/demo/about", "/demo/events", "/demo/me", "/demo/evil", "/demo/lose", "/demo/thief/copy", "/demo/page.js",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_problem_document(path, server):
    assert problem(server.call("GET", path)) == (404, "not_found")


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("method", ["TRACE", "POST", "PUT", "PROPFIND", "OPTIONS"])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_a_wrong_method_is_told_the_right_ones_and_nothing_is_echoed(method, path, server):
    answer = server.call(method, path, headers={"Cookie": "kt=s3cret-word"})
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    assert "s3cret-word" not in answer.text


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("path", ["/auth/login", "/auth/session", "/account/password", "/nowhere"])
def test_trace_echoes_nothing_anywhere(path, server):
    answer = server.call("TRACE", path, headers={"Cookie": "kt=s3cret-word"})
    assert problem(answer)[0] in (404, 405)
    assert "s3cret-word" not in answer.text


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("pieces", [1, 40])
def test_header_fields_that_are_too_long_are_431_however_they_arrive(pieces, server):
    big = b"X-Big: " + b"a" * MOST_HEADER_BYTES
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as wire:
        request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + big + b"\r\n\r\n"
        step = -(-len(request) // pieces)
        try:
            for at in range(0, len(request), step):
                wire.sendall(request[at : at + step])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has said what it has to say
        answer = wire.recv(65536)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


def test_header_fields_of_an_ordinary_browser_fit(server):
    fields = {f"X-{number}": "a" * 1000 for number in range(12)}
    assert server.call("GET", "/health/live", headers=fields).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",  # no Host
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_problem_document_too(request_, server):
    head, _, body = raw(server, request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "invalid_request"


def test_answers_name_no_server_and_have_one_date(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        for path in ("/health/live", "/auth/jwks.json", "/nowhere"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            names = [name.lower() for name, _ in answer.getheaders()]
            assert "server" not in names
            assert names.count("date") == 1
            assert names.count("content-length") == 1


def test_a_connection_is_kept_for_the_next_request(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        ports = set()
        for _ in range(3):
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            ports.add(connection.sock.getsockname())
        assert len(ports) == 1


# --- behind a proxy --------------------------------------------------------------------------------------------------


def sign_in(server, **fields: str):
    body = {"username": "ada", "password": USERS["ada"]}
    return server.call("POST", "/auth/login", body, headers={**BY_PROXY, "Origin": ISSUER, **fields})


@pytest.mark.ids("CK-12", "HT-08", "HT-09")
def test_behind_a_tls_proxy_cookies_are_secure_and_bear_their_prefix(behind):
    with closing(http.client.HTTPConnection("127.0.0.1", behind.port, timeout=30)) as connection:
        body = json.dumps({"username": "ada", "password": USERS["ada"]})
        headers = {**BY_PROXY, "Origin": ISSUER, "Content-Type": "application/json"}
        connection.request("POST", "/auth/login", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["token_type"] == "Bearer"
        cookies = answer.headers.get_all("set-cookie")
        assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-Http-kt_refresh", "__Host-Http-kt_bind"}
        for cookie in cookies:
            assert "; Secure" in cookie
            assert "; HttpOnly" in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        kept = "; ".join(cookie.partition(";")[0] for cookie in cookies)
        connection.request("POST", "/auth/refresh", b"", {**BY_PROXY, "Origin": ISSUER, "Cookie": kept})
        again = connection.getresponse()
        again.read()
        assert again.status == 200


def test_behind_a_proxy_the_metadata_names_the_proxys_address(behind):
    found = behind.call("GET", "/.well-known/oauth-authorization-server", headers=BY_PROXY).body
    assert found["issuer"] == ISSUER
    assert found["token_endpoint"] == f"{ISSUER}/auth/token"


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize(
    ("which", "ip"),
    [("behind", "203.0.113.7"), ("server", "127.0.0.1")],
)
def test_only_a_trusted_proxy_says_where_somebody_comes_from(which, ip, request):
    server = request.getfixturevalue(which)
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    asked = {"username": "ada", "password": USERS["ada"], "transport": "body"}
    tokens = server.call("POST", "/auth/login", asked, headers=headers).body
    listed = server.call("GET", "/auth/sessions", token=tokens["access_token"]).body["sessions"]
    assert [each["ip"] for each in listed if each["current"]] == [ip]


@pytest.mark.ids("XS-01")
def test_a_page_of_another_origin_does_not_sign_in_through_the_proxy(behind):
    answer = sign_in(behind, Origin="https://evil.example")
    assert problem(answer) == (403, "cross_site")


# --- faults ----------------------------------------------------------------------------------------------------------


SECRET = "s3cret-word"


async def fails(*_: object) -> None:
    raise RuntimeError(SECRET)


@pytest.mark.anyio
@pytest.mark.ids("ST-01", "HT-04")
@pytest.mark.parametrize("path", ["/health/ready", "/metrics", "/auth/session"])
async def test_a_fault_on_any_route_is_a_problem_document_that_says_nothing(path, tmp_path, monkeypatch, caplog):
    config = load(here=tmp_path, environment={})
    with Installation(config) as installation:
        installation.prepare()
    monkeypatch.setattr("keyturn.server.health.Readiness.look", fails)
    monkeypatch.setattr("keyturn.server.metrics.is_operator", lambda _: 1 / 0)
    monkeypatch.setattr("keyturn.service.Service.handle", fails)
    app = application.build(config)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        answer = await client.get(path)
    await app.installation.aclose()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "error"
    for text in (answer.text, caplog.text):
        assert SECRET not in text
    assert caplog.text


def test_the_application_says_that_it_ended_when_everything_has(tmp_path):
    """A server ends the loop as soon as it hears so; whatever still ran would be cut off."""
    import anyio

    config = load(here=tmp_path, environment={})
    with Installation(config) as installation:
        installation.prepare()
    app = application.build(config)
    done: list[str] = []

    async def live() -> None:
        told = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, str]:
            return {"type": next(told)}

        async def send(message) -> None:
            done.append(message["type"])

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        done.append("returned")

    anyio.run(live)
    assert done == ["lifespan.startup.complete", "lifespan.shutdown.complete", "returned"]
    assert "store" not in app.installation.__dict__, "the store is still open"
