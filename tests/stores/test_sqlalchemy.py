"""The store contract on PostgreSQL, through every driver."""

import pytest

from keyturn import stores
from keyturn.stores.sqlalchemy import upgrade
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
