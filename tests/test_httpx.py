"""The auth class for httpx: one session however many threads or tasks, and no token where it does not belong."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keyturn._httpx_talk import Talk
from keyturn.errors import ConfigurationError, KeyturnError, SessionEndedError
from keyturn.events import ReuseDetected
from keyturn.httpx import KeyturnAuth, SignInError
from tests.browser.serving import free_socket, served
from tests.support.front import PASSWORD, settings_with
from tests.support.site import a_site, starlette_app
from tests.support.tcp_proxy import TcpProxy

LIFETIME = 300


class Monotonic:
    """The program's own clock, which a test moves together with the server's."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class World:
    """A server on a real port, what it was asked, and programs that use it."""

    def __init__(self, bound):
        self.port = bound.getsockname()[1]
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.elsewhere = f"http://localhost:{self.port}"  # the same server, another origin
        self.site = a_site(settings_with(issuer=self.issuer, origins=()), throttle=None)
        self.asked: Counter[str] = Counter()
        self.sent: list[tuple[str, str | None]] = []
        self.in_trouble: dict[str, Response] = {}
        self.monotonic = Monotonic()
        app = starlette_app(
            self.site.service, Route("/away", self.away), Route("/echo", self.echo, methods=["GET", "POST"]),
            Route("/picky", self.picky, methods=["GET", "POST"]), Route("/again", self.again),
        )  # fmt: skip
        self.app = self.counting(app)

    def counting(self, app):
        async def layer(scope, receive, send):
            if scope["type"] == "http":
                self.asked[scope["path"]] += 1
                headers = dict(scope["headers"])
                self.sent.append((headers[b"host"].decode(), headers.get(b"authorization", b"").decode() or None))
                if (trouble := self.in_trouble.get(scope["path"])) is not None:
                    await trouble(scope, receive, send)
                    return
            await app(scope, receive, send)

        return layer

    async def away(self, request: Request) -> Response:
        return RedirectResponse(request.query_params["to"], 307)

    async def echo(self, request: Request) -> Response:
        claims = await self.site.service.required(request)
        return JSONResponse({"body": (await request.body()).decode(), "session": claims.session_id})

    async def picky(self, _request: Request) -> Response:
        return Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    async def again(self, _request: Request) -> Response:
        challenge = 'Bearer error="insufficient_user_authentication", max_age=300'  # RFC 9470
        return Response(status_code=401, headers={"WWW-Authenticate": challenge})

    def auth(self, **more) -> KeyturnAuth:
        who = {} if {"refresh_token", "tokens"} & more.keys() else {"username": "alice", "password": PASSWORD}
        return KeyturnAuth(more.pop("issuer", self.issuer), clock=self.monotonic, **{**who, **more})

    def client(self, auth=None, **more) -> httpx.Client:
        return httpx.Client(
            auth=auth or self.auth(), base_url=more.pop("base_url", self.issuer), trust_env=False, **more
        )

    def sign_in_by_hand(self) -> dict:
        body = {"username": "alice", "password": PASSWORD, "transport": "body"}
        return httpx.post(f"{self.issuer}/auth/login", json=body, trust_env=False).json()

    def pass_by(self, seconds: float) -> None:
        """Let time pass for everybody."""
        self.monotonic.now += seconds
        self.site.advance(seconds)

    def sleep(self, seconds: float) -> None:
        """Let time pass, but not by the program's clock: its machine slept."""
        self.site.advance(seconds)

    def is_at_peace(self) -> bool:
        return not [fact for fact in self.site.facts if isinstance(fact, ReuseDetected)]

    @property
    def refreshes(self) -> int:
        return self.asked["/auth/refresh"]


@pytest.fixture
def world():
    bound = free_socket()
    world = World(bound)
    with served(world.app, bound):
        yield world
    assert world.is_at_peace()


class Kept:
    """A store of tokens that remembers what it was told."""

    def __init__(self, token=None):
        self.tokens = [token] if token else []
        self.broken = False

    def load(self):
        return self.tokens[-1] if self.tokens else None

    def save(self, token):
        if self.broken:
            raise OSError("no space left on device")
        self.tokens.append(token)


