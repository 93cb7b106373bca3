"""Under what attempts are counted: one spelling, one network, and digests only."""

import pytest
from hypothesis import given, strategies as st

from keyturn.throttle._keys import digest, network, one_spelling


@pytest.mark.ids("AU-08", "AU-13")
@pytest.mark.parametrize(
    "other",
    [
        "ALICE",
        "alice ",
        " alice",
        "\uff41\uff4c\uff49\uff43\uff45",
        "ali\u0301ce",
        "alíce",
        "ali\u00adce",
        "al\u200bice",
        "alice\x00",
        "ALİCE",
    ],
)
def test_spellings_that_a_database_may_take_for_one_share_a_count(other):
    assert one_spelling(other) == one_spelling("alice")


@pytest.mark.ids("AU-08", "AU-13")
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("user42", ["user\u0664\u0662", "user\u09ea\u0be8", "user\u2779\u24f6", "user4\u09f5"]),
        ("harold", ["\u0127aro\u0142d", "har\u00f8ld", "harol\u0111", "harol\u00f0", "har\u0366ld", "haro\U0001f17bd"]),
        ("aesir", ["\u00e6sir", "\u01fdsir", "aes\u0131r", "ae\u00dfir"]),
        ("jessica", ["je\u00dfica", "je\u00df\u00dfica", "j\u0364ssica"]),
        ("noel", ["n\u0153l", "no\ufcf2el", "noe\u06del", "no\u0640el"]),
        ("ana\U0001f600", ["ana\U0001f601"]),
    ],
)
def test_what_a_collation_of_mariadb_takes_for_one_shares_a_count(name, others):
    # found with WEIGHT_STRING under utf8mb4_general_ci, _unicode_ci, _unicode_520_ci and _uca1400_ai_ci
    assert {one_spelling(other) for other in others} == {one_spelling(name)}


@pytest.mark.parametrize("other", ["alicia", "bob", "alice@example.org", "al.ice", ""])
def test_other_names_do_not(other):
    assert one_spelling(other) != one_spelling("alice")


@given(st.text())
def test_a_spelling_is_its_own_spelling(name):
    assert one_spelling(one_spelling(name)) == one_spelling(name)


def test_a_name_without_end_costs_no_more_than_a_long_one():
    assert len(one_spelling("a" * 10**6)) == 1024


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_is_counted_by_its_network(address, counted):
    assert network(address) == counted


def test_no_two_lists_of_texts_share_a_digest_and_the_secret_matters():
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("", "abc"), ("1:a",), ("a", "")]
    assert len({digest(b"", *parts) for parts in lists}) == len(lists)
    assert digest(b"one", "a") != digest(b"two", "a") != digest(b"", "a")


def test_any_text_has_a_digest():
    assert len(digest(b"", "\ud800\x00\U0010ffff")) == 16
