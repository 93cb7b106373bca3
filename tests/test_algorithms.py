"""Signatures as the standards spell them, and nothing else."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, strategies as st

from keyturn._algorithms import (
    ES256,
    P256_ORDER,
    RS256,
    SIGNING,
    Ed25519,
    RefreshSecret,
    from_base64url,
    thumbprint,
    to_base64url,
)
from keyturn.testing.entropy import CountingEntropy

RFC_7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5Js"
    "GY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
    "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
RFC_8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC_7515_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
ANY = ES256.generate(CountingEntropy("any"))
ANY_ED = Ed25519.generate(CountingEntropy("any"))


@pytest.fixture(scope="module")
def rsa_key() -> RS256:
    return RS256.generate(CountingEntropy())


@pytest.fixture(scope="module", params=["ES256", "Ed25519", "RS256"])
def key(request: pytest.FixtureRequest, rsa_key: RS256) -> Any:
    return {"ES256": ANY, "Ed25519": ANY_ED, "RS256": rsa_key}[request.param]


class Credulous:
    """A public key that accepts whatever it is asked about."""

    def verify(self, *arguments: object) -> None:
        return None


@pytest.fixture
def credulous() -> Iterator[ES256]:
    material = ES256.generate(CountingEntropy("credulous"))
    material._public = Credulous()
    return material


# -- Vectors of the standards


@pytest.mark.ids("KEY-02")
def test_a_thumbprint_is_the_one_that_rfc_7638_prints():
    members = {"kty": "RSA", "n": RFC_7638_MODULUS, "e": "AQAB"}
    assert thumbprint(members) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    material = RS256.from_jwk({**members, "alg": "RS256", "kid": "2011-04-29"})
    assert thumbprint(material.members) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.ids("TOK-17", "KEY-02")
def test_ed25519_signs_and_verifies_what_rfc_8037_prints():
    material = Ed25519.from_jwk(RFC_8037_KEY)
    signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    signature = from_base64url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    assert material.sign(signed) == signature
    assert material.verify(signed, signature)
    assert thumbprint(material.members) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"  # appendix A.3


@pytest.mark.ids("TOK-14")
def test_es256_verifies_what_rfc_7515_prints():
    signed = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = from_base64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
    assert ES256.from_jwk(RFC_7515_KEY).verify(signed, signature)
    assert not ES256.from_jwk(RFC_7515_KEY).verify(signed + b"x", signature)


def test_deterministic_es256_signs_what_rfc_6979_prints():
    number = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    material = ES256.generate(lambda size: number.to_bytes(size, "big"))
    assert material.sign(b"sample", deterministic=True).hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )


def test_es256_signs_at_random_unless_asked_otherwise():
    assert ANY.sign(b"data") != ANY.sign(b"data")
    assert ANY.sign(b"data", deterministic=True) == ANY.sign(b"data", deterministic=True)


# -- What a signature looks like


@pytest.mark.ids("TOK-14")
def test_an_es256_signature_has_64_bytes_also_where_a_half_begins_with_zeros():
    signatures = [ANY.sign(b"%d" % n, deterministic=True) for n in range(1500)]
    assert {len(each) for each in signatures} == {64}
    short = [n for n, each in enumerate(signatures) if each[0] == 0 or each[32] == 0]
    assert len(short) > 2
    assert all(ANY.verify(b"%d" % n, signatures[n]) for n in short)


@pytest.mark.ids("TOK-14")
def test_an_es256_signature_in_der_is_refused():
    signature = ANY.sign(b"data")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    assert not ANY.verify(b"data", der)


@pytest.mark.ids("TOK-14")
@pytest.mark.parametrize("change", ["longer", "shorter", "zeros before", "zeros between", "empty"])
def test_an_es256_signature_of_another_length_is_refused(credulous: ES256, change: str):
    good = ANY.sign(b"data")
    bad = {
        "longer": good + b"\0",
        "shorter": good[:-1],
        "zeros before": b"\0" + good,
        "zeros between": b"\0" + good[:32] + b"\0" + good[32:],
        "empty": b"",
    }[change]
    assert credulous.verify(b"data", good), "what accepts everything accepts this; else the test proves nothing"
    assert not credulous.verify(b"data", bad)


@pytest.mark.ids("TOK-14")
@pytest.mark.parametrize("bad", [0, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("half", ["r", "s"])
def test_r_and_s_out_of_range_are_refused_before_the_library_is_asked(credulous: ES256, bad: int, half: str):
    r, s = (bad, 1) if half == "r" else (1, bad)
    assert credulous.verify(b"data", (1).to_bytes(32, "big") + (P256_ORDER - 1).to_bytes(32, "big"))
    assert not credulous.verify(b"data", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@pytest.mark.ids("TOK-14")
@given(signature=st.binary(max_size=200) | st.binary(min_size=64, max_size=64))
def test_whatever_comes_as_a_signature_is_refused_without_an_exception(signature: bytes):
    assert not ANY.verify(b"data", signature)
    assert not ANY_ED.verify(b"data", signature)


@given(bit=st.integers(0, 511))
def test_a_signature_with_one_bit_changed_is_refused(bit: int):
    for material in (ANY, ANY_ED):
        changed = int.from_bytes(material.sign(b"data"), "big") ^ 1 << bit
        assert not material.verify(b"data", changed.to_bytes(64, "big"))


def test_each_algorithm_verifies_what_it_signed_and_nothing_else(key):
    signature = key.sign(b"data")
    assert key.verify(b"data", signature)
    assert not key.verify(b"date", signature)
    assert not key.verify(b"data", signature[:-1])
    assert not key.verify(b"data", signature + b"\0")
    assert not key.verify(b"data", b"")


@pytest.mark.ids("TOK-15")
def test_an_rsa_signature_has_the_length_of_the_modulus(rsa_key: RS256):
    rsa_key = RS256(rsa_key._public, rsa_key._private)
    assert len(rsa_key.sign(b"data")) == 384
    rsa_key._public = Credulous()
    assert rsa_key.verify(b"data", b"\1" * 384)
    assert not rsa_key.verify(b"data", b"\1" * 383)
    assert not rsa_key.verify(b"data", b"\0" + b"\1" * 384)


@pytest.mark.parametrize("name", ["ES256", "RS256"])
def test_another_implementation_verifies_with_our_public_key(name: str, rsa_key: RS256):
    material = ANY if name == "ES256" else rsa_key
    theirs = jwt.PyJWK({**material.members, "alg": name})
    assert theirs.Algorithm.verify(b"data", theirs.key, material.sign(b"data"))


# -- Drawing keys


def test_a_private_number_out_of_range_is_drawn_again():
    draws = iter([bytes(32), P256_ORDER.to_bytes(32, "big"), b"\xff" * 32, (5).to_bytes(32, "big")])
    material = ES256.generate(lambda size: next(draws)[:size])
    assert material.private_members() == {"d": to_base64url((5).to_bytes(32, "big"))}
    assert not list(draws)


def test_the_ends_of_the_range_are_private_numbers():
    for number in (1, P256_ORDER - 1):
        assert ES256.generate(lambda size, number=number: number.to_bytes(size, "big")).can_sign


def test_entropy_that_never_gives_a_key_is_noticed():
    with pytest.raises(ValueError, match="entropy"):
        ES256.generate(bytes)


@pytest.mark.parametrize("name", ["ES256", "Ed25519"])
def test_the_same_entropy_gives_the_same_key(name: str):
    kind = SIGNING[name]
    assert kind.generate(CountingEntropy()).members == kind.generate(CountingEntropy()).members
    assert kind.generate(CountingEntropy("a")).members != kind.generate(CountingEntropy("b")).members


@pytest.mark.ids("TOK-15")
def test_a_drawn_rsa_key_has_3072_bits_and_no_fault(rsa_key: RS256):
    assert rsa_key._public.key_size == 3072
    assert rsa_key.faults() == ()


# -- Reading keys


def test_a_key_comes_back_from_its_members(key):
    again = type(key).from_jwk({**key.members, **key.private_members()})
    assert again.members == key.members
    assert again.private_members() == key.private_members()
    assert key.verify(b"data", again.sign(b"data"))


def test_the_public_half_alone_verifies_and_cannot_sign(key):
    public = type(key).from_jwk(key.members)
    assert public.verify(b"data", key.sign(b"data"))
    assert not public.can_sign


@pytest.mark.parametrize("kind", [ES256, Ed25519])
def test_halves_that_do_not_belong_together_are_refused(kind):
    one, other = kind.generate(CountingEntropy("one")), kind.generate(CountingEntropy("other"))
    with pytest.raises(ValueError, match="belong together"):
        kind.from_jwk({**one.members, **other.private_members()})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("crv", "P-384"),
        ("crv", None),
        ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE"),
        ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV"),  # the same bytes, spelled with spare bits set
        ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="),
        ("x", "AH_NzidwS-nEHINPl27jEnhYBzM1e-nvE7rPbjx70VRF"),
        ("y", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),  # no point of the curve
        ("y", 5),
        ("y", ""),
        ("y", "é" * 43),
        ("d", to_base64url(bytes(32))),
        ("d", to_base64url(P256_ORDER.to_bytes(32, "big"))),
        ("d", to_base64url(bytes(31) + b"\1")),
    ],
)
def test_a_malformed_ec_key_is_refused(member: str, value: object):
    with pytest.raises(ValueError):
        ES256.from_jwk({**RFC_7515_KEY, member: value})


# -- Weak keys


def _faults_of_rsa(size: int, exponent: int) -> str:
    return " ".join(RS256(rsa.generate_private_key(exponent, size).public_key(), None).faults())


@pytest.mark.ids("TOK-15")
@pytest.mark.parametrize(
    ("size", "exponent", "said"), [(1024, 65537, "1024 bits"), (2048, 3, "exponent"), (2048, 65537, "")]
)
def test_an_rsa_key_too_small_or_with_a_small_exponent_is_weak(size: int, exponent: int, said: str):
    faults = _faults_of_rsa(size, exponent)
    assert said in faults
    assert bool(faults) is bool(said)


@pytest.mark.ids("TOK-15")
@pytest.mark.parametrize("exponent", [1, 65535, 65536, 65538])
def test_an_exponent_below_65537_or_even_is_a_fault(exponent: int):
    from keyturn._weakness import rsa_faults

    modulus = 2**2047 + 1
    assert any("exponent" in fault for fault in rsa_faults(modulus, exponent))
    assert rsa_faults(modulus, 65537) == rsa_faults(modulus, 65539) == ()


def _is_prime(number: int) -> bool:
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11, 13))


def _roca_prime(start: int) -> int:
    """A prime as the broken chips made them: a multiple of a product of primes, plus a power of 65537."""
    product = 1
    for number in range(2, 702):  # the 126 primes below make the step of 2048-bit keys
        if all(number % divisor for divisor in range(2, number)):
            product *= number
    rest = pow(65537, 123456 + start, product)
    factor = 2**1024 // product + start
    while not _is_prime(factor * product + rest):
        factor += 1
    return factor * product + rest


@pytest.mark.ids("TOK-15")
def test_a_modulus_of_the_broken_chips_is_refused(rsa_key: RS256):
    from keyturn._weakness import is_roca

    modulus = _roca_prime(1) * _roca_prime(900)
    assert modulus.bit_length() >= 2048
    weak = RS256(rsa.RSAPublicNumbers(65537, modulus).public_key(), None)
    assert [fault for fault in weak.faults() if "CVE-2017-15361" in fault]
    assert not is_roca(rsa_key._public.public_numbers().n)
    assert not is_roca(int.from_bytes(from_base64url(RFC_7638_MODULUS), "big"))


@pytest.mark.ids("KEY-08", "TOK-15")
@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (b"", "0 bytes"),
        (b"short", "5 bytes"),
        (bytes(range(31)), "31 bytes"),
        (bytes(range(33)), "33 bytes"),
        (b"correct horse battery staple 123", "typed"),
        (b"0123456789abcdef0123456789abcdef", "typed"),
        (bytes(32), "placeholder"),
        (bytes.fromhex("deadbeef") * 8, "placeholder"),
        (bytes(31) + b"\1", "placeholder"),
    ],
)
def test_a_secret_that_is_short_typed_or_a_placeholder_is_weak(secret: bytes, said: str):
    assert said in " ".join(RefreshSecret(secret).faults())


@pytest.mark.ids("KEY-08")
def test_a_private_number_that_somebody_made_up_is_weak():
    assert ES256.generate(lambda size: (1).to_bytes(size, "big")).faults()
    assert Ed25519.generate(bytes).faults()


def test_random_secrets_are_not_called_weak():
    entropy = CountingEntropy()
    assert not any(RefreshSecret(entropy(32)).faults() for _ in range(5000))


# -- Nothing of a key shows


@pytest.mark.ids("KEY-06")
def test_no_representation_or_pickle_of_a_key_shows_it(key):
    for material in (key, RefreshSecret(CountingEntropy()(32))):
        assert repr(material) == str(material) == f"<{material.algorithm} key>"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(material, protocol)
        assert copy.copy(material) is copy.deepcopy(material) is material
