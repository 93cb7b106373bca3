"""The samples of docs/how-to/verify-elsewhere.md, with a running server's address in the place of theirs."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from joserfc.errors import JoseError

from tests.interop.issuers import Issuer
from tests.interop.node_program import Refused, node_program

SAMPLES = Path(__file__).parents[2] / "examples/verify-elsewhere"


def copied(name: str, folder: Path, issuer: Issuer) -> Path:
    """Copy a sample as its reader would: the address is another, all else stays."""
    text = (SAMPLES / name).read_text()
    assert "https://id.example.org" in text
    copy = folder / name
    copy.write_text(text.replace("https://id.example.org", issuer.url))
    return copy


@pytest.fixture(scope="module", params=["with_pyjwt.py", "with_joserfc.py", "with_jose.mjs"])
def caller(request, plain_issuer, tmp_path_factory):
    """A service's function that gives the claims of a token."""
    folder = tmp_path_factory.mktemp("service")
    copy = copied(request.param, folder, plain_issuer)
    if copy.suffix == ".mjs":
        with node_program(folder, "sample", plain_issuer) as program:
            yield lambda token: program.ask("caller", token=token)
        return
    spec = importlib.util.spec_from_file_location(copy.stem, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.caller


def signed(issuer: Issuer, token: str, *, typ: str = "at+jwt", **changes: Any) -> str:
    """Sign a token's claims anew with the server's own key, after some changes; `...` leaves one out."""
    claims = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    kept = {name: value for name, value in claims.items() if value is not ...}
    kid = jwt.get_unverified_header(token)["kid"]
    files = (json.loads(file.read_text()) for file in (issuer.folder / "keys").glob("access-*.json"))
    private = jwt.PyJWK(next(key for key in files if key["kid"] == kid))
    return jwt.encode(kept, private.key, algorithm="ES256", headers={"typ": typ, "kid": kid})


@pytest.mark.ids("ATP-01", "KEY-02")
@pytest.mark.parametrize("transport", ["body", "cookie"])
def test_a_sample_accepts_a_token(caller, plain_issuer, transport):
    answer = plain_issuer.sign_in(transport=transport)
    assert caller(answer["access_token"])["sid"] == answer["session_id"]
    assert caller(signed(plain_issuer, answer["access_token"]))["sid"] == answer["session_id"]


@pytest.mark.ids("ATP-01")
@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"}, {"iss": "https://other.example.org"}, {"aud": "https://other.example.org"}, {"exp": 1_000_000},
        {"jti": ...}, {"sub": ...}, {"client_id": ...}, {"exp": ...}, {"iat": ...}, {"iss": ...}, {"aud": ...},
    ],
    ids=str,
)  # fmt: skip
def test_a_sample_refuses_a_token_that_is_not_for_it(caller, plain_issuer, changes):
    token = plain_issuer.sign_in()["access_token"]
    with pytest.raises((jwt.PyJWTError, JoseError, Refused)):
        caller(signed(plain_issuer, token, **changes))


def test_a_sample_refuses_a_spoiled_token(caller, plain_issuer):
    header, body, signature = plain_issuer.sign_in()["access_token"].split(".")
    changed = ("A" if signature[20] != "A" else "B").join([signature[:20], signature[21:]])
    with pytest.raises((jwt.PyJWTError, JoseError, Refused)):
        caller(f"{header}.{body}.{changed}")
