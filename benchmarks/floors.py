"""The map of ended sessions: how much memory a million of them take, and how long one look-up."""

from __future__ import annotations

import gc
import secrets
import tracemalloc
from datetime import timedelta
from itertools import cycle

from keyturn.keyrings import now_utc
from keyturn.revocation import FloorMap, session_key
from keyturn.session import new_session_id
from keyturn.stores import ENDED, Revocation

from .measure import Effort, Rounds, added, medians, per_call
from .report import Goal, Table, at_most

NAME = "floors"
ENTRIES = 1_000_000
#: Look-ups of so many sessions take turns, half of them ended: more than a processor keeps near.
ASKED = 4096
EMPTY, KNOWN, BY_TEXT = "the loop alone", "by number, as a token that was seen before", "by its text"


def run(effort: Effort) -> list[Table]:
    """Fill a map and ask it."""
    count = effort.of(ENTRIES, least=1000)
    floors, bytes_each, ids = _filled(count)
    rounds = _look_ups(floors, ids, effort)
    return [_table(rounds, bytes_each, count)]


def _filled(count: int) -> tuple[FloorMap, float, list[str]]:
    """Give a map, how many bytes each entry takes, and some of its ids."""
    end = now_utc() + timedelta(hours=1)
    floors, some = FloorMap(), []
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        id_ = new_session_id(end, secrets.token_bytes(14))
        floors.add([Revocation(session_id=id_, floor=ENDED, until=end)])
        if number % max(1, count // ASKED) == 0:
            some.append(id_)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return floors, taken / count, some


def _look_ups(floors: FloorMap, ids: list[str], effort: Effort) -> Rounds:
    end = now_utc() + timedelta(hours=1)
    mixed = [text for id_ in ids for text in (id_, new_session_id(end, secrets.token_bytes(14)))]
    texts, keys, nothing = cycle(mixed), cycle([session_key(text) for text in mixed]), cycle(mixed)
    sides = {
        EMPTY: lambda: next(nothing),
        KNOWN: lambda: floors.floor_at(next(keys)),
        BY_TEXT: lambda: floors.floor_of(next(texts)),
    }
    return per_call(sides, calls=effort.of(100_000), rounds=effort.rounds)


def _table(rounds: Rounds, bytes_each: float, count: int) -> Table:
    middle = medians(rounds)
    known, by_text = (added(rounds, side, EMPTY) for side in (KNOWN, BY_TEXT))
    return Table(
        title=f"The map of ended sessions, {count:,} entries",
        rows={
            KNOWN: {"CPU µs": middle[KNOWN], "less the loop": known},
            BY_TEXT: {"CPU µs": middle[BY_TEXT], "less the loop": by_text},
        },
        goals=list(_goals(bytes_each, known)),
        notes=[f"{bytes_each:.0f} bytes for each entry. Half of the sessions that are asked for have ended."],
        rounds=rounds,
    )


def _goals(bytes_each: float, known: float) -> list[Goal]:
    return [
        at_most("a million entries: at most 100 MB", bytes_each * ENTRIES / 1e6, 100, "MB"),
        at_most("one look-up: at most 0.2 µs", known, 0.2, "µs"),
    ]
