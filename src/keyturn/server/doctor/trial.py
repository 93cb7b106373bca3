"""Lets every key do what it is for, once: sign and verify, seal and open, as the server does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from ..._algorithms import SIGNING, Entropy
from ..._issuing import Issuer
from ..._seals import SealedRing
from ...errors import KeyturnError
from ...keyrings.static import StaticKeys
from ...keys import Key, KeyRing, new_access_key, new_refresh_key
from ...session import Session, new_session_id
from ...settings import Settings
from ...tokens import UNCHECKED, TokenPair
from ...users import Principal
from ...verifier import Verifier

_SUBJECT: Final = "doctor"
_SEED_BYTES: Final = 16


def failed_keys(ring: KeyRing, settings: Settings, *, now: datetime, entropy: Entropy) -> Sequence[tuple[str, str]]:
    """Give the keys of a ring that do not do what they are for: id -> what went wrong.

    Args:
        ring: what is tried; a key that only verifies for others cannot be.
        settings: whose tokens they make.
        now: the time, aware UTC.
        entropy: gives as many random bytes as it is asked for.
    """
    # A key is tried beside a fresh one of the other purpose, so that it cannot be blamed for its neighbour.
    access = new_access_key("ES256", now=now, signs_from=now, entropy=entropy)
    refresh = new_refresh_key(0, now=now, signs_from=now, entropy=entropy)
    found: list[tuple[str, str]] = []
    for key in ring.keys:
        pair = (key, refresh) if key.purpose == "access" else (access, key)
        found += [(key.id, why) for why in _faults(key, KeyRing(keys=pair), settings, now, entropy)]
    return found


def _faults(key: Key, ring: KeyRing, settings: Settings, now: datetime, entropy: Entropy) -> Iterator[str]:
    source = StaticKeys(ring)
    seals = SealedRing(source, settings.realm)
    session, seed = _session(settings, now, entropy), entropy(_SEED_BYTES)
    try:
        issuer = Issuer(settings=settings, seals=seals, entropy=entropy)
        pair = issuer.pair(session, seed, Principal(subject=_SUBJECT), now=now)
    except (KeyturnError, ValueError, ArithmeticError, TypeError):
        yield "it signs nothing" if key.purpose == "access" else "it seals nothing"
        return
    if key.purpose == "access":
        yield from _unverified(key, source, settings, pair, now)
    else:
        yield from _unopened(seals, pair, session.id, seed, now)


def _unverified(key: Key, source: StaticKeys, settings: Settings, pair: TokenPair, now: datetime) -> Iterator[str]:
    verifier = Verifier(settings, source, clock=lambda: now)
    try:
        good = verifier.verify(pair.access_token, binding=UNCHECKED).session_id == pair.session_id
    except KeyturnError:
        good = False
    if not good:
        yield "what it signs is not accepted by its own public half"
    signed = b"keyturn doctor"
    if not SIGNING[key.algorithm].from_jwk(key.public_jwk()).verify(signed, key.sign(signed)):
        yield "the public half that is published is not its own"
    if key.verify(signed + b".", key.sign(signed)):
        yield "it accepts what it did not sign"


def _unopened(seals: SealedRing, pair: TokenPair, session_id: str, seed: bytes, now: datetime) -> Iterator[str]:
    try:
        opened = seals.open(pair.refresh_token, now)
        good = (opened.session_id, opened.seed) == (session_id, seed)
    except KeyturnError:
        good = False
    if not good:
        yield "it does not open what it sealed"


def _session(settings: Settings, now: datetime, entropy: Entropy) -> Session:
    ends = now + timedelta(days=1)
    return Session(
        id=new_session_id(ends, entropy(14)), realm=settings.realm, subject=_SUBJECT, client_id="default",
        transport="body", remember=False, seed_digest=b"", rotated_at=now, authenticated_at=now, created_at=now,
        idle_expires_at=ends, expires_at=ends,
    )  # fmt: skip
