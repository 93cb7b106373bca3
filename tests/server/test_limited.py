"""What a connection may cost: so much time, so much room, and an answer of ours where there is no request."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from keyturn.server.limited import LimitedProtocol
from keyturn.server.logs import FIELDS
from keyturn.server.room import room_in

pytestmark = pytest.mark.anyio

BEGUN = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nX-a: "
WITH_BODY = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{"
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HARDENED = {
    b"x-content-type-options: nosniff",
    b"cross-origin-resource-policy: same-origin",
    b"referrer-policy: no-referrer",
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'",
    b"cache-control: no-store",
}


class Clock:
    """A loop whose time is moved by the test; tasks run in the real one."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, Callable[[], None], Clock.Handle]] = []

    class Handle:
        gone = False

        def cancel(self) -> None:
            self.gone = True

    def call_later(self, seconds: float, then: Callable[[], None]) -> "Clock.Handle":
        handle = Clock.Handle()
        self._waiting.append((self.now + seconds, then, handle))
        return handle

    def create_task(self, coroutine: Any) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(coroutine)

    def move(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self._waiting if each[0] <= self.now]
        self._waiting = [each for each in self._waiting if each[0] > self.now]
        for _, then, handle in due:
            if not handle.gone:
                then()

    @property
    def waiting(self) -> int:
        return sum(not handle.gone for _, _, handle in self._waiting)


