"""The verifier: which of its answers an access token gets, and that remembering tokens changes none of them."""

import asyncio
import gc
import pickle
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn._access_token import issue
from keyturn._algorithms import P256_ORDER
from keyturn._binding import new_binding
from keyturn._colour import drive
from keyturn._jws import canonical
from keyturn._recent import Recent
from keyturn.errors import (
    BindingMismatchError,
    KeyturnError,
    SessionEndedError,
    StoreError,
    TokenExpiredError,
    TokenInvalidError,
    TokenStaleError,
)
from keyturn.keyrings.static import StaticKeys, testing_keys
from keyturn.keys import KeyRing, new_ring
from keyturn.revocation import FloorMap
from keyturn.session import new_session_id
from keyturn.stores import ENDED, Revocation, Revocations
from keyturn.testing.clock import START, ManualClock
from keyturn.tokens import UNCHECKED, Claims
from keyturn.verifier import Verifier
from tests.support.access_tokens import BINDING, ISSUER, SESSION, SETTINGS, b64, body, claims, signed
from tests.test_revocation import in_threads

SECOND = timedelta(seconds=1)
END = START + timedelta(minutes=5) + SETTINGS.clock_skew
RING = testing_keys().ring
KEY = RING.signing(START)


class Ring:
    """A key source whose ring a test exchanges."""

    def __init__(self, ring: KeyRing = RING) -> None:
        self.ring = ring
        self.next = ring
        self.reloads = 0

    def reload(self) -> KeyRing:
        self.reloads += 1
        self.ring = self.next
        return self.ring


class Log:
    """A feed with these entries."""

    def __init__(self, *entries: Revocation) -> None:
        self.entries = entries

    async def revocations(self, after: str | None) -> Revocations:
        return Revocations(entries=self.entries, position="1")


def floor(generation: int, session_id: str = SESSION) -> Revocation:
    return Revocation(session_id=session_id, floor=generation, until=START + timedelta(hours=2))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[0, 1, 1000], ids=["no memory", "one token", "memory"])
def verifier(request: pytest.FixtureRequest, clock: ManualClock) -> Verifier:
    """Every promise holds with and without the memory of tokens."""
    return Verifier(SETTINGS, StaticKeys(RING), clock=clock, cache_size=request.param)


TOKEN = issue(claims(), KEY)
UNBOUND = issue(claims(binding=None), KEY)


def answer(verifier: Verifier, token: str = TOKEN, binding=BINDING) -> str:
    """The code of the answer; asked twice, so that the memory has its say."""
    codes = []
    for _ in range(2):
        try:
            verifier.verify(token, binding=binding)
            codes.append("accepted")
        except KeyturnError as error:
            codes.append(error.code)
    assert codes[0] == codes[1], "the second answer is the first"
    return codes[0]


# --- the binding --------------------------------------------------------------------------------------------------


def test_a_good_token_gives_its_claims(verifier):
    assert verifier.verify(TOKEN, binding=BINDING) == claims()
    assert verifier.verify(TOKEN, binding=BINDING) == claims()


@pytest.mark.parametrize(
    "proof",
    [None, "", BINDING[:-1], BINDING + "A", BINDING.lower(), new_binding(b"c" * 32), "é" * 43, "\ud800" * 43, "A" * 9999,
     f"{BINDING} ", f"{BINDING}="],
    ids=lambda proof: repr(proof)[:20],
)  # fmt: skip
@pytest.mark.ids("TOK-21")
def test_a_bound_token_needs_its_proof_each_time(verifier, proof):
    assert answer(verifier, binding=proof) == "binding_mismatch"
    verifier.verify(TOKEN, binding=BINDING)
    assert answer(verifier, binding=proof) == "binding_mismatch"
    assert answer(verifier) == "accepted"


@pytest.mark.parametrize("proof", [None, "", BINDING, "anything", UNCHECKED], ids=repr)
def test_an_unbound_token_needs_none(verifier, proof):
    assert answer(verifier, UNBOUND, proof) == "accepted"


