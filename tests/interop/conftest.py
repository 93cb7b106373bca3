"""Servers that are asked by libraries which are not ours."""

from collections.abc import Iterator

import pytest

from tests.interop.issuers import Issuer, issuing, issuing_behind_tls


@pytest.fixture(scope="session", params=["ES256", "Ed25519", "RS256"])
def issuer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A server that signs with each algorithm."""
    with issuing(tmp_path_factory.mktemp(request.param), request.param) as running:
        yield running


@pytest.fixture(scope="session")
def issuer_behind_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A server behind a proxy: its issuer is https and has a path."""
    with issuing_behind_tls(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture(scope="session", params=["http", "tls"])
def either_issuer(request: pytest.FixtureRequest) -> Issuer:
    """One that is asked directly, and one behind a proxy."""
    if request.param == "tls":
        return request.getfixturevalue("issuer_behind_tls")
    return request.getfixturevalue("plain_issuer")


@pytest.fixture(scope="session")
def plain_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A server as it comes: ES256, plain http."""
    with issuing(tmp_path_factory.mktemp("plain")) as running:
        yield running
