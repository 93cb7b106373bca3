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
from keyturn.server.reading import MOST_HEADER_BYTES
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


POST = b"POST /auth/login HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FIELDS_GO_WRONG = {
    "space before the colon": b"X : b",
    "folded": b"X: b\r\n c",
    "bare CR": b"X: b\rY: c",
    "bare LF": b"X: b\nY: c",
    "NUL": b"X: b\0",
    "control character": b"X: b\x01c",
    "control character in a name": b"X\x01: b",
    "no colon": b"Xb",
    "no name": b": b",
    "two hosts": b"Host: b",
    "length with a sign": b"Content-Length: +2",
    "length in hexadecimals": b"Content-Length: 0x2",
    "length with an underscore": b"Content-Length: 1_0",
    "two lengths in one": b"Content-Length: 2, 3",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3",
    "a length that is none": b"Content-Length: ",
    "a length beyond all": b"Content-Length: 99999999999999999999999",
    "gzip": b"Transfer-Encoding: gzip",
    "gzip, then chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked, then gzip": b"Transfer-Encoding: chunked, gzip",
    "identity": b"Transfer-Encoding: identity",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "nearly chunked": b"Transfer-Encoding: \x0bchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
}
WRONG = {
    **{name: POST + field + b"\r\n\r\n0\r\n\r\n" for name, field in FIELDS_GO_WRONG.items()},
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "version 0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "version 1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lines end in LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "two hosts in version 1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "chunked in version 1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "control character in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "target beyond ASCII": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "method that nobody knows": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "chunk without its end": CHUNKED + b"2\r\nabXX0\r\n\r\n",
    "chunk with LF": CHUNKED + b"2\nab\n0\n\n",
    "chunk with 0x": CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n",
    "chunk of less than nothing": CHUNKED + b"-2\r\nab\r\n0\r\n\r\n",
    "chunk beyond all": CHUNKED + b"fffffffffffffffffff\r\n",
    "chunk extension with LF": CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "length after the body": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
}


async def sent_in_pieces(met: Met, octets: bytes, size: int) -> None:
    """Send until the other side closes."""
    for at in range(0, len(octets), size):
        if met.wire.closed:
            break
        await met.send(octets[at : at + size])


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("name", WRONG)
async def test_what_a_proxy_may_read_otherwise_is_refused_and_nothing_after_it_is_read(name, size):
    met = Met(app := Heard()).begin()
    await sent_in_pieces(met, WRONG[name] + WHOLE, size)
    assert statuses(met) == [400]
    assert met.wire.closed == "closed"
    assert not met.state.tasks
    assert not app.requests


def statuses(met: Met) -> list[int]:
    return [int(part[:3]) for part in met.wire.written.split(b"HTTP/1.1 ")[1:]]


