"""Many requests at once on one application."""

import json
from datetime import timedelta

import anyio
import pytest

from keyturn.events import ReuseDetected
from tests.support.front import BIND, PASSWORD, REFRESH, BrokenStore
from tests.support.site import a_site, starlette_app


async def call(app, path, *, cookie="", body=b"", method="POST", token=""):
    """Send a request straight to the application; give the status, the cookies that are set, and the body."""
    fields = [(b"sec-fetch-site", b"same-origin"), (b"content-type", b"application/json")]
    fields += [(b"cookie", cookie.encode())] if cookie else []
    fields += [(b"authorization", b"Bearer " + token.encode())] if token else []
    scope = {
        "type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "scheme": "https",
        "headers": fields, "client": ("192.0.2.1", 1), "http_version": "1.1", "server": ("id.example.org", 443),
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    lines = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    return sent[0]["status"], dict(line.partition(";")[0].split("=", 1) for line in lines), sent[1]["body"]


async def signed_in(app):
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    _, jar, answer = await call(app, "/auth/login", body=body)
    return f"{REFRESH}={jar[REFRESH]}; {BIND}={jar[BIND]}", json.loads(answer)["access_token"]


@pytest.mark.anyio
@pytest.mark.ids("M01", "M10", "RT-05", "M24")
@pytest.mark.parametrize("colour", ["both", "sync"])
@pytest.mark.parametrize("later", [0, 60])
async def test_sixty_four_refreshes_of_one_token_turn_it_once_and_all_get_the_same_successor(colour, later):
    site = a_site(store=BrokenStore(colour=colour), throttle=None)  # more than may be in one minute
    app = starlette_app(site.service)
    cookie, _ = await signed_in(app)
    site.advance(later)
    answers = []

    async def refresh():
        answers.append(await call(app, "/auth/refresh", cookie=cookie))

    async with anyio.create_task_group() as group:
        for _ in range(64):
            group.start_soon(refresh)
    assert {status for status, _, _ in answers} == {200}
    assert len({jar[REFRESH] for _, jar, _ in answers}) == 1
    (row,) = site.picture()[0].values()
    assert row.generation == 1
    assert not [fact for fact in site.facts if isinstance(fact, ReuseDetected)]


@pytest.mark.anyio
@pytest.mark.ids("M02", "P2", "SE-02")
@pytest.mark.parametrize("colour", ["both", "sync"])
async def test_a_refresh_that_races_a_logout_never_brings_the_session_back(colour):
    for _ in range(10):
        site = a_site(store=BrokenStore(colour=colour))
        app = starlette_app(site.service)
        cookie, token = await signed_in(app)
        site.advance(timedelta(minutes=1))
        answers = []

        async def ask(path, app=app, cookie=cookie, answers=answers):
            answers.append((path, await call(app, path, cookie=cookie)))

        async with anyio.create_task_group() as group:
            for path in ["/auth/refresh"] * 4 + ["/auth/logout"] + ["/auth/refresh"] * 4:
                group.start_soon(ask, path)
        assert {answer[0] for path, answer in answers if path == "/auth/logout"} == {204}
        assert (await call(app, "/me", method="GET", cookie=cookie, token=token))[0] == 401
        for path, (status, jar, body) in answers:
            if path == "/auth/refresh" and status == 200:
                newer = f"{REFRESH}={jar[REFRESH]}; {BIND}={jar[BIND]}"
                assert (await call(app, "/auth/refresh", cookie=newer))[0] == 401
                fresh = json.loads(body)["access_token"]
                assert (await call(app, "/me", method="GET", cookie=newer, token=fresh))[0] == 401


@pytest.mark.anyio
@pytest.mark.ids("M18")
async def test_of_many_logins_beside_a_logout_of_everything_none_survives_that_began_before():
    site = a_site(store=BrokenStore(colour="sync"))
    app = starlette_app(site.service)
    before = [await signed_in(app) for _ in range(30)]
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(signed_in, app)
        group.start_soon(call, app, "/auth/logout-all")
        await site.service.sessions.end_user("u-alice")
    for cookie, token in before:
        assert (await call(app, "/me", method="GET", cookie=cookie, token=token))[0] == 401
        assert (await call(app, "/auth/refresh", cookie=cookie))[0] == 401
