"""Keys that stay as they are: given in Python, as a mapping, or in an environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha512
from itertools import count
from typing import Any, Final, Self

from .._key_json import Reading, read_ring
from .._public_keys import read_key_set
from ..errors import ConfigurationError
from ..keys import KeyRing, new_ring

#: When the testing keys begin to sign; before any clock that a test would set.
_TESTING_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)


class StaticKeys:
    """A key source whose ring never changes.

    Args:
        ring: the keys.
    """

    __slots__ = ("_ring",)

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    @property
    def ring(self) -> KeyRing:
        """The ring that was given."""
        return self._ring

    def reload(self) -> KeyRing:
        """Give the same ring: there is nothing to read again."""
        return self._ring

    @classmethod
    def from_mapping(cls, keys: Mapping[str, Any], *, eddsa_alias: bool = False) -> Self:
        """Take keys from a JWK set with private halves: ``{"keys": [...]}``, each as a key file holds it.

        Args:
            keys: the set; ``kid`` may be left out for access keys, ``created_at`` and ``signs_from`` for all.
            eddsa_alias: whether Ed25519 keys are also accepted under the older name ``EdDSA``.

        Raises:
            ConfigurationError: with a sentence for each key that is malformed, weak, a placeholder or there twice.
        """
        reading = _read(keys, eddsa_alias=eddsa_alias)
        del keys  # an error that leaves from here shows the local variables to whoever reports it
        return cls(_ring_of(reading, "The key set"))

    @classmethod
    def from_jwks(cls, text: str | bytes, *, eddsa_alias: bool = False) -> Self:
        """Take the public keys that an issuer publishes (RFC 7517), from a file for example: they verify, and sign nothing.

        Args:
            text: the JWK set, as ``/auth/jwks.json`` or ``keyturn keys jwks`` gives it.
            eddsa_alias: whether Ed25519 keys are also accepted under the older name ``EdDSA``.

        Raises:
            ConfigurationError: it is no JWK set, shows a private half, has a weak key or an id twice, or holds no key
                for access tokens.
        """
        reading = read_key_set(
            text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text, eddsa_alias=eddsa_alias
        )
        del text  # as below, should it hold a private half
        return cls(_ring_of(reading, "The key set"))

    @classmethod
    def from_environment(
        cls, name: str = "KEYTURN_KEYS", *, environment: Mapping[str, str] = os.environ, eddsa_alias: bool = False
    ) -> Self:
        """Take keys from an environment variable that holds what `from_mapping` takes, as JSON.

        Args:
            name: the variable's name.
            environment: where it is looked up.
            eddsa_alias: whether Ed25519 keys are also accepted under the older name ``EdDSA``.

        Raises:
            ConfigurationError: it is not set, not JSON, or `from_mapping` would refuse it.
        """
        reading = _read(_from_json(environment.get(name)), eddsa_alias=eddsa_alias)
        del environment  # as above; os.environ shows every value it holds
        return cls(_ring_of(reading, f"The environment variable {name}"))


def testing_keys() -> StaticKeys:
    """Give keys that everybody knows, for tests only: whoever reads this file can sign with them.

    They are the same in every run, and ES256 signs without chance (RFC 6979), so tokens can be compared byte for byte.
    """
    draws = count()

    def entropy(size: int) -> bytes:
        return sha512(b"keyturn testing key %d: unsafe, known to everybody" % next(draws)).digest()[:size]

    return StaticKeys(new_ring(now=_TESTING_SINCE, entropy=entropy, deterministic=True))


# pytest collects what is called test*; this is no test.
testing_keys.__test__ = False  # type: ignore[attr-defined]


def _from_json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None


def _read(keys: Any, *, eddsa_alias: bool) -> Reading:
    entries = keys.get("keys") if isinstance(keys, Mapping) else None
    if not isinstance(entries, list | tuple) or not entries:
        return Reading(faults=('it is not a JWK set: {"keys": [...]} with a key at least.',))
    return read_ring({f"key {n}": key for n, key in enumerate(entries, 1)}, eddsa_alias=eddsa_alias)


def _ring_of(reading: Reading, source: str) -> KeyRing:
    if reading.ring is None:
        raise ConfigurationError(f"{source}: {fault}" for fault in reading.faults)
    return reading.ring
