"""The test kit does what its users count on."""

import subprocess
import sys
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Security

from keyturn import Claims, Principal, Settings
from keyturn.fastapi import Keyturn
from keyturn.stores.memory import MemoryStore
from keyturn.testing import CountingEntropy, ManualClock, a_claims, client, signed_in, testing_keys

pytest_plugins = ["pytester"]


class Users:
    """Counts how often somebody asks for a password: the kit never does."""

    def __init__(self) -> None:
        self.asked = 0

    def authenticate(self, username: str, password: str, request: object) -> Principal | None:
        self.asked += 1
        return self.load(username) if password == "right" else None

    def load(self, subject: str) -> Principal | None:
        return Principal(subject=subject, scopes=frozenset({"read"})) if subject != "nobody" else None


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
def auth(users: Users) -> Keyturn:
    return Keyturn(Settings(profile="testing"), store=MemoryStore(), keys=testing_keys(), users=users)


@pytest.fixture
def app(auth: Keyturn) -> FastAPI:
    app = FastAPI()
    auth.install(app)

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.required)]) -> dict[str, str]:
        return {"subject": claims.subject}

    @app.get("/read")
    async def read(claims: Annotated[Claims, Security(auth.required, scopes=["read"])]) -> dict[str, str]:
        return {"subject": claims.subject}

    return app


def test_a_client_may_sign_in_with_no_further_setting(app: FastAPI, auth: Keyturn) -> None:
    somebody = client(app, auth)
    assert somebody.post("/auth/login", json={"username": "alice", "password": "right"}).status_code == 200
    assert set(somebody.cookies) == {auth.settings.refresh_cookie, auth.settings.binding_cookie}
    assert somebody.post("/auth/refresh").status_code == 200


@pytest.mark.ids("B18")
def test_a_signed_in_client_needs_no_login_and_no_password(app: FastAPI, auth: Keyturn, users: Users) -> None:
    alice = signed_in(app, auth, "alice")
    assert alice.get("/me").json() == {"subject": "alice"}
    assert alice.post("/auth/refresh").status_code == 200
    assert users.asked == 0


@pytest.mark.ids("B18")
def test_an_authorisation_is_kept_for_a_user_and_made_anew_when_it_is_over(app: FastAPI, auth: Keyturn) -> None:
    first, second = (signed_in(app, auth, "alice").headers["authorization"] for _ in range(2))
    assert first == second
    assert signed_in(app, auth, "bob").headers["authorization"] != first
    signed_in(app, auth, "alice").post("/auth/logout")
    assert signed_in(app, auth, "alice").get("/me").status_code == 200


def test_body_transport_and_scopes_can_be_asked_for(app: FastAPI, auth: Keyturn) -> None:
    program = signed_in(app, auth, "alice", transport="body", scope="read")
    assert not program.cookies
    assert program.get("/read").status_code == 200


def test_a_user_that_nobody_knows_is_a_clear_error(app: FastAPI, auth: Keyturn) -> None:
    with pytest.raises(LookupError, match="nobody"):
        signed_in(app, auth, "nobody")


def test_claims_can_be_handed_to_a_route_without_a_token(app: FastAPI, auth: Keyturn) -> None:
    app.dependency_overrides[auth.required] = lambda: a_claims("carol")
    assert client(app, auth).get("/me").json() == {"subject": "carol"}


def test_time_can_be_moved_for_the_length_of_a_block(app: FastAPI, auth: Keyturn) -> None:
    clock = ManualClock()
    with auth.override(clock=clock, entropy=CountingEntropy(), store=MemoryStore()):
        alice = signed_in(app, auth, "alice")
        assert alice.get("/me").status_code == 200
        clock.advance(6 * 60)
        late = alice.get("/me")
        assert (late.status_code, late.json()["code"]) == (401, "token_expired")
    assert signed_in(app, auth, "alice").get("/me").status_code == 200


def test_the_plugin_gives_a_clock_and_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it(keyturn_clock, keyturn_entropy):
            before = keyturn_clock()
            assert keyturn_clock.advance(60) > before
            assert keyturn_entropy(4) != keyturn_entropy(4)
            assert "starlette" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_importing_the_kit_loads_no_framework() -> None:
    code = "import sys, keyturn.testing; sys.exit('starlette' in sys.modules or 'fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