class Wire(asyncio.Transport):
    """The other end: what was written, and whether it was closed."""

    def __init__(self, unread: int = 0) -> None:
        super().__init__({"peername": ("192.0.2.7", 5000), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.pieces: list[Any] = []
        self.closed = ""
        self._unread = unread

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        self.pieces += [data] if data else []  # a transport does not go to the network for nothing

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = "aborted"

    def is_closing(self) -> bool:
        return bool(self.closed)

    def get_write_buffer_size(self) -> int:
        return self._unread

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def reads_and_answers(_scope: Any, receive: Any, send: Any) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
    await answers(_scope, receive, send)


async def answers(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Met:
    """One connection to a server."""

    def __init__(
        self, app: Any = reads_and_answers, state: ServerState | None = None, unread: int = 0, shared: Any = None
    ) -> None:
        self.clock, self.wire, self.state = Clock(), Wire(unread), state or ServerState()
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_keep_alive=75, ws="none")
        loop: Any = self.clock
        self.protocol = LimitedProtocol(config, self.state, {} if shared is None else shared, loop)

    def begin(self) -> "Met":
        self.protocol.connection_made(self.wire)
        return self

    async def send(self, data: bytes) -> None:
        self.protocol.data_received(data)
        await turns()


async def turns() -> None:
    """Let tasks go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word():
    met = Met().begin()
    met.clock.move(19.9)
    assert not met.wire.closed
    met.clock.move(0.2)
    assert met.wire.closed
    assert met.wire.written == b""


async def test_header_fields_that_do_not_end_are_408_however_they_drip(caplog):
    caplog.set_level(logging.INFO)
    met = Met().begin()
    await met.send(BEGUN)
    for _ in range(19):
        met.clock.move(1)
        await met.send(b"a")
    assert not met.wire.closed
    met.clock.move(1)
    assert met.wire.closed == "closed"
    head, _, body = met.wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"
    fields = [getattr(record, FIELDS, {}) for record in caplog.records if record.name == "keyturn.requests"]
    assert fields == [{"status": 408, "code": "request_timeout", "client": "192.0.2.7"}]


async def test_a_body_that_does_not_end_is_408_and_the_application_is_told():
    met = Met().begin()
    await met.send(WITH_BODY)
    for _ in range(29):
        met.clock.move(1)
        await met.send(b" ")
    assert not met.wire.closed
    assert len(met.state.tasks) == 1
    met.clock.move(1)
    await turns()
    assert met.wire.written.startswith(b"HTTP/1.1 408 ")
    assert met.wire.written.count(b"HTTP/1.1 ") == 1
    assert met.wire.closed
    assert not met.state.tasks


async def test_a_body_that_drips_on_after_its_answer_is_not_waited_for():
    met = Met(answers).begin()
    await met.send(WITH_BODY)
    assert met.wire.written.startswith(b"HTTP/1.1 200 ")
    for _ in range(30):
        met.clock.move(1)
        if not met.wire.closed:
            await met.send(b" ")
    assert met.wire.closed
    assert met.wire.written.count(b"HTTP/1.1 ") == 1


async def test_after_an_answer_the_next_request_has_its_own_time():
    met = Met().begin()
    await met.send(WHOLE)
    met.clock.move(70)
    assert not met.wire.closed
    await met.send(BEGUN)
    met.clock.move(19)
    await met.send(b"b\r\n\r\n")
    assert met.wire.written.count(b"HTTP/1.1 200 ") == 2
    met.clock.move(74)
    assert not met.wire.closed
    met.clock.move(1)
    assert met.wire.closed == "closed"


async def test_head_and_body_of_an_answer_go_to_the_network_together():
    met = Met().begin()
    for count in (1, 2):
        await met.send(WHOLE)
        assert len(met.wire.pieces) == count
        assert met.wire.pieces[-1].startswith(b"HTTP/1.1 200")
        assert met.wire.pieces[-1].endswith(b"\r\n\r\nok")


async def test_an_answer_in_pieces_is_sent_as_it_comes():
    async def drips(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        await going_on.wait()
        await send({"type": "http.response.body", "body": b"ay"})

    going_on = asyncio.Event()
    met = Met(drips).begin()
    await met.send(WHOLE)
    assert met.wire.written.endswith(b"\r\n\r\nok")
    going_on.set()
    await turns()
    assert met.wire.written.endswith(b"\r\n\r\nokay")


async def test_an_application_may_think_for_as_long_as_it_likes():
    begun = asyncio.Event()

    async def thinks(scope: Any, receive: Any, send: Any) -> None:
        await begun.wait()
        await answers(scope, receive, send)

    met = Met(thinks).begin()
    await met.send(WHOLE)
    met.clock.move(1000)
    begun.set()
    await turns()
    assert met.wire.written.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_never_reads_is_cut_off():
    met = Met(unread=1).begin()
    await met.send(WHOLE)
    met.protocol.pause_writing()
    met.clock.move(31)
    assert met.wire.closed == "aborted"
    slow = Met(unread=1).begin()
    await slow.send(WHOLE)
    slow.protocol.pause_writing()
    slow.clock.move(29)
    slow.protocol.resume_writing()
    slow.clock.move(40)
    assert not slow.wire.closed
    slow.clock.move(6)
    assert slow.wire.closed == "aborted", "closing would wait until the answer was read"


@pytest.mark.parametrize("sent", [b"", BEGUN, WITH_BODY, WHOLE])
async def test_a_connection_that_is_gone_leaves_nothing_behind(sent):
    met = Met().begin()
    if sent:
        await met.send(sent)
    met.protocol.pause_writing()
    met.protocol.connection_lost(ConnectionResetError())
    assert not met.clock.waiting
    assert not met.state.connections
    await turns()
    assert not met.state.tasks


async def test_connections_beyond_the_room_are_closed_at_once_and_the_others_go_on(monkeypatch, caplog):
    monkeypatch.setattr(LimitedProtocol, "most", 3)
    state = ServerState()
    here = [Met(state=state).begin() for _ in range(3)]
    beyond = Met(state=state).begin()
    assert beyond.wire.closed
    assert "more than 3 connections" in caplog.text
    beyond.protocol.connection_lost(None)
    await here[0].send(WHOLE)
    assert here[0].wire.written.startswith(b"HTTP/1.1 200 ")
    here[1].protocol.connection_lost(None)
    assert not Met(state=state).begin().wire.closed


def test_there_is_room_left_for_other_files():
    for files in (16, 64, 256, 1024, 4096, 20_000, 65_536):
        assert 0 < room_in(files) < files * 0.8, files
    assert room_in(65_536) == 10_000


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"transfer-encoding: chunked\r\ncontent-length: 0",
    ],
)
async def test_a_body_of_two_lengths_is_refused(fields):
    met = Met().begin()
    await met.send(b"POST /auth/login HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n\r\n0\r\n\r\n" + WHOLE)
    assert met.wire.written.startswith(b"HTTP/1.1 400 ")
    assert met.wire.written.count(b"HTTP/1.1 ") == 1
    assert met.wire.closed


@pytest.mark.ids("HT-05")
@pytest.mark.parametrize(
    ("sent", "status"), [(b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431), (BEGUN, 408)]
)
async def test_answers_before_any_application_carry_the_hardening_fields(sent, status):
    met = Met().begin()
    await met.send(sent)
    met.clock.move(20)
    head = met.wire.written.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 %d " % status)
    assert set(head.split(b"\r\n")) >= {*HARDENED, b"connection: close"}


@pytest.mark.parametrize("app", [reads_and_answers, answers])
async def test_a_body_that_goes_wrong_has_one_answer(app):
    met = Met(app).begin()
    await met.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await met.send(b"nonsense\r\n")
    assert met.wire.written.count(b"HTTP/1.1 ") == 1
    assert met.wire.closed
    assert not met.state.tasks


async def test_a_connection_that_is_taken_while_the_server_ends_does_not_keep_it():
    shared: dict[str, Any] = {}
    here = Met(shared=shared).begin()
    here.protocol.shutdown()
    late = Met(shared=shared).begin()
    assert here.wire.closed == late.wire.closed == "closed"
    assert not Met().begin().wire.closed
