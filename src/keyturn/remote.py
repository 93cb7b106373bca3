"""The keys of an issuer somewhere else, read over HTTP: what a service needs that only verifies.

Example::

    verifier = Verifier(
        Settings(issuer="https://id.example.org", audience="https://api.example.org"),
        RemoteKeys("https://id.example.org/auth/jwks.json"),
    )
    claims = verifier.verify(token, binding=UNCHECKED)
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult

from ._fetching import FetchError, fetch
from ._origins import is_loopback, origin_of, split_url
from ._public_keys import read_key_set
from ._validation import shown
from .errors import ConfigurationError, StoreError
from .keyrings import now_utc
from .keys import JWKS_CACHE, KeyRing

_LOG = logging.getLogger("keyturn.keys")

#: A busy program reads the keys again when half of their time is over, ahead of need and behind everybody's back.
AHEAD: Final = JWKS_CACHE / 2
#: Anybody can name a key that nobody knows; for that the issuer is asked no more often than this.
COOL_DOWN: Final = timedelta(seconds=30)
#: After an attempt that failed.
RETRY_PAUSE: Final = timedelta(seconds=5)
#: How long the last keys are good while the issuer cannot be reached: an hour, as long as an access token may live.
KEPT: Final = timedelta(hours=1)
#: For one reading in all, in seconds.
DEADLINE: Final = 5.0
#: A set of `MOST_KEYS` RSA keys of 8192 bits takes two thirds of it.
MOST_BYTES: Final = 65_536

_TYPES: Final = frozenset({"application/jwk-set+json", "application/json"})
_NO_KEYS: Final = KeyRing(keys=())
_UNREAD: Final = "The issuer's keys cannot be read right now. Try again in a moment."

#: What is to be done before keys are given: nothing; read them again behind the caller's back; let the caller wait.
Step: TypeAlias = Literal["serve", "read ahead", "wait"]


@dataclass(frozen=True, slots=True)
class _Held:
    ring: KeyRing
    as_of: datetime


@dataclass(frozen=True, slots=True)
class _Failure:
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Attempt:
    at: datetime
    over: Future[None] = field(default_factory=Future)


class RemoteKeys:
    """A key source over HTTP: the public keys that an issuer publishes, for a `Verifier`.

    Constructing it reads nothing. The first token waits for the keys, five seconds at most. From then on they are read
    again in a thread of its own while they are in use, so that `Verifier.verify` waits only where nothing was verified
    for five minutes. Where an event loop runs, it never waits: a program that awaits calls `ready` first, and a token
    that comes without is answered with `StoreError` (503) where keys are missing or too old.

    What is asked is this address alone: no redirect, no proxy, 5 seconds and 64 KiB for all, 32 keys at most.
    Keys are at most 5 minutes old, and an hour while the issuer cannot be reached. A token that names an unknown key
    makes the issuer be asked again, once in 30 seconds.

    Args:
        url: where the JWK set is: https, or http on this machine.
        eddsa_alias: whether Ed25519 keys are also accepted under the older name ``EdDSA`` (RFC 9864 section 2.2).
        tls: how https is spoken, for an issuer whose certificate is not one that this machine trusts.
        clock: tells the time, aware UTC.

    Raises:
        ConfigurationError: the address is none that keys may be read from, or `tls` checks no certificates.
    """

    def __init__(
        self,
        url: str,
        *,
        eddsa_alias: bool = False,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._address = _address_of(url)
        self._tls = _tls_of(self._address, tls)
        self._eddsa_alias = eddsa_alias
        self._clock = clock
        self._held: _Held | None = None
        self._failure: _Failure | None = None
        self._attempt: _Attempt | None = None
        self._process, self._lock = os.getpid(), Lock()

    def __repr__(self) -> str:
        return f"RemoteKeys({self._shown!r})"

    @property
    def ring(self) -> KeyRing:
        """The ring in memory, once it is there and not too old.

        Raises:
            StoreError: the issuer cannot be asked, or was not yet and an event loop runs here.
        """
        held, now = self._held, self._clock()
        if held is not None and held.as_of <= now < held.as_of + AHEAD:  # nearly always, and asked for at every token
            return held.ring
        step = self._step(now)
        if step != "serve":
            attempt = self._begin(now)
            if step == "wait" and attempt is not None and not _in_event_loop():
                self._wait(attempt)
        return self._usable()

    def reload(self) -> KeyRing:
        """Give the same as `ring`, and what there was where that is too old: `Verifier.reload` never fails.

        Nothing is read out of turn here; `seek` does so.
        """
        try:
            return self.ring
        except StoreError:
            return self._held.ring if self._held else _NO_KEYS

    def seek(self) -> None:
        """Read the keys again for a token that names an unknown one, if that was not done within 30 seconds."""
        now, last = self._clock(), self._attempt
        if last is not None and abs(now - last.at) < COOL_DOWN:
            return
        attempt = self._begin(now)
        if attempt is not None and not _in_event_loop():
            self._wait(attempt)

    async def ready(self) -> None:
        """Wait until the keys are there and fresh: mostly not at all; with asyncio.

        Raises:
            StoreError: the issuer cannot be asked.
        """
        now = self._clock()
        if self._step(now) == "wait" and (attempt := self._begin(now)) is not None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(attempt.over), DEADLINE)
            except TimeoutError:
                self._fail(_late())
        self._usable()

    @property
    def trouble(self) -> str | None:
        """Why the last reading failed, None where it did not."""
        return self._failure.why if self._failure else None

    # --- what is good, and what is to be done -----------------------------------------------------------------------

    def _step(self, now: datetime) -> Step:
        held, failure = self._held, self._failure
        failed = None if failure is None else abs(now - failure.at)
        return step_of(None if held is None else abs(now - held.as_of), failed)

    def _usable(self) -> KeyRing:
        held, failure, now = self._held, self._failure, self._clock()
        if held is not None:
            failed = None if failure is None else abs(now - failure.at)
            if step_of(abs(now - held.as_of), failed) != "wait":
                return held.ring
        raise StoreError(_UNREAD, cause=f"the keys at {self._shown}: {failure.why if failure else 'not read yet'}")

    # --- reading ----------------------------------------------------------------------------------------------------

    def _begin(self, now: datetime) -> _Attempt | None:
        """Give the attempt that runs, or a new one; None where one ended a moment ago."""
        if self._process != os.getpid():  # a fork took neither the thread nor the lock's owner along
            self._process, self._lock, self._attempt = os.getpid(), Lock(), None
        with self._lock:
            last = self._attempt
            if last is not None and not last.over.done():
                return last
            if last is not None and abs(now - last.at) < RETRY_PAUSE:
                return None
            self._attempt = attempt = _Attempt(now)
            attempt.over.set_running_or_notify_cancel()  # from now on nobody who waits can cancel it for others
            try:
                Thread(target=self._read, args=(attempt,), name="keyturn keys", daemon=True).start()
            except RuntimeError:  # no more threads, or the program ends
                self._fail("no thread can be started")
                attempt.over.set_result(None)
            return attempt

    def _wait(self, attempt: _Attempt) -> None:
        if not wait([attempt.over], DEADLINE).done:
            self._fail(_late())

    def _read(self, attempt: _Attempt) -> None:
        try:
            text = fetch(self._address, accept=_TYPES, seconds=DEADLINE, most=MOST_BYTES, tls=self._tls)
            reading = read_key_set(text, eddsa_alias=self._eddsa_alias)
            if reading.ring is None:
                self._fail(reading.faults[0].removesuffix("."))
            else:
                self._take(reading.ring, attempt.at)
        except FetchError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever came, the program goes on with the keys that it has
            self._fail(type(error).__name__)
        finally:
            attempt.over.set_result(None)

    def _take(self, ring: KeyRing, as_of: datetime) -> None:
        held, failure = self._held, self._failure
        # The same keys are the same ring: the verifier remembers the tokens that it has seen as long as it has that.
        same = held is not None and held.ring.keys == ring.keys
        self._held = _Held(held.ring if held is not None and same else ring, as_of)
        self._failure = None
        if failure is not None:
            _LOG.warning("The keys at %s can be read again.", self._shown)

    def _fail(self, why: str) -> None:
        known, self._failure = self._failure, _Failure(why, self._clock())
        if known is None or known.why != why:
            _LOG.error("The keys at %s cannot be read: %s.", self._shown, why)

    @property
    def _shown(self) -> str:
        """The address without its query, which may hold a secret."""
        return origin_of(self._address.geturl()) + self._address.path


def step_of(age: timedelta | None, failed: timedelta | None) -> Step:
    """Say what is to be done before keys are given.

    Args:
        age: of the keys; None where there are none.
        failed: how long ago the last attempt to read them failed; None where it did not.
    """
    if age is None or age >= KEPT:
        return "wait"
    if age < AHEAD:
        return "serve"
    # Whether the issuer can be reached is itself known for as long as keys are: then it must be tried before an answer.
    return "read ahead" if age < JWKS_CACHE or (failed is not None and failed < JWKS_CACHE) else "wait"


def _late() -> str:
    return f"they did not come within {DEADLINE:g} seconds"


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _address_of(url: str) -> SplitResult:
    parts = split_url(url)
    if parts is None or "@" in parts.netloc or parts.fragment:
        raise ConfigurationError([f"{shown(url)} is no address of keys: write https://id.example.org/auth/jwks.json"])
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ConfigurationError([f"Keys from {shown(url)} could be anybody's on the way: read them over https"])
    return parts


def _tls_of(address: SplitResult, tls: ssl.SSLContext | None) -> ssl.SSLContext | None:
    if address.scheme != "https":
        return None
    if tls is not None and (tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname):
        raise ConfigurationError(["tls checks no certificate, or not whose it is: then keys could be anybody's"])
    return tls or ssl.create_default_context()


__all__ = ["RemoteKeys"]
