"""The bounded table: it never grows beyond its size, and what is loaded stays."""

import pytest

from keyturn.throttle._table import Table


@pytest.mark.ids("AU-08", "DS-02")
def test_it_never_holds_more_than_its_size():
    table = Table[str, int](64)
    for number in range(10_000):
        table.put(f"key {number}", number, 0)
        assert len(table) <= 64
    assert table.get("key 9999") == 9999


@pytest.mark.ids("AU-08")
def test_a_flood_of_new_keys_does_not_push_out_a_loaded_one():
    table = Table[str, int](64)
    table.put("victim", 1000, 0)
    for number in range(10_000):
        table.put(f"key {number}", 1 + number % 999, 0)
    assert table.get("victim") == 1000


def test_the_newest_always_finds_a_place_whatever_is_in_its_set():
    table = Table[str, int](8)
    for number in range(8):
        table.put(f"loaded {number}", 1000 + number, 0)
    table.put("new", 1, 0)
    assert table.get("new") == 1
    assert table.get("loaded 0") is None
    assert len(table) == 8


def test_what_is_put_again_pushes_nobody_out():
    table = Table[str, int](8)
    for number in range(8):
        table.put(f"key {number}", number, 0)
    table.put("key 3", 99, 0)
    assert [table.get(f"key {number}") for number in range(8)] == [0, 1, 2, 99, 4, 5, 6, 7]


def test_what_is_dropped_is_gone_and_dropping_nothing_does_nothing():
    table = Table[str, int](8)
    table.drop("nobody")
    table.put("key", 1, 0)
    table.drop("key")
    assert (table.get("key"), len(table)) == (None, 0)


def test_what_means_nothing_any_more_makes_room_first():
    table = Table[str, int](8)
    for number in range(8):
        table.put(f"key {number}", 10 + number, 0)
    table.put("new", 99, 13)
    assert [table.get(f"key {number}") for number in range(8)] == [None] * 4 + [14, 15, 16, 17]
    assert len(table) == 5