def test_unchecked_must_be_said(verifier):
    assert answer(verifier, binding=UNCHECKED) == "accepted"
    assert answer(verifier, binding=None) == "binding_mismatch"
    assert answer(verifier, binding="UNCHECKED") == "binding_mismatch"


def test_only_accepted_tokens_are_remembered(clock):
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)
    for bad in ("x", TOKEN[:-2], signed(KEY, body(iss="x"))):
        with pytest.raises(TokenInvalidError):
            verifier.verify(bad, binding=None)
    with pytest.raises(BindingMismatchError):
        verifier.verify(TOKEN, binding=None)
    verifier.floors.add([floor(9)])
    with pytest.raises(TokenStaleError):
        verifier.verify(TOKEN, binding=BINDING)
    assert len(verifier._view.seen) == 0
    verifier.verify(issue(claims(generation=9), KEY), binding=BINDING)
    assert len(verifier._view.seen) == 1


# --- floors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [(0, "accepted"), (3, "accepted"), (4, "token_stale"), (2**32, "token_stale"), (ENDED, "session_ended")],
)
@pytest.mark.parametrize("seen", [False, True], ids=["new", "seen"])
@pytest.mark.ids("M05")
def test_a_floor_is_felt_at_once(verifier, told, expected, seen):
    if seen:
        assert answer(verifier) == "accepted"
    verifier.floors.add([floor(told)])
    assert answer(verifier) == expected
    assert answer(verifier, issue(claims(session_id=new_session_id(START, b"another one...")), KEY)) == "accepted"


@pytest.mark.ids("TOK-18")
def test_another_spelling_of_a_signature_revives_no_ended_session(verifier):
    head, payload, signature = TOKEN.split(".")
    raw = canonical(signature.encode())
    s = int.from_bytes(raw[32:], "big")
    twin = f"{head}.{payload}.{b64(raw[:32] + (P256_ORDER - s).to_bytes(32, 'big'))}"
    assert answer(verifier) == "accepted"
    verifier.floors.add([floor(ENDED)])
    for spelling in (TOKEN, twin, f"{TOKEN}==", f"{TOKEN}="):
        with pytest.raises((SessionEndedError, TokenInvalidError)):
            verifier.verify(spelling, binding=BINDING)
    assert answer(verifier, twin) == "session_ended", "genuine, and dead all the same"


@pytest.mark.parametrize(
    ("late", "proof", "told", "expected"),
    [
        (True, None, ENDED, "token_expired"),
        (True, BINDING, ENDED, "token_expired"),
        (False, None, ENDED, "binding_mismatch"),
        (False, BINDING, ENDED, "session_ended"),
        (False, BINDING, 4, "token_stale"),
        (False, UNCHECKED, ENDED, "session_ended"),
        (False, BINDING, 3, "accepted"),
    ],
)
@pytest.mark.parametrize("seen", [False, True], ids=["new", "seen"])
def test_who_has_only_a_copy_learns_nothing_of_its_session(verifier, clock, late, proof, told, expected, seen):
    if seen:
        answer(verifier)
    verifier.floors.add([floor(told)])
    if late:
        clock.set(END)
    assert answer(verifier, binding=proof) == expected


@pytest.mark.ids("M04")
def test_an_ended_session_is_dead_for_a_verifier_that_has_just_started(clock):
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)
    assert verifier.age(clock()) is None
    drive(verifier.catch_up(Log(floor(ENDED))))
    assert verifier.age(clock()) == timedelta(0)
    assert answer(verifier) == "session_ended"


@pytest.mark.ids("M23", "P2")
def test_no_token_comes_back_as_its_log_entry_goes(clock):
    # The issuer of the token runs 25 s ahead of the one that ended the session; lifetimes were an hour then.
    ahead = START + timedelta(seconds=25)
    token = issue(claims(issued_at=ahead, expires_at=ahead + timedelta(hours=1)), KEY)
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)
    assert answer(verifier, token) == "accepted"
    until = START + timedelta(hours=1) + 2 * SETTINGS.clock_skew
    verifier.floors.add([Revocation(session_id=SESSION, floor=ENDED, until=until)])
    seen = set()
    for _ in range(3 * 360):
        drive(verifier.catch_up(Log()))
        seen.add(answer(verifier, token))
        clock.advance(10)
    assert seen == {"session_ended", "token_expired"}


