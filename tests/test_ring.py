"""A ring says at every time which key does what, and refuses to exist with faulty keys."""

import pickle
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keyturn._algorithms import RefreshSecret, to_base64url
from keyturn._ring import TAIL
from keyturn.errors import ConfigurationError
from keyturn.keyrings.static import testing_keys
from keyturn.keys import Key, KeyRing, SpentId, new_access_key, new_refresh_key, new_ring
from keyturn.testing.entropy import CountingEntropy

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
ENTROPY = CountingEntropy("ring")


def access(signs_from: datetime = T0, algorithm: str = "ES256") -> Key:
    return new_access_key(algorithm, now=T0, signs_from=signs_from, entropy=ENTROPY)


def refresh(number: int = 0, signs_from: datetime = T0) -> Key:
    return new_refresh_key(number, now=T0, signs_from=signs_from, entropy=ENTROPY)


def ids(keys: tuple[Key, ...]) -> list[str]:
    return [key.id for key in keys]


def faults_of(*keys: Key, spent: tuple[SpentId, ...] = ()) -> str:
    with pytest.raises(ConfigurationError) as caught:
        KeyRing(keys=keys, spent=spent)
    return "\n".join(caught.value.faults)


# -- What each key does


@pytest.mark.ids("KEY-03")
def test_a_key_is_next_then_current_then_retiring_then_removed():
    first, second = access(), access(T0 + HOUR)
    ring = KeyRing(keys=(second, first))
    end = T0 + HOUR + TAIL["access"]

    def states(now: datetime) -> tuple[str, str]:
        return ring.state(first, now), ring.state(second, now)

    assert states(T0) == states(T0 + HOUR - INSTANT) == ("current", "next")
    assert states(T0 + HOUR) == states(end - INSTANT) == ("retiring", "current")
    assert states(end) == ("removed", "current")
    assert ring.signing(T0 + HOUR - INSTANT).id == first.id
    assert ring.signing(T0 + HOUR).id == second.id
    assert ids(ring.verifying(T0)) == ids(ring.verifying(end - INSTANT)) == [second.id, first.id]
    assert ids(ring.verifying(end)) == [second.id]


def test_a_refresh_key_opens_from_before_it_seals_until_its_end():
    old, new = refresh(3), refresh(4, T0 + HOUR)
    ring = KeyRing(keys=(old, new))
    end = T0 + HOUR + TAIL["refresh"]
    assert ring.sealing(T0).id == ring.sealing(T0 + HOUR - INSTANT).id == "3"
    assert ring.sealing(T0 + HOUR).id == "4"
    for now in (T0, T0 + HOUR, end - INSTANT):
        assert [each and each.id for each in (ring.refresh_key(3, now), ring.refresh_key(4, now))] == ["3", "4"]
    assert ring.refresh_key(3, end) is None
    assert ring.refresh_key(5, T0) is None


def test_a_key_that_is_not_in_the_ring_is_removed():
    assert KeyRing(keys=(access(), refresh())).state(access(), T0) == "removed"


def test_only_a_newer_key_of_the_same_purpose_ends_a_key():
    keys = KeyRing(keys=(access(), refresh(0, T0 + HOUR))).keys
    assert [key.verifies_until for key in keys] == [None, None]


def test_each_key_ends_by_the_first_key_that_took_over_from_it():
    first, second, third = (access(T0 + n * HOUR) for n in range(3))
    ends = {key.id: key.verifies_until for key in KeyRing(keys=(third, first, second)).keys}
    assert ends == {
        first.id: T0 + HOUR + TAIL["access"],
        second.id: T0 + 2 * HOUR + TAIL["access"],
        third.id: None,
    }


def test_a_key_whose_successor_was_taken_out_has_no_end_again():
    first, second = access(), access(T0 + HOUR)
    ended = next(key for key in KeyRing(keys=(first, second)).keys if key.id == first.id)
    assert ended.verifies_until
    assert KeyRing(keys=(ended,)).keys[0].verifies_until is None


def test_a_clock_that_lags_behind_the_first_keys_still_finds_them():
    ring = new_ring(now=T0, entropy=CountingEntropy())
    early = T0 - timedelta(seconds=2)
    assert ring.state(ring.signing(early), early) == ring.state(ring.sealing(early), early) == "current"


def test_a_ring_without_a_key_for_something_says_how_to_make_one():
    empty = KeyRing(keys=())
    for ask in (empty.signing, empty.sealing):
        with pytest.raises(ConfigurationError, match="directory of keys"):
            ask(T0)
    assert empty.verifying(T0) == ()
    assert not empty.has("access")
    assert not empty.has("refresh")


# -- What is published


@pytest.mark.ids("KEY-01", "KEY-02")
@pytest.mark.parametrize(
    ("algorithm", "members"), [("ES256", {"crv", "x", "y"}), ("Ed25519", {"crv", "x"}), ("RS256", {"n", "e"})]
)
def test_the_jwks_shows_public_members_with_kid_alg_and_use_and_no_refresh_key(algorithm: str, members: set[str]):
    ring = new_ring(now=T0, entropy=CountingEntropy(), algorithm=algorithm)
    published = ring.jwks(T0)
    (key,) = published["keys"]
    assert set(published) == {"keys"}
    assert set(key) == members | {"kty", "kid", "alg", "use"}
    assert (key["kid"], key["alg"], key["use"]) == (ring.signing(T0).id, algorithm, "sig")
    assert key["kty"] != "oct"


