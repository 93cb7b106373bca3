"""The registered clients of a running server: those of the file, and those of the table, which come and go."""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from .._build import utc_now
from .._client_tables import id_fault
from .._colour import Colour
from ..errors import KeyturnError, StoreError
from ..users import DEFAULT_CLIENT, RegisteredClient
from .records import ClientRecord, Records

_log: Final = logging.getLogger("keyturn.server")

#: Anybody can name a client that nobody knows; the table is read for it no more often than this.
PAUSE: Final = timedelta(seconds=1)
#: A secret as long as the keys that stand behind everything else.
SECRET_BYTES: Final = 32
#: Reads of the table that may be under way for unknown ids at once: a slow database is not asked by every request.
_READERS: Final = 4


class ClientRefusedError(KeyturnError):
    """A client cannot be registered or removed like this; nothing was changed."""

    default_code = "client_refused"
    default_message = "This client cannot be registered."


def new_client(
    *, id: str, name: str = "", public: bool = False, entropy: Callable[[int], bytes], now: datetime  # noqa: A002
) -> tuple[ClientRecord, str | None]:  # fmt: skip
    """Give a client to be registered, and its secret, which is kept nowhere: show it once.

    Args:
        id: the client_id.
        name: for people to read.
        public: True for a program that can keep no secret; it gets none.
        entropy: gives so many random bytes.
        now: aware UTC.

    Raises:
        ClientRefusedError: the id cannot be one.
    """
    if (fault := id_fault(id)) is not None:
        raise ClientRefusedError(fault[0].upper() + fault[1:] + ".")
    secret = None if public else urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode()
    digest = None if secret is None else hashlib.sha256(secret.encode()).hexdigest()
    return ClientRecord(id=id, secret_digest=digest, name=name, created_at=now), secret


class ClientRegistry(Mapping[str, RegisteredClient]):
    """Registered clients by id, from memory; `Service(clients=…)` takes it as it is.

    A row that cannot be understood is logged, and its client is known to nobody: no refresh and no proof is taken from
    who names it. All others stay known. What is read here is as old as the last `refresh`. An id that is not known is looked up in the table before it is
    refused, at most once a second. Where both name an id, the file's client is the one.

    Args:
        configured: those of the file.
        records: where the table is.
        clock: gives the time, aware UTC.
    """

    def __init__(
        self, configured: Iterable[RegisteredClient], records: Records, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._configured = {client.id: client for client in configured}
        self._records = records
        self._clock = clock
        self._known: Mapping[str, RegisteredClient] = self._configured
        self._numbers = count(1)
        self._taken = 0
        self._asked_at: datetime | None = None
        self._trouble: StoreError | None = None
        self._damaged: set[str] = set()
        self._places = [True] * _READERS  # who pops one may read; list.pop and append are atomic
        self.colour: Colour = records.colour

    # --- what is known ---------------------------------------------------------------------------------------------

    def __getitem__(self, client_id: str) -> RegisteredClient:
        return self._known[client_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    # Of one moment: the mapping's own would look each id up in what may be newer by then.
    def values(self) -> ValuesView[RegisteredClient]:
        """Give the clients as they are known now."""
        return self._known.values()

    def items(self) -> ItemsView[str, RegisteredClient]:
        """Give ids and clients as they are known now."""
        return self._known.items()

    @property
    def configured(self) -> Mapping[str, RegisteredClient]:
        """Those of the file."""
        return self._configured

    # --- the table -------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read the table; whoever runs the server calls this every few seconds.

        Raises:
            StoreError: it cannot be read; what was known stays known.
        """
        number, self._asked_at = next(self._numbers), self._clock()
        try:
            found = await self._records.clients()
        except StoreError as error:
            self._trouble = error
            raise
        self._trouble = None
        self._note_damage({each for each in found if isinstance(each, str)})
        if number > self._taken:  # a slow read must not undo a later one
            self._taken, self._known = number, {**_registered(found), **self._configured}

    def _note_damage(self, damaged: set[str]) -> None:
        for client_id in sorted(damaged - self._damaged):  # once, not at every look
            _log.error("the row of client %s cannot be understood: nobody knows this client", ascii(client_id))
        self._damaged = damaged

    async def look_up(self, client_id: str) -> RegisteredClient | None:
        """Give the client of an id that may have been registered just now.

        Raises:
            StoreError: the table cannot be read, so nobody knows.
        """
        if self._is_due():
            await self._read_in_turn()
        if client_id not in self._known and self._trouble is not None:
            raise StoreError(cause=f"registered clients: {self._trouble.cause}")
        return self._known.get(client_id)

    def _is_due(self) -> bool:
        return self._asked_at is None or abs(self._clock() - self._asked_at) >= PAUSE

    async def _read_in_turn(self) -> None:
        try:
            place = self._places.pop()
        except IndexError:
            return
        try:
            await self.refresh()
        finally:
            self._places.append(place)

    # --- the command line's verbs ----------------------------------------------------------------------------------

    async def add(self, client: ClientRecord) -> None:
        """Keep a new client in the table; running servers know it at its first use.

        Raises:
            ClientRefusedError: the file has one of that id, or a user is called so (RFC 9700 section 4.15).
            TakenError: the table has one of that id.
            StoreError: it cannot be kept.
        """
        if client.id in self._configured:
            raise ClientRefusedError(f"{client.id} stands in the configuration already.")
        if await self._records.account(client.id) is not None:
            raise ClientRefusedError(f"{client.id} is the id of a user: a client may not have the same.")
        await self._records.add_client(client)
        await self._look_again()

    async def remove(self, client_id: str) -> bool:
        """Remove a client from the table; False where there is none of that id.

        Running servers feel it at their next `refresh`: its sessions refresh no more, its access tokens run out.

        Raises:
            ClientRefusedError: it stands in the configuration, and only who edits that can remove it.
            StoreError: the table cannot be asked.
        """
        if client_id in self._configured:
            raise ClientRefusedError(f"{client_id} stands in the configuration: remove its [[clients]] there.")
        removed = await self._records.remove_client(client_id)
        await self._look_again()
        return removed

    async def _look_again(self) -> None:
        with suppress(StoreError):  # what was asked for is done, and a new client's secret must not be lost over this
            await self.refresh()


def _registered(records: Iterable[ClientRecord | str]) -> dict[str, RegisteredClient]:
    return {
        record.id: RegisteredClient(id=record.id, secret_digest=record.secret_digest)
        for record in records
        if isinstance(record, ClientRecord)
        and record.id
        and record.id != DEFAULT_CLIENT  # nobody can register these, whoever wrote the row
    }