# --- signing in and staying so -------------------------------------------------------------------------------------


def test_it_signs_in_on_first_use_and_once_only(world):
    with world.client() as client:
        assert world.asked == {}
        for _ in range(3):
            assert client.get("/me").json()["subject"] == "u-alice"
    assert world.asked == {"/auth/login": 1, "/me": 3}


def test_it_refreshes_before_the_token_ends_and_nobody_notices(world):
    with world.client() as client:
        client.get("/me")
        world.pass_by(LIFETIME - 31)
        client.get("/me")
        assert world.refreshes == 0
        world.pass_by(2)
        assert client.get("/me").status_code == 200
    assert world.asked == {"/auth/login": 1, "/auth/refresh": 1, "/me": 3}


def test_a_machine_that_slept_refreshes_on_the_refusal_and_repeats_once(world):
    with world.client() as client:
        session = client.post("/echo", content="hello").json()["session"]
        world.sleep(LIFETIME + 60)
        answer = client.post("/echo", content="hello")
        assert answer.json() == {"body": "hello", "session": session}
    assert world.asked == {"/auth/login": 1, "/auth/refresh": 1, "/echo": 3}


def test_a_token_that_was_overtaken_is_renewed(world):
    with world.client() as client:
        session = client.post("/echo").json()["session"]
        anyio.run(lambda: world.site.service.sessions.require("u-alice"))
        assert client.post("/echo").json()["session"] == session
    assert world.refreshes == 1


def test_a_refusal_that_does_not_go_away_is_repeated_exactly_once(world):
    with world.client() as client:
        assert client.get("/picky").status_code == 401
    assert world.asked == {"/auth/login": 1, "/auth/refresh": 1, "/picky": 2}


def test_a_body_that_streams_is_not_sent_twice_and_the_next_request_is_good(world):
    with world.client() as client:
        client.get("/me")
        world.sleep(LIFETIME + 60)
        assert client.post("/echo", content=(piece for piece in (b"a", b"b"))).status_code == 401
        assert client.post("/echo", content=(piece for piece in (b"a", b"b"))).json()["body"] == "ab"
    assert world.asked == {"/auth/login": 1, "/me": 1, "/echo": 2, "/auth/refresh": 1}


def test_other_refusals_are_none_of_its_business(world):
    with world.client() as client:
        assert client.get("/nowhere").status_code == 404
        assert client.delete("/auth/sessions/unknown").status_code == 404
        assert client.get("/again").status_code == 401
    assert world.asked["/again"] == 1
    assert world.refreshes == 0


# --- one at a time -------------------------------------------------------------------------------------------------


@pytest.mark.ids("P3")
def test_fifty_threads_with_an_old_token_refresh_once(world):
    with world.client(limits=httpx.Limits(max_connections=None)) as client:
        client.get("/me")
        world.pass_by(LIFETIME + 1)
        together = threading.Barrier(50)

        def call(_):
            together.wait(30)
            return client.get("/me").status_code

        with ThreadPoolExecutor(50) as threads:
            assert set(threads.map(call, range(50))) == {200}
    assert world.asked == {"/auth/login": 1, "/auth/refresh": 1, "/me": 51}


@pytest.mark.ids("P3")
def test_fifty_threads_that_are_refused_refresh_once(world):
    with world.client(limits=httpx.Limits(max_connections=None)) as client:
        client.get("/me")
        world.sleep(LIFETIME + 60)
        with ThreadPoolExecutor(50) as threads:
            assert set(threads.map(lambda _: client.get("/me").status_code, range(50))) == {200}
    assert world.refreshes == 1