@pytest.mark.ids("KEY-01", "KEY-03")
def test_the_jwks_shows_the_keys_that_are_good_now():
    old, new = access(), access(T0 + HOUR)
    ring = KeyRing(keys=(old, new))
    assert [key["kid"] for key in ring.jwks(T0)["keys"]] == [new.id, old.id]
    assert [key["kid"] for key in ring.jwks(T0 + HOUR + TAIL["access"])["keys"]] == [new.id]


@pytest.mark.ids("TOK-17")
def test_ed25519_goes_by_its_own_name_and_by_eddsa_only_where_asked():
    key = access(algorithm="Ed25519")
    assert key.header_algorithms == ("Ed25519",)
    assert replace(key, eddsa_alias=True).header_algorithms == ("Ed25519", "EdDSA")
    assert replace(key, eddsa_alias=True).public_jwk()["alg"] == "Ed25519"
    assert replace(access(), eddsa_alias=True).header_algorithms == ("ES256",)
    assert refresh().header_algorithms == ()


# -- What no ring is made of


@pytest.mark.ids("TOK-16")
def test_an_id_that_is_there_twice_is_a_fault():
    key = access()
    assert f"Key id {key.id} is there twice" in faults_of(key, replace(key, created_at=T0 + HOUR))
    assert "Key id 7 is there twice" in faults_of(refresh(7), refresh(7))
    assert "Key id 7 is there twice" in faults_of(refresh(7), spent=(SpentId(id="7", until=T0),))


@pytest.mark.parametrize("begins", ["-", "x"])
def test_keys_of_one_moment_stand_in_one_order_whatever_their_ids_begin_with(begins: str):
    # A thumbprint may begin with a hyphen, which sorts before the digits of a refresh key's id.
    signs = next(key for key in iter(access, None) if key.id.startswith(begins))
    seals = refresh()
    assert ids(KeyRing(keys=(signs, seals)).keys) == ids(KeyRing(keys=(seals, signs)).keys) == [seals.id, signs.id]


@pytest.mark.ids("KEY-07")
def test_one_secret_under_two_ids_is_a_fault():
    key = refresh(1)
    assert "same secret" in faults_of(key, replace(key, id="2"))


@pytest.mark.ids("KEY-07", "TOK-16")
def test_purposes_do_not_mix():
    assert "refresh tokens, but does not hold" in faults_of(replace(access(), purpose="refresh", id="1"))
    assert "access tokens, but does not hold" in faults_of(replace(refresh(), purpose="access"))
    assert "does not hold" in faults_of(replace(access(), algorithm="RS256"))
    assert "does not hold" in faults_of(replace(refresh(), algorithm="ES256"))


@pytest.mark.ids("KEY-07")
def test_a_key_does_only_what_its_purpose_says():
    with pytest.raises(ConfigurationError):
        _ = access().secret
    for act in (lambda key: key.sign(b""), lambda key: key.verify(b"", b""), lambda key: key.public_jwk()):
        with pytest.raises(ConfigurationError):
            act(refresh())


def test_a_public_key_says_that_it_cannot_sign():
    key = access()
    public = replace(key, material=type(key.material).from_jwk(key.public_jwk()))
    assert public.verify(b"data", key.sign(b"data"))
    with pytest.raises(ConfigurationError, match="cannot sign"):
        public.sign(b"data")


@pytest.mark.ids("KEY-02")
@pytest.mark.parametrize("name", ["", "key-1", "0"])
def test_an_access_key_with_another_name_than_its_thumbprint_is_a_fault(name: str):
    assert "thumbprint" in faults_of(replace(access(), id=name))


@pytest.mark.parametrize("name", ["", "256", "-1", "01", "+1", "1 ", "٣", "a", "1_0"])
def test_a_refresh_key_id_that_is_no_byte_is_a_fault(name: str):
    assert "one byte" in faults_of(replace(refresh(), id=name))
    assert "one byte" in faults_of(spent=(SpentId(id=name, until=T0),))


@pytest.mark.ids("TOK-15", "KEY-08")
def test_all_faults_are_told_at_once():
    naive = replace(access(), created_at=datetime(2026, 1, 1))  # noqa: DTZ001  # is what the fault is about
    weak = replace(refresh(9), material=RefreshSecret(bytes(32)))
    told = faults_of(naive, weak, replace(refresh(), id="300"), access())
    assert len(told.splitlines()) == 3
    assert "time zone" in told
    assert "placeholder" in told
    assert "one byte" in told


# -- Nothing of a key shows


@pytest.mark.ids("KEY-06")
def test_neither_a_key_nor_a_ring_shows_its_secrets():
    ring = new_ring(now=T0, entropy=CountingEntropy())
    number = ring.signing(T0).material.private_members()["d"]
    secret = ring.sealing(T0).secret
    shown = repr(ring) + str(ring) + "".join(map(repr, ring.keys)) + f"{ring.jwks(T0)}"
    for hidden in (number, to_base64url(secret), secret.hex(), repr(secret)[2:-1]):
        assert hidden not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ring)


@pytest.mark.ids("KEY-06")
def test_a_traceback_with_local_variables_shows_no_secret():
    weak = replace(refresh(9), material=RefreshSecret(b"a passphrase of thirty-two bytes"))
    try:
        KeyRing(keys=(access(), weak))
    except ConfigurationError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Key 9: its secret is a text" in shown
    assert "passphrase" not in shown


def test_the_testing_keys_are_the_same_in_every_run_and_sign_without_chance():
    ring = testing_keys().ring
    assert ring == testing_keys().ring
    assert ring.signing(T0).deterministic
    assert ring.signing(T0).sign(b"data") == testing_keys().ring.signing(T0).sign(b"data")
    assert ring.signing(T0).id == "25s3hm8JdkZSzHUMK5lE0WcBXxPLbTIRAdV73tVz4ZM"
