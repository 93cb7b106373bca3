"""A key, and the ring that holds all keys of an issuer: values, checked when they are made.

A ring works by the clock alone: a new key is written with the time from which it signs, and every process that holds
the ring changes over by itself at that time. When a key may go follows from the key that took over from it, so a
rotation adds one key and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from ._algorithms import Material, RefreshSecret, SigningMaterial, thumbprint
from .errors import ConfigurationError
from .settings import ACCESS_TOKEN_CEILING, SESSION_CEILING, SKEW_CEILING

Purpose: TypeAlias = Literal["access", "refresh"]
KeyState: TypeAlias = Literal["next", "current", "retiring", "removed"]

#: How long others may keep a copy of the public keys (docs/how-to/keys.md); the Cache-Control of the JWKS says so.
JWKS_CACHE: Final = timedelta(minutes=5)
#: Every process reads its ring again at least this often.
RELOAD_INTERVAL: Final = timedelta(minutes=1)
#: A refresh token names its key in one byte (docs/reference/protocol.md).
REFRESH_IDS: Final = 256

#: From writing a key to its first use: all processes have read it, and all copies of the JWKS made before are gone.
LEAD: Final[Mapping[Purpose, timedelta]] = {
    "access": RELOAD_INTERVAL + JWKS_CACHE + SKEW_CEILING,
    "refresh": RELOAD_INTERVAL + SKEW_CEILING,
}
#: From a key's last use to its end: everything that it signed or sealed is over by then. The ceilings stand here, not
#: what the settings say today: they may have said more yesterday, and one ring may serve realms with different settings.
TAIL: Final[Mapping[Purpose, timedelta]] = {
    "access": ACCESS_TOKEN_CEILING + 2 * SKEW_CEILING,
    "refresh": SESSION_CEILING + 2 * SKEW_CEILING,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key, private half included; no ``repr``, ``str``, traceback or pickle of it shows that half.

    Args:
        id: for ``access`` the RFC 7638 thumbprint, for ``refresh`` the decimal text of one byte.
        purpose: what the key is for; no key is for both.
        algorithm: ``ES256``, ``Ed25519`` or ``RS256``; ``HKDF-SHA256`` for refresh keys.
        created_at: when it was made, aware UTC.
        signs_from: when it begins to sign or seal, aware UTC.
        verifies_until: when it is of no more use; filled in by the ring once a newer key is there, None without one.
        deterministic: ES256 signatures without chance (RFC 6979), for tests that compare byte for byte.
        eddsa_alias: whether an Ed25519 key is also accepted under the older name ``EdDSA`` (RFC 9864 section 2.2).
        material: the key itself, opaque.
    """

    id: str
    purpose: Purpose
    algorithm: str
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None = None
    deterministic: bool = False
    eddsa_alias: bool = False
    material: Material = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """Sign as the signature of a JWS travels (ES256: r and s, 64 bytes; RFC 7518 section 3.4).

        Raises:
            ConfigurationError: the private half is not here.
        """
        material = self._signing_material()
        if not material.can_sign:
            raise ConfigurationError([f"Key {self.id} is public: it verifies, but cannot sign."])
        return material.sign(data, deterministic=self.deterministic)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Say whether a signature is good; a malformed one is just not good (RFC 7518 section 3, RFC 8037 section 3)."""
        return self._signing_material().verify(data, signature)

    def public_jwk(self) -> dict[str, str]:
        """Give the public half as a JWK with ``kid``, ``alg`` and ``use`` (RFC 7517 section 4)."""
        material = self._signing_material()
        return {**material.members, "kid": self.id, "alg": self.algorithm, "use": "sig"}

    @property
    def header_algorithms(self) -> tuple[str, ...]:
        """The names under which this key's tokens come: its own, which it signs with, and the alias where asked for."""
        if self.purpose != "access":
            return ()
        return (self.algorithm, "EdDSA") if self.eddsa_alias and self.algorithm == "Ed25519" else (self.algorithm,)

    @property
    def secret(self) -> bytes:
        """The 32 bytes of a refresh key; ConfigurationError for any other."""
        if isinstance(self.material, RefreshSecret):
            return self.material.secret
        raise ConfigurationError([f"Key {self.id} seals no refresh tokens."])

    def _signing_material(self) -> SigningMaterial:
        if isinstance(self.material, SigningMaterial):
            return self.material
        raise ConfigurationError([f"Key {self.id} signs no access tokens."])


