"""The faulty network does to messages what was drawn for them, and says what reached the server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from keyturn.testing.torture._adapter import Answer, Call
from keyturn.testing.torture._faults import NO_FAULTS, Faults
from keyturn.testing.torture._proxy import EXCHANGE, Delivery, FaultyProxy, Lane
from keyturn.testing.torture._wire import LostError, Wire

pytestmark = pytest.mark.anyio

COOKIES = (("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Path=/"))


@dataclass
class Server:
    """What stands behind the network."""

    got: list[Call] = field(default_factory=list)
    told: list[Delivery] = field(default_factory=list)
    lane: Lane = field(default_factory=Lane)
    down: bool = False

    async def answer(self, call: Call) -> Answer:
        if self.down:
            raise LostError("no")
        self.got.append(call)
        headers = (("content-type", "text/plain"), *COOKIES)
        return Answer(status=200, headers=headers, body=f"{len(self.got)} {call.path}".encode())


@asynccontextmanager
async def network(server: Server) -> AsyncIterator[Callable[[Call, Faults], "asyncio.Task[Answer | None]"]]:
    async with Wire(["http://server.test/base"]) as wire, FaultyProxy(server.answer, 0.05) as proxy:

        async def send(call: Call, faults: Faults) -> Answer | None:
            try:
                return await wire.send_by(proxy.url, call, proxy.expect(server.lane, faults, server.told.append))
            except LostError:
                return None

        yield lambda call, faults: asyncio.ensure_future(send(call, faults))


A_POST = Call(method="POST", path="/x?y=1", headers={"Content-Type": "text/plain", "Cookie": "a=b"}, body=b"hello")


async def test_a_message_passes_as_it_is() -> None:
    server = Server()
    async with network(server) as send:
        answer = await send(A_POST, NO_FAULTS)
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"1 /base/x?y=1")
    assert [pair for pair in answer.headers if pair[0] == "set-cookie"] == list(COOKIES)
    (got,) = server.got
    assert (got.method, got.path, got.body) == ("POST", "/base/x?y=1", b"hello")
    assert got.headers["cookie"] == "a=b"
    assert {EXCHANGE, "host", "connection"}.isdisjoint(got.headers)
    (delivery,) = server.told
    assert (delivery.copy, delivery.answered) == (False, True)
    assert delivery.began <= delivery.ended


async def test_a_dropped_request_never_arrives() -> None:
    server = Server()
    async with network(server) as send:
        assert await send(A_POST, Faults(drop_request=True)) is None
        assert await send(A_POST, NO_FAULTS) is not None
    assert (len(server.got), len(server.told)) == (1, 1)


async def test_a_dropped_answer_has_been_given() -> None:
    server = Server()
    async with network(server) as send:
        assert await send(A_POST, Faults(drop_answer=True)) is None
    assert len(server.got) == 1
    assert server.told[0].answer is not None
    assert not server.told[0].answered


async def test_a_copy_arrives_besides_and_its_answer_goes_nowhere() -> None:
    server = Server()
    async with network(server) as send:
        answer = await send(A_POST, Faults(copies=(0.02,)))
        assert server.lane.pending == 1
        await server.lane.emptied()
    assert answer is not None
    assert answer.body.startswith(b"1 ")
    assert [delivery.copy for delivery in server.told] == [False, True]
    assert not server.told[1].answered
    assert server.got[0] == server.got[1]


async def test_a_copy_overtakes_an_original_that_is_held() -> None:
    server = Server()
    async with network(server) as send:
        await send(A_POST, Faults(copies=(0.0,), hold_request=0.05))
    assert [delivery.copy for delivery in server.told] == [True, False]


async def test_a_reordered_message_is_passed_by_the_next() -> None:
    server = Server()
    async with network(server) as send:
        first = send(Call(method="GET", path="/first"), Faults(reorder=True))
        await asyncio.sleep(0.01)
        await send(Call(method="GET", path="/second"), NO_FAULTS)
        await first
    assert [call.path for call in server.got] == ["/base/second", "/base/first"]


async def test_a_reordered_message_that_nobody_passes_goes_on() -> None:
    server = Server()
    async with network(server) as send:
        assert await asyncio.wait_for(send(A_POST, Faults(reorder=True)), 5) is not None


async def test_a_server_that_is_gone_is_a_closed_connection() -> None:
    server = Server(down=True)
    async with network(server) as send:
        assert await send(A_POST, NO_FAULTS) is None
    assert server.told[0].answer is None
    assert server.lane.pending == 0


async def test_leaving_the_network_leaves_nothing_behind() -> None:
    server = Server()
    before = asyncio.all_tasks()
    async with network(server) as send:
        await send(A_POST, Faults(copies=(30.0,)))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()
    assert server.lane.pending == 0
