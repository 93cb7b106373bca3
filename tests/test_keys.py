"""Rotation never fails a valid token, and removal takes effect at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings, strategies as st

from keyturn._ring import LEAD, TAIL
from keyturn.errors import ConfigurationError
from keyturn.keys import (
    JWKS_CACHE,
    RELOAD_INTERVAL,
    KeyRing,
    completed,
    new_ring,
    pruned,
    remove,
    rotate_access,
    rotate_refresh,
)
from keyturn.settings import ACCESS_TOKEN_CEILING, SESSION_CEILING, SKEW_CEILING
from keyturn.testing.entropy import CountingEntropy

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
ENTROPY = CountingEntropy("keys")


def fresh(algorithm: str = "ES256") -> KeyRing:
    return new_ring(now=T0, entropy=ENTROPY, algorithm=algorithm)


def states(ring: KeyRing, now: datetime, purpose: str) -> list[str]:
    return [ring.state(key, now) for key in ring.keys if key.purpose == purpose]


# -- A fresh ring


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_fresh_ring_signs_and_seals_at_once(algorithm: str):
    ring = fresh(algorithm)
    assert ring.signing(T0).algorithm == algorithm
    assert ring.sealing(T0).id == "0"
    assert states(ring, T0, "access") == states(ring, T0, "refresh") == ["current"]


def test_an_unknown_algorithm_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"HS256.*ES256, Ed25519, RS256"):
        fresh("HS256")


# -- Access keys


@pytest.mark.ids("KEY-03")
def test_a_new_access_key_is_published_a_cache_time_before_it_signs():
    before = fresh()
    ring = rotate_access(before, now=T0 + DAY, entropy=ENTROPY)
    old, new = before.signing(T0), ring.keys[-1]
    assert ring.verifying(T0 + DAY) == (new, ring.keys[-2])
    assert new.signs_from - (T0 + DAY) >= JWKS_CACHE + RELOAD_INTERVAL + SKEW_CEILING
    assert ring.signing(new.signs_from - INSTANT).id == old.id
    assert ring.signing(new.signs_from) is new


@pytest.mark.ids("KEY-03")
def test_an_access_key_verifies_a_ceiling_and_a_skew_after_it_stopped_signing():
    ring = rotate_access(fresh(), now=T0, entropy=ENTROPY)
    old, stopped = ring.keys[1], ring.keys[2].signs_from
    assert old in ring.verifying(stopped + ACCESS_TOKEN_CEILING + SKEW_CEILING)
    assert old not in ring.verifying(stopped + ACCESS_TOKEN_CEILING + 3 * SKEW_CEILING)


@pytest.mark.ids("KEY-03")
def test_a_rotation_drops_keys_that_are_of_no_more_use():
    ring = rotate_access(rotate_access(fresh(), now=T0, entropy=ENTROPY), now=T0 + DAY, entropy=ENTROPY)
    assert states(ring, T0 + DAY, "access") == ["current", "next"]
    assert len(pruned(ring, T0 + 2 * DAY).keys) == 2


def test_a_rotation_can_change_the_algorithm_and_keeps_it_unasked():
    ring = rotate_access(fresh(), now=T0, entropy=ENTROPY, algorithm="Ed25519")
    later = rotate_access(ring, now=T0 + DAY, entropy=ENTROPY)
    assert [key.algorithm for key in later.keys if key.purpose == "access"] == ["Ed25519", "Ed25519"]
    assert [key.algorithm for key in ring.keys if key.purpose == "access"] == ["ES256", "Ed25519"]


@cache
def _history(gaps: tuple[int, ...]) -> tuple[tuple[datetime, KeyRing], ...]:
    """The rings that were written, each with its time: rotations of both kinds at the given gaps in seconds."""
    entropy, written, now = CountingEntropy("history"), [(T0, new_ring(now=T0, entropy=CountingEntropy("first")))], T0
    for gap in gaps:
        now += timedelta(seconds=gap)
        ring = rotate_access(written[-1][1], now=now, entropy=entropy)
        written.append((now, rotate_refresh(ring, now=now, entropy=entropy)))
    return tuple(written)


@dataclass(frozen=True)
class Process:
    """A process whose ring is as old as allowed, and whose clock is off."""

    history: tuple[tuple[datetime, KeyRing], ...]
    lag: timedelta
    off: timedelta

    def ring(self, at: datetime) -> KeyRing:
        return [ring for written, ring in self.history if written <= max(at - self.lag, T0)][-1]

    def clock(self, at: datetime) -> datetime:
        return at + self.off


def _upto(limit: timedelta) -> st.SearchStrategy[timedelta]:
    return st.floats(0, 1).map(lambda part: limit * part) | st.sampled_from([timedelta(0), limit])


def _around(limit: timedelta) -> st.SearchStrategy[timedelta]:
    return _upto(2 * limit).map(lambda off: off - limit)


HISTORIES = st.lists(st.integers(0, 9000), min_size=1, max_size=4).map(tuple).map(_history)


@pytest.mark.ids("KEY-03")
@settings(max_examples=300, deadline=None)
@given(
    history=HISTORIES,
    issuing=st.tuples(_upto(RELOAD_INTERVAL), _around(SKEW_CEILING / 2)),
    publishing=st.tuples(_upto(RELOAD_INTERVAL), _around(SKEW_CEILING / 2)),
    verifying=_around(SKEW_CEILING / 2),
    cached=_upto(JWKS_CACHE),
    since=_upto(timedelta(hours=12)),
    age=_upto(ACCESS_TOKEN_CEILING + SKEW_CEILING),
)
def test_no_valid_access_token_meets_a_verifier_without_its_key(
    history, issuing, publishing, verifying, cached, since, age
):
    issuer, publisher = Process(history, *issuing), Process(history, *publishing)
    issued = T0 + since
    key = issuer.ring(issued).signing(issuer.clock(issued))
    ends = issuer.clock(issued) + ACCESS_TOKEN_CEILING + SKEW_CEILING
    used = issued + age
    if used + verifying >= ends:
        return  # the verifier refuses the token by its own times
    fetched = used - cached
    published = publisher.ring(fetched).jwks(publisher.clock(fetched))["keys"]
    assert key.id in {each["kid"] for each in published}, "elsewhere, by a copy of the JWKS"
    assert key.id in {each.id for each in publisher.ring(used).verifying(used + verifying)}, "here, by the ring"


@pytest.mark.ids("KEY-03", "M19")
@settings(max_examples=200, deadline=None)
@given(
    history=HISTORIES,
    sealing=st.tuples(_upto(RELOAD_INTERVAL), _around(SKEW_CEILING / 2)),
    opening=st.tuples(_upto(RELOAD_INTERVAL), _around(SKEW_CEILING / 2)),
    since=_upto(timedelta(hours=12)),
    age=_upto(SESSION_CEILING - INSTANT),
)
def test_no_live_session_meets_an_issuer_without_the_key_that_sealed_its_token(history, sealing, opening, since, age):
    sealer, opener = Process(history, *sealing), Process(history, *opening)
    sealed = T0 + since
    key = sealer.ring(sealed).sealing(sealer.clock(sealed))
    used = sealed + age
    assert opener.ring(used).refresh_key(int(key.id), opener.clock(used)) is not None


# -- Refresh keys


@pytest.mark.ids("KEY-03", "M19")
def test_a_new_refresh_key_seals_a_reload_interval_later_and_the_old_one_opens_for_the_longest_session():
    ring = rotate_refresh(fresh(), now=T0 + DAY, entropy=ENTROPY)
    seals_from = ring.keys[-1].signs_from
    assert seals_from - (T0 + DAY) >= RELOAD_INTERVAL + SKEW_CEILING
    assert (ring.sealing(seals_from - INSTANT).id, ring.sealing(seals_from).id) == ("0", "1")
    assert ring.refresh_key(1, T0 + DAY), "a process ahead of us may seal with it already"
    assert ring.refresh_key(0, seals_from + SESSION_CEILING + SKEW_CEILING)
    assert ring.refresh_key(0, seals_from + TAIL["refresh"]) is None


@pytest.mark.ids("KEY-03")
def test_a_refresh_key_id_is_not_given_again_while_a_session_that_saw_it_may_live():
    ring, now = fresh(), T0
    for _ in range(255):
        now += HOUR
        ring = rotate_refresh(ring, now=now, entropy=ENTROPY)
    assert sorted(int(key.id) for key in ring.keys if key.purpose == "refresh") == list(range(256))
    free_from = T0 + HOUR + LEAD["refresh"] + TAIL["refresh"]
    with pytest.raises(ConfigurationError, match=f"256.*{free_from:%Y-%m-%d}"):
        rotate_refresh(ring, now=free_from - INSTANT, entropy=ENTROPY)
    turned = rotate_refresh(ring, now=free_from, entropy=ENTROPY)
    assert turned.keys[-1].id == "0"
    assert turned.keys[-1].secret != ring.keys[0].secret


# -- Removal


@pytest.mark.ids("KEY-04")
def test_a_removed_access_key_verifies_nothing_from_then_on_and_a_fresh_one_signs():
    ring = fresh()
    old = ring.signing(T0)
    after = remove(ring, old.id, now=T0 + DAY, entropy=ENTROPY)
    assert after.state(old, T0 + DAY) == "removed"
    assert old.id not in {key.id for key in after.verifying(T0 + DAY)}
    assert after.signing(T0 + DAY).id != old.id
    assert after.signing(T0 + DAY).algorithm == old.algorithm
    assert after.sealing(T0 + DAY) == ring.sealing(T0 + DAY), "nobody is signed out"


@pytest.mark.ids("KEY-04")
def test_where_a_next_key_waits_it_takes_over_from_a_removed_one_at_once():
    ring = rotate_access(fresh(), now=T0 + DAY, entropy=ENTROPY)
    waiting = ring.keys[-1]
    after = remove(ring, ring.signing(T0 + DAY).id, now=T0 + DAY, entropy=ENTROPY)
    assert after.signing(T0 + DAY).id == waiting.id
    assert len([key for key in after.keys if key.purpose == "access"]) == 1


@pytest.mark.ids("KEY-04")
def test_a_retiring_key_does_not_sign_again_when_the_current_one_is_removed():
    ring = rotate_access(fresh(), now=T0, entropy=ENTROPY)
    now = ring.keys[-1].signs_from
    retiring = ring.keys[1]
    after = remove(ring, ring.signing(now).id, now=now, entropy=ENTROPY)
    assert after.signing(now).id not in {key.id for key in ring.keys}
    assert after.state(retiring, now) == "retiring"


def test_a_next_key_that_is_removed_leaves_the_current_one_without_an_end():
    ring = rotate_access(fresh(), now=T0, entropy=ENTROPY)
    after = remove(ring, ring.keys[-1].id, now=T0, entropy=ENTROPY)
    assert after.signing(T0).id == ring.signing(T0).id
    assert after.signing(T0).verifies_until is None


@pytest.mark.ids("KEY-04")
def test_a_removed_refresh_key_opens_nothing_and_its_id_stays_taken():
    ring = rotate_refresh(fresh(), now=T0, entropy=ENTROPY)
    now = ring.keys[-1].signs_from
    after = remove(ring, "1", now=now, entropy=ENTROPY)
    assert after.refresh_key(1, now) is None
    assert after.refresh_key(0, now), "the sessions that another key sealed stay"
    assert after.sealing(now).id == "2"
    assert [each.id for each in after.spent] == ["1"]
    assert after.spent[0].until >= now + SESSION_CEILING


def test_the_id_of_a_removed_refresh_key_is_given_again_when_its_sessions_are_over():
    ring = remove(fresh(), "0", now=T0, entropy=ENTROPY)
    now = T0
    for _ in range(254):
        now += INSTANT
        ring = rotate_refresh(ring, now=now, entropy=ENTROPY)
    with pytest.raises(ConfigurationError, match="256"):
        rotate_refresh(ring, now=now, entropy=ENTROPY)
    over = ring.spent[0].until
    assert rotate_refresh(ring, now=over, entropy=ENTROPY).keys[-1].id == "0"


def test_to_remove_what_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="in the ring"):
        remove(fresh(), "17", now=T0, entropy=ENTROPY)


# -- A ring whose making was cut short


def test_an_empty_ring_is_completed_with_both_keys_and_a_whole_one_stays():
    ring = completed(KeyRing(keys=()), now=T0, entropy=ENTROPY)
    assert ring.has("access")
    assert ring.has("refresh")
    assert completed(ring, now=T0 + DAY, entropy=ENTROPY) is ring


def test_a_ring_with_a_refresh_key_only_gets_an_access_key():
    sealing = fresh().sealing(T0)
    ring = completed(KeyRing(keys=(sealing,)), now=T0, entropy=ENTROPY)
    assert ring.sealing(T0) == sealing
    assert ring.signing(T0)


def test_a_lost_refresh_key_is_not_replaced_unasked():
    with pytest.raises(ConfigurationError, match="signs everybody out"):
        completed(KeyRing(keys=(fresh().signing(T0),)), now=T0, entropy=ENTROPY)
