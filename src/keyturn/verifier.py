"""The door for access tokens: keys, a map of floors and a memory of what was seen; no store, no private key, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from . import revocation
from ._access_token import MAX_TOKEN, Expected, read
from ._binding import proves
from ._jws import header_segments, looks_issued
from ._recent import Recent
from .errors import BindingMismatchError, SessionEndedError, TokenInvalidError, TokenStaleError
from .feeds import Feed
from .keyrings import KeySource, SeekingKeys, now_utc
from .keys import Key, KeyRing
from .revocation import FloorMap, session_key
from .settings import ACCESS_TOKEN_CEILING, Settings
from .stores import ENDED
from .tokens import Claims, Unchecked

#: At some 2 KB each, 16 MB: the tokens of as many clients as one process serves within an access token's lifetime.
CACHE_SIZE: Final = 8192
#: Anybody can name a key that nobody knows; the ring is read again for it no more often than this (docs/reference/protocol.md).
RELOAD_PAUSE: Final = timedelta(seconds=1)
#: First sightings that wait for being told. Beyond, they are forgotten: that costs patience, never a false alarm.
MAX_SIGHTINGS: Final = 100_000

_NO_KEYS: Final = KeyRing(keys=())
_NO_END: Final = datetime.max.replace(tzinfo=UTC)


class _Seen:
    """A token that was verified: what it says, and between which times."""

    __slots__ = ("claims", "reported", "session", "since", "until")

    def __init__(self, claims: Claims, skew: timedelta) -> None:
        self.claims = claims
        self.session = session_key(claims.session_id)
        self.since = claims.issued_at - skew
        self.until = claims.expires_at + skew
        self.reported = False


class _View:
    """What follows from one key ring until one of its keys is over; then a new view, without that key's tokens."""

    __slots__ = ("keys", "ring", "seen", "since", "until")

    def __init__(self, ring: KeyRing, now: datetime, cache_size: int) -> None:
        self.ring = ring
        self.keys = header_segments(ring.verifying(now))
        self.since = now  # a clock that goes back brings keys back
        self.until = min((end for key in self.keys.values() if (end := key.verifies_until)), default=_NO_END)
        self.seen: Recent[str, _Seen] = Recent(cache_size)


class _Sightings:
    """Which session was first seen with which generation; for threads without locks."""

    __slots__ = ("_told", "_waiting")

    def __init__(self) -> None:
        self._told: Recent[str, int] = Recent(MAX_SIGHTINGS)
        self._waiting: dict[tuple[str, int], bool] = {}

    def note(self, session_id: str, generation: int) -> None:
        told = self._told.get(session_id)
        if (told is None or told < generation) and len(self._waiting) < MAX_SIGHTINGS:
            self._told.put(session_id, generation)
            self._waiting[session_id, generation] = True

    def told(self, session_id: str) -> int:
        told = self._told.get(session_id)
        return -1 if told is None else told

    def keep(self, sightings: Mapping[str, int]) -> None:
        for session_id, generation in sightings.items():
            if len(self._waiting) < MAX_SIGHTINGS:
                self._waiting[session_id, generation] = True

    def take(self) -> dict[str, int]:
        taken: dict[str, int] = {}
        for _ in range(len(self._waiting)):
            try:
                (session_id, generation), _ = self._waiting.popitem()
            except KeyError:  # another caller takes too
                break
            taken[session_id] = max(generation, taken.get(session_id, generation))
        return taken


