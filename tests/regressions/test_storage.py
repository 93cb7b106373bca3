"""Faults of other projects in what they store, write into logs, and do to the application's own work: on every store."""

import re
import traceback
from base64 import b16encode, b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from keyturn._colour import drive
from keyturn._refresh_token import seed_digest
from keyturn.errors import KeyturnError
from keyturn.session import Client, EndReason
from tests.support.all_stores import BEHIND_A_NETWORK, Backing
from tests.support.desk import is_over
from tests.support.front import PAGE, PASSWORD, PROGRAM, REFRESH, Device, Front, bearer
from tests.support.recorder import recording
from tests.support.rows import DAY

on_servers = pytest.mark.parametrize("backing", BEHIND_A_NETWORK, indirect=True)


def lived_in(front: Front) -> list[Device]:
    """Sessions of both transports that have turned, one of them over: what a database holds after a while."""
    devices = [front.device(), front.device(page=False), front.device("bob", page=False), front.device()]
    for _ in range(2):
        front.advance(60)
        for device in devices[:3]:
            assert device.refresh().status == 200
            assert front.check(device) is not None
    front.advance(5)
    front.check(devices[1])
    assert devices[3].call("POST", "/auth/logout").status == 204
    return devices


# --- what is stored is no token ----------------------------------------------------------------------------------------