@dataclass(frozen=True, kw_only=True, slots=True)
class SpentId:
    """The id of a refresh key that was removed before its time: sessions that bear it may live, so it stays taken.

    Args:
        id: the decimal text of one byte.
        until: when the last of those sessions is over, aware UTC.
    """

    id: str
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRing:
    """All keys of one issuer, in the order in which they take over; checked as a whole when built.

    Args:
        keys: access and refresh keys in any order.
        spent: ids that no new refresh key may have.

    Raises:
        ConfigurationError: with every fault: an id twice, a key for the wrong purpose, a weak key (KEY-08, TOK-15).
    """

    keys: tuple[Key, ...]
    spent: tuple[SpentId, ...] = ()
    _access: tuple[Key, ...] = field(init=False, repr=False, compare=False)
    _refresh: tuple[Key, ...] = field(init=False, repr=False, compare=False)
    _sealed_by: Mapping[int, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if faults := ring_faults(self.keys, self.spent):
            raise ConfigurationError(faults)
        keys = _with_ends(sorted(self.keys, key=_takes_over))
        refresh = tuple(key for key in reversed(keys) if key.purpose == "refresh")
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "_access", tuple(key for key in reversed(keys) if key.purpose == "access"))
        object.__setattr__(self, "_refresh", refresh)
        object.__setattr__(self, "_sealed_by", {int(key.id): key for key in refresh})

    def has(self, purpose: Purpose) -> bool:
        """Say whether the ring holds any key for this purpose."""
        return bool(self._access if purpose == "access" else self._refresh)

    def state(self, key: Key, now: datetime) -> KeyState:
        """Say what a key does at `now`; one that is not in the ring is removed."""
        mine = next((each for each in self.keys if each.id == key.id), None)
        if mine is None or _is_over(mine, now):
            return "removed"
        line = self._access if mine.purpose == "access" else self._refresh
        if mine is _current(line, now):
            return "current"
        return "next" if mine.signs_from > now else "retiring"

    def signing(self, now: datetime) -> Key:
        """Give the key that signs access tokens at `now`; ConfigurationError where the ring has none."""
        if key := _current(self._access, now):
            return key
        raise ConfigurationError(
            ["The key ring has no key for access tokens: give it one, or let a directory of keys make it."]
        )

    def sealing(self, now: datetime) -> Key:
        """Give the key that seals refresh tokens at `now`; ConfigurationError where the ring has none."""
        if key := _current(self._refresh, now):
            return key
        raise ConfigurationError(
            ["The key ring has no key for refresh tokens: give it one, or let a directory of keys make it."]
        )

    def verifying(self, now: datetime) -> tuple[Key, ...]:
        """Give the access keys whose tokens are accepted at `now`: next, current and retiring ones, newest first."""
        return tuple(key for key in self._access if not _is_over(key, now))

    def refresh_key(self, key_id: int, now: datetime) -> Key | None:
        """Give the refresh key with this id, or None where there is none that is still good at `now`."""
        key = self._sealed_by.get(key_id)
        return None if key is None or _is_over(key, now) else key

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        """Give the public keys to publish at `now` (RFC 7517 section 5); refresh keys are never among them."""
        return {"keys": [key.public_jwk() for key in self.verifying(now)]}


def _takes_over(key: Key) -> tuple[datetime, datetime, bool, str]:
    # The purpose stands before the id: an id is a hash, and a list must not change its order by chance.
    return (key.signs_from, key.created_at, key.purpose != "refresh", key.id)


def _is_over(key: Key, now: datetime) -> bool:
    return key.verifies_until is not None and now >= key.verifies_until


def _current(newest_first: tuple[Key, ...], now: datetime) -> Key | None:
    for key in newest_first:
        if key.signs_from <= now:
            return key
    # A clock that lags behind the one that made the first key must not leave the ring without a key that signs.
    return newest_first[-1] if newest_first else None


def _with_ends(keys: Iterable[Key]) -> tuple[Key, ...]:
    """Fill in when each key is of no more use: a fixed time after the next of its purpose took over."""
    keys = tuple(keys)
    return tuple(replace(key, verifies_until=_end(key, keys)) for key in keys)


def _end(key: Key, keys: tuple[Key, ...]) -> datetime | None:
    later = [each.signs_from for each in keys if each.purpose == key.purpose and each.signs_from > key.signs_from]
    return min(later) + TAIL[key.purpose] if later else None


def ring_faults(keys: Iterable[Key], spent: Iterable[SpentId] = ()) -> tuple[str, ...]:
    """Say everything that is wrong with keys that should form a ring, a sentence each."""
    keys, spent = tuple(keys), tuple(spent)
    ids = [key.id for key in keys] + [each.id for each in spent]
    found = [f"Key id {each} is there twice." for each in sorted({each for each in ids if ids.count(each) > 1})]
    secrets = [key.secret for key in keys if isinstance(key.material, RefreshSecret)]
    if len(set(secrets)) < len(secrets):
        found.append("Two refresh keys have the same secret.")
    for key in keys:
        found += (f"Key {key.id}: {fault}." for fault in key_faults(key))
    found += (f"Removed key {each.id}: {fault}." for each in spent for fault in _spent_faults(each))
    return tuple(found)


def key_faults(key: Key) -> tuple[str, ...]:
    """Say everything that is wrong with one key, as ends of a sentence."""
    if key.created_at.tzinfo is None or key.signs_from.tzinfo is None:
        return ("its times have no time zone",)
    if key.purpose == "refresh":
        return _refresh_faults(key)
    if not isinstance(key.material, SigningMaterial) or key.material.algorithm != key.algorithm:
        return ("it is meant for access tokens, but does not hold a key of its algorithm",)
    if key.id != thumbprint(key.material.members):
        return ("its id is not its RFC 7638 thumbprint",)
    return key.material.faults()


def _refresh_faults(key: Key) -> tuple[str, ...]:
    if not isinstance(key.material, RefreshSecret) or key.algorithm != key.material.algorithm:
        return ("it is meant for refresh tokens, but does not hold a secret for them",)
    return _id_faults(key.id) or key.material.faults()


def _spent_faults(spent: SpentId) -> tuple[str, ...]:
    return _id_faults(spent.id) if spent.until.tzinfo else ("its time has no time zone",)


def _id_faults(text: str) -> tuple[str, ...]:
    return () if text in _REFRESH_ID_TEXTS else ("its id is not the decimal text of one byte",)


_REFRESH_ID_TEXTS = frozenset(str(number) for number in range(REFRESH_IDS))