def test_issuers_in_the_process_share_their_map(clock):
    floors = FloorMap()
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock, floors=floors)
    assert verifier.floors is floors, "an empty map is a map"
    floors.add([floor(ENDED)])
    assert answer(verifier) == "session_ended"


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.ids("TOK-11")
def test_time_is_looked_at_on_every_use(verifier, clock):
    assert answer(verifier) == "accepted"
    clock.set(END - timedelta(microseconds=1))
    assert answer(verifier) == "accepted"
    clock.set(END)
    assert answer(verifier) == "token_expired"
    clock.set(START - SETTINGS.clock_skew)
    assert answer(verifier) == "accepted"
    clock.advance(timedelta(microseconds=-1))
    assert answer(verifier) == "token_stale"
    clock.set(START)
    assert answer(verifier) == "accepted"


@pytest.mark.ids("TOK-11")
def test_a_token_that_was_seen_is_from_the_future_again_when_the_clock_goes_back():
    clock = ManualClock(START - timedelta(hours=1))
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)
    clock.set(START)
    assert answer(verifier) == "accepted"
    clock.set(START - SETTINGS.clock_skew - SECOND)
    assert answer(verifier) == "token_stale"


@pytest.mark.ids("M45")
def test_expired_is_only_said_of_a_token_of_ours(verifier, clock):
    clock.set(END)
    assert answer(verifier) == "token_expired"
    assert answer(verifier, TOKEN[:-2] + "AA") == "token_invalid"


def test_the_skew_is_the_settings(clock):
    strict = Verifier(replace_settings(clock_skew=timedelta(0)), StaticKeys(RING), clock=clock)
    clock.set(START + timedelta(minutes=5))
    with pytest.raises(TokenExpiredError):
        strict.verify(TOKEN, binding=BINDING)


def replace_settings(**changes):
    from keyturn.settings import Settings

    return Settings(**{"issuer": ISSUER, "audience": SETTINGS.audience, **changes})


@pytest.mark.parametrize("changes", [{"issuer": "https://other.example"}, {"audience": "https://other.example"},
    {"realm": "staff"}], ids=repr)  # fmt: skip
@pytest.mark.ids("TOK-09", "TOK-10")
def test_a_verifier_takes_only_its_own_tokens(clock, changes):
    assert answer(Verifier(replace_settings(**changes), StaticKeys(RING), clock=clock)) == "token_invalid"


# --- keys ---------------------------------------------------------------------------------------------------------


def another_ring() -> KeyRing:
    return new_ring(now=START - timedelta(days=1), entropy=secrets.token_bytes)


def test_a_removed_key_takes_its_tokens_along(clock):
    source, other = Ring(), another_ring()
    verifier = Verifier(SETTINGS, source, clock=clock)
    assert answer(verifier) == "accepted"
    source.ring = other
    assert answer(verifier) == "token_invalid"
    assert answer(verifier, issue(claims(), other.signing(START))) == "accepted"
    source.ring = RING
    assert answer(verifier) == "accepted"


@pytest.mark.parametrize("cache_size", [0, 1000])
def test_a_key_that_is_over_takes_its_tokens_along(clock, cache_size):
    over = START + 9 * SECOND
    old = KEY

    class Retiring(KeyRing):
        """The ring of a key that is over at a given time."""

        def verifying(self, now):
            return () if now >= over else (replace(old, verifies_until=over),)

    verifier = Verifier(SETTINGS, Ring(Retiring(keys=RING.keys)), clock=clock, cache_size=cache_size)
    assert answer(verifier) == "accepted"
    clock.set(over - timedelta(microseconds=1))
    assert answer(verifier) == "accepted"
    clock.set(over)
    assert answer(verifier) == "token_invalid"
    clock.set(START)  # a clock that leapt ahead and back took nothing away for good
    assert answer(verifier) == "accepted"
    clock.set(over)
    assert answer(verifier) == "token_invalid"