def spellings(value: Any) -> Iterator[str]:
    """A stored value as somebody would try it: as it is, and re-encoded in every usual way."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    plain = urlsafe_b64encode(raw).decode().rstrip("=")
    yield from (raw.decode("latin-1"), raw.hex(), b16encode(raw).decode(), b64encode(raw).decode(), plain)
    yield from (f"kt1.{plain}", f"kt1.{raw.hex()}", "kt1." + (plain * 8)[:71])
    if len(raw) == 32:  # a digest in the place of the seed and the tag
        yield "kt1." + urlsafe_b64encode(b"\0" + bytes(20) + raw).decode().rstrip("=")


def printable(texts: Iterable[str]) -> set[str]:
    """Those that can stand in a header."""
    return {text for text in texts if re.fullmatch(r"[!#-+\--:<-\[\]-~]+", text)}


@pytest.mark.ids("M30", "RT-02")
def test_no_value_of_the_database_is_accepted_as_a_token_raw_or_re_encoded(backing, front):
    devices = lived_in(front)
    before = backing.tables()
    tried = {text for value in backing.values() if value is not None for text in spellings(value)}
    made = {devices[0].jar[REFRESH][:n] + text[n:] for text in tried if text.startswith("kt1.") for n in (26, 53)}
    for text in tried | made:
        answer = front.send("POST", "/auth/refresh", json={"refresh_token": text}, headers=PROGRAM)
        assert answer.status in {400, 401}, text
    for text in printable(tried | made):
        jar = {**devices[0].jar, REFRESH: text}
        assert front.send("POST", "/auth/refresh", headers=PAGE, cookies=jar).status == 401, text
        with pytest.raises(KeyturnError) as refused:
            front.check(Device(front, devices[0].jar, access_token=text))
        assert refused.value.status == 401
    assert backing.tables() == before
    assert len(tried) > 200
    for device in devices[:3]:
        front.advance(60)
        assert device.refresh().status == 200


@pytest.mark.ids("M30", "RT-02")
def test_the_stored_digest_of_the_binding_is_no_binding(backing, front):
    device = front.device()
    digest = front.row(device).binding
    assert digest in backing.values()
    for text in printable(spellings(digest)):
        front.advance(60)
        jar = {**device.jar, "__Host-Http-kt_bind": text}
        answer = front.send("POST", "/auth/refresh", headers=PAGE, cookies=jar)
        assert answer.seen == (401, "binding_mismatch")
    assert device.refresh().status == 200


@pytest.mark.ids("M31")
def test_every_store_keeps_the_same_digest_and_clears_the_same_fields_at_the_end(backing, desk):
    device = desk.sign_in(client=Client(user_agent="Firefox on a phone", ip="203.0.113.77", device_name="Ana's phone"))
    row = desk.row(device)
    assert row.seed_digest == seed_digest(desk.presented(device).token.seed)
    assert {"Firefox on a phone", "203.0.113.77", "Ana's phone"} <= {v for v in backing.values() if isinstance(v, str)}
    desk.end(device)
    shown = "\n".join(map(repr, backing.values()))
    for gone in ("Firefox", "203.0.113.77", "Ana"):
        assert gone not in shown
    assert is_over(desk, device)


# --- nothing secret is written anywhere --------------------------------------------------------------------------------


def secrets_of(front: Front, devices: list[Device]) -> set[bytes]:
    """Everything that a client was given and could use, in each form in which it might turn up."""
    issued: set[bytes] = {PASSWORD.encode()}
    for device in devices:
        for text in (device.access_token, device.refresh_token, *device.jar.values()):
            issued.add(text.encode())
            if text.startswith("kt1."):
                token = b64decode(text[4:] + "=", altchars=b"-_")
                issued |= {token[21:37], token[37:53]}  # seed and tag
            elif text.count(".") == 2:
                issued.add(text.rpartition(".")[2].encode())
            elif text:
                issued.add(b64decode(text + "=", altchars=b"-_"))  # a binding's 32 bytes
    issued.discard(b"")
    found = set(issued)
    for secret in issued:
        found |= {secret.hex().encode(), b64encode(secret).rstrip(b"="), urlsafe_b64encode(secret).rstrip(b"=")}
        found.add(repr(secret)[2:-1].encode())
    return {secret for secret in found if len(secret) > 8}


def written(values: Iterable[Any]) -> bytes:
    """All values in one row of bytes, as they are and as they are shown."""
    raw = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    return b"\n".join([*raw, *(repr(value).encode() for value in values)])


@pytest.mark.ids("M32", "ST-01")
def test_no_secret_that_was_issued_stands_in_the_database_a_log_or_a_traceback(backing, front):
    """With every logger at its lowest level and, where there is an engine, everything echoed that it sends and gets."""
    issued: set[bytes] = set()
    with recording("keyturn", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "asyncio") as log, backing.echo():
        devices = lived_in(front)
        issued |= secrets_of(front, devices)
        spent = Device(front, refresh_token=devices[1].current)
        for _ in range(2):
            front.advance(60)
            devices[1].refresh()
        issued |= secrets_of(front, devices)
        assert spent.refresh().seen == (401, "session_ended")
        devices[0].call("POST", "/auth/step-up", json={"password": PASSWORD})
        issued |= secrets_of(front, devices)
        stored = written(backing.values())
        told = "".join(_of_trouble(backing, front, devices))
    shown = "\n".join([*log.lines, told, *map(repr, front.facts)]).encode()
    assert "StoreError" in told
    if backing.engine is not None:
        assert b"keyturn_session" in shown, "the engine's own log was not heard"
    assert len(issued) > 40
    for place, text in (("database", stored), ("logs and tracebacks", shown)):
        assert [secret for secret in issued if secret in text] == [], place


def _of_trouble(backing: Backing, front: Front, devices: list[Device]) -> Iterator[str]:
    """Break the store in the middle of everything; give the tracebacks of what it raises, with what they say."""
    backing.break_()
    for device in devices[:3]:
        front.advance(60)
        assert device.refresh().status == 503
        try:
            drive(front.store.behind.get(device.session_id))
        except KeyturnError as error:
            yield from traceback.format_exception(error)


# --- what rows cost ----------------------------------------------------------------------------------------------------


@pytest.mark.ids("M34", "ST-04")
def test_a_purge_takes_bounded_steps_between_which_everybody_refreshes(backing, desk):
    for number in range(60):
        desk.sign_in(transport="body", remember=False, client=Client(device_name=str(number)))
    desk.advance(2 * DAY)
    live = desk.sign_in()
    cursor, counts = None, []
    while True:
        step = desk.run(desk.store.purge(desk.clock(), limit=10, after=cursor))
        counts.append(step.count)
        desk.advance(60)
        desk.use(desk.refresh(live))
        cursor = step.cursor
        if cursor is None:
            break
    assert max(counts) <= 10
    assert sum(counts) == 60


@pytest.mark.ids("M36", "DS-02")
def test_a_thousand_bogus_logouts_write_no_row(backing, front):
    device = front.device()
    before = backing.tables()
    for number in range(1000):
        forged = device.jar[REFRESH][:-6] + f"{number:06d}"
        assert front.send("POST", "/auth/logout", headers=PAGE, cookies={REFRESH: forged}).status == 204
        if number < 100:
            assert front.send("POST", "/auth/logout", json={"refresh_token": "x"}, headers=PROGRAM).status in {204, 400}
            assert front.send("POST", "/auth/logout", headers=[*PAGE, bearer("a.b.c")]).status == 204
    assert backing.tables() == before
    assert device.refresh().status == 200


@pytest.mark.ids("M37")
def test_an_authenticated_request_asks_the_store_nothing(backing, front):
    devices = [front.device() for _ in range(5)]
    front.check(devices[0])
    front.store.calls.clear()
    with backing.statements() as sent:
        for _ in range(20):
            for device in devices:
                assert front.check(device) is not None
    assert front.store.calls == []
    assert sent == []


@pytest.mark.ids("M20")
@on_servers
def test_ending_a_users_sessions_takes_the_same_statements_however_many_there_are(backing, desk):
    told = []
    for number in (1, 40):
        for _ in range(number):
            desk.sign_in()
        with backing.statements() as sent:
            assert len(desk.run(desk.flows.ends.end_all("alice", EndReason.LOGOUT_ALL))) == number
        told.append([text[:40] for text in sent])
    assert told[0] == told[1]
    assert sum(text.startswith("UPDATE keyturn_session") for text in told[0]) <= 1
