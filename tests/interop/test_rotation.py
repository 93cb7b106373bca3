"""After a rotation those who verify elsewhere find the new key by themselves, and what the old one signed stays good."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest

from tests.interop.issuers import PASSWORD, Issuer, configure
from tests.interop.node_program import node_program
from tests.support.serve_process import run_keyturn, served
from tests.support.servers._process import free_port


@contextmanager
def issuing_at(folder: Path, port: int, algorithm: str) -> Iterator[Issuer]:
    """Serve what a folder holds at a port, as after a restart."""
    with served(folder, "--port", str(port)) as server:
        yield Issuer(folder, server.address, algorithm, server)


def let_seven_minutes_pass(keys: Path) -> None:
    """Let the newest key sign: its file says from when on it does."""
    newest = max(keys.glob("access-*.json"), key=lambda file: json.loads(file.read_text())["signs_from"])
    key = json.loads(newest.read_text())
    key["signs_from"] = datetime.now(UTC).isoformat()
    newest.write_text(json.dumps(key))


def key_of(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


@pytest.mark.ids("KEY-02")
@pytest.mark.parametrize(("before", "after"), [("ES256", "ES256"), ("RS256", "ES256")])
def test_a_new_key_is_found_by_those_who_verify(tmp_path, before, after):
    folder, port = tmp_path / "server", free_port()
    folder.mkdir()
    configure(folder, f'algorithm = "{before}"')
    run_keyturn(folder, "users", "create", "ada", given=PASSWORD + "\n").check_returncode()
    with issuing_at(folder, port, after) as issuer:
        old = issuer.sign_in()["access_token"]
        uri, copy = issuer.metadata["jwks_uri"], issuer.keys
        pyjwt = jwt.PyJWKClient(uri, cooldown_duration=0)  # by itself it asks anew every half minute at most
        assert pyjwt.get_signing_key_from_jwt(old).key_id == key_of(old)
        with (
            node_program(tmp_path / "jose", "jose", issuer, uri, before) as jose,
            node_program(tmp_path / "jose", "jose", issuer, uri, after) as jose_after,
            node_program(tmp_path / "oauth", "oauth4webapi", issuer) as oauth,
        ):
            oauth.ask("discover")
            assert jose.ask("verify", token=old)["header"]["kid"] == key_of(old)
            issuer.server.stop()
            run_keyturn(folder, "keys", "rotate", "--algorithm", after).check_returncode()
            let_seven_minutes_pass(folder / "keys")
            with issuing_at(folder, port, after) as restarted:
                new = restarted.sign_in()["access_token"]
                assert key_of(new) != key_of(old)
                assert {key_of(old), key_of(new)} <= {key["kid"] for key in restarted.keys["keys"]}
                for token in (old, new):
                    assert pyjwt.get_signing_key_from_jwt(token).key_id == key_of(token)
                    assert oauth.ask("validate", token=token, olderKeys=copy)["iss"] == restarted.url
                assert jose.ask("verify", token=old)["header"]["kid"] == key_of(old)
                assert jose_after.ask("verify", token=new)["header"]["kid"] == key_of(new)