class Heard:
    """An application that keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, dict[bytes, bytes], bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.requests.append((scope["method"], scope["raw_path"], dict(scope["headers"]), body))
        await answers(scope, receive, send)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    "bounds_and_body",
    [b"\r\n", b"Content-Length: 2\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1;x\r\nb\r\n0\r\n\r\n"],
)
async def test_a_request_that_would_like_another_protocol_is_answered_in_this_one_with_its_body(size, bounds_and_body):
    # So Java's client asks for HTTP/2, whatever it sends.
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
    met = Met(app := Heard()).begin()
    await sent_in_pieces(met, (POST + upgrade + bounds_and_body) * 3 + WHOLE, size)
    await turns()
    assert statuses(met) == [200] * 4
    bodies = [b"ab" if b"ab" in bounds_and_body or b"b\r\n0" in bounds_and_body else b""] * 3
    assert [body for *_, body in app.requests] == [*bodies, b""]
    assert [fields.get(b"upgrade") for _, _, fields, _ in app.requests] == [b"h2c"] * 3 + [None]


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_field_after_the_body_is_never_one_before_it(size):
    met = Met(app := Heard()).begin()
    await sent_in_pieces(met, CHUNKED + b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n" + WHOLE, size)
    assert statuses(met) == [200, 200]
    assert [fields.get(b"authorization") for _, _, fields, _ in app.requests] == [None, None]
    assert [fields[b"host"] for _, _, fields, _ in app.requests] == [b"a", b"a"]


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize(
    ("begin", "piece", "status"),
    [
        (b"GET /", b"a" * 1000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a" * 1000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"a" * 1000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: a\r\n" * 100, 431),
        (CHUNKED + b"2\r\nab\r\n0\r\nX: ", b"a" * 1000, 400),
        (CHUNKED + b"2\r\nab\r\n0\r\n", b"X: a\r\n" * 100, 431),
        (CHUNKED + b"2;", b"a" * 1000, 400),
    ],
)
async def test_nothing_without_an_end_is_kept(begin, piece, status):
    met = Met().begin()
    await met.send(begin)
    pieces = 0
    while not met.wire.closed and pieces < 30:
        await met.send(piece)
        pieces += 1
    assert pieces * len(piece) < MOST_HEADER_BYTES + 2 * len(piece)
    assert statuses(met) == [status]


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_many_small_chunks_are_no_long_fields(size):
    met = Met(app := Heard()).begin()
    chunked = CHUNKED.replace(b"chunked", b"Chunked")
    await sent_in_pieces(met, chunked + b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n", size)
    assert statuses(met) == [200]
    assert len(app.requests[0][-1]) == 10_000


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 0\r\n"])
async def test_each_request_of_a_connection_has_its_own_room_for_fields(begin):
    met = Met().begin()
    for _ in range(40):
        await met.send(begin + b"Host: a\r\nX: " + b"a" * 1000 + b"\r\n\r\n")
    assert statuses(met) == [200] * 40


@pytest.mark.ids("HT-06")
@pytest.mark.parametrize("size", [1000, 100_000])
async def test_target_and_fields_share_one_room(size):
    met = Met(app := Heard()).begin()
    half = b"a" * (MOST_HEADER_BYTES // 2)
    await sent_in_pieces(met, b"GET /%s HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (half, half), size)
    assert statuses(met) == [431]
    assert not app.requests


async def test_a_body_that_waits_for_a_word_is_asked_for_at_once():
    met = Met().begin()
    await met.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert statuses(met) == [100]
    await met.send(b"ab")
    assert statuses(met) == [100, 200]


@pytest.mark.parametrize("after", [WHOLE, b"nonsense\r\n\r\n", b"\r\n"])
@pytest.mark.parametrize("before", [b"", WHOLE, POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"])
async def test_nothing_that_comes_after_the_last_request_is_answered(before, after):
    met = Met(app := Heard()).begin()
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    await met.send(before + last + after)
    await turns()
    answered = 2 if before else 1
    assert statuses(met) == [200] * answered
    assert len(app.requests) == answered
    assert met.wire.closed


async def test_requests_in_line_are_answered_in_their_order_and_not_without_limit():
    met = Met(app := Heard()).begin()
    await met.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % at for at in range(1000)))
    for _ in range(20):
        await turns()
    assert [path for _, path, _, _ in app.requests] == [b"/%d" % at for at in range(17)]
    assert statuses(met) == [200] * 17 + [400]
    assert met.wire.closed


@pytest.mark.parametrize(
    "garbage",
    [
        b"nonsense\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\n\r\n",
        CHUNKED + b"x",
        CHUNKED + b"2;" + b"a" * MOST_HEADER_BYTES,  # and what comes next would be its end
    ],
)
async def test_what_is_wrong_is_answered_after_what_came_before_it(garbage):
    going_on = asyncio.Event()

    async def thinks(scope: Any, receive: Any, send: Any) -> None:
        await going_on.wait()
        await reads_and_answers(scope, receive, send)

    met = Met(thinks).begin()
    await met.send(WHOLE)
    await met.send(garbage)
    await met.send(b"\r\nab\r\n0\r\n\r\n" + WHOLE)
    assert not met.wire.written
    met.clock.move(100)
    going_on.set()
    await turns()
    assert statuses(met) == [200, 400]
    assert met.wire.closed
    assert not met.state.tasks


async def test_the_next_request_has_its_time_from_the_answer_to_the_one_before():
    going_on = asyncio.Event()

    async def thinks(scope: Any, receive: Any, send: Any) -> None:
        await going_on.wait()
        await reads_and_answers(scope, receive, send)

    met = Met(thinks).begin()
    await met.send(WHOLE + BEGUN)
    met.clock.move(100)
    assert not met.wire.closed
    going_on.set()
    await turns()
    met.clock.move(19)
    assert not met.wire.closed
    met.clock.move(1)
    assert statuses(met) == [200, 408]


async def test_empty_lines_between_requests_do_not_keep_a_connection():
    met = Met().begin()
    await met.send(WHOLE)
    for _ in range(20):
        await met.send(b"\r\n")
        assert not met.wire.closed
        met.clock.move(1)
    assert met.wire.closed
    assert statuses(met) == [200, 408]


async def test_an_answer_without_a_body_is_sent_at_once():
    async def says_no_more(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    for app, request in ((says_no_more, WHOLE), (answers, WHOLE.replace(b"GET", b"HEAD"))):
        met = Met(app).begin()
        await met.send(request)
        await met.send(request)
        assert len(met.wire.pieces) == 2
        assert met.wire.written.endswith(b"\r\n\r\n")


async def test_an_application_that_fails_in_its_answer_ends_the_connection():
    async def fails(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        raise RuntimeError

    met = Met(fails).begin()
    await met.send(WHOLE)
    assert met.wire.closed
    assert statuses(met) == [200]


@pytest.mark.ids("HT-05")
@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431), (BEGUN, 408)],
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
