"""The pages that are written by hand name every route, code, cookie and claim that the code has."""

import re

import pytest

from keyturn import Settings
from keyturn.http.routes import ROUTES
from keyturn.server.openapi import document
from keyturn.settings import SETTING_NAMES
from keyturn.tokens import RESERVED_CLAIMS
from scripts import pages

ROOT = pages.ROOT
PROTOCOL = (ROOT / "docs/reference/protocol.md").read_text()
ERRORS = (ROOT / "docs/reference/errors.md").read_text()


@pytest.mark.parametrize(
    "route", [f"{method} {route.path}" for route in ROUTES for method in route.methods], ids=lambda route: route
)
def test_every_route_has_its_row(route: str) -> None:
    told = route.removesuffix("/") + ("/{id}" if route.endswith("/") else "")
    assert f"| `{told}`" in PROTOCOL


def test_no_row_names_a_route_that_is_not_there() -> None:
    told = {line.split("`")[1] for line in PROTOCOL.splitlines() if re.match(r"\| `(GET|POST|DELETE) /", line)}
    real = {f"{method} {route.path}".removesuffix("/") for route in ROUTES for method in route.methods}
    paths = document(Settings(issuer="https://id.example.org"))["paths"]
    served = {f"{method.upper()} {path}" for path in paths for method in paths[path] if not path.startswith("/auth/")}
    real |= {route for route in served if ".well-known" not in route}
    assert {route.removesuffix("/{id}") for route in told if ".well-known" not in route} == real


def test_every_code_is_told() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src/keyturn").rglob("*.py"))
    codes = set(re.findall(r'\bcode="(\w+)"', sources)) | set(re.findall(r'default_code = "(\w+)"', sources))
    assert {code for code in codes if f"`{code}`" not in ERRORS} == set()


def test_every_cookie_is_told() -> None:
    names = Settings(issuer="https://id.example.org").cookie_names
    assert {name for name in names if f"| `{name}` |" not in PROTOCOL} == set()


def test_every_claim_is_told() -> None:
    assert {claim for claim in RESERVED_CLAIMS if f"`{claim}`" not in PROTOCOL} == set()


def test_every_setting_that_a_page_passes_exists() -> None:
    """An option that was renamed must not live on in a page, also where its block is not run."""
    calls = [
        call
        for page in pages.pages()
        if page != pages.API
        for call in re.findall(r"\bSettings\(([^()]*)\)", page.read_text())
    ]
    passed = {name for call in calls for name in re.findall(r"\b(\w+)=", call)}
    assert passed <= {*SETTING_NAMES, "same_site", "partitioned", "suffix", "access_in_cookie"}