@pytest.mark.ids("P3")
@pytest.mark.anyio
@pytest.mark.parametrize("slept", [False, True], ids=["by its own clock", "refused"])
async def test_fifty_tasks_with_an_old_token_refresh_once(world, slept):
    async with httpx.AsyncClient(auth=world.auth(), base_url=world.issuer, trust_env=False) as client:
        seen = []

        async def call():
            seen.append((await client.get("/me")).status_code)

        for _ in range(2):  # the first round signs in
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(call)
            world.sleep(LIFETIME + 60) if slept else world.pass_by(LIFETIME + 1)
    assert seen == [200] * 100
    assert (world.asked["/auth/login"], world.refreshes) == (1, 1)


@pytest.mark.ids("P3")
def test_threads_and_the_tasks_of_two_loops_share_one_session(world):
    auth = world.auth()
    together = threading.Barrier(3)

    def blocking():
        with world.client(auth) as client:
            together.wait(30)
            return [client.get("/me").status_code for _ in range(5)]

    async def awaiting():
        async with httpx.AsyncClient(auth=auth, base_url=world.issuer, trust_env=False) as client:
            together.wait(30)
            return [(await client.get("/me")).status_code for _ in range(5)]

    with ThreadPoolExecutor(3) as threads:
        ways = [threads.submit(blocking), threads.submit(anyio.run, awaiting), threads.submit(anyio.run, awaiting)]
        assert [way.result(60) for way in ways] == [[200] * 5] * 3
    assert world.asked == {"/auth/login": 1, "/me": 15}


async def silence(scope, receive, send):
    """Answer nothing for as long as the client waits."""
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.anyio
async def test_a_task_that_gives_up_while_it_asks_leaves_the_way_free(world):
    world.in_trouble["/auth/login"] = silence
    async with httpx.AsyncClient(auth=world.auth(), base_url=world.issuer, trust_env=False) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, "/me")
            with anyio.fail_after(20):
                while not world.asked["/auth/login"]:  # noqa: ASYNC110 - the server runs in a thread
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        world.in_trouble.clear()
        with anyio.fail_after(20):
            assert (await client.get("/me")).status_code == 200


def test_a_thread_whose_patience_ends_while_it_asks_leaves_the_way_free(world):
    world.in_trouble["/auth/login"] = silence
    with world.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get("/me", timeout=0.3)
        world.in_trouble.clear()
        assert client.get("/me").status_code == 200


def test_those_who_waited_for_a_refusal_take_it_and_do_not_ask_again():
    request = httpx.Request("GET", "https://id.example.org/me")
    talk = Talk(
        "https://id.example.org/auth", credentials=lambda: {"password": "wrong"}, tokens=Kept(), clock=Monotonic()
    )
    before = talk.refusals  # what two of them saw before they waited for each other
    question = talk.question(request, None, before)
    refusal = httpx.Response(401, json={"code": "invalid_credentials", "detail": "No."}, request=question)
    with pytest.raises(SignInError):
        talk.learn(question, refusal, None)
    with pytest.raises(SignInError) as caught:
        talk.question(request, None, before)
    assert caught.value.code == "invalid_credentials"
    assert talk.question(request, None, talk.refusals) is not None  # who comes later may try


# --- trouble -------------------------------------------------------------------------------------------------------


@pytest.mark.ids("P3")
def test_after_a_lost_answer_the_retry_gets_the_same_successor_and_no_alarm(world):
    kept = Kept()
    with TcpProxy(world.port) as wire:
        auth = world.auth(issuer=f"http://127.0.0.1:{wire.port}", tokens=kept, username="alice", password=PASSWORD)
        with world.client(auth, base_url=f"http://127.0.0.1:{wire.port}") as client:
            session = client.post("/echo").json()["session"]
            world.pass_by(LIFETIME + 1)
            wire.lose_the_next_answer()
            with pytest.raises(httpx.TransportError):
                client.post("/echo")
            assert wire.lost_answers == 1
            world.pass_by(3600)  # whoever owns the program comes back from lunch
            assert client.post("/echo").json()["session"] == session
    assert len(kept.tokens) == 2
    assert world.asked["/auth/login"] == 1


