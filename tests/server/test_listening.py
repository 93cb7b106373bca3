"""The ports that the server and the demonstration listen at."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from keyturn.server import running, serving


def of_the_server() -> socket.socket:
    return running.listen("127.0.0.1", 0).sockets[0]


@pytest.mark.parametrize("opened", [of_the_server, serving.listen], ids=["serve", "demo"])
def test_no_answer_waits_for_the_next_packet_of_the_client(opened: Callable[[], socket.socket]) -> None:
    """Nagle's algorithm would hold the body back until the head was acknowledged: 40 ms an answer, on Linux."""

    async def accepted_without_delay() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def met(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            seen.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with closing(opened()) as listening:
            server = await asyncio.start_server(met, sock=listening)
            async with server:
                _, writer = await asyncio.open_connection(*listening.getsockname())
                found = await seen
                writer.close()
                await writer.wait_closed()
                return found

    assert asyncio.run(accepted_without_delay()) == 1
