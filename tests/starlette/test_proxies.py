"""Behind a proxy: whose address counts, over ASGI."""

import pytest
from starlette.testclient import TestClient

from keyturn.settings import Settings
from tests.support.front import PASSWORD
from tests.support.site import a_site, starlette_app


def attempts(app, peer, forwarded, how_many, password="wrong"):
    """Try to sign in so often from a peer that tells where it comes from; the statuses."""
    with TestClient(app, base_url="https://id.example.org", client=(peer, 50000)) as client:
        headers = {"sec-fetch-site": "same-origin", "x-forwarded-for": forwarded}
        body = {"username": "alice", "password": password}
        return [client.post("/auth/login", json=body, headers=headers).status_code for _ in range(how_many)]


@pytest.mark.ids("HT-08", "AU-08")
def test_clients_behind_a_trusted_proxy_are_told_apart():
    site = a_site(trusted_proxies=["10.0.0.0/8"])
    app = starlette_app(site.service)
    assert attempts(app, "10.0.0.1", "203.0.113.1", 11) == [401] * 10 + [429]
    assert attempts(app, "10.0.0.1", "203.0.113.2", 1, PASSWORD) == [200]
    (row,) = site.picture()[0].values()
    assert row.ip == "203.0.113.2"


@pytest.mark.ids("HT-08", "AU-08")
def test_who_is_no_trusted_proxy_cannot_be_somebody_else():
    app = starlette_app(a_site(trusted_proxies=["10.0.0.0/8"]).service)
    for number in range(10):
        assert attempts(app, "198.51.100.66", f"203.0.113.{number}", 1) == [401]
    assert attempts(app, "198.51.100.66", "203.0.113.99", 1) == [429]


@pytest.mark.ids("HT-08")
def test_in_development_a_guard_judges_the_host_that_a_trusted_proxy_names():
    for proxies, status in (((), 401), (("127.0.0.1",), 421)):
        site = a_site(Settings(profile="development"), trusted_proxies=proxies)
        with TestClient(
            starlette_app(site.service), base_url="http://localhost", client=("127.0.0.1", 50000)
        ) as client:
            assert client.get("/me", headers={"x-forwarded-host": "rebound.example"}).status_code == status
