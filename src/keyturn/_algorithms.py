"""Sign and verify, one small object per algorithm, each holding one key's material and showing none of it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final, NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ._weakness import rsa_faults, secret_faults

Entropy = Callable[[int], bytes]

#: Order of the group of P-256 (FIPS 186-5, SEC 2 section 2.4.2); r, s and the private number lie in [1, order - 1].
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: A number out of range comes once in 2**32 draws; this many in a row mean that the source of entropy is broken.
MOST_DRAWS: Final = 16
#: 3072 bits give the 128 bits of strength that P-256 gives (NIST SP 800-57 part 1, table 2).
GENERATED_RSA_BITS: Final = 3072
#: What everybody uses: small enough to verify fast, large enough (FIPS 186-5 section 5.4).
RSA_EXPONENT: Final = 65537
#: P-256 and Ed25519 alike: a coordinate, a private number, half a signature.
HALF: Final = 32

_RANDOM_NONCE = ec.ECDSA(SHA256())
_PKCS1, _SHA256 = padding.PKCS1v15(), SHA256()


class Material:
    """One key's material: opaque in every ``repr``, never pickled, the same object when copied."""

    __slots__ = ()
    algorithm: ClassVar[str]

    def __repr__(self) -> str:
        return f"<{self.algorithm} key>"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    __copy__ = __deepcopy__

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key is not pickled: it would end up in a cache or a queue.")

    def faults(self) -> tuple[str, ...]:
        """Say what is weak about the key, a sentence each; nothing where it is good."""
        return ()


