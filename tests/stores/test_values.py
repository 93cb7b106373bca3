import copy
from datetime import UTC, datetime
from functools import partial

import pytest

from keyturn._colour import drive
from keyturn.session import EndReason, session_id_text
from keyturn.stores import Revocation, _values
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import Stage


@pytest.mark.parametrize("text", ["\ud800", "nul\0"])
@pytest.mark.parametrize("field", "realm subject client_id scope user_agent ip device_name amr".split())
def test_every_store_refuses_what_not_all_can_keep_in_the_same_words(field, text, tmp_path):
    value = (text,) if field == "amr" else text
    with SqliteStore(tmp_path / "sessions.db") as sqlite:
        for store in (MemoryStore(), sqlite):
            stage = Stage(store, "sync")
            session = stage.session(**{field: value})
            with pytest.raises(ValueError, match="lone surrogate or a NUL cannot be stored"):
                drive(store.add(session))
            assert drive(store.get(session.id)) is None


UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def an_entry(number):
    return Revocation(session_id=session_id_text(number.to_bytes(16, "big")), floor=number, until=UNTIL)


def a_log(first, last):
    """A log that holds the entries `first` to `last`; what came before was dropped."""
    return [(number, an_entry(number)) for number in range(first, last + 1)]


def read(after, log, *, dropped=0, epoch="log"):
    head = log[-1][0] if log else dropped
    return _values.revocations_after(
        after, lambda first: [pair for pair in log if pair[0] >= first], epoch=epoch, dropped=dropped, head=head
    )


def test_a_log_is_read_on_from_where_it_was_left():
    before = read(None, a_log(1, 3))
    assert before.complete
    assert len(before.entries) == 3
    later = read(before.position, a_log(1, 5))
    assert later.complete
    assert list(later.entries) == [an_entry(4), an_entry(5)]
    assert list(read(later.position, a_log(1, 5)).entries) == []


def test_a_position_whose_entry_was_the_last_to_be_dropped_is_still_known():
    position = read(None, a_log(1, 3)).position
    assert read(position, a_log(4, 5), dropped=3) == read(position, a_log(1, 5))
    empty = read(position, [], dropped=3)
    assert empty.complete
    assert list(read(empty.position, a_log(4, 4), dropped=3).entries) == [an_entry(4)]


@pytest.mark.parametrize(
    "after",
    ["other.5.", "5", "", "log.", "log.-5.", "log.\u0665.", "log." + "5" * 5000, "log.2.", "log.8.", "log.5.00"],
)
def test_a_position_that_this_log_did_not_give_or_no_longer_covers_means_a_snapshot(after):
    news = read(after, a_log(4, 7), dropped=3)
    assert not news.complete
    assert list(news.entries) == [entry for _, entry in a_log(4, 7)]


@pytest.mark.ids("P2")
def test_a_number_that_was_given_again_after_lost_writes_means_a_snapshot():
    position = read(None, a_log(1, 3)).position
    again = [*a_log(1, 2), (3, an_entry(77)), (4, an_entry(78))]
    for length in (3, 4):
        news = read(position, again[:length])
        assert not news.complete
        assert an_entry(77) in news.entries


@pytest.mark.ids("P2")
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_end_after_a_restore_reaches_readers_that_saw_the_lost_one(kind, tmp_path):
    path = tmp_path / "sessions.db"
    store = MemoryStore() if kind == "memory" else SqliteStore(path)
    stage = Stage(store, "sync")
    lost, late = stage.session(), stage.session()
    for session in (lost, late):
        drive(store.add(session))
    if isinstance(store, SqliteStore):
        store.close()
        backup = path.read_bytes()
    else:
        backup = {name: copy.copy(value) for name, value in vars(store).items() if name != "_lock"}
    end = partial(store.end, at=UNTIL, reason=EndReason.LOGOUT, until=UNTIL)
    drive(end([lost.id]))
    position = drive(store.revocations(None)).position
    if isinstance(store, SqliteStore):
        store.close()
        path.write_bytes(backup)
    else:
        vars(store).update(backup)
    drive(end([late.id]))
    assert late.id in [entry.session_id for entry in drive(store.revocations(position)).entries]
    if isinstance(store, SqliteStore):
        store.close()