def test_the_answer_is_stored_before_it_is_used(world):
    kept = Kept()
    with world.client(world.auth(tokens=kept, username="alice", password=PASSWORD)) as client:
        session = client.post("/echo").json()["session"]
        world.pass_by(LIFETIME + 1)
        kept.broken = True
        with pytest.raises(OSError, match="no space"):
            client.post("/echo")
        assert world.asked["/echo"] == 1
        kept.broken = False
        assert client.post("/echo").json()["session"] == session
    assert world.asked["/auth/login"] == 1


def unavailable():
    problem = {"code": "store_unavailable", "detail": "Try again in a moment."}
    return JSONResponse(problem, 503, headers={"Retry-After": "7"})


def test_an_issuer_in_trouble_costs_nothing_while_the_token_is_good(world):
    with world.client() as client:
        client.get("/me")
        world.in_trouble["/auth/refresh"] = unavailable()
        world.pass_by(LIFETIME - 20)
        assert client.get("/me").status_code == 200
        assert client.get("/me").status_code == 200
        assert world.refreshes == 1  # it is given a moment
        world.in_trouble.clear()
        world.pass_by(2)
        assert client.get("/me").status_code == 200
    assert world.asked["/auth/login"] == 1


def test_an_issuer_in_trouble_is_told_where_the_token_was_refused(world):
    with world.client() as client:
        client.get("/me")
        world.in_trouble["/auth/refresh"] = unavailable()
        with pytest.raises(SignInError) as caught:
            client.get("/picky")
        assert caught.value.code == "store_unavailable"
    assert world.asked["/picky"] == 1


def test_an_issuer_in_trouble_ends_no_session(world):
    with world.client() as client:
        session = client.post("/echo").json()["session"]
        world.in_trouble["/auth/refresh"] = unavailable()
        world.pass_by(LIFETIME + 1)
        with pytest.raises(KeyturnError) as caught:
            client.post("/echo")
        assert (caught.value.code, caught.value.status) == ("store_unavailable", 503)
        assert caught.value.headers == {"Retry-After": "7"}
        world.in_trouble.clear()
        assert client.post("/echo").json()["session"] == session


def test_an_ended_session_signs_in_again_where_it_can(world):
    with world.client() as client:
        first = client.post("/echo").json()["session"]
        anyio.run(lambda: world.site.service.sessions.end(first))
        second = client.post("/echo").json()["session"]
    assert second != first
    assert world.asked == {"/auth/login": 2, "/auth/refresh": 1, "/echo": 3}


def test_an_ended_session_without_a_password_is_said_and_not_asked_again(world):
    first = world.sign_in_by_hand()
    kept = Kept(first["refresh_token"])
    with world.client(world.auth(tokens=kept)) as client:
        assert client.post("/echo").json()["session"] == first["session_id"]
        anyio.run(lambda: world.site.service.sessions.end(first["session_id"]))
        for _ in range(3):
            with pytest.raises(SessionEndedError):
                client.get("/me")
        assert world.refreshes == 2
        # Whoever signs in elsewhere may put a new token there.
        kept.save(world.sign_in_by_hand()["refresh_token"])
        assert client.get("/me").status_code == 200


def test_a_session_goes_on_after_a_restart(world):
    kept = Kept()
    with world.client(world.auth(tokens=kept, username="alice", password=PASSWORD)) as client:
        session = client.post("/echo").json()["session"]
    with world.client(world.auth(tokens=kept)) as client:
        assert client.post("/echo").json()["session"] == session
    assert len(kept.tokens) == 2


def test_a_password_is_asked_for_when_it_is_needed(world):
    asked = []

    def password():
        asked.append(True)
        return PASSWORD

    auth = world.auth(password=password)
    assert asked == []
    with world.client(auth) as client:
        client.get("/me")
        client.get("/me")
    assert len(asked) == 1


def test_an_answer_that_is_no_token_answer_is_refused(world):
    for answer in (
        JSONResponse({"access_token": 7}),
        Response("<html>welcome", media_type="text/html"),
        Response("[]"),
    ):
        world.in_trouble["/auth/login"] = answer
        with world.client() as client, pytest.raises(SignInError, match="answered 200"):
            client.get("/me")


