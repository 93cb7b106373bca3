"""What every store checks or spells in the same way before it writes: texts, claims, positions in the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..session import Session, session_id_bytes
from . import Changes

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


def is_text(value: str) -> bool:
    """Say whether a text can be kept at all: one with a lone surrogate is no Unicode text and has no UTF-8 form.

    Where a store compares such a text, it equals nothing that is stored; where it should keep it, it refuses.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_unstorable(session: Session) -> None:
    """Refuse a session that no store can give back as it was, before anything is written.

    Raises:
        ValueError: the id is no canonical session id, a text has a lone surrogate, or the claims are no JSON.
        TypeError: the claims hold something that JSON does not know.
    """
    if session_id_bytes(session.id) is None:
        raise ValueError("a session id is 22 canonical base64url characters")
    _refuse_broken(
        session.realm, session.subject, session.client_id, session.scope or "", session.user_agent,
        session.ip, session.device_name, *session.amr,
    )  # fmt: skip
    json_text(dict(session.claims))


def refuse_unstorable_changes(changes: Changes) -> None:
    """Refuse a step-up's changes for the same reasons as `refuse_unstorable` does a session."""
    _refuse_broken(changes.scope or "", *(changes.amr or ()))
    if changes.claims is not None:
        json_text(dict(changes.claims))


def _refuse_broken(*texts: str) -> None:
    if not all(map(is_text, texts)):
        raise ValueError("a text with a lone surrogate cannot be stored")


def json_text(value: dict[str, Any] | list[str]) -> str:
    """Give the JSON text of claims or of methods' names, in ASCII: any code point survives as an escape.

    Raises:
        ValueError: NaN and the infinities are no JSON.
        TypeError: something in it is unknown to JSON.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def claims_of(text: str) -> Mapping[str, Any]:
    """Give the claims for their JSON text; the mapping itself cannot be changed."""
    return _NO_CLAIMS if text == "{}" else MappingProxyType(json.loads(text))


def position(epoch: str, number: int) -> str:
    """Spell a place in the log: which log (an epoch is drawn when one begins) and the number of its last entry."""
    return f"{epoch}.{number}"


#: Positions are counted in a signed integer of 64 bits everywhere: no more than 19 digits.
_MAX_DIGITS = 19


def known_number(after: str | None, *, epoch: str, dropped: int, head: int) -> int | None:
    """Give the number from which on to read; None where a new snapshot is needed.

    That is so for a position of another log, for one older than an entry that was dropped, and for one ahead of the
    head: the store lost writes, and what was appended since may bear numbers that the reader believes to have seen.
    """
    name, _, digits = (after or "").rpartition(".")
    if name != epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
        return None
    return int(digits) if dropped <= int(digits) <= head else None
