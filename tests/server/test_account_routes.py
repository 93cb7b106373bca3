"""The routes of accounts over HTTP: whom they let in, what they answer, and what they leave as it was."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from keyturn._build import Chance
from keyturn.errors import StoreError
from keyturn.events import Event, LoginFailed, SessionEnded
from keyturn.keyrings.static import testing_keys
from keyturn.limits import Limits
from keyturn.server import argon2id
from keyturn.server.account_routes import PASSWORD as CHANGE, RESET, routes
from keyturn.server.accounts import AsyncAccounts
from keyturn.server.hashing import Hashing
from keyturn.server.records import Account
from keyturn.server.records.memory import MemoryRecords
from keyturn.server.users import ServerUsers
from keyturn.settings import Settings
from keyturn.starlette import Keyturn
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import ManualClock
from tests.server.test_hashing import Gate, until
from tests.support.office import CHEAP, ISSUER, OTHER, PASSWORD, counted_hashes

PAGE = {"sec-fetch-site": "same-origin"}
PROGRAM = {"keyturn-client": "tests"}


class CutOff(MemoryRecords):
    """Records that can be read, and written only while the line holds."""

    is_cut = False

    async def replace_account(self, account: Account) -> bool:
        if self.is_cut:
            raise StoreError(cause="the test has cut the line")
        return await super().replace_account(account)


@dataclass
class Server:
    """A small server with accounts."""

    clock: ManualClock
    records: CutOff
    hashing: Hashing
    events: list[Event]
    auth: Keyturn
    accounts: AsyncAccounts
    app: Starlette
    client: TestClient

    def hire(self, username: str = "ada", **more: Any) -> Account:
        return asyncio.run(self.accounts.create(username, **{"password": PASSWORD, **more}))

    def do(self, verb: str, *args: Any, **more: Any) -> Any:
        return asyncio.run(getattr(self.accounts, verb)(*args, **more))

    def visitor(self, headers: dict[str, str] = PROGRAM) -> TestClient:
        return TestClient(self.app, base_url=ISSUER, headers=headers)

    def sign_in(self, password: str = PASSWORD, username: str = "ada") -> "Device":
        asked = {"username": username, "password": password, "transport": "body"}
        answer = self.visitor().post("/auth/login", json=asked)
        assert answer.status_code == 200, answer.text
        return Device(self, answer.json())

    def try_in(self, password: str, username: str = "ada") -> Any:
        asked = {"username": username, "password": password, "transport": "body"}
        return self.visitor().post("/auth/login", json=asked)


@dataclass
class Device:
    """A program that is signed in."""

    server: Server
    tokens: dict[str, Any]

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}", **PROGRAM}

    def change(self, current: str = PASSWORD, new: str = OTHER, **more: Any) -> Any:
        asked = {
            "current_password": current,
            "new_password": new,
            "refresh_token": self.tokens["refresh_token"],
            **more,
        }
        return self.server.visitor().post(CHANGE, json=asked, headers=self.bearer)

    def refresh(self) -> Any:
        return self.server.visitor().post("/auth/refresh", json={"refresh_token": self.tokens["refresh_token"]})

    def look(self) -> Any:
        return self.server.visitor().get("/auth/session", headers=self.bearer)


def a_server(throttle: Any = None, hashing: Hashing | None = None) -> Server:
    clock, records = ManualClock(), CutOff()
    hashing = hashing or Hashing(cost=CHEAP)
    events: list[Event] = []
    chance = Chance(clock=clock)
    auth = Keyturn(
        Settings(issuer=ISSUER), store=MemoryStore(), keys=testing_keys(), users=ServerUsers(records, hashing),
        throttle=throttle, listeners=[events.append], chance=chance,
    )  # fmt: skip
    accounts = AsyncAccounts(records, hashing, auth.sessions, issuer=ISSUER, chance=chance)
    app = Starlette(routes=routes(auth, accounts))
    auth.install(app)
    client = TestClient(app, base_url=ISSUER, headers=PAGE)
    return Server(clock, records, hashing, events, auth, accounts, app, client)


@pytest.fixture
def server() -> Iterator[Server]:
    made = a_server()
    made.hire()
    yield made
    made.hashing.close()


def bytes_of(answer: Any) -> tuple[Any, ...]:
    return answer.status_code, sorted(answer.headers.raw), answer.content


# --- one's own password ----------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-05", "SE-08", "F07", "W-F4")
def test_a_user_who_knows_the_password_changes_it_and_stays_signed_in_here_alone(server: Server) -> None:
    own, other = server.sign_in(), server.sign_in()
    server.clock.advance(60)
    answer = own.change()
    assert answer.status_code == 200
    assert server.try_in(PASSWORD).status_code == 401
    assert server.try_in(OTHER).status_code == 200

    assert other.refresh().json()["code"] == "session_ended"
    assert other.look().status_code == 401
    ended = [event for event in server.events if isinstance(event, SessionEnded)]
    assert [(event.session.id, event.reason.value) for event in ended if event.session] == [
        (other.tokens["session_id"], "credentials_changed")
    ]

    assert own.look().json()["code"] == "token_stale", "older tokens of this session are dead, silently"
    assert own.refresh().json()["code"] == "token_stale"
    now = Device(server, answer.json())
    assert now.tokens["session_id"] == own.tokens["session_id"]
    assert now.look().json()["auth_time"] == int(server.clock().timestamp())
    assert now.look().json()["gen"] == 1
    assert now.refresh().status_code == 200


@pytest.mark.ids("AU-05", "XS-01")
def test_in_a_browser_the_cookies_are_turned_and_other_sites_change_nothing(server: Server) -> None:
    page = server.client
    access = page.post("/auth/login", json={"username": "ada", "password": PASSWORD}).json()["access_token"]
    asked: Any = {"json": {"current_password": PASSWORD, "new_password": OTHER}}
    foreign = {"authorization": f"Bearer {access}", "sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    refused = page.post(CHANGE, headers=foreign, **asked)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    assert server.try_in(PASSWORD).status_code == 200

    before = dict(page.cookies)
    answer = page.post(CHANGE, headers={"authorization": f"Bearer {access}"}, **asked)
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    after = dict(page.cookies)
    assert {name for name in before if before[name] != after[name]} == {"__Host-Http-kt_refresh"}
    assert page.post("/auth/refresh").status_code == 200
    assert server.try_in(OTHER).status_code == 200


@pytest.mark.ids("AU-05")
def test_a_wrong_current_password_changes_nothing_and_is_told(server: Server) -> None:
    own, other = server.sign_in(), server.sign_in()
    server.events.clear()
    answer = own.change(current="not the password")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    (fact,) = server.events
    assert isinstance(fact, LoginFailed)
    assert (fact.reason, fact.username) == ("invalid_credentials", "")
    assert own.look().status_code == other.look().status_code == 200
    assert own.refresh().status_code == 200
    assert server.try_in(PASSWORD).status_code == 200


@pytest.mark.ids("AU-05", "AU-08")
def test_guesses_inside_a_session_are_counted_and_a_right_one_is_given_back() -> None:
    server = a_server(Limits(login_per_user_and_address="3/hour"))
    server.hire()
    own = server.sign_in()
    for _ in range(5):
        answer = own.change(new=PASSWORD + "!")
        assert answer.status_code == 200
        own = Device(server, answer.json())
        answer = own.change(current=PASSWORD + "!", new=PASSWORD)
        own = Device(server, answer.json())
    seen = [own.change(current="not the password").status_code for _ in range(5)]
    assert seen == [401, 401, 401, 429, 429]
    assert own.change().status_code == 429
    server.hashing.close()


@pytest.mark.ids("AU-04", "AU-05")
@pytest.mark.parametrize("new", ["short", "iloveyou", "ada"])
def test_a_refused_password_turns_and_ends_nothing(server: Server, new: str) -> None:
    own, other = server.sign_in(), server.sign_in()
    answer = own.change(new=new)
    assert (answer.status_code, answer.json()["code"]) == (400, "password_refused")
    assert new not in answer.json()["detail"]
    assert own.look().status_code == other.look().status_code == 200
    assert own.refresh().status_code == 200


@pytest.mark.ids("AU-05")
def test_a_refresh_token_that_is_not_current_changes_nothing(server: Server) -> None:
    own, other = server.sign_in(), server.sign_in()
    older = own.tokens["refresh_token"]
    own.tokens |= own.refresh().json()
    for token in (older, other.tokens["refresh_token"]):
        answer = own.change(refresh_token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_stale")
    assert server.try_in(PASSWORD).status_code == 200
    assert other.look().status_code == 200
    answer = own.change(refresh_token="kt1." + "A" * 71)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


@pytest.mark.ids("AU-05", "AU-03", "DS-01")
@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"current_password": PASSWORD}, 400, "invalid_request"),
        ({"new_password": OTHER}, 400, "invalid_request"),
        ({"current_password": PASSWORD, "new_password": ""}, 400, "invalid_request"),
        ({"current_password": PASSWORD, "new_password": 12345678}, 400, "invalid_request"),
        ({"current_password": PASSWORD, "new_password": "x" * 1025}, 400, "invalid_request"),
        ({"current_password": "x" * 1025, "new_password": OTHER}, 400, "invalid_request"),
        ({"current_password": PASSWORD, "new_password": "a\x00bcdefgh"}, 400, "invalid_request"),
        ({"current_password": PASSWORD, "new_password": OTHER}, 401, "token_missing"),
        ({"current_password": PASSWORD, "new_password": "x" * 17_000}, 413, "body_too_large"),
    ],
)
def test_a_request_that_is_wrong_is_told_so(server: Server, asked: Any, status: int, code: str) -> None:
    own = server.sign_in()
    answer = server.visitor().post(CHANGE, json=asked, headers=own.bearer)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert own.refresh().status_code == 200
    assert server.try_in(PASSWORD).status_code == 200


@pytest.mark.ids("AU-05")
def test_nobody_changes_a_password_without_being_signed_in(server: Server) -> None:
    own = server.sign_in()
    asked = {"current_password": PASSWORD, "new_password": OTHER, "refresh_token": own.tokens["refresh_token"]}
    answer = server.visitor().post(CHANGE, json=asked)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    server.do("suspend", "ada")
    assert own.change().status_code == 401


@pytest.mark.ids("AU-05", "ST-05")
def test_where_the_password_cannot_be_written_the_old_one_still_is(server: Server) -> None:
    own = server.sign_in()
    server.records.is_cut = True
    answer = own.change()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    server.records.is_cut = False
    assert own.refresh().json()["code"] == "token_stale", (
        "the key was turned: nobody is accused, the user signs in again"
    )
    assert server.try_in(PASSWORD).status_code == 200


# --- resets ----------------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-10", "F06", "W-F1", "W-F5")
def test_a_reset_sets_the_password_signs_nobody_in_and_ends_every_session(server: Server) -> None:
    own = server.sign_in()
    token = server.do("reset", "ada").token
    assert own.look().status_code == 200
    answer = server.client.post(RESET, json={"token": token, "new_password": OTHER})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "set-cookie" not in answer.headers
    assert own.refresh().json()["code"] == "session_ended"
    assert server.try_in(PASSWORD).status_code == 401
    assert server.try_in(OTHER).status_code == 200


@pytest.mark.ids("AU-10", "W-F1")
@pytest.mark.parametrize("state", ["unverified", "suspended"])
def test_a_reset_lets_nobody_in_who_may_not_sign_in(server: Server, state: str) -> None:
    server.hire("eve", state=state)
    token = server.do("reset", "eve").token
    answer = server.client.post(RESET, json={"token": token, "new_password": OTHER})
    assert answer.status_code == 204, "nor does it tell that"
    assert server.try_in(OTHER, "eve").status_code == 401
    server.do("activate", "eve")
    assert server.try_in(OTHER, "eve").status_code == 200


@pytest.mark.ids("AU-07", "AU-10", "W-F2")
def test_unknown_used_and_expired_are_one_answer_byte_for_byte(server: Server) -> None:
    used = server.do("reset", "ada").token
    assert server.client.post(RESET, json={"token": used, "new_password": OTHER}).status_code == 204
    expired = server.do("reset", "ada").token
    server.clock.advance(timedelta(minutes=60))
    server.hire("bob")
    voided = server.do("reset", "bob").token
    server.do("reset", "bob")
    refresh = server.sign_in(username="bob").tokens["refresh_token"]
    answers = [
        bytes_of(server.client.post(RESET, json={"token": token, "new_password": new}))
        for token in (used, expired, voided, refresh, "x", "ktreset1." + "A" * 44)
        for new in (PASSWORD, "short", "password", "ada")
    ]
    assert answers[0][0] == 400
    assert len(set(map(repr, answers))) == 1


@pytest.mark.ids("AU-10", "AU-04")
def test_a_refused_password_does_not_use_the_token_up(server: Server) -> None:
    token = server.do("reset", "ada").token
    for refused in ("short", "password", "ada"):
        answer = server.client.post(RESET, json={"token": token, "new_password": refused})
        assert (answer.status_code, answer.json()["code"]) == (400, "password_refused")
    assert server.client.post(RESET, json={"token": token, "new_password": OTHER}).status_code == 204


@pytest.mark.anyio
@pytest.mark.ids("AU-10")
async def test_of_twenty_requests_at_once_one_uses_the_token() -> None:
    server = a_server()
    await server.accounts.create("ada", password=PASSWORD)
    token = (await server.accounts.reset("ada")).token
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
        asked = [{"token": token, "new_password": f"password of request {number}"} for number in range(20)]
        answers = await asyncio.gather(*(client.post(RESET, json=each) for each in asked))
        won = [each["new_password"] for each, answer in zip(asked, answers, strict=True) if answer.status_code == 204]
        assert len(won) == 1
        assert sorted(answer.status_code for answer in answers) == [204] + [400] * 19
        login = {"username": "ada", "password": won[0], "transport": "body"}
        assert (await client.post("/auth/login", json=login)).status_code == 200
    server.hashing.close()


@pytest.mark.ids("AU-08", "AU-10")
def test_guessed_tokens_are_counted_by_address_and_use_up_nobody_elses() -> None:
    server = a_server(Limits(login_per_address="5/hour", login_per_user="3/hour", login_per_user_and_address="3/hour"))
    server.hire()
    token = server.do("reset", "ada").token
    guesses = [server.client.post(RESET, json={"token": f"x{n}", "new_password": OTHER}).status_code for n in range(4)]
    assert guesses == [400] * 4, "each token has a count of its own"
    assert server.client.post(RESET, json={"token": token, "new_password": OTHER}).status_code == 204
    token = server.do("reset", "ada").token
    assert server.client.post(RESET, json={"token": "x", "new_password": OTHER}).status_code == 400
    answer = server.client.post(RESET, json={"token": token, "new_password": OTHER})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    server.hashing.close()


# --- as Keyturn's own ------------------------------------------------------------------------------------------------


@pytest.mark.ids("HT-05", "HT-09")
@pytest.mark.parametrize("path", [CHANGE, RESET])
def test_the_routes_are_answered_as_ours_are(server: Server, path: str) -> None:
    ours = server.client.get("/auth/login")
    theirs = server.client.get(path)
    assert theirs.status_code == 405
    assert theirs.headers["allow"] == "OPTIONS, POST"
    assert set(theirs.headers) == set(ours.headers)
    assert theirs.headers["cache-control"] == "no-store"
    assert server.client.options(path).status_code == 204
    assert server.client.options(path).headers["allow"] == "OPTIONS, POST"
    assert server.client.head(path).status_code == 405
    assert server.client.post(path, content=b"a=b", headers={"content-type": "text/plain"}).status_code == 415


@pytest.mark.ids("XS-03")
def test_pages_of_configured_origins_may_ask() -> None:
    server = a_server()
    settings = replace(server.auth.settings, origins=("https://app.example.org",))
    with server.auth.override(settings=settings):
        preflight = {"origin": "https://app.example.org", "access-control-request-method": "POST"}
        answer = server.client.options(CHANGE, headers=preflight)
        assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
        assert (
            "access-control-allow-origin"
            not in server.client.options(CHANGE, headers={**preflight, "origin": "https://x.example"}).headers
        )


# --- signing in ------------------------------------------------------------------------------------------------------


@pytest.mark.ids("AU-06", "AU-07", "W-L15", "W-T1")
def test_a_failed_sign_in_tells_nothing_of_the_account(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.hire("susi")
    server.do("suspend", "susi")
    server.hire("una", state="unverified")
    server.hire("nora", password=None)
    count = counted_hashes(monkeypatch)
    answers = []
    for username, password in (
        ("ada", OTHER), ("nobody", OTHER), ("no name", OTHER), ("susi", PASSWORD), ("susi", OTHER), ("una", PASSWORD),
        ("nora", PASSWORD), ("ada@example.org", PASSWORD),
    ):  # fmt: skip
        count.checked = 0
        answers.append(bytes_of(server.try_in(password, username)))
        assert count.all == 1
    assert answers[0][0] == 401
    assert len(set(map(repr, answers))) == 1


@pytest.mark.ids("AU-03")
def test_a_password_over_the_limit_is_a_wrong_request_whoever_asks(server: Server) -> None:
    answers = {repr(bytes_of(server.try_in("x" * 1025, username))) for username in ("ada", "nobody")}
    assert len(answers) == 1
    assert "400" in answers.pop()


@pytest.mark.anyio
@pytest.mark.ids("AU-09", "ST-05")
async def test_overload_is_told_at_once_and_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    server = a_server(hashing=Hashing(cost=CHEAP, limit=1, queue=2))
    await server.accounts.create("ada", password=PASSWORD)
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=PROGRAM) as client:
        login = {"username": "ada", "password": PASSWORD, "transport": "body"}
        tokens = (await client.post("/auth/login", json=login)).json()
        gate = Gate(monkeypatch)
        monkeypatch.setattr(argon2id, "verify_secret", lambda *args: bool(gate.work()))
        under_way = [asyncio.ensure_future(client.post("/auth/login", json=login)) for _ in range(3)]
        await until(lambda: server.hashing.waiting == 2)

        answer = await client.post("/auth/login", json=login)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["detail"].startswith("Many people are signing in")
        refused = [event for event in server.events if isinstance(event, LoginFailed)]
        assert [event.reason for event in refused] == ["rate_limited"]

        step_up = {"password": PASSWORD, "refresh_token": tokens["refresh_token"]}
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        busy = await client.post("/auth/step-up", json=step_up, headers=bearer)
        assert (busy.status_code, busy.json()["code"]) == (429, "rate_limited")
        refreshed = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert refreshed.status_code == 200, "who is signed in does not notice"

        gate.open.set()
        answers = await asyncio.gather(*under_way)
        assert [answer.status_code for answer in answers] == [200, 200, 200]
    server.hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-09")
async def test_a_client_that_hangs_up_while_it_waits_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    server = a_server(hashing=Hashing(cost=CHEAP, limit=1, queue=1))
    await server.accounts.create("ada", password=PASSWORD)
    gate = Gate(monkeypatch)
    monkeypatch.setattr(argon2id, "verify_secret", lambda *args: bool(gate.work()))
    transport = httpx.ASGITransport(app=server.app)
    body = b'{"username":"ada","password":"' + PASSWORD.encode() + b'","transport":"body"}'
    left = asyncio.Event()
    sent: list[Any] = []
    read = False

    async def receive() -> dict[str, Any]:
        nonlocal read
        if not read:
            read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/auth/login", "root_path": "", "query_string": b"", "scheme": "https",
        "headers": [(b"content-type", b"application/json"), (b"keyturn-client", b"x")], "client": ("127.0.0.1", 1),
        "http_version": "1.1", "server": ("id.example.org", 443),
    }  # fmt: skip
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=PROGRAM) as client:
        login = {"username": "ada", "password": PASSWORD, "transport": "body"}
        first = asyncio.ensure_future(client.post("/auth/login", json=login))
        await until(lambda: gate.inside == 1)
        hanging_up = asyncio.ensure_future(server.app(scope, receive, send))
        await until(lambda: server.hashing.waiting == 1)
        assert (await client.post("/auth/login", json=login)).status_code == 429
        left.set()
        await hanging_up
        assert server.hashing.waiting == 0
        third = asyncio.ensure_future(client.post("/auth/login", json=login))
        await until(lambda: server.hashing.waiting == 1)
        gate.open.set()
        assert [(await each).status_code for each in (first, third)] == [200, 200]
    server.hashing.close()


@pytest.mark.anyio
@pytest.mark.ids("AU-08", "AU-09")
async def test_being_turned_away_for_others_sake_counts_as_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    server = a_server(Limits(login_per_user_and_address="3/hour"), Hashing(cost=CHEAP, limit=1, queue=1))
    await server.accounts.create("ada", password=PASSWORD)
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=PROGRAM) as client:
        login = {"username": "ada", "password": PASSWORD, "transport": "body"}
        tokens = (await client.post("/auth/login", json=login)).json()
        gate = Gate(monkeypatch)
        with monkeypatch.context() as patch:
            patch.setattr(argon2id, "verify_secret", lambda *args: bool(gate.work()))
            others = [asyncio.ensure_future(server.hashing.is_right(None, OTHER)) for _ in range(2)]
            await until(lambda: server.hashing.waiting == 1)
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            proof = {"password": PASSWORD, "refresh_token": tokens["refresh_token"]}
            change = {"current_password": PASSWORD, "new_password": OTHER, "refresh_token": tokens["refresh_token"]}
            for _ in range(5):
                answers = [
                    await client.post("/auth/login", json=login),
                    await client.post("/auth/step-up", json=proof, headers=bearer),
                    await client.post(CHANGE, json=change, headers=bearer),
                ]
                assert {answer.json()["detail"][:4] for answer in answers} == {"Many"}
            gate.open.set()
            await asyncio.gather(*others)
        wrong = [await client.post("/auth/login", json={**login, "password": OTHER}) for _ in range(4)]
        assert [answer.status_code for answer in wrong] == [401, 401, 401, 429], "wrong ones still do"
        assert (await client.post("/auth/step-up", json=proof, headers=bearer)).status_code == 200
    server.hashing.close()
