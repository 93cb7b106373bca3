"""One turn of the key as a value: what policy plans and a store carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from .session import Transport

#: After so many recoveries in a row a predecessor is honoured no longer (docs/explanation/sessions.md, row 10).
MAX_RECOVERIES: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a step-up changes besides the generation; None leaves a field as it is.

    Args:
        floor: refresh tokens below it are dead, silently.
        access_floor: announced in the log in the same transaction.
        until: how long the log keeps the announcement.
    """

    floor: int
    access_floor: int
    until: datetime
    authenticated_at: datetime | None = None
    amr: tuple[str, ...] | None = None
    scope: str | None = None
    claims: Mapping[str, Any] | None = None
    binding: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One turn of the key: the conditions and the effects of `SessionStore.advance`.

    Args:
        client_id: compared with the row's where given.
        generation: what the row must have.
        to: the generation it gets.
        turned_before: the row must have turned and recovered (if ever) at or before this, unless its generation is 0
            or its access_floor lies above its generation; None asks for no wait.
        idle_remember: the new idle end of a remembered session (capped by its absolute end); None leaves it.
        idle_session: the same for a session without `remember`; None where `idle_remember` is.
    """

    id: str
    realm: str
    transport: Transport
    generation: int
    seed_digest: bytes = field(repr=False)
    binding: bytes | None = field(repr=False)
    now: datetime
    to: int
    client_id: str | None = None
    turned_before: datetime | None = None
    idle_remember: datetime | None = None
    idle_session: datetime | None = None
    changes: Changes | None = None