@pytest.mark.parametrize("seconds", [0, -5, 10**400, 2**70, True, "300", 1e9])
def test_a_token_without_a_sensible_lifetime_is_refused_and_not_asked_for_again(world, seconds):
    world.in_trouble["/auth/login"] = JSONResponse({"access_token": "a", "expires_in": seconds, "refresh_token": "b"})
    with world.client() as client, pytest.raises(SignInError, match="answered 200"):
        client.get("/me")
    assert (world.asked["/auth/login"], world.refreshes) == (1, 0)


# --- where tokens go -----------------------------------------------------------------------------------------------


def test_a_token_goes_to_the_issuer_and_the_named_origins_only(world):
    with world.client() as client:
        client.get("/me")
        assert client.get(f"{world.elsewhere}/me").status_code == 401
    assert [held for host, held in world.sent if host.startswith("localhost")] == [None]
    with world.client(world.auth(origins=[world.elsewhere + "/"])) as client:
        assert client.get(f"{world.elsewhere}/me").status_code == 200


def test_a_token_does_not_follow_a_redirect_to_another_origin(world):
    with world.client(follow_redirects=True) as client:
        answer = client.get("/away", params={"to": f"{world.elsewhere}/picky"})
        assert (answer.status_code, answer.url.host) == (401, "localhost")
        assert client.get("/away", params={"to": "/me"}).status_code == 200
    assert [held for host, held in world.sent if host.startswith("localhost")] == [None]
    assert world.refreshes == 0  # a stranger's refusal moves nothing


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_no_password_away(world, status, follow):
    world.in_trouble["/auth/login"] = RedirectResponse(f"{world.elsewhere}/auth/login2", status)
    bodies = []

    async def note(scope, receive, send):
        bodies.append((await receive()).get("body"))
        await JSONResponse({"access_token": "a", "expires_in": 300, "refresh_token": "b"})(scope, receive, send)

    world.in_trouble["/auth/login2"] = note
    with world.client(follow_redirects=follow) as client, pytest.raises(SignInError):
        client.get("/me")
    assert not any(bodies)  # asked or not, it was told nothing
    assert world.asked["/me"] == 0


@pytest.mark.parametrize("status", [307, 308])
def test_a_hook_that_reads_the_request_lets_no_redirect_carry_a_secret_away(world, status):
    bodies, read = [], []

    async def note(scope, receive, send):
        bodies.append((await receive()).get("body"))
        await JSONResponse({"access_token": "a", "expires_in": 300, "refresh_token": "b"})(scope, receive, send)

    world.in_trouble["/auth/login2"] = note
    for route, more in (("/auth/login", {}), ("/auth/refresh", {"refresh_token": "kt1.secret"})):
        world.in_trouble[route] = RedirectResponse(f"{world.elsewhere}/auth/login2", status)
        hooks = {"request": [lambda request: read.append(request.read() + request.content)]}
        with (
            world.client(world.auth(**more), follow_redirects=True, event_hooks=hooks) as client,
            pytest.raises(SignInError, match="redirects"),
        ):
            client.get("/me")
    assert not any(bodies)
    assert PASSWORD.encode() in read[0]  # the hook saw what was sent


@pytest.mark.anyio
async def test_a_hook_that_awaits_the_request_lets_no_redirect_carry_a_secret_away(world):
    world.in_trouble["/auth/login"] = RedirectResponse(f"{world.elsewhere}/auth/login2", 307)

    async def hook(request):
        await request.aread()

    async with httpx.AsyncClient(
        auth=world.auth(),
        base_url=world.issuer,
        trust_env=False,
        follow_redirects=True,
        event_hooks={"request": [hook]},
    ) as client:
        with pytest.raises(SignInError, match="redirects"):
            await client.get("/me")


def test_a_hook_that_reads_the_request_does_not_keep_anybody_from_signing_in(world):
    with world.client(event_hooks={"request": [lambda request: request.read()]}) as client:
        assert client.get("/me").status_code == 200


