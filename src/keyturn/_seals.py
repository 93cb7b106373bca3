"""The refresh tokens' seals kept in step with a key ring that may change while we run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ._refresh_token import RefreshToken, Seals, UnknownKeyIdError, derive
from .keyrings import KeySource
from .keys import RELOAD_INTERVAL, KeyRing

#: A made-up key id costs one look at the ring a second, not one a request (docs/reference/protocol.md).
_RELOAD_INTERVAL: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Derived:
    ring: KeyRing
    seals: Seals


class SealedRing:
    """A key source and one realm's sealing keys derived from it, derived anew when the ring changes.

    Args:
        keys: where the ring comes from.
        realm: whose seals these are; another realm's tokens are not genuine here.
    """

    __slots__ = ("_derived", "_keys", "_looked_at", "_realm", "_reloaded_at")

    def __init__(self, keys: KeySource, realm: str) -> None:
        self._keys = keys
        self._realm = realm
        self._derived: _Derived | None = None
        self._reloaded_at: datetime | None = None
        self._looked_at: datetime | None = None

    def seal(self, session_id: str, generation: int, seed: bytes, now: datetime) -> str:
        """Give the token of a session's generation, sealed by the newest key."""
        return self._seals(now).seal(session_id, generation, seed)

    def open(self, text: str, now: datetime) -> RefreshToken:
        """Give the parts of a genuine token; an unknown key id re-reads the ring, once a second at most.

        Raises:
            TokenInvalidError: it is not genuine, of another realm, or sealed by a key that was taken out.
        """
        try:
            return self._open(text, now)
        except UnknownKeyIdError:
            if self._reloaded_at is not None and abs(now - self._reloaded_at) < _RELOAD_INTERVAL:
                raise
        self._reloaded_at = now
        self._keys.reload()
        return self._open(text, now)

    def _open(self, text: str, now: datetime) -> RefreshToken:
        token = self._seals(now).open(text)
        if self._keys.ring.refresh_key(token.key_id, now) is None:
            raise UnknownKeyIdError(cause="refresh token: its key's time is over")
        return token

    def ring(self, now: datetime) -> KeyRing:
        """Give the ring as it was within the last reload interval."""
        # An issuer that nobody asks for guarded routes must see new keys too, or it signs with one whose time is over.
        if self._looked_at is None or not self._looked_at <= now < self._looked_at + RELOAD_INTERVAL:
            self._looked_at = now
            self._keys.reload()
        return self._keys.ring

    def _seals(self, now: datetime) -> Seals:
        ring, derived = self.ring(now), self._derived
        current = int(ring.sealing(now).id)
        if derived is None or derived.ring is not ring:
            derived = _Derived(ring, Seals(current=current, keys=_derive_all(ring, self._realm)))
            self._derived = derived
        elif derived.seals.current != current:  # a key's time to seal has come
            derived = _Derived(ring, replace(derived.seals, current=current))
            self._derived = derived
        return derived.seals


def _derive_all(ring: KeyRing, realm: str) -> Mapping[int, bytes]:
    return {int(key.id): derive(key.secret, realm) for key in ring.keys if key.purpose == "refresh"}
