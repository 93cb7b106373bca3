from itertools import count

import pytest

from keyturn.stores.sqlite import SqliteStore
from keyturn.testing.store_conformance import StoreConformance


class TestSqliteStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.paths = (tmp_path / f"{number}.db" for number in count())

    def make_store(self):
        return SqliteStore(next(self.paths))

    def close_store(self, store):
        store.close()
