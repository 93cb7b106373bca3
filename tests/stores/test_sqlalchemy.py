"""The store contract on PostgreSQL, through every driver."""

import asyncio
from dataclasses import replace

import pytest

from keyturn import stores
from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.stores.sqlalchemy import upgrade
from keyturn.testing._store_stage import MICROSECOND, NOW, SECOND, Stage, turn_of
from keyturn.testing.store_conformance import StoreConformance


class OnPostgresql(StoreConformance):
    """The suite, with a new database for each store."""

    address: str
    colour: str

    @pytest.fixture(autouse=True)
    def _server(self, postgresql):
        self.server = postgresql

    def make_store(self):
        url = self.server.new_database(upgrade)
        return stores.open(url.replace("postgresql", self.address, 1), colour=self.colour)


class Awaiting(OnPostgresql):
    colour = "async"

    async def close_store(self, store):
        await store.aclose()


class TestBlockingWithPsycopg(OnPostgresql):
    address, colour = "postgresql", "sync"

    def close_store(self, store):
        store.close()


class TestAwaitingWithAsyncpg(Awaiting):
    address = "postgresql"


class TestAwaitingWithPsycopg(Awaiting):
    address = "postgresql+psycopg"


#: Rows, and turns that some of them refuse: what differs from a session like any other, and from its holder's turn.
JUDGED = [
    ({}, {}),
    ({}, {"realm": "staff"}),
    ({}, {"client_id": None}),
    ({"client_id": "app"}, {"client_id": None}),
    ({"client_id": "app"}, {"client_id": "other"}),
    ({}, {"transport": "body"}),
    ({}, {"seed_digest": bytes(32)}),
    ({"binding": bytes(32)}, {}),
    ({"binding": bytes(32)}, {"binding": None}),
    ({}, {"binding": bytes(32)}),
    ({}, {"generation": 1}),
    ({"generation": 5, "floor": 6}, {}),
    ({"generation": 5, "floor": 5}, {"to": 9}),
    ({"ended_at": NOW, "end_reason": EndReason.LOGOUT}, {}),
    ({"idle_expires_at": NOW}, {}),
    ({"expires_at": NOW}, {}),
    ({"expires_at": NOW + MICROSECOND}, {"idle_remember": NOW + SECOND, "idle_session": NOW + SECOND}),
    ({"remember": False}, {"idle_remember": NOW, "idle_session": NOW + SECOND}),
    ({"remember": True}, {"idle_remember": NOW + SECOND, "idle_session": NOW}),
    ({"generation": 1, "rotated_at": NOW}, {"turned_before": NOW}),
    ({"generation": 1, "rotated_at": NOW}, {"turned_before": NOW - MICROSECOND}),
    ({"generation": 1, "recovered_at": NOW, "recoveries": 3}, {"turned_before": NOW - MICROSECOND}),
    ({"generation": 1, "recovered_at": NOW, "recoveries": 3}, {"turned_before": NOW}),
    ({"recoveries": 3}, {}),
]


@pytest.mark.ids("M01", "RT-05")
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_turns_that_travel_together_are_judged_each_for_itself(postgresql, driver):
    url = postgresql.new_database(upgrade)
    alone = stores.open(url)
    stage = Stage(alone, "sync")
    pairs = [[drive(stage.add(**row)) for _ in range(2)] for row, _ in JUDGED]
    turns = [[replace(turn_of(one), **turn) for one in pair] for pair, (_, turn) in zip(pairs, JUDGED, strict=True)]
    expected = [drive(alone.advance(turn)) for turn, _ in turns]
    alone.close()

    async def together():
        store = stores.open(url.replace("postgresql", f"postgresql+{driver}"), colour="async")
        await store.get(pairs[0][0].id)
        return await asyncio.gather(*(store.advance(turn) for _, turn in turns))

    found = asyncio.run(together())
    assert [row and replace(row, id="") for row in found] == [row and replace(row, id="") for row in expected]
    assert [row and row.id for row in found] == [row and pair[1].id for row, pair in zip(expected, pairs, strict=True)]
    assert sum(row is None for row in found) == 13
