import pytest

from keyturn._colour import drive
from keyturn.stores import _values
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import Stage


@pytest.mark.parametrize("field", "realm subject client_id scope user_agent ip device_name amr".split())
def test_both_stores_refuse_a_lone_surrogate_in_the_same_words(field, tmp_path):
    value = ("\ud800",) if field == "amr" else "\ud800"
    with SqliteStore(tmp_path / "sessions.db") as sqlite:
        for store in (MemoryStore(), sqlite):
            stage = Stage(store, "sync")
            session = stage.session(**{field: value})
            with pytest.raises(ValueError, match="lone surrogate cannot be stored"):
                drive(store.add(session))
            assert drive(store.get(session.id)) is None


@pytest.mark.parametrize(
    ("after", "number"),
    [
        ("log.3", 3),
        ("log.7", 7),
        ("log.2", None),
        ("log.8", None),
        ("other.5", None),
        ("5", None),
        (None, None),
        ("", None),
        ("log.", None),
        ("log.-5", None),
        ("log.\u0665", None),
        ("log." + "5" * 5000, None),
    ],
)
def test_only_a_position_that_this_log_gave_and_still_covers_is_known(after, number):
    assert _values.known_number(after, epoch="log", dropped=3, head=7) == number
