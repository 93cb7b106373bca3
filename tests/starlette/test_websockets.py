"""Guarded WebSockets: how a handshake is let in, and when an open connection is closed."""

from contextlib import suppress
from datetime import timedelta

import anyio
import pytest
from starlette.routing import WebSocketRoute
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from keyturn.settings import CookieSettings
from tests.support.front import ACCESS, APP, BIND, ISSUER, settings_with
from tests.support.site import a_site, bearer, sign_in, starlette_app, visitor

#: Short, so that an open connection feels an end soon.
SOON = timedelta(milliseconds=20)


def a_room(*routes, **changes):
    site = a_site(settings_with(staleness_bound=SOON, **changes))
    client = visitor(starlette_app(site.service, *routes))
    return site, client, sign_in(client)


def token_of(headers):
    return headers["authorization"].removeprefix("Bearer ")


def a_handshake(path, headers):
    return {
        "type": "websocket", "path": path, "root_path": "", "query_string": b"", "scheme": "wss", "headers": headers,
        "subprotocols": [],
    }  # fmt: skip


def refused(client, **more):
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("wss://id.example.org/ws", **more):
        pass
    return caught.value.status_code, caught.value.json()["code"]


def goodbye(socket):
    """Wait until the connection is closed; give the code."""
    with pytest.raises(WebSocketDisconnect) as caught:  # noqa: PT012 - whatever comes before it
        while True:
            socket.receive_text()
    return caught.value.code


# --- the handshake -------------------------------------------------------------------------------------------------


@pytest.mark.ids("TOK-23")
def test_a_page_hands_its_token_over_as_the_second_subprotocol():
    _, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", subprotocols=["keyturn", token_of(headers)]) as socket:
        assert socket.accepted_subprotocol == "keyturn"
        assert socket.receive_text() == "u-alice"


def test_a_program_hands_it_over_in_the_header():
    _, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.accepted_subprotocol is None
        assert socket.receive_text() == "u-alice"


@pytest.mark.ids("HT-01")
def test_without_a_good_token_the_handshake_is_refused_with_the_whole_answer():
    _, client, headers = a_room()
    assert refused(client) == (401, "token_missing")
    assert refused(client, headers=bearer("a.b.c")) == (401, "token_invalid")
    assert refused(client, subprotocols=["keyturn", "a.b.c"]) == (401, "token_invalid")
    client.cookies.clear()
    assert refused(client, headers=headers) == (401, "binding_mismatch")
    assert refused(client, subprotocols=["keyturn", token_of(headers)]) == (401, "binding_mismatch")


@pytest.mark.ids("XS-10")
@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "https://shop.example.org", ISSUER + ".evil.example", APP + ":444"]
)
@pytest.mark.parametrize("more", [{}, {"sec-fetch-site": "same-origin"}, {"keyturn-client": "x"}])
def test_a_handshake_by_cookie_needs_an_exact_origin(origin, more):
    _, client, _ = a_room(cookie=CookieSettings(access_in_cookie=True))
    del client.headers["sec-fetch-site"]
    headers = {**more, **({"origin": origin} if origin else {})}
    assert refused(client, headers=headers) == (403, "cross_site")


@pytest.mark.ids("XS-10")
@pytest.mark.parametrize("origin", [ISSUER, APP])
def test_a_handshake_by_cookie_from_an_origin_of_ours_is_let_in(origin):
    _, client, _ = a_room(cookie=CookieSettings(access_in_cookie=True))
    assert ACCESS in client.cookies
    with client.websocket_connect("wss://id.example.org/ws", headers={"origin": origin}) as socket:
        assert socket.receive_text() == "u-alice"


@pytest.mark.ids("XS-10")
def test_a_token_in_header_or_subprotocol_needs_no_origin_for_a_page_elsewhere_cannot_have_it():
    _, client, headers = a_room()
    with client.websocket_connect(
        "wss://id.example.org/ws", headers={**headers, "origin": "https://evil.example"}
    ) as socket:
        assert socket.receive_text() == "u-alice"


@pytest.mark.ids("CK-14")
def test_the_application_sees_no_cookie_of_ours_in_a_handshake():
    seen = []

    async def look(websocket):
        seen.append((websocket.headers.get("cookie"), websocket.cookies))
        await websocket.accept()
        await websocket.close()

    _, client, _ = a_room(WebSocketRoute("/look", look))
    assert BIND in client.cookies
    with client.websocket_connect("wss://id.example.org/look") as socket:
        goodbye(socket)
    assert seen == [(None, {})]


def test_a_subprotocol_that_the_application_chose_is_kept():
    async def choosing(websocket):
        await websocket.accept(subprotocol="chat")
        await websocket.close()

    _, client, _ = a_room(WebSocketRoute("/chat", choosing))
    with client.websocket_connect("wss://id.example.org/chat", subprotocols=["chat", "keyturn"]) as socket:
        assert socket.accepted_subprotocol == "chat"


# --- the open connection -------------------------------------------------------------------------------------------


@pytest.mark.ids("SE-02", "XS-10")
def test_it_is_closed_with_4401_when_its_session_ends():
    site, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        socket.send_text("hello")
        assert [socket.receive_text(), socket.receive_text()] == ["u-alice", "hello"]
        client.post("/auth/logout")
        assert goodbye(socket) == 4401
    assert site.picture()[1]


