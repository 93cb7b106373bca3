"""The statements of MariaDB that change a row under conditions and give it back: a turn, several, a step-up, a recovery.

Each is an INSERT of the row's key and of its new values, selected FOR UPDATE from the row itself where the conditions
hold. The key is taken, so the new values go into the row that has it. What an INSERT wants to hear besides, columns
without a default, is never written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from .._rows import COLUMNS
from ._statements import TurnRow

#: Columns without a default that a statement does not set, and something that fits each.
_FILLED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("realm", "subject", "client_id", "transport", "seed_digest", "amr", "claims", "user_agent", "ip",
         "device_name"), "''"
    ),
    **dict.fromkeys(
        ("remember", "generation", "delivered", "floor", "access_floor", "rotated_at", "recoveries",
         "authenticated_at", "created_at", "idle_expires_at", "expires_at"), "0"
    ),
}  # fmt: skip
_BINARY: Final = frozenset({"id", "seed_digest", "binding"})
_TEXTS: Final = frozenset({"realm", "transport", "client_id"})


def _changing(new: Mapping[str, str], source: str) -> str:
    """Spell a conditional change of rows: `new` values by column, from `source`, a FROM clause with its conditions."""
    candidate = {"bucket": "s.bucket", "id": "s.id", **_FILLED, **new}
    updates = ", ".join(f"{name} = VALUE({name})" for name in new)
    return f"""
    INSERT INTO keyturn_session ({", ".join(candidate)})
    SELECT {", ".join(candidate.values())} {source} FOR UPDATE
    ON DUPLICATE KEY UPDATE {updates} RETURNING {COLUMNS}
    """


def _turned(value: Callable[[str], str]) -> dict[str, str]:
    """Spell the effects of `advance`, with a turn's values from parameters or from a table."""
    idle = f"CASE WHEN s.remember THEN {value('idle_remember')} ELSE {value('idle_session')} END"
    return {
        "generation": value("to"),
        "rotated_at": value("now"),
        "recovered_at": "NULL",
        "recoveries": "CASE WHEN s.recovered_at IS NULL THEN 0 ELSE s.recoveries END",
        "idle_expires_at": f"COALESCE(LEAST({idle}, s.expires_at), s.idle_expires_at)",
    }


def _where(value: Callable[[str], str]) -> str:
    """Spell the conditions of `advance`."""
    v = {name: value(name) for name in TurnRow._fields}
    return f"""
    WHERE s.bucket = {v["bucket"]} AND s.id = {v["id"]} AND s.realm = {v["realm"]} AND s.transport = {v["transport"]}
        AND ({v["client_id"]} IS NULL OR s.client_id = {v["client_id"]})
        AND s.seed_digest = {v["seed_digest"]} AND s.binding <=> {v["binding"]}
        AND s.generation = {v["generation"]} AND s.generation >= s.floor
        AND s.ended_at IS NULL AND {v["now"]} < s.idle_expires_at AND {v["now"]} < s.expires_at
        AND ({v["turned_before"]} IS NULL OR s.generation = 0 OR s.access_floor > s.generation
            OR (s.rotated_at <= {v["turned_before"]}
                AND (s.recovered_at IS NULL OR s.recovered_at <= {v["turned_before"]})))
    """


def _sent(name: str) -> str:
    return f"UNHEX(%({name})s)" if name in _BINARY else f"%({name})s"


def _listed(name: str) -> str:
    # Of two columns' collations the server would refuse to choose one; one that is spelled out wins.
    return f"CONVERT(t.`{name}` USING utf8mb4) COLLATE utf8mb4_nopad_bin" if name in _TEXTS else f"t.`{name}`"


@lru_cache(maxsize=64)  # as many as a group may have turns
def advancing_several(count: int) -> str:
    """Spell several turns at once; parameters are numbered, as in ``id_0``."""
    rows = (
        ", ".join(f"{_sent(name).replace(f'({name})', f'({name}_{nth})')} AS `{name}`" for name in TurnRow._fields)
        for nth in range(count)
    )
    listed = " UNION ALL ".join(f"SELECT {row}" for row in rows)
    return _changing(_turned(_listed), f"FROM ({listed}) AS t STRAIGHT_JOIN keyturn_session AS s {_where(_listed)}")


ADVANCE: Final = _changing(_turned(_sent), f"FROM keyturn_session AS s {_where(_sent)}")
STEP_UP: Final = _changing(
    {
        **_turned(_sent),
        "floor": "GREATEST(s.floor, %(new_floor)s)",
        "access_floor": "GREATEST(s.access_floor, %(new_access_floor)s)",
        "authenticated_at": "COALESCE(%(new_authenticated_at)s, s.authenticated_at)",
        "amr": "COALESCE(%(new_amr)s, s.amr)",
        "scope": "COALESCE(%(new_scope)s, s.scope)",
        "claims": "COALESCE(%(new_claims)s, s.claims)",
        "binding": "COALESCE(UNHEX(%(new_binding)s), s.binding)",
    },
    f"FROM keyturn_session AS s {_where(_sent)}",
)
RECOVER: Final = _changing(
    {"recovered_at": "%(now)s", "recoveries": "s.recoveries + 1"},
    """FROM keyturn_session AS s
    WHERE s.bucket = %(bucket)s AND s.id = UNHEX(%(id)s) AND s.generation = %(generation)s AND s.ended_at IS NULL
        AND s.recoveries < %(most)s""",
)
