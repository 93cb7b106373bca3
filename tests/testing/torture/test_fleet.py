"""The fleet: everybody is in it, at every size, and the same every time."""

from collections import Counter

import pytest

from keyturn.testing.torture._facts import PROMISED_THEFTS, Kind
from keyturn.testing.torture._fleet import fleet
from keyturn.testing.torture._stage import chance
from keyturn.testing.torture._thieves import takes

BOTH = ("cookie", "body")


def test_a_fleet_of_fifty_has_everybody() -> None:
    roles = fleet(50, 2, BOTH)
    kinds = Counter("thief" if role.thefts else role.kind.value for role in roles)
    assert len(roles) == 50
    assert kinds == {
        "warden": 2, "thief": 10, "single": 19, "tabs with a lock": 9, "tabs without a lock": 5, "sleeper": 5,
    }  # fmt: skip
    assert Counter(role.user for role in roles) == {0: 25, 1: 25}
    for kind in (Kind.SINGLE, Kind.TABS, Kind.SLEEPER):
        assert {role.transports[0] for role in roles if role.kind is kind} == set(BOTH)


def test_every_kind_of_thief_is_somebodys_first() -> None:
    firsts = {role.thefts[1] for role in fleet(50, 1, BOTH) if role.thefts}
    assert len(firsts) == 6
    assert firsts >= PROMISED_THEFTS


@pytest.mark.parametrize("clients", [2, 3, 10, 11, 1000])
@pytest.mark.parametrize("transports", [("body",), ("cookie",), BOTH])
def test_every_size_has_a_warden_for_each_user_and_numbers_in_order(clients: int, transports: tuple[str, ...]) -> None:
    roles = fleet(clients, 1, transports)
    assert [role.number for role in roles] == list(range(clients))
    assert [role.kind for role in roles].count(Kind.WARDEN) == 1
    assert all(set(role.transports) == set(transports) for role in roles[1:])


def test_thirty_clients_find_time_for_three_promised_thefts_in_fifteen_seconds() -> None:
    thieves = [role for role in fleet(30, 1, BOTH) if role.thefts]
    begun = [
        kind
        for role in thieves
        for kind in role.thefts[1:3]
        if kind in PROMISED_THEFTS and takes(kind, role.transports[0]) < 15
    ]
    assert len(begun) >= 6


def test_chance_is_the_same_for_the_same_place() -> None:
    assert chance("a", "client", 1).random() == chance("a", "client", 1).random()
    assert len({chance(seed, "client", number).random() for seed in "ab" for number in (1, 2)}) == 4