@pytest.mark.ids("SE-02")
def test_an_end_in_another_process_closes_it_within_the_bound():
    site, client, headers = a_room()
    other = a_site(settings_with(staleness_bound=SOON), store=site.store, clock=site.clock)
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.receive_text() == "u-alice"
        anyio.run(other.service.sessions.end_user, "u-alice")
        site.advance(SOON)
        assert goodbye(socket) == 4401


def test_it_is_closed_with_4401_when_its_tokens_life_is_over():
    site, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.receive_text() == "u-alice"
        site.advance(300)
        assert goodbye(socket) == 4401


def test_a_newer_token_of_the_session_lets_it_live_on():
    site, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.receive_text() == "u-alice"
        site.advance(200)
        newer = client.post("/auth/refresh").json()["access_token"]
        socket.send_text("renew " + newer)
        assert socket.receive_text() == "until 12:08:20"
        site.advance(200)
        socket.send_text("still here")
        assert socket.receive_text() == "still here"
        site.advance(100)
        assert goodbye(socket) == 4401


@pytest.mark.ids("SE-01")
@pytest.mark.parametrize("token", ["a.b.c", "another session's", "expired"])
def test_a_token_that_is_no_good_or_of_another_session_closes_it(token):
    site, client, headers = a_room()
    stranger = visitor(client.app)
    other = token_of(sign_in(stranger, "bob"))
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.receive_text() == "u-alice"
        if token == "expired":
            old = token_of(headers)
            site.advance(290)
            newer = client.post("/auth/refresh").json()["access_token"]
            socket.send_text("renew " + newer)
            assert socket.receive_text().startswith("until")
            site.advance(60)
            other = old
        socket.send_text("renew " + (other if token != "a.b.c" else token))
        with suppress(Exception):  # closed already; else this ends the test instead of waiting for ever
            socket.send_text("close")
        assert goodbye(socket) == 4401


def test_trouble_with_the_store_closes_nothing_and_the_tokens_own_end_still_does():
    site, client, headers = a_room()
    with client.websocket_connect("wss://id.example.org/ws", headers=headers) as socket:
        assert socket.receive_text() == "u-alice"
        site.store.broken = True
        site.advance(60)
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
        site.advance(240)
        assert goodbye(socket) == 4401


@pytest.mark.anyio
async def test_what_the_application_closed_is_not_closed_again():
    told = []

    async def lingering(websocket):
        await site.service.required(websocket)
        await websocket.accept()
        await websocket.close(1000)
        await site.service.sessions.end_user("u-alice")
        await anyio.sleep(3 * SOON.total_seconds())
        told.append("and tidied up")

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        told.append(message["type"])

    site = a_site(settings_with(staleness_bound=SOON))
    pair = await site.service.sessions.start(site.members.known["alice"])
    fields = [(b"authorization", b"Bearer " + pair.access_token.encode())]
    await starlette_app(site.service, WebSocketRoute("/linger", lingering))(
        a_handshake("/linger", fields), receive, send
    )
    assert told == ["websocket.accept", "websocket.close", "and tidied up"]


@pytest.mark.anyio
@pytest.mark.parametrize("gone", [False, True])
async def test_who_only_sends_is_stopped_too(gone):
    """Also where the other end is gone already, and closing it fails."""
    told, rounds = [], []

    async def ticker(websocket):
        await site.service.required(websocket)
        await websocket.accept()
        await site.service.sessions.end_user("u-alice")
        try:
            while len(rounds) < 500:
                rounds.append(1)
                await websocket.send_text("tick")
                await anyio.sleep(SOON.total_seconds() / 4)
        except WebSocketDisconnect:
            told.append("stopped")
            with suppress(RuntimeError):
                await websocket.close()

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        if message["type"] == "websocket.close":
            told.append(message["code"])
            if gone:
                raise OSError

    site = a_site(settings_with(staleness_bound=SOON))
    pair = await site.service.sessions.start(site.members.known["alice"])
    fields = [(b"authorization", b"Bearer " + pair.access_token.encode())]
    await starlette_app(site.service, WebSocketRoute("/tick", ticker))(a_handshake("/tick", fields), receive, send)
    assert told == [4401, "stopped"]


def test_an_unguarded_connection_is_left_alone():
    async def echo(websocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close(1000)

    site, client, headers = a_room(WebSocketRoute("/echo", echo))
    with client.websocket_connect("wss://id.example.org/echo", headers=headers) as socket:
        client.post("/auth/logout")
        site.advance(3600)
        socket.send_text("still here")
        assert socket.receive_text() == "still here"


def test_an_applications_own_error_is_raised_as_it_is():
    async def broken(websocket):
        await site.service.required(websocket)
        raise ZeroDivisionError

    site, client, headers = a_room(WebSocketRoute("/broken", broken))
    with pytest.raises(ZeroDivisionError), client.websocket_connect("wss://id.example.org/broken", headers=headers):
        pass


@pytest.mark.anyio
async def test_where_a_server_cannot_answer_a_handshake_it_is_closed_with_a_code():
    site = a_site()
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await starlette_app(site.service)(a_handshake("/ws", []), receive, send)
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": ""}]


def test_a_handshake_below_our_prefix_is_answered_by_us_and_never_by_the_application():
    site = a_site()
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        visitor(starlette_app(site.service)).websocket_connect("wss://testserver/auth/session"),
    ):
        pass
    assert refused.value.status_code == 404
    assert refused.value.json()["code"] == "not_found"