def test_signing_out_follows_no_redirect(world):
    auth = world.auth()
    with world.client(auth, follow_redirects=True) as client:
        client.get("/me")
        world.in_trouble["/auth/logout"] = RedirectResponse(f"{world.elsewhere}/auth/logout2", 307)
        with pytest.raises(SignInError, match="answered 307"):
            auth.sign_out(client)
    assert world.asked["/auth/logout2"] == 0


def test_nothing_secret_is_shown(world):
    auth = world.auth(password="wrong")
    with world.client(auth) as client, pytest.raises(SignInError) as caught:
        client.get("/me")
    shown = repr(auth) + repr(caught.value) + str(caught.value) + repr(vars(caught.value))
    assert "wrong" not in shown
    kept = Kept()
    auth = world.auth(tokens=kept, username="alice", password=PASSWORD)
    with world.client(auth) as client:
        client.get("/me")
    shown = repr(auth) + repr(auth._talk) + repr(auth._talk.held)
    assert kept.tokens[-1] not in shown
    assert auth._talk.held.token not in shown
    assert PASSWORD not in shown


# --- the end -------------------------------------------------------------------------------------------------------


def test_signing_out_ends_the_session_at_the_issuer(world):
    kept = Kept()
    auth = world.auth(tokens=kept, username="alice", password=PASSWORD)
    with world.client(auth) as client:
        first = client.post("/echo").json()["session"]
        auth.sign_out(client)
        auth.sign_out(client)  # nothing left to do
        assert kept.load() is None
        assert client.post("/echo").json()["session"] != first
    assert world.asked["/auth/logout"] == 1


def test_a_session_that_cannot_be_ended_is_kept(world):
    auth = world.auth()
    with world.client(auth) as client:
        session = client.post("/echo").json()["session"]
        world.in_trouble["/auth/logout"] = unavailable()
        with pytest.raises(SignInError) as caught:
            auth.sign_out(client)
        assert caught.value.code == "store_unavailable"
        assert client.post("/echo").json()["session"] == session


@pytest.mark.anyio
async def test_signing_out_with_a_client_that_awaits(world):
    auth = world.auth()
    async with httpx.AsyncClient(auth=auth, base_url=world.issuer, trust_env=False) as client:
        session = (await client.post("/echo")).json()["session"]
        await auth.asign_out(client)
        assert (await client.post("/echo")).json()["session"] != session


# --- in tests ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_it_signs_in_at_an_application_that_runs_on_no_port():
    site = a_site()
    auth = KeyturnAuth("https://id.example.org", username="alice", password=PASSWORD, scope="read")
    transport = httpx.ASGITransport(starlette_app(site.service))
    async with httpx.AsyncClient(transport=transport, base_url="https://id.example.org", auth=auth) as client:
        answer = await client.get("/auth/session")
    assert (answer.json()["sub"], answer.json()["scope"]) == ("u-alice", "read")


@pytest.mark.parametrize(
    "given",
    [{}, {"username": "alice"}, {"password": "x"}, {"refresh_token": "kt1.x", "tokens": Kept()}],
    ids=["nothing", "no password", "no name", "two tokens"],
)
def test_what_cannot_sign_in_is_refused_at_once(given):
    with pytest.raises(ConfigurationError):
        KeyturnAuth("https://id.example.org", **given)


@pytest.mark.parametrize(
    "issuer",
    [
        "", "id.example.org", "https://", "https:///x", "ftp://id.example.org", "not an address", "https://[::1",
        "https://u:pass@id.example.org", "https://u@id.example.org", "https://id.example.org?x=1", "https://id.example.org#",
    ],
)  # fmt: skip
def test_an_issuer_that_is_no_address_is_refused_at_once(issuer):
    who = {"username": "alice", "password": PASSWORD}
    with pytest.raises(ConfigurationError) as caught:
        KeyturnAuth(issuer, **who)
    assert "pass@" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="origins"):
        KeyturnAuth("https://id.example.org", origins=[issuer], **who)