class Verifier:
    """Checks access tokens; the same object in blocking and awaiting code, safe in threads, never any I/O in `verify`.

    (But for keys that are read over HTTP, which it waits for where they are missing: `keyturn.remote.RemoteKeys`.)

    Args:
        settings: whose tokens are accepted (issuer, audience, realm, clock skew).
        keys: where the key ring comes from; it may hold public keys only.
        clock: tells the time, aware UTC.
        floors: the map of floors; one that issuers in the same process write to, or a new one.
        cache_size: how many accepted tokens are remembered at most; 0 for none.
    """

    def __init__(
        self,
        settings: Settings,
        keys: KeySource,
        *,
        clock: Callable[[], datetime] = now_utc,
        floors: FloorMap | None = None,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self.settings = settings
        self.floors = FloorMap() if floors is None else floors
        self._keys = keys
        self._clock = clock
        self._cache_size = cache_size
        self._expected = Expected(
            issuer=settings.issuer,
            audience=settings.audience,
            realm=settings.realm,
            skew=settings.clock_skew,
            ceiling=ACCESS_TOKEN_CEILING,
        )
        # The keys are looked at when the first token comes: constructing waits for nobody.
        self._view = _View(_NO_KEYS, clock(), 0)
        self._seek = keys.seek if isinstance(keys, SeekingKeys) else None
        self._sightings = _Sightings()
        self._unknown_key = False
        self._reloaded_at: datetime | None = None

    def verify(self, token: str, *, binding: str | None | Unchecked) -> Claims:
        """Give the claims of a good access token.

        Args:
            token: as it arrived.
            binding: the binding cookie's value as it arrived, None where none did, or `UNCHECKED`. A token that is not
                bound needs none.

        Raises:
            TokenInvalidError: not a genuine token for this verifier.
            TokenExpiredError: its time is over.
            BindingMismatchError: it is bound, and the proof is missing or wrong.
            SessionEndedError: its session ended.
            TokenStaleError: a newer token exists, or is due.
            StoreError: the keys are elsewhere (`keyturn.remote`), and cannot be read.
        """
        now = self._clock()
        view, ring = self._view, self._keys.ring
        if view.ring is not ring or not view.since <= now < view.until:
            self._view = view = _View(ring, now, self._cache_size)
        # A long token is not even hashed.
        seen = view.seen.get(token) if len(token) <= MAX_TOKEN else None
        if seen is not None and seen.since <= now < seen.until:
            return self._accept(seen, binding)
        seen = self._first_sight(token, view, now)
        claims = self._accept(seen, binding)
        view.seen.put(token, seen)
        return claims

    def age(self, now: datetime) -> timedelta | None:
        """Say how old the map of floors is: None where it was never loaded, `timedelta.max` where nobody knows."""
        return self.floors.age(now)

    async def catch_up(self, feed: Feed) -> bool:
        """Bring floors and keys up to date; while one caller does, others return at once, with False.

        Raises:
            StoreError: the log cannot be read now; nothing changed.
        """
        if self._may_reload():
            self.reload()
        return await revocation.catch_up(feed, self.floors, self._clock)

    @property
    def wants_reload(self) -> bool:
        """Whether a token named a key that is not known here, and the ring was not read again within a second.

        Then `reload`, and verify that token once more.
        """
        return self._unknown_key and self._may_reload()

    def reload(self) -> None:
        """Read the key ring again; blocks for as long as its source does."""
        self._unknown_key = False
        self._reloaded_at = self._clock()
        self._keys.reload()

    def sighted(self, session_id: str) -> int:
        """Give the highest generation of a session that was accepted in full here and is remembered; -1 for none."""
        return self._sightings.told(session_id)

    def take_sightings(self) -> Mapping[str, int]:
        """Give the first sightings since the last call, for `SessionStore.acknowledge`.

        Session ids with the highest generation that was accepted in full; a bound token whose binding is left
        unchecked is not.
        """
        return self._sightings.take()

    def keep_sightings(self, sightings: Mapping[str, int]) -> None:
        """Take sightings back that could not be told; the next `take_sightings` gives them again."""
        self._sightings.keep(sightings)

    async def report(self, acknowledge: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        """Tell first sightings to whoever notes them; what cannot be told is kept for the next time.

        Args:
            acknowledge: `SessionStore.acknowledge`; what it raises goes on to the caller.
        """
        if not (seen := self.take_sightings()):
            return
        try:
            await acknowledge(seen)
        except BaseException:  # a cancelled request too
            self.keep_sightings(seen)
            raise

    def _first_sight(self, token: str, view: _View, now: datetime) -> _Seen:
        try:
            claims = read(token, view.keys, self._expected, now)
        except TokenInvalidError:
            if not looks_issued(token) or token.partition(".")[0].encode("ascii") in view.keys:
                raise
            self._unknown_key = True
            if (keys := self._sought(view.ring, now)) is None:
                raise
            claims = read(token, keys, self._expected, now)
        return _Seen(claims, self._expected.skew)

    def _sought(self, known: KeyRing, now: datetime) -> Mapping[bytes, Key] | None:
        """Give the keys of a source that looked for more and found some; None where there are none."""
        if self._seek is None:
            return None
        self._seek()
        ring = self._keys.ring
        return None if ring is known else header_segments(ring.verifying(now))

    def _accept(self, seen: _Seen, binding: str | None | Unchecked) -> Claims:
        claims = seen.claims
        # 9. The binding: whoever has only a copy of the token learns nothing about its session.
        if not isinstance(binding, Unchecked) and not proves(binding, claims.binding):
            raise BindingMismatchError
        # 10. The floors.
        floor = self.floors.floor_at(seen.session)
        if floor > claims.generation:
            raise SessionEndedError if floor >= ENDED else TokenStaleError
        if not seen.reported and (claims.binding is None or not isinstance(binding, Unchecked)):
            seen.reported = True
            self._sightings.note(claims.session_id, claims.generation)
        return claims

    def _may_reload(self) -> bool:
        return self._reloaded_at is None or abs(self._clock() - self._reloaded_at) >= RELOAD_PAUSE
