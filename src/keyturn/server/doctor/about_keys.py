"""Judges the key ring: whether each key does what it is for, and whether one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Final

from ...keys import Key, KeyRing
from .facts import Facts
from .finding import Finding, broken, counted, note, ok, weak

_TOPIC: Final = "keys"
#: Clocks of one installation may differ so much.
_CLOCKS: Final = timedelta(minutes=1)
#: The upper end of what NIST SP 800-57 part 1 (table 1) gives a private signature key is three years.
_OLD: Final = timedelta(days=365)
_REFRESH_IDS: Final = 256
_FEW: Final = 16
_SHORT_RSA: Final = 3072


def about_keys(facts: Facts) -> Iterator[Finding]:
    """Judge the key ring."""
    ring = facts.keys.ring
    for fault in facts.keys.faults:
        yield broken(_TOPIC, fault, "Until then the server does not start. `keyturn keys list` reads them again.")
    if ring is None:
        return
    if not ring.keys:
        yield _none_at_all(facts)
        return
    yield from _incomplete(ring)
    yield from _round_trips(facts, ring)
    yield from missing_keys(facts)
    for key in ring.keys:
        yield from _about_one(facts, ring, key)
    yield from _places_left(ring)
    if facts.keys.owners:
        owners = ", ".join(facts.keys.owners)
        yield note(_TOPIC, f"The key files belong to {owners}, not to you.", "The server must run as their owner.")


def _none_at_all(facts: Facts) -> Finding:
    live = facts.database.sessions.live if facts.database.sessions else 0
    if live:
        lives = counted(live, "session lives", "sessions live")
        return broken(
            _TOPIC,
            f"There are no keys in {facts.config.keys}, and {lives} whose keys they were.",
            "Restore the folder from a copy. If it is lost, `keyturn keys generate`: then everybody signs in again.",
        )
    return note(_TOPIC, f"There are no keys in {facts.config.keys} yet.", "The first start makes them.")


def _incomplete(ring: KeyRing) -> Iterator[Finding]:
    if not ring.has("refresh"):
        yield broken(
            _TOPIC,
            "There are keys, but none for refresh tokens, and the server does not start so.",
            "Restore refresh-*.json from a copy; or remove the other keys too and start anew: all must sign in again.",
        )
    if not ring.has("access"):
        yield weak(
            _TOPIC,
            "There is no key for access tokens.",
            "The next start makes one. If a file was lost, clients refresh and go on.",
        )


def _round_trips(facts: Facts, ring: KeyRing) -> Iterator[Finding]:
    for id_, why in facts.keys.failed:
        yield broken(
            _TOPIC, f"Key {id_} does not work: {why}.", f"Restore it from a copy, or: keyturn keys remove {id_}"
        )
    if not facts.keys.failed and ring.has("access") and ring.has("refresh"):
        yield ok(_TOPIC, f"All {len(ring.keys)} keys sign and verify, or seal and open, what they should.")


def missing_keys(facts: Facts) -> Iterator[Finding]:
    """Say which refresh keys are missing that sessions may still need."""
    if (ring := facts.keys.ring) is None or not ring.keys:
        return
    for gap in gaps(ring):
        yield weak(
            _TOPIC,
            f"Refresh key {gap} is missing between its neighbours, and was not removed by `keyturn keys remove`.",
            f"Restore refresh-{gap}.json from a copy, or the sessions that it sealed must sign in again.",
        )
    orphans = facts.database.sessions.orphans if facts.database.sessions else 0
    if not orphans:
        return
    of = counted(orphans, "session lives that was", "sessions live that were")
    what = f"{of} sealed before the oldest refresh key here began: the key is missing."
    if ring.spent:
        yield note(_TOPIC, what, "It was removed on purpose, as it seems: those users sign in again.")
    else:
        yield broken(_TOPIC, what, "Restore the key files from a copy, or those users must sign in again.")


def gaps(ring: KeyRing) -> list[int]:
    """Give the numbers of refresh keys that should be in a ring and are not.

    Numbers are drawn one after the other, and the oldest key goes first: what is missing in between was not retired.
    """
    numbers = [int(key.id) for key in sorted(ring.keys, key=lambda key: key.created_at) if key.purpose == "refresh"]
    spent = {int(each.id) for each in ring.spent}
    found: list[int] = []
    for before, after in pairwise(numbers):
        between = [(before + step) % _REFRESH_IDS for step in range(1, (after - before) % _REFRESH_IDS)]
        found += [number for number in between if number not in spent and number not in numbers]
    return found


def _about_one(facts: Facts, ring: KeyRing, key: Key) -> Iterator[Finding]:
    name, state = f"The {key.purpose} key {key.id}", ring.state(key, facts.now)
    if key.created_at > facts.now + _CLOCKS:
        yield broken(
            _TOPIC,
            f"{name} was made in the future, on {key.created_at:%Y-%m-%d %H:%M} UTC.",
            "This machine's clock is behind, or was ahead then. Set it right; if the key stays, rotate and remove it.",
        )
    elif state == "current" and facts.now - key.signs_from > _OLD:
        yield note(
            _TOPIC,
            f"{name} has signed for {(facts.now - key.signs_from).days} days.",
            f"keyturn keys rotate --purpose {key.purpose}",
        )
    if state == "current" and key.purpose == "access":
        yield from _about_algorithm(facts, key)


def _about_algorithm(facts: Facts, key: Key) -> Iterator[Finding]:
    wanted = facts.config.settings.algorithm
    if key.algorithm != wanted:
        yield note(
            _TOPIC,
            f"The settings say {wanted}, and access tokens are signed with {key.algorithm}: keys that exist stay.",
            f"keyturn keys rotate --algorithm {wanted}",
        )
    if key.algorithm == "RS256" and len(key.public_jwk()["n"]) * 6 < _SHORT_RSA:
        yield weak(_TOPIC, f"The access key {key.id} has fewer than {_SHORT_RSA} bits.", "keyturn keys rotate")


def _places_left(ring: KeyRing) -> Iterator[Finding]:
    used = sum(key.purpose == "refresh" for key in ring.keys) + len(ring.spent)
    if _REFRESH_IDS - used < _FEW:
        yield weak(
            _TOPIC,
            f"{used} of {_REFRESH_IDS} numbers for refresh keys are in use; each is free again after 400 days.",
            "Rotate refresh keys less often: once every few months is enough.",
        )
