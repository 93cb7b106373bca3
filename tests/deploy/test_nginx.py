"""deploy/nginx.conf in front of a server, over real https: what comes through, what does not, and a restart."""

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from keyturn import Principal, Settings
from keyturn.starlette import Keyturn
from keyturn.testing.http_conformance import served_by_uvicorn
from tests.support.nginx import CLIENT, HOST, Nginx, Visitor, free_ports, nginx_before
from tests.support.serve_process import PATIENCE, Served, served

ISSUER = f"https://{HOST}"
USERS = {"ada": "correct horse battery"}
REFRESH, BINDING = "__Host-Http-kt_refresh", "__Host-Http-kt_bind"


def configured(folder: Path, store: str = "sqlite:///keyturn.db", more: str = "") -> Path:
    folder.mkdir(mode=0o700)
    text = f'[keyturn]\nissuer = "{ISSUER}"\n[server]\nstore = "{store}"\ntrusted_proxies = ["127.0.0.1"]\n{more}'
    (folder / "keyturn.toml").write_text(text)
    (folder / "keyturn.toml").chmod(0o600)
    return folder


@dataclass(frozen=True)
class Site:
    nginx: Nginx
    server: Served
    home: Path

    def visitor(self, **more: Any) -> Visitor:
        return self.nginx.visitor(**more)

    def requests(self, route: str, at_least: int) -> list[Any]:
        """What the server has logged of requests to a route; waited for, since it writes and we read in turn."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = [json.loads(line) for line in self.server.output.splitlines() if line.startswith("{")]
            found = [line for line in lines if line.get("route") == route]
            if len(found) >= at_least:
                return found
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def a_site(folder: Path, application: int = 9) -> Iterator[Site]:
    home, behind = configured(folder / "home"), folder / "nginx"
    behind.mkdir()
    port, other = free_ports(2)
    with (
        nginx_before(behind, (port, other), application) as nginx,
        served(home, "--port", str(port), users=USERS) as server,
    ):
        yield Site(nginx, server, home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.mark.ids("CK-01", "HT-08")
def test_a_browser_signs_in_goes_on_and_signs_out_over_https(site):
    browser = site.visitor()
    first = browser.sign_in("ada", USERS["ada"])
    assert set(browser.cookies) == {REFRESH, BINDING}, "the cookies of https, though the server speaks http"
    assert "refresh_token" not in first
    assert browser.call("GET", "/auth/session", token=first["access_token"]).body["iss"] == ISSUER
    assert site.visitor().call("GET", "/auth/session", token=first["access_token"]).status == 401, "unbound"

    before = browser.cookies[REFRESH]
    turned = browser.call("POST", "/auth/refresh")
    assert turned.status == 200
    assert browser.cookies[REFRESH] != before
    assert browser.call("GET", "/auth/session", token=turned.body["access_token"]).status == 200

    assert browser.call("POST", "/auth/logout").status == 204
    assert REFRESH not in browser.cookies
    assert browser.call("GET", "/auth/session", token=turned.body["access_token"]).status == 401


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize("origin", ["https://evil.example", f"http://{HOST}", f"https://{HOST}.evil.example"])
def test_a_page_of_another_origin_gets_no_cookies_through_the_proxy(site, origin):
    crossing = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "X-Forwarded-Host": "evil.example"}
    body = {"username": "ada", "password": USERS["ada"]}
    answer = site.visitor().call("POST", "/auth/login", body, headers=crossing)
    assert (answer.status, answer.body["code"]) == (403, "cross_site")


def test_every_address_in_the_metadata_is_https(site):
    metadata = site.visitor().call("GET", "/.well-known/oauth-authorization-server").body
    addresses = re.findall(r'"(https?://[^"]+)"', json.dumps(metadata))
    assert metadata["issuer"] == ISSUER
    assert len(addresses) > 4
    assert all(address.startswith(ISSUER) for address in addresses), addresses
    for name in ("jwks_uri",):
        path = metadata[name].removeprefix(ISSUER)
        assert site.visitor().call("GET", path).body["keys"]
    assert site.visitor().call("GET", "/.well-known/jwks.json").status == 200


FORGED = {
    "X-Forwarded-For": "198.51.100.9, 127.0.0.1",
    "X-Real-IP": "198.51.100.9",
    "Forwarded": "for=198.51.100.9;proto=http;host=evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Request-Id": "chosenbytheclient",
}


@pytest.mark.ids("HT-08")
def test_what_a_client_writes_into_the_fields_of_proxies_is_not_believed(site):
    liar = site.visitor()
    answer = liar.call("POST", "/auth/login", {"username": "ada", "password": USERS["ada"]}, headers=FORGED)
    assert answer.status == 200
    assert set(liar.cookies) == {REFRESH, BINDING}
    mine = answer.body["session_id"]
    listed = liar.call("GET", "/auth/sessions", token=answer.body["access_token"], headers=FORGED).body["sessions"]
    assert [one["ip"] for one in listed if one["id"] == mine] == [CLIENT]
    seen = site.requests("/auth/login", at_least=1)
    for logged in seen:
        assert logged["client"] == CLIENT
        assert re.fullmatch("[0-9a-f]{32}", logged["request_id"]), "the proxy's own, which stands in its log too"


@pytest.mark.parametrize(
    "path",
    [
        "/metrics", "/health/live", "/health/ready", "/openapi.json", "//metrics", "/auth/../metrics", "/./metrics",
        "/auth/%2e%2e/metrics", "/auth/..%2fmetrics", "/auth/x/../../metrics", "/%6detrics", "/auth/refresh/../../metrics",
        "/",
    ],
)  # fmt: skip
def test_what_is_for_operators_is_not_there_from_outside(site, path):
    answer = site.visitor().call("GET", path)
    assert answer.status == 404
    assert "keyturn_" not in answer.text
    assert "checks" not in answer.text


@pytest.mark.parametrize("path", ["/auth/session", "/auth/refresh", "/"])
def test_trace_is_refused(site, path):
    assert site.visitor().call("TRACE", path).status == 405


@pytest.mark.parametrize(("path", "status"), [("/auth/session", 401), ("/nothing", 404), ("/api/", 502)])
def test_strict_transport_security_is_said_once_by_whoever_answers(site, path, status):
    answer = site.visitor().call("GET", path)
    assert answer.status == status
    assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    assert not re.search(r"\d", answer.headers.get("Server", "")), "no version"


def test_http_is_sent_to_https_and_no_other_name_is_served(site):
    connection = http.client.HTTPConnection("127.0.0.1", site.nginx.plain, timeout=PATIENCE)
    connection.request("GET", "/auth/session?x=1", headers={"Host": "evil.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"{ISSUER}/auth/session?x=1")
    connection.close()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        site.visitor(name="evil.example").call("GET", "/auth/session")


def test_a_body_too_large_ends_at_the_proxy_and_a_token_of_full_length_does_not(site):
    refused = site.visitor().call("POST", "/auth/login", b"x" * (17 * 1024))
    assert (refused.status, refused.headers.get_content_type()) == (413, "text/html"), "Keyturn would answer in JSON"
    assert site.visitor().call("GET", "/auth/session", token="e" * 8192).status == 401


# --- beside an application -------------------------------------------------------------------------------------------


class NoUsers:
    """The application signs nobody in; it only asks who a token was given to."""

    def authenticate(self, username, password, request):
        return None

    def load(self, subject):
        return Principal(subject=subject)


def shop(home: Path) -> tuple[Starlette, Keyturn]:
    """An application with the server's keys and database."""
    auth = Keyturn(
        Settings(issuer=ISSUER), store=f"sqlite:///{home / 'keyturn.db'}", keys=home / "keys", users=NoUsers(),
        trusted_proxies=["127.0.0.1"],
    )  # fmt: skip

    async def me(request: Request) -> JSONResponse:
        claims = await auth.required(request)
        fields = [list(pair) for pair in request.headers.items()]
        return JSONResponse({"subject": claims.subject, "fields": fields})

    app = Starlette(routes=[Route("/api/me", me)])
    auth.install(app)
    return app, auth


