"""Keys, and the rules by which one comes, signs, retires and goes.

The rules are pure: a ring, the time and chance go in, the ring that should be comes out. Who keeps the ring writes the
difference down.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ._algorithms import SIGNING, Entropy, RefreshSecret, thumbprint
from ._ring import JWKS_CACHE, LEAD, REFRESH_IDS, RELOAD_INTERVAL, TAIL, Key, KeyRing, KeyState, Purpose, SpentId
from ._weakness import SECRET_BYTES
from .errors import ConfigurationError

__all__ = [
    "JWKS_CACHE",
    "RELOAD_INTERVAL",
    "Key",
    "KeyRing",
    "KeyState",
    "Purpose",
    "SpentId",
    "completed",
    "new_ring",
    "pruned",
    "remove",
    "rotate_access",
    "rotate_refresh",
]


def new_ring(*, now: datetime, entropy: Entropy, algorithm: str = "ES256", deterministic: bool = False) -> KeyRing:
    """Make a ring with one access and one refresh key, both of which sign at once.

    Args:
        now: the time, aware UTC.
        entropy: gives as many random bytes as it is asked for.
        algorithm: ``ES256``, ``Ed25519`` or ``RS256``.
        deterministic: whether ES256 signs without chance (RFC 6979).
    """
    access = new_access_key(algorithm, now=now, signs_from=now, entropy=entropy, deterministic=deterministic)
    return KeyRing(keys=(access, new_refresh_key(0, now=now, signs_from=now, entropy=entropy)))


def completed(ring: KeyRing, *, now: datetime, entropy: Entropy, algorithm: str = "ES256") -> KeyRing:
    """Add what a ring lacks to work: both keys to an empty one, the access key to one whose making was cut short.

    Raises:
        ConfigurationError: there are access keys and no refresh key. A new one would sign everybody out, so it is not
            made unasked.
    """
    if not ring.keys and not ring.spent:
        return new_ring(now=now, entropy=entropy, algorithm=algorithm)
    if not ring.has("refresh"):
        raise ConfigurationError(
            [
                (
                    "There are keys, but none for refresh tokens. Restore it from a copy;"
                    " or remove the other keys too, and start anew: that signs everybody out."
                )
            ]
        )
    if ring.has("access"):
        return ring
    return _with(ring, new_access_key(algorithm, now=now, signs_from=now, entropy=entropy))


def rotate_access(ring: KeyRing, *, now: datetime, entropy: Entropy, algorithm: str | None = None) -> KeyRing:
    """Add an access key that is published now and signs one JWKS cache time after every process has read it.

    Args:
        ring: the ring that is.
        now: the time, aware UTC.
        entropy: gives as many random bytes as it is asked for.
        algorithm: the new key's; that of the current key where left out.
    """
    current = ring.signing(now)
    key = new_access_key(
        algorithm or current.algorithm,
        now=now,
        signs_from=now + LEAD["access"],
        entropy=entropy,
        deterministic=current.deterministic,
        eddsa_alias=current.eddsa_alias,
    )
    return _with(pruned(ring, now), key)


def rotate_refresh(ring: KeyRing, *, now: datetime, entropy: Entropy) -> KeyRing:
    """Add a refresh key that seals once every process has read it.

    Raises:
        ConfigurationError: every id belongs to a key with which sessions were sealed that may still live.
    """
    kept = pruned(ring, now)
    key = new_refresh_key(free_refresh_id(kept), now=now, signs_from=now + LEAD["refresh"], entropy=entropy)
    return _with(kept, key)


def remove(ring: KeyRing, key_id: str, *, now: datetime, entropy: Entropy) -> KeyRing:
    """Take a key out at once; where it was the current one, the next or else a fresh one signs from now on.

    What an access key signed is refused from then on; the sessions that a refresh key sealed are signed out.

    Raises:
        ConfigurationError: no such key is in the ring.
    """
    key = next((each for each in ring.keys if each.id == key_id), None)
    if key is None:
        raise ConfigurationError(["No key with this id is in the ring."])
    was_current = ring.state(key, now) == "current"
    rest = _without(ring, key, now)
    return _taken_over(rest, key, now=now, entropy=entropy) if was_current else rest


def pruned(ring: KeyRing, now: datetime) -> KeyRing:
    """Drop the keys that are of no more use; a refresh key's id is free again."""
    return KeyRing(
        keys=tuple(key for key in ring.keys if key.verifies_until is None or now < key.verifies_until),
        spent=tuple(each for each in ring.spent if now < each.until),
    )


