"""The refresh token's bytes: what they are, and that nothing but ours passes."""

import hashlib
import hmac
import re
import string
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given, strategies as st

from keyturn._policy import Refuse, decide_refresh
from keyturn._refresh_token import (
    PREFIX,
    RefreshToken,
    Seals,
    UnknownKeyIdError,
    derive,
    seed_digest,
)
from keyturn.errors import TokenInvalidError
from keyturn.session import session_id_text
from tests.support.rows import BROWSER, NOW, SEED, SESSION_ID, a_row, presenting

SECRET = bytes(range(100, 132))
OTHER_SECRET = bytes(range(132, 164))
ALPHABET = string.ascii_letters + string.digits + "-_"


def seals_of(realm: str = "default", *, current: int = 3) -> Seals:
    keys = {3: derive(SECRET, realm), 200: derive(OTHER_SECRET, realm)}
    return Seals(current=current, keys=keys)


SEALS = seals_of()
TOKEN = SEALS.seal(SESSION_ID, 5, SEED)


def sealed_by_hand(secret: bytes, realm: str, key_id: int, raw_id: bytes, generation: int, seed: bytes) -> str:
    """Protocol section 3 with nothing but HMAC: RFC 5869 for the key, then the tag, then base64url."""
    pseudorandom = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    key = hmac.new(pseudorandom, b"keyturn refresh v1 " + realm.encode() + b"\x01", hashlib.sha256).digest()
    body = bytes([key_id]) + raw_id + generation.to_bytes(4, "big") + seed
    tag = hmac.new(key, b"keyturn refresh v1" + body, hashlib.sha256).digest()[:16]
    return "kt1." + urlsafe_b64encode(body + tag).decode().rstrip("=")


def raw_of(token: str) -> bytes:
    return urlsafe_b64decode(token.removeprefix(PREFIX) + "=")


def text_of(raw: bytes) -> str:
    return PREFIX + urlsafe_b64encode(raw).decode().rstrip("=")


def refused(text: str, seals: Seals = SEALS) -> str | None:
    with pytest.raises(TokenInvalidError) as caught:
        seals.open(text)
    assert caught.value.code == "token_invalid"
    return caught.value.cause


# --- what a token is ------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-19")
def test_a_token_has_75_characters_and_a_prefix_that_scanners_find():
    assert len(TOKEN) == 75
    assert re.fullmatch(r"kt1\.[A-Za-z0-9_-]{71}", TOKEN)


def test_a_token_is_what_the_protocol_says_byte_for_byte():
    raw_id = urlsafe_b64decode(SESSION_ID + "==")
    assert sealed_by_hand(SECRET, "default", 3, raw_id, 5, SEED) == TOKEN
    assert sealed_by_hand(SECRET, "staff", 3, raw_id, 0, SEED) == seals_of("staff").seal(SESSION_ID, 0, SEED)


def test_a_known_token_stays_what_it_was():
    """A change of the format would sign everybody out: these characters were computed once and stay good."""
    raw_id = bytes.fromhex("016d" + "07" * 14)
    golden = "kt1.AwFtBwcHBwcHBwcHBwcHBwcAAAAFAAECAwQFBgcICQoLDA0OD7c22QWvOCJKr8qidRjwSH4"
    assert sealed_by_hand(SECRET, "default", 3, raw_id, 5, bytes(range(16))) == golden
    assert SEALS.open(golden) == RefreshToken(
        key_id=3, session_id=session_id_text(raw_id), generation=5, seed=bytes(range(16))
    )


@given(
    raw_id=st.binary(min_size=16, max_size=16),
    generation=st.integers(0, 2**32 - 1),
    seed=st.binary(min_size=16, max_size=16),
    current=st.sampled_from([3, 200]),
)
def test_what_was_sealed_opens_to_the_same_parts(raw_id, generation, seed, current):
    text = seals_of(current=current).seal(session_id_text(raw_id), generation, seed)
    assert SEALS.open(text) == RefreshToken(
        key_id=current, session_id=session_id_text(raw_id), generation=generation, seed=seed
    )


def test_a_text_that_is_no_session_id_is_not_sealed():
    with pytest.raises(ValueError):
        SEALS.seal("not-an-id", 0, SEED)


@pytest.mark.ids("ST-01")
def test_no_part_that_is_secret_is_shown():
    token = SEALS.open(TOKEN)
    for shown in (repr(token), repr(SEALS), str(token)):
        assert repr(SEED) not in shown
        assert SEED.hex() not in shown
        assert repr(SEALS.keys[3]) not in shown


# --- what is not one ------------------------------------------------------------------------------------------------


@pytest.mark.ids("RT-07")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "kt1.",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        " " + TOKEN[1:],
        TOKEN[:-1] + "=",
        TOKEN[:-1] + "\n",
        TOKEN[:-1] + "é",
        TOKEN[:-1] + "\ud800",
        TOKEN.replace("kt1.", "kt2."),
        TOKEN.replace("kt1.", "KT1."),
        TOKEN[:10] + "+" + TOKEN[11:],
        TOKEN[:10] + "/" + TOKEN[11:],
        TOKEN[:10] + "." + TOKEN[11:],
        TOKEN[:10] + "\0" + TOKEN[11:],
        TOKEN[4:] + "kt1.",
        "a" * 100_000,
    ],
)
def test_a_wrong_shape_is_no_token(text):
    assert refused(text) == "refresh token: shape"


def test_one_token_has_one_spelling():
    """71 characters hold 426 bits, a token has 424: the last character's spare bits must be zero."""
    last = ALPHABET_ORDER.index(TOKEN[-1])
    assert last % 4 == 0
    for spare in (1, 2, 3):
        other = TOKEN[:-1] + ALPHABET_ORDER[last + spare]
        assert raw_of(other) == raw_of(TOKEN)
        assert refused(other) == "refresh token: not canonical"


