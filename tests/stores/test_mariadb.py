"""The store suite on MariaDB: blocking and awaiting drivers, levels of isolation, snapshots lenient and strict."""

import pytest

from keyturn.stores.sqlalchemy import SqlAlchemyStore
from keyturn.testing.store_conformance import StoreConformance
from tests.support.mariadb_engines import async_engine_for, databases_of, engine_for


@pytest.fixture(scope="module")
def databases(mariadb):
    with databases_of(mariadb) as databases:
        yield databases


class Blocking(StoreConformance):
    settings = {}  # noqa: RUF012 - read only

    @pytest.fixture(autouse=True)
    def _databases(self, databases):
        self.databases = databases
        self.lent = {}

    def make_store(self):
        url = self.databases.take()
        engine = engine_for(url, **self.settings)
        store = SqlAlchemyStore(engine)
        self.lent[store] = url, engine
        return store

    def close_store(self, store):
        url, engine = self.lent.pop(store)
        store.close()
        engine.dispose()
        self.databases.give_back(url)


class Awaiting(StoreConformance):
    settings = {}  # noqa: RUF012 - read only

    @pytest.fixture(autouse=True)
    def _databases(self, databases):
        self.databases = databases
        self.lent = {}

    def make_store(self):
        url = self.databases.take()
        engine = async_engine_for(url, **self.settings)
        store = SqlAlchemyStore(engine)
        self.lent[store] = url, engine
        return store

    async def close_store(self, store):
        url, engine = self.lent.pop(store)
        await store.aclose()
        await engine.dispose()
        self.databases.give_back(url)


# REPEATABLE READ is the server's default; snapshots are strict by default from 11.8.
class TestPyMySQL(Blocking):
    settings = {"tx_isolation": "REPEATABLE-READ", "innodb_snapshot_isolation": "OFF"}  # noqa: RUF012


class TestPyMySQLReadCommittedWithStrictSnapshots(Blocking):
    settings = {"tx_isolation": "READ-COMMITTED", "innodb_snapshot_isolation": "ON"}  # noqa: RUF012


class TestAiomysql(Awaiting):
    settings = {"tx_isolation": "READ-COMMITTED", "innodb_snapshot_isolation": "OFF"}  # noqa: RUF012


class TestAiomysqlRepeatableReadWithStrictSnapshots(Awaiting):
    settings = {"tx_isolation": "REPEATABLE-READ", "innodb_snapshot_isolation": "ON"}  # noqa: RUF012
