"""What two names are one, and what is no name."""

import unicodedata

import pytest
from hypothesis import given, strategies as st

from keyturn.server.names import MAX_EMAIL, MAX_NAME, AccountError, email_key_of, key_of

pytestmark = pytest.mark.ids("AU-13")

ONE_NAME = [
    ("Ada", "ada"),
    ("  ada\t", "ada"),
    ("\uff21\uff24\uff21", "ada"),
    ("ﬁona", "fiona"),
    ("Straße", "strasse"),
    ("cafe\u0301", "café"),
    ("ǅ", "dž"),
    ("K", "k"),  # the Kelvin sign
    ("user²", "user2"),
    ("Ada@Example.ORG", "ada@example.org"),
    ("ada\uff20example.org", "ada@example.org"),
    ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ("ada\uff20bücher.example", "ada@xn--bcher-kva.example"),
    ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
    ("ada@example。org", "ada@example.org"),
]


@pytest.mark.parametrize(("typed", "key"), ONE_NAME)
def test_what_people_read_as_one_name_is_one(typed: str, key: str) -> None:
    assert key_of(typed) == key
    assert key_of(key) == key


NO_NAMES = {
    "nothing": "",
    "blanks": " \t ",
    "a blank within": "ada lovelace",
    "a no-break space within": "ada\u00a0b",
    "a line break": "ada\nroot",
    "NUL": "ada\x00",
    "a zero-width joiner": "ad\u200da",
    "a right-to-left override": "ada\u202e",
    "a soft hyphen": "a\u00adda",
    "a filler that leaves no ink": "ada\u3164",
    "a variation selector": "ada\ufe0f",
    "a grapheme joiner": "a\u034fda",
    "a lone surrogate": "ada\ud800",
    "a character of private use": "ada\ue000",
    "a colon, which Basic cannot send": "ada:b",
    "like an option": "-ada",
    "like a subject": "usr_ada",
    "like a subject in other letters": "\uff35SR_ada",
    "too long": "a" * (MAX_NAME + 1),
    "far too long": "a" * 100_000,
    "two at signs": "a@b@example.org",
    "no local part": "@example.org",
    "no domain": "ada@",
    "an empty label": "ada@example..org",
    "a dot at the end": "ada@example.org.",
    "a quoted local part": '"a b"@example.org',
    "a domain with a blank": "ada@exa mple.org",
    "a literal address": "ada@[127.0.0.1]",
    "a label that ends with a hyphen": "ada@example-.org",
    "a long local part": "a" * 65 + "@example.org",
    "a long label": "ada@" + "a" * 64 + ".org",
}


@pytest.mark.parametrize("typed", NO_NAMES.values(), ids=NO_NAMES)
def test_what_cannot_be_told_apart_or_typed_is_no_name(typed: str) -> None:
    with pytest.raises(AccountError) as caught:
        key_of(typed)
    assert caught.value.faults
    assert caught.value.code == "account_refused"


def test_a_name_is_no_address() -> None:
    with pytest.raises(AccountError):
        email_key_of("ada")


@given(st.text(max_size=60))
def test_a_key_is_the_key_of_itself(text: str) -> None:
    try:
        key = key_of(text)
    except AccountError:
        return
    assert key_of(key) == key
    assert key_of(f"  {text}  ") == key
    assert key_of(unicodedata.normalize("NFD", key)) == key
    assert len(key.encode()) <= 4 * MAX_EMAIL


@given(st.text(alphabet=st.characters(codec="ascii", categories=("Lu", "Ll", "Nd")), min_size=1, max_size=40))
def test_case_makes_no_difference(text: str) -> None:
    assert key_of(text.upper()) == key_of(text.lower()) == text.lower()


def test_every_character_folds_to_what_folds_no_further() -> None:
    wrong = []
    for code in range(0x80, 0x30000):
        try:
            key = key_of(f"a{chr(code)}b")
            if key_of(key) != key:
                wrong.append(hex(code))
        except AccountError:
            continue
    assert wrong == []
