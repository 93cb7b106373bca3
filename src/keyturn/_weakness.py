"""What must not be a key: too short, typed by somebody, known to everybody, or made by a broken chip (KEY-08, TOK-15)."""

from __future__ import annotations

from typing import Final

SECRET_BYTES: Final = 32
#: 32 random bytes hold 30 different values on average; fewer than 16 come once in 10**17.
LEAST_DISTINCT_BYTES: Final = 16
_PRINTABLE: Final = range(32, 127)
#: RFC 7518 section 3.3 asks for 2048 bits at least.
LEAST_RSA_BITS: Final = 2048
#: Smaller public exponents invite attacks on padding (NIST SP 800-56B section 6.2).
LEAST_RSA_EXPONENT: Final = 65537

#: Keys printed in standards, and our own for tests, by their RFC 7638 thumbprints: what is copied from a page is public.
KNOWN_KEYS: Final = frozenset(
    {
        "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",  # RFC 7517 appendix A.1
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",  # RFC 7515 appendix A.3
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",  # RFC 8037 appendix A
        "VDGKEwF-IDNxvBE6GTdHOG0Pe708VA1ROmWK0OPeBUA",  # keyturn.keyrings.static.testing_keys, for refresh tokens
        "25s3hm8JdkZSzHUMK5lE0WcBXxPLbTIRAdV73tVz4ZM",  # keyturn.keyrings.static.testing_keys, for access tokens
    }
)


def secret_faults(secret: bytes) -> tuple[str, ...]:
    """Say why bytes cannot be a random secret: too few, a text, or a pattern; nothing where they may be one."""
    if len(secret) != SECRET_BYTES:
        return (f"its secret has {len(secret)} bytes where {SECRET_BYTES} random ones belong",)
    if all(byte in _PRINTABLE for byte in secret):
        return ("its secret is a text that somebody typed, not random bytes",)
    if len(set(secret)) < LEAST_DISTINCT_BYTES:
        return ("its secret is a placeholder, not random bytes",)
    return ()


def rsa_faults(modulus: int, exponent: int) -> tuple[str, ...]:
    """Say what is weak about an RSA key (RFC 7518 section 3.3); nothing where it is good."""
    found = []
    if modulus.bit_length() < LEAST_RSA_BITS:
        found.append(f"its modulus has {modulus.bit_length()} bits where {LEAST_RSA_BITS} is the least")
    if exponent < LEAST_RSA_EXPONENT or exponent % 2 == 0:
        found.append(f"its public exponent is not an odd number of {LEAST_RSA_EXPONENT} or more")
    if is_roca(modulus):
        found.append("its modulus comes from a chip whose keys can be computed from the public half (CVE-2017-15361)")
    return tuple(found)


#: The primes whose product divides the flawed generator's step at every size of key (its smallest step, 512 bits).
_ROCA_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73),
    *(79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)


def is_roca(modulus: int) -> bool:
    """Say whether a modulus bears the mark of CVE-2017-15361: a power of 65537 modulo each of the first primes."""
    return all(_is_power_of_65537(modulus % prime, prime) for prime in _ROCA_PRIMES)


def _is_power_of_65537(rest: int, prime: int) -> bool:
    return rest in {pow(65537, exponent, prime) for exponent in range(prime - 1)}
