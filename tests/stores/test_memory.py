from keyturn.stores import open as open_store
from keyturn.stores.memory import MemoryStore
from keyturn.testing.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    def make_store(self):
        return MemoryStore()


def test_a_memory_store_is_opened_by_its_address():
    for url in ("memory:", "memory://"):
        assert isinstance(open_store(url), MemoryStore)
