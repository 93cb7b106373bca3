"""A program that only verifies, beside a running `keyturn serve`: through rotation, emergency removal and an outage."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import anyio
import httpx
import jwt
import pytest

from keyturn import UNCHECKED, Claims, Settings, StoreError, TokenInvalidError, Verifier
from keyturn.keyrings.static import StaticKeys
from keyturn.keys import JWKS_CACHE
from keyturn.remote import COOL_DOWN, KEPT, RemoteKeys
from tests.interop.issuers import PASSWORD, Issuer, configure, issuing, issuing_behind_tls
from tests.support.serve_process import Served, run_keyturn, served
from tests.support.servers._process import free_port

SAMPLES = Path(__file__).parents[2] / "examples/verify-elsewhere"


class Program:
    """One that verifies, whose clock for the keys can be moved."""

    def __init__(self, issuer: str) -> None:
        self.later = timedelta(0)
        keys = RemoteKeys(f"{issuer}/auth/jwks.json", clock=lambda: datetime.now(UTC) + self.later)
        self.verifier = Verifier(Settings(issuer=issuer), keys)

    def verify(self, token: str) -> Claims:
        return self.verifier.verify(token, binding=UNCHECKED)


def key_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def let_the_newest_key_sign(keys: Path) -> None:
    newest = max(keys.glob("access-*.json"), key=lambda file: json.loads(file.read_text())["signs_from"])
    key = json.loads(newest.read_text())
    key["signs_from"] = datetime.now(UTC).isoformat()
    newest.write_text(json.dumps(key))


@contextmanager
def issuing_at(folder: Path, port: int) -> Iterator[Served]:
    """Serve what a folder holds, as after a restart: a running server would follow within a minute."""
    with served(folder, "--port", str(port)) as server:
        yield server


def signed_in(server: Served) -> str:
    token: str = server.sign_in("ada", PASSWORD)["access_token"]
    return token


@pytest.mark.ids("KEY-03", "KEY-04", "KEY-05")
def test_rotation_is_not_felt_and_a_removed_key_is_refused_in_time(tmp_path):
    port = free_port()
    configure(tmp_path, "")
    run_keyturn(tmp_path, "users", "create", "ada", given=PASSWORD + "\n").check_returncode()
    program = Program(f"http://127.0.0.1:{port}")
    with issuing_at(tmp_path, port) as server:
        old = signed_in(server)
        assert program.verify(old).issuer == server.address
        run_keyturn(tmp_path, "keys", "rotate", "--algorithm", "Ed25519").check_returncode()
    let_the_newest_key_sign(tmp_path / "keys")

    program.later += COOL_DOWN
    with issuing_at(tmp_path, port) as server:
        new = signed_in(server)
        assert (key_of(new) != key_of(old), jwt.get_unverified_header(new)["alg"]) == (True, "Ed25519")
        for token in (new, old):
            assert program.verify(token).issuer == server.address
        run_keyturn(tmp_path, "keys", "remove", key_of(old), "--yes").check_returncode()

    with issuing_at(tmp_path, port) as server:
        assert program.verify(old).issuer == server.address  # by a copy that is not too old yet
        program.later += JWKS_CACHE
        for _ in range(2):
            with pytest.raises(TokenInvalidError):
                program.verify(old)
        assert program.verify(new).issuer == server.address
        run_keyturn(tmp_path, "keys", "remove", key_of(new), "--yes").check_returncode()

    with issuing_at(tmp_path, port) as server:
        program.later += COOL_DOWN
        newest = signed_in(server)  # by a key that nobody was told of before
        assert program.verify(newest).issuer == server.address
        with pytest.raises(TokenInvalidError):
            program.verify(new)

    program.later += KEPT / 2  # the issuer is away
    assert program.verify(newest).subject
    program.later += KEPT / 2
    with pytest.raises(StoreError):
        program.verify(newest)


@pytest.mark.ids("KEY-05")
def test_keys_are_read_through_a_proxy_that_speaks_tls(tmp_path):
    with issuing_behind_tls(tmp_path) as issuer:
        keys = RemoteKeys(issuer.metadata["jwks_uri"], tls=issuer.trust)
        token = issuer.sign_in()["access_token"]
        assert Verifier(Settings(issuer=issuer.url), keys).verify(token, binding=UNCHECKED).issuer == issuer.url


def test_the_printed_set_of_a_server_is_good_as_a_file(issuer):
    printed = run_keyturn(issuer.folder, "keys", "jwks")
    verifier = Verifier(Settings(issuer=issuer.url), StaticKeys.from_jwks(printed.stdout))
    assert verifier.verify(issuer.sign_in()["access_token"], binding=UNCHECKED).issuer == issuer.url


# --- the samples of docs/how-to/verify-elsewhere.md -------------------------------------------------------------------


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with issuing(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


def loaded(name: str, folder: Path, issuer: Issuer) -> ModuleType:
    """Import a sample as its reader would have it: with another address."""
    copy = folder / name
    copy.write_text((SAMPLES / name).read_text().replace("https://id.example.org", issuer.url))
    spec = importlib.util.spec_from_file_location(copy.stem, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_takes_good_tokens_and_no_others(issuer, tmp_path):
    caller = loaded("with_keyturn.py", tmp_path, issuer).caller
    for transport in ("body", "cookie"):
        answer = issuer.sign_in(transport=transport)
        assert caller(answer["access_token"]).session_id == answer["session_id"]
        with pytest.raises(TokenInvalidError):
            caller(answer["access_token"] + "A")


@pytest.mark.anyio
async def test_the_sample_for_fastapi_guards_its_route(issuer, tmp_path):
    app = loaded("with_keyturn_and_fastapi.py", tmp_path, issuer).app
    answer = await anyio.to_thread.run_sync(issuer.sign_in)
    narrow = await anyio.to_thread.run_sync(lambda: issuer.sign_in(scope="write"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example.org") as client:

        async def ask(field: str | None) -> tuple[int, str | None, str]:
            got = await client.get("/orders", headers={"Authorization": field} if field else {})
            return got.status_code, got.headers.get("WWW-Authenticate"), got.text

        token = answer["access_token"]
        status, challenge, text = await ask(None)
        assert (status, challenge, "token_missing" in text) == (401, "Bearer", True)
        for good in (f"Bearer {token}", f"bearer {token}"):
            status, challenge, text = await ask(good)
            assert (status, challenge) == (200, None)
            assert "orders of" in text
        assert (await ask(f"Bearer {token}A"))[:2] == (401, 'Bearer error="invalid_token"')
        assert (await ask(f"Basic {token}"))[:2] == (401, "Bearer")
        status, _, text = await ask(f"Bearer {narrow['access_token']}")
        assert (status, "insufficient_scope" in text) == (403, True)