@pytest.mark.ids("TOK-04")
def test_an_unknown_key_asks_for_the_ring_once_a_second_at_most(clock):
    source, other = Ring(), another_ring()
    verifier = Verifier(SETTINGS, source, clock=clock)
    unknown = issue(claims(), other.signing(START))
    assert not verifier.wants_reload
    for bad in (TOKEN[:-2], "x", "a.b.c", signed(KEY, body(), {"alg": "none"})):
        with pytest.raises(TokenInvalidError):
            verifier.verify(bad, binding=None)
    assert not verifier.wants_reload, "garbage costs no reading"
    assert answer(verifier, unknown) == "token_invalid"
    assert source.reloads == 0, "verify does no I/O"
    assert verifier.wants_reload
    verifier.reload()
    assert source.reloads == 1
    assert answer(verifier, unknown) == "token_invalid"
    assert not verifier.wants_reload, "within the same second"
    clock.advance(0.999)
    assert not verifier.wants_reload
    clock.advance(0.001)
    assert verifier.wants_reload
    source.next = other
    verifier.reload()
    assert answer(verifier, unknown) == "accepted"
    assert not verifier.wants_reload


def test_a_clock_that_went_back_does_not_keep_the_ring_from_being_read(clock):
    source = Ring()
    verifier = Verifier(SETTINGS, source, clock=clock)
    verifier.reload()
    clock.advance(timedelta(days=-1))
    drive(verifier.catch_up(Log()))
    assert source.reloads == 2


def test_catching_up_looks_at_the_ring_too_even_if_the_log_cannot_be_read(clock):
    class Down:
        async def revocations(self, after):
            raise StoreError

    source, other = Ring(), another_ring()
    source.next = other
    verifier = Verifier(SETTINGS, source, clock=clock)
    assert answer(verifier) == "accepted"
    with pytest.raises(StoreError):
        drive(verifier.catch_up(Down()))
    assert answer(verifier) == "token_invalid"


@pytest.mark.ids("TOK-19", "M56")
def test_a_token_that_is_too_long_is_not_even_looked_up(verifier):
    class Long(str):
        __slots__ = ()

        def __hash__(self):
            raise AssertionError("hashing takes time that grows with the length")

    with pytest.raises(TokenInvalidError):
        verifier.verify(Long("a" * 20_000_000), binding=None)


# --- sightings ----------------------------------------------------------------------------------------------------


def test_a_generation_s_first_use_is_told_once(verifier):
    answer(verifier)
    answer(verifier, issue(claims(token_id="another"), KEY))
    assert verifier.take_sightings() == {SESSION: 3}
    answer(verifier)
    assert verifier.take_sightings() == {}
    answer(verifier, issue(claims(generation=4), KEY))
    answer(verifier, issue(claims(generation=6), KEY))
    answer(verifier, issue(claims(generation=5), KEY))
    answer(verifier, issue(claims(session_id=new_session_id(START, b"another one..."), generation=0), KEY))
    assert verifier.take_sightings() == {SESSION: 6, new_session_id(START, b"another one..."): 0}


def test_only_what_was_accepted_in_full_was_delivered(verifier, clock):
    answer(verifier, binding=None)
    answer(verifier, binding=UNCHECKED)
    assert verifier.take_sightings() == {}
    answer(verifier)
    assert verifier.take_sightings() == {SESSION: 3}
    other = new_session_id(START, b"another one...")
    verifier.floors.add([floor(9, other)])
    answer(verifier, issue(claims(session_id=other), KEY))
    clock.set(END)
    answer(verifier, issue(claims(session_id=new_session_id(START, b"yet another...")), KEY))
    assert verifier.take_sightings() == {}


def test_an_unbound_token_leaves_nothing_unchecked(verifier):
    answer(verifier, UNBOUND, UNCHECKED)
    assert verifier.take_sightings() == {SESSION: 3}


def test_sightings_that_could_not_be_told_are_given_again(verifier):
    answer(verifier)
    taken = verifier.take_sightings()
    answer(verifier, issue(claims(generation=4), KEY))
    verifier.keep_sightings(taken)
    assert verifier.take_sightings() == {SESSION: 4}


