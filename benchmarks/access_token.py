"""One check of an access token in process: the signature alone, two well-known libraries, ours."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import OKPAlgorithm

from keyturn import Verifier
from keyturn.keyrings import now_utc
from keyturn.keyrings.static import StaticKeys
from keyturn.revocation import FloorMap
from keyturn.session import new_session_id
from keyturn.stores import ENDED, Revocation

from . import people
from .measure import Effort, Rounds, medians, per_call, ratio, versions
from .report import Goal, Table, at_least, at_most

NAME = "access_token"
ALGORITHMS = ("ES256", "Ed25519", "RS256")
SIGNATURE, PYJWT, JOSERFC = "the signature alone (cryptography)", "PyJWT", "joserfc"
FIRST, SEEN = "Keyturn, first sight", "Keyturn, seen before"
#: So many clients take turns: one token alone would stay in the processor's nearest memory.
CLIENTS = 64
ENDED_SESSIONS = 10_000

Call = Callable[[], object]

# PyJWT knows it by its older name alone.
with suppress(ValueError):
    jwt.register_algorithm("Ed25519", OKPAlgorithm())


def run(effort: Effort) -> list[Table]:
    """Measure every algorithm."""
    found: dict[str, Rounds] = {}
    lengths: dict[str, int] = {}
    for algorithm in ALGORITHMS:
        stage = Stage.of(algorithm)
        lengths[algorithm] = len(stage.tokens[0])
        slow = per_call(stage.slow_sides(), calls=effort.of(1500), rounds=effort.rounds)
        quick = per_call(stage.quick_sides(), calls=effort.of(20_000), rounds=effort.rounds)
        found[algorithm] = {**slow, **quick}
    return [_table(found, lengths)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Tokens of some sessions, the key that signed them, and the cookies that they are bound to."""

    algorithm: str
    ring: StaticKeys
    tokens: list[bytes]
    bindings: list[str]

    @classmethod
    def of(cls, algorithm: str) -> Stage:
        """Sign in."""
        ring = people.keys(algorithm)
        pairs = people.sign_in(people.settings(algorithm), ring, CLIENTS)
        tokens = [pair.access_token.encode("ascii") for pair in pairs]
        return cls(algorithm=algorithm, ring=ring, tokens=tokens, bindings=[pair.binding or "" for pair in pairs])

    def slow_sides(self) -> dict[str, Call]:
        """Give the sides that verify a signature every time."""
        return {
            SIGNATURE: self._signature(),
            PYJWT: self._pyjwt(),
            JOSERFC: self._joserfc(),
            FIRST: self._ours(cache_size=0),
        }

    def quick_sides(self) -> dict[str, Call]:
        """Give the side that remembers; apart, since it is called so often that others would take minutes."""
        return {SEEN: self._ours(cache_size=8192)}

    def _texts(self) -> Iterator[str]:
        """Give tokens as requests bring them: each time a new text, whose hash nobody has computed yet."""
        return (token.decode("latin-1") for token in cycle(self.tokens))

    @property
    def _public(self) -> Any:
        jwk = self.ring.ring.signing(now_utc()).public_jwk()
        return jwt.PyJWK({**jwk, "alg": "EdDSA" if self.algorithm == "Ed25519" else self.algorithm}).key

    def _signature(self) -> Call:
        parts = cycle([_signed_and_signature(token, self.algorithm) for token in self.tokens])
        public = self._public
        match self.algorithm:
            case "ES256":
                scheme = ec.ECDSA(SHA256())
                return lambda: public.verify(*reversed(next(parts)), scheme)
            case "RS256":
                return lambda: public.verify(*reversed(next(parts)), padding.PKCS1v15(), SHA256())
            case _:
                return lambda: public.verify(*reversed(next(parts)))

    def _pyjwt(self) -> Call:
        texts, public, names = self._texts(), self._public, [self.algorithm]
        return lambda: jwt.decode(next(texts), public, names, audience=people.ISSUER, issuer=people.ISSUER)

    def _joserfc(self) -> Call:
        texts = self._texts()
        key = joserfc.jwk.import_key(self.ring.ring.signing(now_utc()).public_jwk())
        claims = joserfc.jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": people.ISSUER}, aud={"essential": True, "value": people.ISSUER}
        )
        names = [self.algorithm]

        def check() -> None:
            claims.validate(joserfc.jwt.decode(next(texts), key, algorithms=names).claims)

        return check

    def _ours(self, *, cache_size: int) -> Call:
        verifier = Verifier(people.settings(self.algorithm), self.ring, floors=_floors(), cache_size=cache_size)
        texts, bindings = self._texts(), cycle(self.bindings)
        return lambda: verifier.verify(next(texts), binding=next(bindings))


def _signed_and_signature(token: bytes, algorithm: str) -> tuple[bytes, bytes]:
    signed, _, last = token.rpartition(b".")
    raw = urlsafe_b64decode(last + b"==")
    if algorithm != "ES256":
        return signed, raw
    return signed, encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _floors() -> FloorMap:
    """Give a map as it is after a busy half hour."""
    floors = FloorMap()
    end = now_utc() + timedelta(hours=1)
    ids = (new_session_id(end, number.to_bytes(14)) for number in range(ENDED_SESSIONS))
    floors.add(Revocation(session_id=id_, floor=ENDED, until=end) for id_ in ids)
    return floors


def _table(found: Mapping[str, Rounds], lengths: Mapping[str, int]) -> Table:
    middle = {algorithm: medians(rounds) for algorithm, rounds in found.items()}
    sides = (SIGNATURE, JOSERFC, PYJWT, FIRST, SEEN)
    return Table(
        title="One check of an access token, in process (CPU µs)",
        rows={
            side: {f"{algorithm} ({lengths[algorithm]} bytes)": middle[algorithm][side] for algorithm in ALGORITHMS}
            for side in sides
        },
        goals=[*_first_sight(found), *_seen_before(middle), _times_faster(found["ES256"])],
        notes=[
            (
                f"{versions('cryptography', 'joserfc', 'pyjwt')}. Every side gets each token as a new text, as a request "
                f"brings it, of {CLIENTS} clients in turn. Ours checks the binding cookie and a map of "
                f"{ENDED_SESSIONS:,} ended sessions besides; the libraries check issuer, audience and times."
            ),
        ],
        rounds={f"{algorithm}, {side}": values for algorithm, by in found.items() for side, values in by.items()},
    )


def _first_sight(found: Mapping[str, Rounds]) -> Iterator[Goal]:
    for algorithm, rounds in found.items():
        by_round = zip(rounds[FIRST], rounds[SIGNATURE], strict=True)
        over = sorted(first - signature for first, signature in by_round)[len(rounds[FIRST]) // 2]
        yield at_most(f"{algorithm}, first sight: at most 8 µs over the signature alone", over, 8, "µs")


def _seen_before(middle: Mapping[str, Mapping[str, float]]) -> Iterator[Goal]:
    for algorithm, figures in middle.items():
        yield at_most(f"{algorithm}, seen before: at most 2 µs", figures[SEEN], 2, "µs")


def _times_faster(rounds: Rounds) -> Goal:
    return at_least("ES256, seen before: at least 40 times faster than PyJWT", ratio(rounds, PYJWT, SEEN), 40, "times")
