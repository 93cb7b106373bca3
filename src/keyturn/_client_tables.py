"""The ``[[clients]]`` of a file: from tables as they were written to registered clients, with every fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ._reading import did_you_mean, folded, shown_name
from ._validation import shown
from .users import DEFAULT_CLIENT, RegisteredClient

#: Letters, digits, dot, hyphen and underscore: of RFC 6749 appendix A.1 what reads the same in a form, in a Basic
#: field, on a command line and in a log, and is no longer than people read.
_is_plain: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
#: SHA-256 in hexadecimal.
_is_digest: Final = re.compile(r"[0-9a-fA-F]{64}").fullmatch
#: What the digest of a file that is not there, or of a variable that is not set, comes out as.
_OF_NOTHING: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_NAMES: Final = ("id", "secret_digest")
_PLAINTEXT: Final = (
    "secret stands there in plain text: write secret_digest, which is what `printf %s THE-SECRET | sha256sum` prints, and "
    "make a new secret if others have seen this file"
)


def id_fault(client_id: object) -> str | None:
    """Say what is wrong with the id of a client to be registered, None where nothing is."""
    if not isinstance(client_id, str) or not _is_plain(client_id):
        return (
            f"the id {shown(client_id)} is none: write 1 to 64 letters, digits, dots, hyphens and underscores, "
            "a letter or digit first"
        )
    if client_id.lower() == DEFAULT_CLIENT:
        return f"the id {client_id!r} is taken: it is what a sign-in is for that names no client"
    return None


def digest_fault(digest: object) -> str | None:
    """Say what is wrong with a secret's digest, None where nothing is; the digest is not shown."""
    if not isinstance(digest, str) or not _is_digest(digest):
        return "secret_digest is not 64 hexadecimal digits (SHA-256 of the secret)"
    if digest.lower() == _OF_NOTHING:
        return "secret_digest is the digest of no secret at all"
    return None


def read_clients(tables: Sequence[Mapping[str, Any]], faults: list[str]) -> tuple[RegisteredClient, ...]:
    """Give the clients that tables spell; what is wrong with any of them is added to `faults`."""
    clients: dict[str, RegisteredClient] = {}
    for number, table in enumerate(tables, 1):
        values, found = folded(table, "")
        found += _table_faults(values)
        name = values.get("id")
        if not found and name in clients:
            found = [f"the id {name!r} is given twice"]
        faults += [f"[[clients]] number {number}: {fault}" for fault in found]
        if not found:
            client = RegisteredClient(id=str(name), secret_digest=_digest(values))
            clients[client.id] = client
    return tuple(clients.values())


def _table_faults(values: Mapping[str, object]) -> list[str]:
    faults = [_unknown(name) for name in values if name not in _NAMES]
    id_ = id_fault(values["id"]) if "id" in values else "it has no id"
    digest = digest_fault(values["secret_digest"]) if "secret_digest" in values else None
    return [*faults, *(fault for fault in (id_, digest) if fault is not None)]


def _unknown(name: str) -> str:
    if name in {"secret", "client_secret", "password"}:
        return _PLAINTEXT if name == "secret" else _PLAINTEXT.replace("secret", name, 1)
    return f"{shown_name(name)} is no setting of a client{did_you_mean(name, _NAMES)}"


def _digest(values: Mapping[str, object]) -> str | None:
    digest = values.get("secret_digest")
    return str(digest).lower() if digest is not None else None
