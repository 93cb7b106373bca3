"""The registered programs as a service asks for them: those that stand still, and those that come and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

from ._colour import Caller, Colour, drive, is_async
from .errors import KeyturnError, StoreError
from .users import DEFAULT_CLIENT, RegisteredClient

#: Clients by id, or one after the other.
Registered: TypeAlias = Mapping[str, RegisteredClient] | tuple[RegisteredClient, ...]


class Clients:
    """Registered clients by id, asked in a door's own way.

    Args:
        known: by id; it may change meanwhile. Where it has a method ``look_up``, an id that is not in it is asked for
            there before it is refused.
        call: how the door calls functions that block or await.
    """

    __slots__ = ("_call", "_colour", "_look_up", "known")

    def __init__(self, known: Mapping[str, RegisteredClient], call: Caller) -> None:
        self.known = known
        self._call = call
        self._colour: Colour | None = getattr(known, "colour", None)
        self._look_up: Any = getattr(known, "look_up", None)

    def __contains__(self, client_id: object) -> bool:
        return client_id in self.known

    @property
    def any_proves(self) -> bool:
        """Whether one of them, as far as is known now, has a secret."""
        return any(client.secret_digest is not None for client in tuple(self.known.values()))

    @property
    def may_prove(self) -> bool:
        """Whether one of them has a secret, or one that has may come at any time."""
        return self._look_up is not None or self.any_proves

    async def find(self, client_id: str) -> RegisteredClient | None:
        """Give the client of that id; None where there is none.

        Raises:
            StoreError: it cannot be told right now.
        """
        client = self.known.get(client_id)
        if client is not None or self._look_up is None or client_id in {"", DEFAULT_CLIENT}:
            return client
        try:
            found = await self._asked(client_id)
        except KeyturnError:
            raise
        except Exception as error:
            raise StoreError(cause=f"clients.look_up raised {type(error).__name__}") from error
        return found if isinstance(found, RegisteredClient) else None

    async def has(self, client_id: str) -> bool:
        """Say whether a session may be of that client: of a registered one, or of none in particular.

        Raises:
            StoreError: it cannot be told right now.
        """
        return client_id == DEFAULT_CLIENT or await self.find(client_id) is not None

    async def _asked(self, client_id: str) -> Any:
        ask = partial(self._look_up, client_id)
        if self._colour is None:
            return await self._call(ask)
        if self._colour == "both":
            return await ask()
        if self._colour == "sync":
            return await self._call(lambda: drive(ask()))

        async def awaited() -> Any:
            return await ask()

        return await self._call(awaited)


def taken(clients: Registered | Iterable[RegisteredClient]) -> Registered:
    """Give clients as they are kept: a mapping as it is, since it may live."""
    return cast("Registered", clients) if isinstance(clients, Mapping) else tuple(clients)


def by_id(clients: Registered) -> Mapping[str, RegisteredClient]:
    """Give clients by their ids."""
    return clients if isinstance(clients, Mapping) else {client.id: client for client in clients}


def living_faults(clients: Registered) -> list[str]:
    """Say why a blocking door cannot ask for clients that come and go; empty where it can."""
    colour: Colour | None = getattr(clients, "colour", None)
    look_up = getattr(clients, "look_up", None)
    if colour == "async" or (colour is None and look_up is not None and is_async(look_up)):
        return ["clients.look_up awaits, but this door blocks: give it one that blocks"]
    return []
