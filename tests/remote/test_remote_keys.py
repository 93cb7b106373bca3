"""Keys over HTTP: read when they are needed, never too old, never asked for too often, and fetched within hard limits."""

import gc
import gzip
import json
import logging
import os
import socket
import ssl
import struct
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from keyturn import UNCHECKED, Claims, ConfigurationError, StoreError, TokenInvalidError, Verifier, remote
from keyturn._access_token import issue
from keyturn._fetching import _left
from keyturn.keys import JWKS_CACHE, Key, KeyRing, new_access_key, new_ring, remove
from keyturn.remote import AHEAD, COOL_DOWN, KEPT, MOST_BYTES, RETRY_PAUSE, RemoteKeys
from keyturn.session import new_session_id
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import START, ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.browser.serving import make_certificate
from tests.support.access_tokens import SETTINGS, claims, header
from tests.support.key_site import KeySite, Manner, answering, key_set, saying

INSTANT = timedelta(microseconds=1)
ENTROPY = CountingEntropy("remote")
RING = new_ring(now=START, entropy=ENTROPY)
KEY = RING.signing(START)
OTHER = new_access_key("ES256", now=START, signs_from=START, entropy=ENTROPY)
PATIENCE = 10


def published(*keys: Key) -> bytes:
    return key_set([key.public_jwk() for key in keys])


GOOD = answering(published(KEY))
BROKEN = answering(b"", status="500 Oh")


class World:
    """An issuer's site, a program that verifies, and the clock of both."""

    def __init__(self, site: KeySite) -> None:
        self.site = site
        self.clock = ManualClock()
        self.keys = RemoteKeys(site.url, clock=self.clock)
        self.verifier = Verifier(SETTINGS, self.keys, clock=self.clock)

    @property
    def asked(self) -> int:
        return len(self.site.requests)

    def token(self, key: Key = KEY) -> str:
        now = self.clock()
        session = new_session_id(now, os.urandom(14))
        life = {"issued_at": now, "expires_at": now + timedelta(minutes=5), "session_id": session}
        return issue(claims(**life, binding=None), key)

    def verify(self, key: Key = KEY) -> Claims:
        return self.verifier.verify(self.token(key), binding=UNCHECKED)

    def let_time_pass(self, by: timedelta) -> None:
        self.clock.advance(by)

    def wait_until_read(self, times: int) -> None:
        """Wait until that many readings are over."""
        last = time.monotonic() + PATIENCE
        while self.asked < times or not self.keys._attempt.over.done():
            assert time.monotonic() < last
            time.sleep(0.005)


@pytest.fixture
def site() -> Iterator[KeySite]:
    with KeySite(GOOD) as site:
        yield site


@pytest.fixture
def world(site: KeySite) -> World:
    return World(site)


