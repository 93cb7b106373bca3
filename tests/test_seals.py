"""Refresh tokens while the key ring turns: nobody is signed out by a rotation, and made-up key ids cost nothing."""

from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

import pytest

from keyturn._seals import SealedRing
from keyturn.errors import TokenInvalidError
from keyturn.keyrings.static import testing_keys
from keyturn.keys import KeyRing, remove, rotate_refresh
from keyturn.stores.memory import MemoryStore
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.desk import a_desk
from tests.support.rows import DAY, NOW, SEED, SESSION_ID, settings_with
from tests.support.written_keys import Written

RING = testing_keys().ring
SECOND = timedelta(seconds=1)
MADE_UP = "kt1." + urlsafe_b64encode(b"\xff" * 53).decode().rstrip("=")


def watched(source: Written, now: datetime = NOW) -> SealedRing:
    """Seals that have had their first look at the ring; what is read from then on is counted."""
    sealed = SealedRing(source, "default")
    sealed.seal(SESSION_ID, 0, SEED, now)
    source.reads = 0
    return sealed


def rotated(ring: KeyRing) -> KeyRing:
    return rotate_refresh(ring, now=NOW, entropy=CountingEntropy("rotation"))


@pytest.mark.ids("M19")
def test_a_rotation_signs_nobody_out_and_the_next_refresh_seals_anew():
    source, clock = Written(rotated(RING)), ManualClock(NOW)
    desk = a_desk(MemoryStore(), clock=clock, keys=source, settings=settings_with())
    device = desk.sign_in()
    old = desk.presented(device).token.key_id
    clock.advance(DAY)
    assert desk.presented(device).token.key_id == old
    desk.use(desk.refresh(device))
    assert desk.presented(device).token.key_id != old


@pytest.mark.ids("M19")
def test_a_retry_across_a_rotation_gets_the_same_successor_under_a_newer_seal():
    source, clock = Written(rotated(RING)), ManualClock(NOW)
    desk = a_desk(MemoryStore(), clock=clock, keys=source)
    device = desk.sign_in()
    lost = device.copy().take(desk.ask(device))
    clock.advance(DAY)
    retried = device.copy().take(desk.ask(device))
    first, second = desk.presented(lost).token, desk.presented(retried).token
    assert (first.session_id, first.generation, first.seed) == (second.session_id, second.generation, second.seed)
    assert first.key_id != second.key_id


def test_a_key_that_this_process_has_not_read_yet_is_found_by_reading_again():
    source = Written(RING)
    newer = rotated(RING)
    later = NOW + DAY
    text = SealedRing(Written(newer), "default").seal(SESSION_ID, 5, SEED, later)
    sealed = watched(source, later)
    source.written = newer
    assert sealed.open(text, later).generation == 5
    assert source.reads == 1


def test_the_ring_is_looked_at_once_a_minute_and_when_the_clock_went_back():
    source = Written(RING)
    sealed = watched(source)
    for seconds, reads in ((1, 0), (59, 0), (60, 1), (119, 1), (120, 2), (60, 3)):
        sealed.seal(SESSION_ID, 0, SEED, NOW + seconds * SECOND)
        assert source.reads == reads


@pytest.mark.ids("RT-07")
def test_made_up_key_ids_cost_one_look_at_the_ring_a_second():
    source = Written(RING)
    sealed = watched(source)
    for tenth in range(30):
        with pytest.raises(TokenInvalidError):
            sealed.open(MADE_UP, NOW + tenth * SECOND / 10)
    assert source.reads == 3


def test_values_that_are_no_tokens_never_look_at_the_ring():
    source = Written(RING)
    sealed = watched(source)
    for text in ("", "kt1.", "x" * 75, MADE_UP[:-1] + "_" * 5):
        with pytest.raises(TokenInvalidError):
            sealed.open(text, NOW)
    assert source.reads == 0


def test_a_key_that_was_removed_takes_its_sessions_along_and_leaves_the_others():
    sealed_by_old = SealedRing(Written(RING), "default").seal(SESSION_ID, 5, SEED, NOW)
    ring = rotated(RING)
    without = remove(ring, RING.sealing(NOW).id, now=NOW, entropy=CountingEntropy())
    sealed = SealedRing(Written(without), "default")
    with pytest.raises(TokenInvalidError):
        sealed.open(sealed_by_old, NOW)
    assert sealed.open(sealed.seal(SESSION_ID, 6, SEED, NOW), NOW).generation == 6