def test_sightings_are_bounded(monkeypatch, clock):
    monkeypatch.setattr("keyturn.verifier.MAX_SIGHTINGS", 10)
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)
    for number in range(30):
        session_id = new_session_id(START, number.to_bytes(14, "big"))
        verifier.verify(issue(claims(session_id=session_id), KEY), binding=BINDING)
    assert len(verifier.take_sightings()) == 10


# --- the memory, threads, secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_the_memory_is_bounded_and_keeps_what_is_used(size):
    memory: Recent[int, str] = Recent(size)
    for number in range(1000):
        memory.put(number, str(number))
        assert len(memory) <= size + size % 2
        if size:
            assert memory.get(number) == str(number)
        if size > 2 and number:
            assert memory.get(0) == "0", "what is asked for again and again stays"
    assert memory.get(-1) is None


def test_a_token_in_memory_takes_some_two_kilobytes(clock):
    import tracemalloc

    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock, cache_size=2000)
    tokens = [issue(claims(token_id=f"{number:022}"), KEY) for number in range(500)]
    tracemalloc.start()
    try:
        for token in tokens:
            verifier.verify(str(token.encode(), "ascii"), binding=BINDING)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] / len(tokens) < 3000
    finally:
        tracemalloc.stop()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_eight_threads_get_their_own_answers_while_everything_changes(clock):
    other = new_ring(now=START, entropy=secrets.token_bytes)  # so the other key is retiring, and good
    both = KeyRing(keys=(*RING.keys, *(key for key in other.keys if key.purpose == "access")))
    source = Ring(both)
    verifier = Verifier(SETTINGS, source, clock=clock, cache_size=8)
    sessions = [new_session_id(START, number.to_bytes(14, "big")) for number in range(24)]
    mine = [issue(claims(session_id=each), KEY) for each in sessions]
    ended = new_session_id(START, b"ended already!")
    dead = issue(claims(session_id=ended), KEY)
    verifier.floors.add([floor(ENDED, ended)])
    taken: list[dict[str, int]] = []

    def work(number: int) -> None:
        for step in range(150):
            which = (number * 7 + step) % len(mine)
            assert verifier.verify(mine[which], binding=BINDING).session_id == sessions[which]
            with pytest.raises(SessionEndedError):
                verifier.verify(dead, binding=BINDING)
            with pytest.raises(BindingMismatchError):
                verifier.verify(mine[which], binding=None)
            if step % 40 == number:
                source.ring = KeyRing(keys=both.keys)
            if step % 10 == number:
                taken.append(dict(verifier.take_sightings()))

    assert in_threads(8, work) == []
    taken.append(dict(verifier.take_sightings()))
    assert {session_id for each in taken for session_id in each} == set(sessions)


@pytest.mark.anyio
async def test_the_same_object_serves_tasks(clock):
    verifier = Verifier(SETTINGS, StaticKeys(RING), clock=clock)

    async def use() -> Claims:
        await verifier.catch_up(Log())
        return verifier.verify(TOKEN, binding=BINDING)

    assert await asyncio.gather(*(use() for _ in range(9))) == [claims()] * 9
    assert await use() is await use(), "one object for all: it cannot be changed"


@pytest.mark.ids("TOK-20")
def test_nothing_that_fails_shows_the_token_or_its_proof(verifier, clock, caplog):
    verifier.floors.add([floor(9)])
    secret = TOKEN.split(".")[2]
    for token, binding in ((TOKEN, BINDING), (TOKEN, "wrong-proof"), (f"{TOKEN}x", BINDING)):
        with pytest.raises(KeyturnError) as caught:
            verifier.verify(token, binding=binding)
        told = f"{caught.value!r} {caught.value} {caught.value.cause} {caught.value.__context__!r}"
        for private in (secret, BINDING, "wrong-proof"):
            assert private not in told
    assert secret not in repr(verifier) + repr(verifier.floors) + repr(claims())
    assert caplog.records == []


def test_errors_survive_pickling_without_the_token(verifier):
    with pytest.raises(TokenInvalidError) as caught:
        verifier.verify(f"{TOKEN}x", binding=BINDING)
    assert TOKEN.encode() not in pickle.dumps(caught.value)
