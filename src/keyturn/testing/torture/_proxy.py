"""The faulty network: an HTTP/1.1 proxy on loopback that loses, doubles, holds and reorders whole messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Final, Self

import h11

from ._adapter import Answer, Call
from ._faults import Faults
from ._wire import LostError

#: The header by which a request is known on its way; the server never sees it.
EXCHANGE: Final = "torture-exchange"
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", EXCHANGE})
_OWN_HEADERS: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "content-encoding"})
_READ_BYTES: Final = 65536


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A request was handed to the server.

    Args:
        began: when, on the monotonic clock.
        ended: when the answer was there.
        answer: None where none came.
        copy: whether the network made it.
        answered: whether the answer is on its way to the client.
    """

    began: float
    ended: float
    answer: Answer | None
    copy: bool
    answered: bool


@dataclass(slots=True)
class Lane:
    """One client's way through the network.

    Args:
        pending: messages that are under way.
        passed: set when one has been delivered.
    """

    pending: int = 0
    passed: asyncio.Event = field(default_factory=asyncio.Event)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> None:
        """Count a message in."""
        self.pending += 1
        self._empty.clear()

    def leave(self) -> None:
        """Count it out."""
        self.pending -= 1
        if not self.pending:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until nothing is under way, once something was."""
        await self._empty.wait()

    def deliver(self) -> None:
        """Let those go on that wait to be overtaken."""
        self.passed.set()
        self.passed = asyncio.Event()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Exchange:
    lane: Lane
    faults: Faults
    longest: float
    told: Callable[[Delivery], None]


class FaultyProxy:
    """Listens on a free port of the loopback interface while it is entered.

    Args:
        forward: hands a call to a server and gives the answer; raises `LostError`.
        longest_delay: seconds that a message waits to be overtaken.
    """

    def __init__(self, forward: Callable[[Call], Awaitable[Answer]], longest_delay: float) -> None:
        self._forward = forward
        self._longest = longest_delay
        self._ids = count()
        self._expected: dict[str, _Exchange] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def expect(self, lane: Lane, faults: Faults, told: Callable[[Delivery], None]) -> tuple[str, str]:
        """Say what shall happen to the request that bears the header which is given back."""
        name = str(next(self._ids))
        self._expected[name] = _Exchange(lane=lane, faults=faults, longest=self._longest, told=told)
        return EXCHANGE, name

    # --- one connection ----------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            pass  # a client that left, or the end of the run
        finally:
            self._running.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while (read := await _read_request(connection, reader)) is not None:
            name, call = read
            answer = await self._carry(self._expected.pop(name), call)
            if answer is None or not await _written(connection, writer, answer):
                return

    # --- one message -------------------------------------------------------------------------------------------------

    async def _carry(self, exchange: _Exchange, call: Call) -> Answer | None:
        """Do to a request and its answer what was drawn for them; None closes the connection."""
        faults = exchange.faults
        for delay in faults.copies:
            exchange.lane.enter()
            self._start(self._copied(exchange, call, delay))
        if faults.drop_request:
            return None
        exchange.lane.enter()
        try:
            await _held(exchange)
            answer = await self._deliver(exchange, call, copy=False)
            await asyncio.sleep(faults.hold_answer)
        finally:
            exchange.lane.leave()
        return None if faults.drop_answer else answer

    async def _copied(self, exchange: _Exchange, call: Call, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
            await self._deliver(exchange, call, copy=True)
        finally:
            exchange.lane.leave()

    def _start(self, copying: Awaitable[None]) -> None:
        task = asyncio.ensure_future(copying)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _deliver(self, exchange: _Exchange, call: Call, *, copy: bool) -> Answer | None:
        began = time.monotonic()
        exchange.lane.deliver()
        try:
            answer = await self._forward(call)
        except LostError:
            answer = None
        answered = answer is not None and not copy and not exchange.faults.drop_answer
        exchange.told(Delivery(began=began, ended=time.monotonic(), answer=answer, copy=copy, answered=answered))
        return answer


async def _held(exchange: _Exchange) -> None:
    await asyncio.sleep(exchange.faults.hold_request)
    if exchange.faults.reorder:
        try:
            await asyncio.wait_for(exchange.lane.passed.wait(), exchange.longest)
        except TimeoutError:
            return  # nobody else was on the way


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[str, Call] | None:
    """Read one request as a whole; None at the end of the connection."""
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return _call(request, body)
        else:
            return None


def _call(request: h11.Request, body: bytes) -> tuple[str, Call]:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    kept = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
    path = request.target.decode("latin-1")
    return headers[EXCHANGE], Call(method=request.method.decode(), path=path, headers=kept, body=body)


async def _written(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Write an answer; say whether the connection can carry another request."""
    headers = [(name, value) for name, value in answer.headers if name not in _OWN_HEADERS]
    if answer.status != 204:  # RFC 9110 section 8.6
        headers.append(("content-length", str(len(answer.body))))
    parts = [h11.Response(status_code=answer.status, headers=headers), h11.Data(data=answer.body), h11.EndOfMessage()]
    writer.write(b"".join(connection.send(part) or b"" for part in parts))
    await writer.drain()
    if connection.our_state is h11.MUST_CLOSE or connection.their_state is not h11.DONE:
        return False
    connection.start_next_cycle()
    return True
