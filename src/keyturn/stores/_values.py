"""What every store checks or spells in the same way before it writes: texts, claims, positions in the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ..session import Session, session_id_bytes
from . import Changes, Revocation, Revocations

_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


def is_text(value: str) -> bool:
    """Say whether a text can be kept: one with a lone surrogate has no UTF-8 form, and PostgreSQL keeps no NUL.

    Every store draws the same line, so that an application behaves alike on each of them. Where a store compares such a text, it equals nothing that is stored; where it should keep it, it refuses.
    """
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def refuse_unstorable(session: Session) -> None:
    """Refuse a session that no store can give back as it was, before anything is written.

    Raises:
        ValueError: the id is no canonical session id, a text has a lone surrogate or a NUL, or the claims are no JSON.
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
    if not is_text("".join(texts)):
        raise ValueError("a text with a lone surrogate or a NUL cannot be stored")


def json_text(value: dict[str, Any] | list[str]) -> str:
    """Give the JSON text of claims or of methods' names, in ASCII: any code point survives as an escape.

    Raises:
        ValueError: NaN and the infinities are no JSON.
        TypeError: something in it is unknown to JSON.
    """
    return _encode(value)


def claims_of(text: str) -> Mapping[str, Any]:
    """Give the claims for their JSON text; the mapping itself cannot be changed."""
    return _NO_CLAIMS if text == "{}" else MappingProxyType(json.loads(text))


#: Positions are counted in a signed integer of 64 bits everywhere: no more than 19 digits.
_MAX_DIGITS = 19


def revocations_after(
    after: str | None,
    entries_from: Callable[[int], Sequence[tuple[int, Revocation]]],
    *,
    epoch: str,
    dropped: int,
    head: int,
) -> Revocations:
    """Give the log's entries after a position, or all of them where the log does not go on from there.

    That is so for a position of another log, for one older than an entry that was dropped, and for one whose last entry
    is not in this log: the store lost writes, and what was appended since bears numbers that the reader has seen.

    Args:
        after: what an earlier answer said; None for all entries.
        entries_from: gives the entries from a number on, that one included, with their numbers, in order.
        epoch: which log this is, drawn when it begins.
        dropped: the highest number that was dropped, 0 for none.
        head: the number of the last entry, 0 for none.
    """
    number, mark = _parsed(after, epoch)
    log = entries_from(number) if dropped <= number <= head else ()
    # Where that entry was dropped since, its number was not given again: entries stay for an hour.
    complete = _mark(log[0][1]) == mark if log and log[0][0] == number else number == dropped
    if not complete:
        number, log = 0, entries_from(0)
    last = _mark(log[-1][1]) if log and log[-1][0] == head else ""
    return Revocations(
        entries=[entry for at, entry in log if at > number],
        position=f"{epoch}.{head}.{last}",
        complete=complete or after is None,
    )


def _parsed(after: str | None, epoch: str) -> tuple[int, str]:
    name, digits, mark = (*(after or "").split("."), "", "")[:3]
    if name != epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
        return -1, ""
    return int(digits), mark


def _mark(entry: Revocation) -> str:
    """Tell an entry from another that came to bear its number after the store lost writes."""
    said = f"{entry.session_id} {entry.floor} {entry.until.isoformat()}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]