def test_an_application_on_the_same_host_knows_the_caller_by_the_binding_cookie(tmp_path):
    port, other = free_ports(2)
    home, behind = configured(tmp_path / "home"), tmp_path / "nginx"
    behind.mkdir()
    with served(home, "--port", str(port), users=USERS):
        app, _auth = shop(home)
        with served_by_uvicorn(app) as (_, there), nginx_before(behind, (port, other), there) as nginx:
            browser = nginx.visitor()
            token = browser.sign_in("ada", USERS["ada"])["access_token"]
            answer = browser.call("GET", "/api/me", token=token, headers=FORGED)
            assert answer.status == 200
            assert answer.body["subject"].startswith("usr_")
            told = dict(answer.body["fields"])
            assert told["x-forwarded-for"] == CLIENT
            assert (told["x-forwarded-proto"], told["x-forwarded-host"], told["host"]) == ("https", HOST, HOST)
            assert "forwarded" not in told
            assert nginx.visitor().call("GET", "/api/me", token=token).status == 401, (
                "a copied token without the cookie"
            )


# --- restarts --------------------------------------------------------------------------------------------------------


def test_while_nobody_listens_the_proxy_says_502_and_afterwards_everybody_goes_on(tmp_path):
    port, other = free_ports(2)
    home, behind = configured(tmp_path / "home"), tmp_path / "nginx"
    behind.mkdir()
    with nginx_before(behind, (port, other)) as nginx:
        browser = nginx.visitor()
        with served(home, "--port", str(port), users=USERS):
            browser.sign_in("ada", USERS["ada"])
        held = dict(browser.cookies)
        for _ in range(3):
            assert browser.call("POST", "/auth/refresh").status == 502
        assert browser.cookies == held
        with served(home, "--port", str(port)):
            assert browser.call("POST", "/auth/refresh").status == 200, "at once: nobody was marked as away for long"