def in_threads(count: int, function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(count) as threads:
        for each in [threads.submit(function) for _ in range(count)]:
            each.result(PATIENCE)


# --- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize(
    "url",
    [
        "", "id.example.org/auth/jwks.json", "ftp://id.example.org/jwks.json", "file://localhost/jwks.json", "https://",
        "https://ada:secret@id.example.org/jwks.json", "https://id.example.org/jwks.json#keys",
        "https://id.example.org/jwks json", "https://id.example.org/\r\nX: y", "https://id.example.org:99999/",
        "http://id.example.org/auth/jwks.json", "http://192.0.2.1/", "http://localhost.example.org/",
    ],
)  # fmt: skip
def test_keys_are_read_over_https_from_an_address_that_is_written_out(url):
    with pytest.raises(ConfigurationError) as caught:
        RemoteKeys(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://id.example.org/auth/jwks.json", "http://localhost:8000/", "http://[::1]/k"])
def test_constructing_reads_nothing(url, monkeypatch):
    monkeypatch.setattr(remote, "fetch", lambda *_, **__: pytest.fail("it was read"))
    Verifier(SETTINGS, RemoteKeys(url))


@pytest.mark.ids("KEY-06")
def test_neither_a_representation_nor_a_log_shows_a_query(caplog, world):
    keys = RemoteKeys(world.site.url + "?token=s3cret")
    world.site.manner = BROKEN
    with pytest.raises(StoreError) as caught:
        _ = keys.ring
    assert b"?token=s3cret HTTP/1.1" in world.site.requests[0]
    for text in (repr(keys), str(caught.value), caught.value.cause, caplog.text):
        assert "s3cret" not in text
    assert repr(keys) == f"RemoteKeys({world.site.url!r})"


@pytest.mark.ids("KEY-05")
def test_a_tls_context_that_checks_nothing_is_refused():
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    half = ssl.create_default_context()
    half.verify_mode = ssl.CERT_OPTIONAL
    for tls in (unchecked, blind, half):
        with pytest.raises(ConfigurationError, match="certificate"):
            RemoteKeys("https://id.example.org/", tls=tls)


@pytest.mark.ids("KEY-05")
def test_over_https_the_certificate_decides(tmp_path: Path):
    make_certificate(tmp_path, ["localhost"])
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def over_tls(connection: socket.socket) -> None:
        with here.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            GOOD(secure)

    with _TlsSite(over_tls) as site:
        trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        good = RemoteKeys(f"https://localhost:{site.port}/", tls=trusted)
        assert good.ring.has("access")
        for stranger in (
            RemoteKeys(f"https://localhost:{site.port}/"),
            RemoteKeys(f"https://127.0.0.1:{site.port}/", tls=trusted),
        ):
            with pytest.raises(StoreError) as caught:
                _ = stranger.ring
            assert "CERTIFICATE_VERIFY_FAILED" in caught.value.cause


class _TlsSite(KeySite):
    """One whose manner begins with the handshake."""

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                self.manner(connection)
        except OSError:
            pass


# --- reading, and how often -------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-05")
def test_the_first_token_fetches_the_keys_and_the_next_ones_do_not(world):
    assert world.verify().subject == "user-1"
    for _ in range(100):
        world.verify()
    assert world.asked == 1
    (request,) = world.site.requests
    assert b"Accept-Encoding: identity\r\n" in request
    assert request.startswith(b"GET /auth/jwks.json HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.ids("KEY-05")
def test_fifty_first_tokens_at_once_fetch_once(world):
    in_threads(50, world.verify)
    assert world.asked == 1


@pytest.mark.ids("KEY-05")
def test_threads_that_begin_at_the_same_moment_begin_one_reading(world, monkeypatch):
    real = remote._Attempt

    def slowly(at):
        time.sleep(0.02)  # lets the others come this far too, if they may
        return real(at)

    monkeypatch.setattr(remote, "_Attempt", slowly)
    in_threads(20, world.verify)
    assert world.asked == 1


def test_keys_are_as_old_as_the_question_for_them(world):
    def after_a_while(connection: socket.socket) -> None:
        world.let_time_pass(AHEAD)
        GOOD(connection)

    world.site.manner = after_a_while
    world.verify()
    world.site.manner = GOOD
    world.verify()
    world.wait_until_read(2)
    assert world.asked == 2


@pytest.mark.ids("KEY-05")
def test_a_thousand_unknown_keys_ask_the_issuer_once_in_a_window(world):
    world.verify()
    world.let_time_pass(COOL_DOWN)

    def attack() -> None:
        for _ in range(20):
            unknown = replace(KEY, id=os.urandom(40).hex()[:43])
            with pytest.raises(TokenInvalidError):
                world.verify(unknown)

    for window in range(1, 4):
        in_threads(50, attack)
        assert world.asked == 1 + window
        world.let_time_pass(COOL_DOWN - INSTANT)
        attack()
        assert world.asked == 1 + window
        world.let_time_pass(INSTANT)


@pytest.mark.ids("KEY-05")
@pytest.mark.anyio
async def test_unknown_keys_in_many_tasks_ask_the_issuer_once(world):
    await world.keys.ready()
    world.let_time_pass(COOL_DOWN)

    async def attack() -> None:
        for _ in range(20):
            with pytest.raises(TokenInvalidError):
                world.verify(replace(KEY, id=os.urandom(40).hex()[:43]))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(attack)
    await anyio.to_thread.run_sync(world.wait_until_read, 2)
    assert world.asked == 2


@pytest.mark.ids("TOK-03", "KEY-05")
def test_a_header_that_is_not_ours_asks_nobody(world):
    world.verify()
    world.let_time_pass(COOL_DOWN)
    for changes in ({"jku": "http://127.0.0.1/"}, {"kid": "../x"}, {"alg": "none"}):
        token = world.token().partition(".")[2]
        with pytest.raises(TokenInvalidError):
            world.verifier.verify(f"{_segment(header(KEY, **changes))}.{token}", binding=UNCHECKED)
    assert world.asked == 1


def _segment(value: dict[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_of_a_key_that_is_new_is_good_at_once(world):
    world.verify()
    world.let_time_pass(COOL_DOWN)
    world.site.manner = answering(published(KEY, OTHER))
    assert world.verify(OTHER).subject == "user-1"
    assert world.verify().subject == "user-1"
    assert world.asked == 2


def test_keys_in_use_are_read_again_ahead_of_need_without_waiting(world):
    world.verify()
    ring = world.keys.ring
    answer_now = threading.Event()

    def slowly(connection: socket.socket) -> None:
        assert answer_now.wait(PATIENCE)
        GOOD(connection)

    world.site.manner = slowly
    world.let_time_pass(AHEAD - INSTANT)
    world.verify()
    assert world.asked == 1
    world.let_time_pass(INSTANT)
    in_threads(20, world.verify)  # answered while the issuer is still at it
    readers = [thread for thread in threading.enumerate() if thread.name == "keyturn keys"]
    assert [thread.daemon for thread in readers] == [True]  # it keeps no program from ending
    answer_now.set()
    world.wait_until_read(2)
    assert world.asked == 2
    assert world.keys.ring is ring  # nothing new: the verifier goes on remembering what it has seen
    world.let_time_pass(AHEAD - INSTANT)
    world.verify()
    assert world.asked == 2


# --- how old keys may be ----------------------------------------------------------------------------------------------


@pytest.mark.ids("KEY-04", "KEY-05")
def test_a_removed_key_is_refused_once_copies_of_the_set_are_too_old(world):
    seen = world.token()
    world.verifier.verify(seen, binding=UNCHECKED)
    after = remove(RING, KEY.id, now=START, entropy=ENTROPY)
    world.site.manner = answering(published(after.signing(START)))
    world.let_time_pass(JWKS_CACHE)  # nobody asked in between: the next one waits for the news
    with pytest.raises(TokenInvalidError):
        world.verifier.verify(seen, binding=UNCHECKED)
    with pytest.raises(TokenInvalidError):
        world.verify()
    assert world.verify(after.signing(START)).subject == "user-1"
    assert world.asked == 2


@pytest.mark.ids("KEY-04")
def test_in_a_busy_program_a_removed_key_is_refused_sooner(world):
    world.verify()
    world.site.manner = answering(published(OTHER))
    world.let_time_pass(AHEAD)
    world.verify()
    world.wait_until_read(2)
    with pytest.raises(TokenInvalidError):
        world.verify()


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize("trouble", ["away", "broken", "empty"])
def test_the_keys_go_on_for_an_hour_while_the_issuer_is_away_and_no_longer(world, trouble, caplog):
    world.verify()
    if trouble == "away":
        world.site.go_away()
    else:
        world.site.manner = BROKEN if trouble == "broken" else answering(key_set([]))
    for _ in range(11):
        world.let_time_pass(KEPT / 12)
        world.verify()
    world.let_time_pass(KEPT / 12 - INSTANT)
    world.verify()
    world.let_time_pass(INSTANT)
    with pytest.raises(StoreError) as caught:
        world.verify()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    assert world.keys.trouble
    assert world.keys.trouble in caught.value.cause
    assert [record.levelno for record in caplog.records] == [logging.ERROR]  # said once


@pytest.mark.ids("KEY-04", "KEY-05")
def test_an_old_failure_is_no_reason_to_go_on_with_old_keys(world):
    world.verify()
    world.let_time_pass(JWKS_CACHE)
    world.site.manner = BROKEN
    world.verify()
    world.site.manner = answering(published(OTHER))
    world.let_time_pass(JWKS_CACHE)
    with pytest.raises(TokenInvalidError):
        world.verify()


def test_an_issuer_that_is_back_is_found_and_said(world, caplog):
    world.site.manner = BROKEN
    with pytest.raises(StoreError):
        world.verify()
    world.site.manner = GOOD
    with pytest.raises(StoreError):  # it is not asked at every request
        world.verify()
    assert world.asked == 1
    world.let_time_pass(RETRY_PAUSE)
    world.verify()
    assert world.keys.trouble is None
    assert "can be read again" in caplog.text


def test_reloading_reads_nothing_out_of_turn_and_never_fails(world):
    world.site.manner = BROKEN
    assert world.keys.reload() == KeyRing(keys=())
    world.site.manner = GOOD
    world.let_time_pass(RETRY_PAUSE)
    world.verifier.reload()
    for _ in range(10):
        world.verifier.reload()
    assert world.asked == 2
    world.site.manner = BROKEN
    world.let_time_pass(KEPT)
    assert world.keys.reload().has("access")


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(hours=2)])
def test_a_clock_that_goes_back_does_not_make_keys_eternal(world, back):
    world.verify()
    world.let_time_pass(-back)
    world.verify()
    assert world.asked == (1 if back < AHEAD else 2)


# --- threads, tasks, forks --------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_in_an_event_loop_nothing_waits_but_who_says_so(world):
    answer_now = threading.Event()

    def slowly(connection: socket.socket) -> None:
        assert answer_now.wait(PATIENCE)
        GOOD(connection)

    world.site.manner = slowly
    for _ in range(3):
        with pytest.raises(StoreError, match="Try again"):
            world.verify()
    ready = 0

    async def wait_for_keys() -> None:
        nonlocal ready
        await world.keys.ready()
        ready += 1
        assert world.verify().subject == "user-1"

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(wait_for_keys)
        await anyio.sleep(0.01)
        assert ready == 0
        answer_now.set()
    assert (ready, world.asked) == (50, 1)
    await world.keys.ready()
    assert world.asked == 1


@pytest.mark.anyio
async def test_who_gives_up_waiting_spoils_it_for_nobody(world):
    answer_now = threading.Event()

    def slowly(connection: socket.socket) -> None:
        assert answer_now.wait(PATIENCE)
        GOOD(connection)

    world.site.manner = slowly
    with anyio.move_on_after(0.05) as given_up:
        await world.keys.ready()
    assert given_up.cancelled_caught
    answer_now.set()
    await world.keys.ready()
    assert (world.verify().subject, world.asked) == ("user-1", 1)


@pytest.mark.anyio
async def test_an_unknown_key_makes_no_event_loop_wait(world):
    await world.keys.ready()
    world.site.manner = lambda _: world.site.closing.wait(PATIENCE)
    world.let_time_pass(COOL_DOWN)
    with pytest.raises(TokenInvalidError):
        world.verify(OTHER)
    assert not world.keys._attempt.over.done()
    world.site.closing.set()


@pytest.mark.anyio
async def test_who_waits_in_vain_is_told(world, monkeypatch):
    monkeypatch.setattr(remote, "DEADLINE", 0.1)
    end = threading.Event()
    monkeypatch.setattr(remote, "fetch", lambda *_, **__: end.wait(PATIENCE) and published(KEY))
    with pytest.raises(StoreError) as caught:
        await world.keys.ready()
    assert "within 0.1 seconds" in caught.value.cause
    assert not world.keys._attempt.over.done()
    end.set()


def test_no_time_is_left_after_the_last_moment():
    with pytest.raises(TimeoutError):
        _left(time.monotonic())


@pytest.mark.anyio
async def test_keeping_up_with_the_log_never_waits_for_keys(world):
    world.site.manner = lambda _: world.site.closing.wait(PATIENCE)
    assert await world.verifier.catch_up(MemoryStore())
    assert world.keys._attempt is not None
    assert not world.keys._attempt.over.done()
    world.site.closing.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on POSIX only")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # 3.12 on: a fork beside threads is what is tested
def test_a_process_that_was_forked_while_keys_were_read_reads_them_itself(world):
    world.site.manner = lambda _: world.site.closing.wait(PATIENCE)
    attempt = world.keys._begin(world.clock())
    last = time.monotonic() + PATIENCE
    while world.asked < 1:
        assert time.monotonic() < last
        time.sleep(0.005)
    world.site.manner = GOOD
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if world.verify().subject == "user-1" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not attempt.over.done()


def test_where_no_thread_can_be_started_the_program_is_told(world, monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreError) as caught:
            world.verify()
    assert "thread" in caught.value.cause
    world.let_time_pass(RETRY_PAUSE)
    assert world.verify().subject == "user-1"


# --- hostile answers --------------------------------------------------------------------------------------------------

RESET = struct.pack("ii", 1, 0)


def in_chunks(connection: socket.socket) -> None:
    body = published(KEY)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for part in (body[:7], body[7:]):
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "manner",
    [
        in_chunks, answering(published(KEY), media_type="Application/JSON; charset=utf-8"),
        answering(published(KEY), more="Content-Encoding: identity\r\n"),
        saying(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + published(KEY)),
        answering(published(KEY) + b" " * (MOST_BYTES - len(published(KEY)))),
    ],
    ids=["chunks", "json", "identity", "until the end", "as long as may be"],
)  # fmt: skip
def test_every_decent_spelling_of_an_answer_is_read(world, manner: Manner):
    world.site.manner = manner
    assert world.verify().subject == "user-1"


def test_an_answer_is_over_where_it_says_so_although_the_connection_stays(world, monkeypatch):
    monkeypatch.setattr(remote, "DEADLINE", 600)

    def stays(connection: socket.socket) -> None:
        GOOD(connection)
        world.site.closing.wait(PATIENCE)

    world.site.manner = stays
    assert world.verify().subject == "user-1"


def fifty_megabytes(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + published(KEY))
    for _ in range(50):
        connection.sendall(b" " * 2**20)


def endless_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        connection.sendall(b"X-%d: y\r\n" % number)


def endless_continue(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def hang_up(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize(
    ("manner", "why"),
    [
        (fifty_megabytes, "longer than 65536 bytes"),
        (answering(published(KEY) + b" " * (MOST_BYTES + 1 - len(published(KEY)))), "longer than 65536 bytes"),
        (endless_head, ""),
        (endless_continue, "longer than"),
        (answering(gzip.compress(published(KEY) + b" " * 10_000_000), more="Content-Encoding: gzip\r\n"), "packed"),
        (answering(published(KEY), more="Content-Encoding: identity, gzip\r\n"), "packed"),
        (answering(published(KEY), media_type="text/html"), "type"),
        (answering(published(KEY), media_type=""), "type"),
        (answering(published(KEY), status="404 Not Found"), "404"),
        (answering(published(KEY), status="203 Changed"), "203"),
        (answering(published(KEY).replace(b'"kty"', b'"kty": "OKP", "kty"')), "twice"),
        (answering(key_set([KEY.public_jwk()] * 1000)), "longer"),
        (answering(key_set([{"kty": "AKP"}] * 1000)), "1000 keys"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + published(KEY)), "broke off"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n99\r\n{"), "not HTTP"),
        (saying(b"\x16\x03\x01\x00 s3cret"), "not HTTP"),
        (saying(b""), "connection failed"),
        (hang_up, "connection failed"),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_decent_answer_brings_no_keys(world, manner, why, caplog):
    world.site.manner = manner
    with pytest.raises(StoreError) as caught:
        world.verify()
    assert why in caught.value.cause
    assert "s3cret" not in caught.value.cause + caplog.text
    assert world.asked == 1


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(world, status):
    with KeySite(GOOD) as elsewhere:
        for target in (elsewhere.url, "/auth/jwks.json"):
            world.site.manner = answering(b"", status=status, more=f"Location: {target}\r\n")
            with pytest.raises(StoreError) as caught:
                world.verify()
            assert "redirect" in caught.value.cause
            world.let_time_pass(RETRY_PAUSE)
        assert elsewhere.requests == []


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize(
    "so_far", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"], ids=["head", "body"]
)
def test_bytes_that_trickle_in_do_not_stretch_the_deadline(world, so_far, monkeypatch):
    monkeypatch.setattr(remote, "DEADLINE", 0.3)
    gone = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(so_far)
        try:
            while not world.site.closing.wait(0.02):
                connection.sendall(b"H" if not so_far else b" ")
        except OSError:
            gone.set()
            raise

    world.site.manner = trickle
    with pytest.raises(StoreError) as caught:
        world.verify()
    assert "within 0.3 seconds" in caught.value.cause
    assert gone.wait(PATIENCE)  # not the caller alone: the connection itself is given up
    world.wait_until_read(1)


@pytest.mark.ids("KEY-05")
def test_the_wait_ends_even_where_the_reading_does_not(world, monkeypatch):
    monkeypatch.setattr(remote, "DEADLINE", 0.1)
    end = threading.Event()
    monkeypatch.setattr(remote, "fetch", lambda *_, **__: end.wait(PATIENCE) and published(KEY))
    with pytest.raises(StoreError) as caught:
        world.verify()
    assert "within 0.1 seconds" in caught.value.cause
    end.set()


def test_a_fault_of_our_own_takes_no_keys_away(world, monkeypatch, caplog):
    world.verify()

    def fail(*_: object, **__: object) -> bytes:
        raise ValueError("s3cret")

    monkeypatch.setattr(remote, "fetch", fail)
    world.let_time_pass(JWKS_CACHE)
    assert world.verify().subject == "user-1"
    assert world.keys.trouble == "ValueError"
    assert "s3cret" not in caplog.text


def test_proxies_of_the_environment_are_not_asked(world, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert world.verify().subject == "user-1"


def test_no_connection_is_left_open(world):
    world.verify()
    world.site.manner = hang_up
    world.let_time_pass(JWKS_CACHE)
    world.verify()
    gc.collect()  # an open socket would warn, and warnings are errors