class SigningMaterial(Material):
    """A key pair, or the public half of one, that signs and verifies access tokens."""

    __slots__ = ("_private", "_public", "members")
    _private: Any
    _public: Any
    #: The public members of the JWK that RFC 7638 section 3.2 takes for the thumbprint.
    members: Mapping[str, str]

    def __init__(self, private: Any, public: Any, members: Mapping[str, str]) -> None:
        self._private, self._public, self.members = private, public, members

    def sign(self, data: bytes, *, deterministic: bool = False) -> bytes:
        """Sign as RFC 7518 section 3 says, in the form that travels in a JWS."""
        raise NotImplementedError

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Say whether the signature is good; a malformed one is not."""
        raise NotImplementedError

    def private_members(self) -> dict[str, str]:
        """Give the members of the JWK that are secret."""
        raise NotImplementedError

    @property
    def can_sign(self) -> bool:
        """Whether the private half is here."""
        return self._private is not None

    def faults(self) -> tuple[str, ...]:
        return secret_faults(from_base64url(self.private_members()["d"])) if self.can_sign else ()


class ES256(SigningMaterial):
    """ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4)."""

    __slots__ = ()
    algorithm = "ES256"

    def __init__(self, public: ec.EllipticCurvePublicKey, private: ec.EllipticCurvePrivateKey | None) -> None:
        numbers = public.public_numbers()
        x, y = numbers.x.to_bytes(HALF, "big"), numbers.y.to_bytes(HALF, "big")
        super().__init__(private, public, {"crv": "P-256", "kty": "EC", "x": to_base64url(x), "y": to_base64url(y)})

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a key; a number out of range is drawn again, never reduced, so that all are equally likely."""
        for _ in range(MOST_DRAWS):
            if 0 < (number := int.from_bytes(entropy(HALF), "big")) < P256_ORDER:
                return cls._of(number)
        raise ValueError("The source of entropy gives no usable private numbers.")

    @classmethod
    def _of(cls, number: int) -> Self:
        private = ec.derive_private_key(number, ec.SECP256R1())
        return cls(private.public_key(), private)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Take a key from the members of a JWK (RFC 7518 section 6.2); ValueError says what is wrong with them."""
        if jwk.get("crv") != "P-256":
            raise ValueError("its curve is not P-256")
        x, y = (int.from_bytes(_member(jwk, name, HALF), "big") for name in ("x", "y"))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if "d" not in jwk:
            return cls(public, None)
        if not 0 < (number := int.from_bytes(_member(jwk, "d", HALF), "big")) < P256_ORDER:
            raise ValueError("its private number is out of range")
        pair = cls._of(number)
        if pair.members != cls(public, None).members:
            raise ValueError("its private and its public half do not belong together")
        return pair

    def private_members(self) -> dict[str, str]:
        return {"d": to_base64url(self._private.private_numbers().private_value.to_bytes(HALF, "big"))}

    def sign(self, data: bytes, *, deterministic: bool = False) -> bytes:
        # Made where it is used: a library without RFC 6979 refuses it, and only who asks for it should learn that.
        scheme = ec.ECDSA(SHA256(), deterministic_signing=True) if deterministic else _RANDOM_NONCE
        r, s = decode_dss_signature(self._private.sign(data, scheme))
        return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")

    def verify(self, data: bytes, signature: bytes) -> bool:
        # Exactly r | s: the DER form and longer ones are refused (RFC 7518 section 3.4).
        if len(signature) != 2 * HALF:
            return False
        r, s = int.from_bytes(signature[:HALF], "big"), int.from_bytes(signature[HALF:], "big")
        if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
            return False
        try:
            self._public.verify(encode_dss_signature(r, s), data, _RANDOM_NONCE)
        except InvalidSignature:
            return False
        return True


class Ed25519(SigningMaterial):
    """Ed25519 under its own name (RFC 8037 section 3.1, RFC 9864 section 2.2)."""

    __slots__ = ()
    algorithm = "Ed25519"

    def __init__(self, public: ed25519.Ed25519PublicKey, private: ed25519.Ed25519PrivateKey | None) -> None:
        super().__init__(
            private, public, {"crv": "Ed25519", "kty": "OKP", "x": to_base64url(public.public_bytes_raw())}
        )

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a key; every 32 bytes are one (RFC 8032 section 5.1.5)."""
        private = ed25519.Ed25519PrivateKey.from_private_bytes(entropy(HALF))
        return cls(private.public_key(), private)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Take a key from the members of a JWK (RFC 8037 section 2); ValueError says what is wrong with them."""
        if jwk.get("crv") != "Ed25519":
            raise ValueError("its curve is not Ed25519")
        x = _member(jwk, "x", HALF)
        if "d" not in jwk:
            return cls(ed25519.Ed25519PublicKey.from_public_bytes(x), None)
        pair = cls.generate(lambda _: _member(jwk, "d", HALF))
        if pair.members["x"] != to_base64url(x):
            raise ValueError("its private and its public half do not belong together")
        return pair

    def private_members(self) -> dict[str, str]:
        return {"d": to_base64url(self._private.private_bytes_raw())}

    def sign(self, data: bytes, *, deterministic: bool = False) -> bytes:
        signature: bytes = self._private.sign(data)
        return signature

    def verify(self, data: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * HALF:
            return False
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class RS256(SigningMaterial):
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3)."""

    __slots__ = ("_length",)
    algorithm = "RS256"

    def __init__(self, public: rsa.RSAPublicKey, private: rsa.RSAPrivateKey | None) -> None:
        numbers = public.public_numbers()
        self._length = (public.key_size + 7) // 8
        super().__init__(private, public, {"e": _from_number(numbers.e), "kty": "RSA", "n": _from_number(numbers.n)})

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a key with `cryptography`'s own source, not `entropy`: to find safe primes is not work to repeat here."""
        private = rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=GENERATED_RSA_BITS)
        return cls(private.public_key(), private)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Take a key from the members of a JWK (RFC 7518 section 6.3); ValueError says what is wrong with them."""
        public = rsa.RSAPublicNumbers(*(_number(jwk, name) for name in ("e", "n")))
        if "d" not in jwk:
            return cls(public.public_key(), None)
        p, q, d, dp, dq, qi = (_number(jwk, name) for name in ("p", "q", "d", "dp", "dq", "qi"))
        private = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()
        return cls(private.public_key(), private)

    def private_members(self) -> dict[str, str]:
        numbers = self._private.private_numbers()
        values = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
        return dict(zip(("d", "p", "q", "dp", "dq", "qi"), map(_from_number, values), strict=True))

    def sign(self, data: bytes, *, deterministic: bool = False) -> bytes:
        signature: bytes = self._private.sign(data, _PKCS1, _SHA256)
        return signature

    def verify(self, data: bytes, signature: bytes) -> bool:
        if len(signature) != self._length:
            return False
        try:
            self._public.verify(signature, data, _PKCS1, _SHA256)
        except InvalidSignature:
            return False
        return True

    def faults(self) -> tuple[str, ...]:
        return rsa_faults((numbers := self._public.public_numbers()).n, numbers.e)


class RefreshSecret(Material):
    """32 random bytes from which every realm's key for refresh tokens is derived (HKDF-SHA-256, RFC 5869)."""

    __slots__ = ("secret",)
    algorithm = "HKDF-SHA256"

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def faults(self) -> tuple[str, ...]:
        return secret_faults(self.secret)


#: Every algorithm that may sign access tokens, by its name in the header.
SIGNING: Final[Mapping[str, type[ES256 | Ed25519 | RS256]]] = {kind.algorithm: kind for kind in (ES256, Ed25519, RS256)}


def thumbprint(members: Mapping[str, str]) -> str:
    """Give a public key's name: SHA-256 over its required members in order, without spaces (RFC 7638 section 3)."""
    inside = ",".join(f'"{name}":"{members[name]}"' for name in sorted(members))
    return to_base64url(sha256(f"{{{inside}}}".encode()).digest())


def to_base64url(raw: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Read canonical base64url without padding; ValueError for anything else."""
    raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if to_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw


def _member(jwk: Mapping[str, Any], name: str, length: int | None = None) -> bytes:
    """Read one member; what it holds never gets into the message, since it may be secret."""
    try:
        raw = from_base64url(jwk[name])
    except (KeyError, AttributeError, ValueError):
        raw = b""
    if not raw or (length is not None and len(raw) != length):
        raise ValueError(f'its member "{name}" is missing or malformed') from None
    return raw


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_member(jwk, name), "big")


def _from_number(number: int) -> str:
    return to_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
