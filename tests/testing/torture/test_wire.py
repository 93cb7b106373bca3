"""Requests go where they should, whole, and nothing is kept between them."""

import asyncio

import pytest

from keyturn.testing.torture import Call
from keyturn.testing.torture._wire import LostError, Wire

pytestmark = pytest.mark.anyio


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what was asked, set a cookie, and send elsewhere."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0)
            body = head + await reader.readexactly(length)
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: a=1\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def test_no_cookie_is_kept_and_no_redirect_followed() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Wire([f"http://127.0.0.1:{port}/base/"]) as wire:
        for _ in range(2):
            answer = await wire.send(Call(method="POST", path="/x", headers={"X-Own": "1"}, body=b"hello"))
            assert (answer.status, answer.header("location"), answer.header("set-cookie")) == (302, "/there", "a=1")
            said = answer.body.decode().lower()
            assert said.startswith("post /base/x http/1.1")
            assert said.endswith("hello")
            assert f"host: 127.0.0.1:{port}" in said
            assert "x-own: 1" in said
            assert "cookie" not in said
    server.close()


async def test_an_adapter_reaches_no_other_host() -> None:
    async with Wire(["http://127.0.0.1:1"]) as wire:
        with pytest.raises(LostError, match=r"an adapter asked for another host: elsewhere\.test"):
            await wire.send(Call(method="GET", path="http://elsewhere.test/x"))


async def test_a_closed_connection_is_an_answer_that_got_lost() -> None:
    async with Wire(["http://127.0.0.1:9"]) as wire:
        with pytest.raises(LostError, match=r"127\.0\.0\.1:9: ConnectionRefusedError"):
            await wire.send(Call(method="GET", path="/"))


async def test_a_header_that_is_none_is_refused_without_being_quoted() -> None:
    async with Wire(["http://127.0.0.1:9"]) as wire:
        with pytest.raises(LostError, match="an adapter's request is no HTTP") as raised:
            await wire.send(Call(method="GET", path="/", headers={"Authorization": "Bearer se\ncret"}))
    assert "cret" not in repr(raised.value)


async def test_a_connection_is_used_again_and_a_fresh_one_is_not() -> None:
    connected: list[int] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        await echo(reader, writer)

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    async with Wire([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"]) as wire:
        for _ in range(5):
            await wire.send(Call(method="GET", path="/"))
        assert len(connected) == 1
        answer = await wire.send(Call(method="GET", path="/"), fresh=True)
        assert len(connected) == 2
        assert "connection: close" in answer.body.decode().lower()
    server.close()


async def test_a_server_that_closes_in_the_middle_is_an_answer_that_got_lost() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with Wire([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"]) as wire:
        with pytest.raises(LostError):
            await wire.send(Call(method="GET", path="/"))
    server.close()