ALPHABET_ORDER = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.ids("RT-07", "M21")
@given(place=st.integers(0, 70), character=st.sampled_from(ALPHABET))
def test_no_token_with_one_character_changed_is_genuine(place, character):
    text = TOKEN[: 4 + place] + character + TOKEN[5 + place :]
    if text != TOKEN:
        refused(text)


@pytest.mark.ids("RT-07", "M21")
@given(bit=st.integers(0, 53 * 8 - 1))
def test_no_token_with_one_bit_turned_is_genuine(bit):
    raw = bytearray(raw_of(TOKEN))
    raw[bit // 8] ^= 1 << bit % 8
    cause = refused(text_of(bytes(raw)))
    assert cause == ("refresh token: unknown key id" if bit < 8 else "refresh token: tag")


@pytest.mark.ids("RT-07")
@given(st.text(max_size=90) | st.text(ALPHABET, min_size=71, max_size=71).map(PREFIX.__add__))
def test_no_text_from_anywhere_is_genuine_or_makes_trouble(text):
    refused(text)


@pytest.mark.ids("RT-07", "M21")
def test_a_hundred_forgeries_with_a_real_session_id_are_not_genuine():
    """Whoever knows the id (it stands in the access token) and the format, but not the key, gets nowhere."""
    raw_id = urlsafe_b64decode(SESSION_ID + "==")
    for n in range(100):
        forged_secret = hashlib.sha256(b"%d" % n).digest()
        assert refused(sealed_by_hand(forged_secret, "default", 3, raw_id, n, SEED)) == "refresh token: tag"


@pytest.mark.ids("M22")
def test_another_realms_token_is_not_genuine():
    staff = seals_of("staff")
    assert refused(staff.seal(SESSION_ID, 5, SEED)) == "refresh token: tag"
    assert refused(TOKEN, staff) == "refresh token: tag"


def test_realms_whose_names_begin_alike_have_keys_of_their_own():
    assert len({derive(SECRET, realm) for realm in ("a", "aa", "default", "default ", "", "a a")}) == 6


def test_an_unknown_key_id_is_told_apart_because_the_ring_may_know_it_by_now():
    newer = Seals(current=9, keys={9: derive(SECRET, "default")})
    with pytest.raises(UnknownKeyIdError):
        SEALS.open(newer.seal(SESSION_ID, 5, SEED))


def test_an_older_keys_seal_is_good_while_its_key_is_there():
    rotated = seals_of(current=200)
    assert rotated.open(TOKEN).generation == 5
    assert rotated.seal(SESSION_ID, 5, SEED) != TOKEN


# --- the order of the checks, and their time ------------------------------------------------------------------------


class Spy:
    def __init__(self):
        self.compared = []
        self.compare = hmac.compare_digest

    def __call__(self, left, right):
        self.compared.append((bytes(left), bytes(right)))
        return self.compare(left, right)


@pytest.mark.ids("RT-07")
def test_the_tag_is_compared_in_constant_time_and_only_after_everything_cheaper(monkeypatch):
    spy = Spy()
    monkeypatch.setattr(hmac, "compare_digest", spy)
    refused(TOKEN[:-1])
    refused(TOKEN[:-1] + ALPHABET_ORDER[ALPHABET_ORDER.index(TOKEN[-1]) + 1])
    refused(text_of(b"\x09" + raw_of(TOKEN)[1:]))
    assert spy.compared == []
    SEALS.open(TOKEN)
    refused(text_of(raw_of(TOKEN)[:-1] + b"\0"))
    assert [len(left) for left, _ in spy.compared] == [16, 16]
    assert spy.compared[0] == (raw_of(TOKEN)[-16:],) * 2


def test_checks_come_in_the_protocols_order():
    """A text with every fault at once is refused for the first of them; mended one by one, for the next."""
    foreign = text_of(b"\x09" + raw_of(TOKEN)[1:-1] + b"\0")
    not_canonical = foreign[:-1] + ALPHABET_ORDER[ALPHABET_ORDER.index(foreign[-1]) + 1]
    assert refused(not_canonical[:-1]) == "refresh token: shape"
    assert refused(not_canonical) == "refresh token: not canonical"
    assert refused(foreign) == "refresh token: unknown key id"
    assert refused(text_of(b"\x03" + raw_of(foreign)[1:])) == "refresh token: tag"


# --- the store's copy is worth nothing ------------------------------------------------------------------------------


@pytest.mark.ids("RT-02", "M30")
def test_the_database_and_the_refresh_key_together_forge_no_token():
    """The tag can be made, the seed cannot: every byte string that the row holds is tried in its place."""
    row = a_row()
    key = seals_of()  # the thief has this, too
    stolen = [row.seed_digest, row.binding or b"", b64decode(row.id + "=="), b"\0" * 16, row.id.encode()[:16]]
    guesses = {part[start : start + 16] for part in stolen for start in range(len(part) - 15)}
    guesses |= {hashlib.sha256(part).digest()[:16] for part in stolen}
    assert len(guesses) > 30
    for guess in guesses:
        forged = key.open(key.seal(row.id, row.generation, guess))
        presented = presenting(forged.generation, seed=forged.seed)
        assert decide_refresh(row, presented, now=NOW, settings=BROWSER) == Refuse("session_ended", "unknown")


@pytest.mark.ids("RT-02", "M32")
def test_the_store_gets_a_digest_that_does_not_show_the_seed():
    assert seed_digest(SEED) == hashlib.sha256(SEED).digest()
    assert SEED not in seed_digest(SEED)