@dataclass
class Device:
    """A client that refreshes as fast as it can: a browser, or a program, whose every refresh turns the key."""

    browser: Visitor
    transport: str
    held: str = ""
    statuses: list[int] = field(default_factory=list)
    lost: int = 0

    def sign_in(self) -> None:
        self.held = self.browser.sign_in("ada", USERS["ada"], transport=self.transport).get("refresh_token", "")

    def refresh(self) -> None:
        answer = self.browser.call("POST", "/auth/refresh", {"refresh_token": self.held} if self.held else None)
        self.statuses.append(answer.status)
        if answer.status == 200:
            self.held = answer.body.get("refresh_token", "")

    def keep_on(self, until: threading.Event) -> None:
        while not until.is_set():
            try:
                self.refresh()
            except (OSError, http.client.HTTPException):
                self.lost += 1
            until.wait(0.02)


class Storm:
    def __init__(self, devices: list[Device]) -> None:
        self.devices = devices
        self._over = threading.Event()
        self._threads = [threading.Thread(target=device.keep_on, args=(self._over,)) for device in devices]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        for device in self.devices:
            device.browser.close()

    def wait_for(self, more: int) -> None:
        """Wait until every device was answered so often again."""
        goal, deadline = [len(each.statuses) + more for each in self.devices], time.monotonic() + PATIENCE
        while any(len(each.statuses) < wanted for each, wanted in zip(self.devices, goal, strict=True)):
            assert time.monotonic() < deadline, [len(each.statuses) for each in self.devices]
            time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request) -> str:
    if request.param == "sqlite":
        return "sqlite:///keyturn.db"
    return str(request.getfixturevalue("postgresql").new_database())


@pytest.mark.ids("RT-05")
def test_two_servers_restarted_in_turn_cost_no_client_anything_in_a_storm_of_refreshes(tmp_path, store):
    ports = free_ports(2)
    home = configured(tmp_path / "home", store, '[throttle]\nrefresh_per_session = ""\n')
    behind = tmp_path / "nginx"
    behind.mkdir()
    with nginx_before(behind, (ports[0], ports[1])) as nginx:
        running = [served(home, "--port", str(ports[0]), users=USERS), served(home, "--port", str(ports[1]))]
        servers = [each.__enter__() for each in running]
        try:
            devices = [Device(nginx.visitor(), how) for how in ("cookie", "body") for _ in range(4)]
            for device in devices:
                device.sign_in()
            with Storm(devices) as storm:
                storm.wait_for(20)
                for at in (0, 1, 0, 1):
                    assert servers[at].stop() == 0
                    storm.wait_for(10)
                    running[at] = served(home, "--port", str(ports[at]))
                    servers[at] = running[at].__enter__()
                    storm.wait_for(10)
        finally:
            for each in running:
                with suppress(ProcessLookupError):
                    each.__exit__(None, None, None)
        assert sum(device.lost for device in devices) == 0
        assert {status for device in devices for status in device.statuses} == {200}, nginx.errors
