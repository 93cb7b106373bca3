"""What is asked of what an application supplies: the colour of its functions, what they give, its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ._client_tables import digest_fault
from ._colour import is_async
from .errors import ConfigurationError
from .users import DEFAULT_CLIENT, Principal, RegisteredClient, Users


def checked_principal(found: object, source: str) -> Principal | None:
    """Give what an application's function gave, if it is a principal or None.

    Raises:
        ConfigurationError: it is something else.
    """
    if found is None or isinstance(found, Principal):
        return found
    raise ConfigurationError([f"{source} gave a {type(found).__name__}: it must give a keyturn.Principal or None"])


def async_faults(users: Users | None, listeners: Iterable[Callable[..., Any]]) -> list[str]:
    """Say which of an application's functions a blocking door cannot call, a sentence each."""
    methods = (
        [getattr(users, name, None) for name in ("authenticate", "load", "reauthenticate")] if users is not None else []
    )
    return [
        f"{getattr(function, '__qualname__', function)} is async, but this door blocks: make it a plain function, "
        "or use an async door (AsyncSessions)"
        for function in (*methods, *listeners)
        if function is not None and is_async(function)
    ]


def client_faults(clients: Mapping[str, RegisteredClient] | Sequence[RegisteredClient]) -> list[str]:
    """Say what is wrong with registered clients, a sentence each; no secret is shown."""
    if isinstance(clients, Mapping):
        astray = [f"clients has {client.id!r} under another id" for id_, client in clients.items() if id_ != client.id]
        return [*astray, *client_faults(tuple(clients.values()))]
    ids = [client.id for client in clients]
    faults = [f"clients has {id_!r} twice" for id_ in sorted({id_ for id_ in ids if ids.count(id_) > 1})]
    if "" in ids:
        faults.append("clients has one with no id")
    if DEFAULT_CLIENT in ids:
        faults.append(f"clients has {DEFAULT_CLIENT!r}: that is what a sign-in is for that names no client")
    faults += [
        f"clients: of {client.id!r}, {fault}"
        for client in clients
        if client.secret_digest is not None and (fault := digest_fault(client.secret_digest)) is not None
    ]
    return faults