def free_refresh_id(ring: KeyRing) -> int:
    """Give the id after the newest key's that no key in the ring has, removed ones included.

    Raises:
        ConfigurationError: no id is free.
    """
    refresh = [key for key in ring.keys if key.purpose == "refresh"]
    taken = {int(key.id) for key in refresh} | {int(each.id) for each in ring.spent}
    start = int(refresh[-1].id) + 1 if refresh else 0
    free = next((number for n in range(REFRESH_IDS) if (number := (start + n) % REFRESH_IDS) not in taken), None)
    if free is None:
        ends = min([key.verifies_until for key in refresh if key.verifies_until] + [each.until for each in ring.spent])
        raise ConfigurationError(
            [f"All {REFRESH_IDS} refresh key ids are in use; the next is free on {ends:%Y-%m-%d}."]
        )
    return free


def new_access_key(
    algorithm: str,
    *,
    now: datetime,
    signs_from: datetime,
    entropy: Entropy,
    deterministic: bool = False,
    eddsa_alias: bool = False,
) -> Key:
    """Draw an access key and name it by its thumbprint; ConfigurationError for an unknown algorithm."""
    if algorithm not in SIGNING:
        raise ConfigurationError([f"Algorithm {algorithm!r} is not one of {', '.join(SIGNING)}."])
    material = SIGNING[algorithm].generate(entropy)
    return Key(
        id=thumbprint(material.members),
        purpose="access",
        algorithm=algorithm,
        created_at=now,
        signs_from=signs_from,
        deterministic=deterministic,
        eddsa_alias=eddsa_alias,
        material=material,
    )


def new_refresh_key(number: int, *, now: datetime, signs_from: datetime, entropy: Entropy) -> Key:
    """Draw a refresh key with the given id."""
    return Key(
        id=str(number),
        purpose="refresh",
        algorithm=RefreshSecret.algorithm,
        created_at=now,
        signs_from=signs_from,
        material=RefreshSecret(entropy(SECRET_BYTES)),
    )


def _with(ring: KeyRing, key: Key) -> KeyRing:
    return KeyRing(keys=(*ring.keys, key), spent=ring.spent)


def _without(ring: KeyRing, key: Key, now: datetime) -> KeyRing:
    spent = ring.spent
    if key.purpose == "refresh":
        spent += (SpentId(id=key.id, until=key.verifies_until or now + TAIL["refresh"]),)
    return KeyRing(keys=tuple(each for each in ring.keys if each is not key), spent=spent)


def _taken_over(ring: KeyRing, removed: Key, *, now: datetime, entropy: Entropy) -> KeyRing:
    coming = [key for key in ring.keys if key.purpose == removed.purpose and key.signs_from > now]
    if coming:
        promoted = replace(coming[0], signs_from=now)
        return KeyRing(keys=tuple(promoted if key is coming[0] else key for key in ring.keys), spent=ring.spent)
    if removed.purpose == "refresh":
        fresh = new_refresh_key(free_refresh_id(ring), now=now, signs_from=now, entropy=entropy)
    else:
        fresh = new_access_key(
            removed.algorithm,
            now=now,
            signs_from=now,
            entropy=entropy,
            deterministic=removed.deterministic,
            eddsa_alias=removed.eddsa_alias,
        )
    return _with(ring, fresh)
