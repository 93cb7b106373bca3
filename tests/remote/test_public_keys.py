"""A published set of keys is read strictly: what verifies our tokens, and no more."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn import UNCHECKED, ConfigurationError, Verifier
from keyturn._access_token import issue
from keyturn._algorithms import RS256
from keyturn._public_keys import MOST_KEYS, read_key_set
from keyturn.keyrings.static import StaticKeys, testing_keys
from keyturn.keys import KeyRing, new_ring
from keyturn.testing.clock import START, ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.access_tokens import SETTINGS, claims
from tests.support.key_site import key_set

OURS = {
    algorithm: new_ring(now=START, entropy=CountingEntropy(algorithm), algorithm=algorithm)
    for algorithm in ("ES256", "Ed25519", "RS256")
}
(GOOD,) = OURS["ES256"].jwks(START)["keys"]
(RSA,) = OURS["RS256"].jwks(START)["keys"]
(EDWARDS,) = OURS["Ed25519"].jwks(START)["keys"]


def ring_of(*keys: Any, **how: Any) -> KeyRing:
    reading = read_key_set(key_set(keys), **how)
    assert reading.faults == ()
    assert reading.ring is not None
    return reading.ring


def fault_of(text: bytes) -> str:
    reading = read_key_set(text)
    assert reading.ring is None
    (fault,) = reading.faults
    return fault


def weak_rsa(bits: int = 1024, exponent: int = 65537) -> dict[str, str]:
    public = rsa.generate_private_key(public_exponent=exponent, key_size=bits).public_key()
    return {**RS256(public, None).members, "alg": "RS256", "use": "sig"}


@pytest.mark.parametrize("algorithm", OURS)
def test_what_an_issuer_publishes_verifies_its_tokens_and_signs_nothing(algorithm):
    issuer = OURS[algorithm]
    ring = ring_of(*issuer.jwks(START)["keys"])
    token = issue(claims(), issuer.signing(START))
    verifier = Verifier(SETTINGS, StaticKeys(ring), clock=ManualClock())
    assert verifier.verify(token, binding=UNCHECKED).subject == "user-1"
    assert not ring.has("refresh")
    with pytest.raises(ConfigurationError, match="public"):
        ring.signing(START).sign(b"")


def test_a_published_key_verifies_for_as_long_as_it_is_published():
    ring = ring_of(GOOD, EDWARDS, RSA)
    assert {key.id for key in ring.verifying(datetime(2999, 1, 1, tzinfo=UTC))} == {
        key["kid"] for key in (GOOD, EDWARDS, RSA)
    }


@pytest.mark.ids("TOK-16")
@pytest.mark.parametrize(
    "other",
    [
        {**EDWARDS, "use": "enc"}, {**EDWARDS, "key_ops": ["encrypt"]}, {**EDWARDS, "key_ops": "verify"},
        {**EDWARDS, "alg": "EdDSA"}, {**EDWARDS, "alg": ["Ed25519"]}, {**RSA, "alg": "RS512"}, {**RSA, "alg": "PS256"},
        {**EDWARDS, "kid": "2026-01"}, {**EDWARDS, "crv": "Ed448"}, {**EDWARDS, "crv": "X25519"},
        {"kty": "EC", "crv": "P-384", "kid": "p", "x": "AA", "y": "AA"}, {"kty": "AKP", "kid": "q", "pub": "AA"},
        {"kty": ["EC"], "crv": {}}, {},
    ],
    # Not by all that is in them: some are drawn anew, and workers must name them alike.
    ids=lambda key: "-".join(str(key.get(name)) for name in ("kty", "alg", "crv", "use", "key_ops")),
)  # fmt: skip
def test_a_key_for_something_else_is_passed_over(other):
    assert [key.id for key in ring_of(other, GOOD).keys] == [GOOD["kid"]]


def test_a_set_with_nothing_for_our_tokens_is_no_set_for_us():
    assert "no key in it is one for access tokens" in fault_of(key_set([]))
    assert "no key in it is one for access tokens" in fault_of(key_set([{**GOOD, "use": "enc"}]))


@pytest.mark.ids("TOK-16")
def test_a_key_that_says_that_it_verifies_is_believed():
    assert len(ring_of({**GOOD, "key_ops": ["verify"]}).keys) == 1
    assert len(ring_of({name: GOOD[name] for name in ("kty", "crv", "x", "y")}).keys) == 1


@pytest.mark.ids("TOK-17")
def test_the_older_name_of_ed25519_is_accepted_only_where_asked_for():
    assert ring_of(EDWARDS).keys[0].header_algorithms == ("Ed25519",)
    assert ring_of(EDWARDS, eddsa_alias=True).keys[0].header_algorithms == ("Ed25519", "EdDSA")


@pytest.mark.ids("KEY-05", "TOK-16")
def test_a_key_id_that_is_there_twice_makes_the_set_worth_nothing():
    assert "twice" in fault_of(key_set([GOOD, GOOD]))
    assert "twice" in fault_of(key_set([GOOD, {"kty": "AKP", "kid": GOOD["kid"]}]))


@pytest.mark.ids("KEY-05", "TOK-15")
@pytest.mark.parametrize("weak", [weak_rsa(), weak_rsa(2048, 3)], ids=["1024 bits", "exponent 3"])
def test_a_weak_rsa_key_makes_the_set_worth_nothing(weak):
    assert "is weak" in fault_of(key_set([GOOD, weak]))


@pytest.mark.ids("KEY-05", "TOK-15")
def test_a_key_that_everybody_has_makes_the_set_worth_nothing():
    (known,) = testing_keys().ring.jwks(START)["keys"]
    assert "everybody has" in fault_of(key_set([GOOD, known]))


@pytest.mark.ids("KEY-05", "KEY-06")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_half_makes_the_set_worth_nothing_and_is_not_repeated(member):
    for key in ({**EDWARDS, member: "c2VjcmV0"}, {"kty": "oct", member: "c2VjcmV0"}):
        fault = fault_of(key_set([GOOD, key]))
        assert "private half" in fault
        assert "c2VjcmV0" not in fault


@pytest.mark.ids("KEY-05")
def test_a_set_has_so_many_keys_at_most():
    others = [{"kty": "AKP", "kid": str(number)} for number in range(MOST_KEYS)]
    assert len(ring_of(GOOD, *others[1:]).keys) == 1
    assert f"more than {MOST_KEYS}" in fault_of(key_set([GOOD, *others]))


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"null", b'"keys"', b'{"keys": {}}', b'{"keys": null}', b'{"keys": ["x"]}', b'{"keys": [null]}', b"{}",
        key_set([GOOD])[:-1], key_set([GOOD]) + b"x", b'{"keys": [], ' + key_set([GOOD])[1:],
        key_set([GOOD]).replace(b'"kty"', b'"kty": "OKP", "kty"'), key_set([GOOD], more=float("nan")),
        key_set([GOOD]).decode().encode("utf-16"), b"\xef\xbb\xbf" + key_set([GOOD]), b"\xff" + key_set([GOOD]),
        key_set([GOOD], more=json.loads("[" * 9 + "]" * 9)), b"[" * 60_000, b'{"keys": ' + b"9" * 5000 + b"}",
    ],
    ids=range(20),
)  # fmt: skip
def test_what_is_no_strict_json_is_no_key_set(text):
    assert fault_of(text).startswith("it is no ")


@pytest.mark.ids("KEY-05")
@pytest.mark.parametrize(
    "change",
    [{"x": GOOD["y"]}, {"x": "!"}, {"x": 7}, {"x": ""}, {"y": GOOD["y"] + "AA"}, {"x": "\u00e9" * 43}],
    ids=str,
)
def test_numbers_that_are_no_key_make_the_set_worth_nothing(change):
    assert "are no key" in fault_of(key_set([{**GOOD, **change}, EDWARDS]))


# --- a file of public keys --------------------------------------------------------------------------------------------


def test_a_file_of_published_keys_is_a_key_source():
    text = key_set([GOOD]).decode()
    for keys in (StaticKeys.from_jwks(text), StaticKeys.from_jwks(text.encode())):
        verifier = Verifier(SETTINGS, keys, clock=ManualClock())
        token = issue(claims(), OURS["ES256"].signing(START))
        assert verifier.verify(token, binding=UNCHECKED).subject == "user-1"


@pytest.mark.ids("KEY-06", "TOK-16")
def test_a_file_with_a_fault_is_refused_without_being_quoted():
    with pytest.raises(ConfigurationError, match="private half") as caught:
        StaticKeys.from_jwks(key_set([{**EDWARDS, "d": "c2VjcmV0"}]))
    assert "c2VjcmV0" not in str(caught.value)
    frames, seen = caught.tb, []
    while frames is not None:
        if "keyturn" in frames.tb_frame.f_code.co_filename and "tests" not in frames.tb_frame.f_code.co_filename:
            seen.append(repr(frames.tb_frame.f_locals))
        frames = frames.tb_next
    assert seen
    assert "c2VjcmV0" not in "".join(seen)
