"""Which passwords are taken, and that none is changed on the way but by its normal form."""

import pytest
from hypothesis import given, strategies as st

from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.server.hashing import Hashing
from keyturn.server.names import AccountError
from keyturn.server.new_passwords import NewPasswords
from keyturn.server.password_rules import common_passwords, is_too_long, normalised, password_faults
from tests.support.office import CHEAP, PASSWORD, Office


@pytest.mark.ids("AU-03", "W-F8")
@pytest.mark.parametrize(
    "password",
    [
        "tmp4 öl!",  # eight
        "a passphrase of small letters and blanks",
        "\u00e9" * 8,
        "🗝️🐎🔋🧷🗝️🐎🔋🧷",
        "x9" * 512,  # 1024 bytes
        " leading and trailing ",
    ],
)
def test_a_long_enough_password_is_taken_whatever_it_is_composed_of(password: str) -> None:
    assert password_faults(password) == []


@pytest.mark.ids("AU-03", "W-F8")
@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("", "fewer than 8"),
        ("1234567", "fewer than 8"),
        ("e\u0301" * 7, "fewer than 8"),  # fourteen code points, seven characters
        ("\ufdfa", "fewer than 8"),  # one that normalises to eighteen
        ("x9" * 512 + "y", "more than 1024 bytes"),
        ("\u00e9" * 513, "more than 1024 bytes"),
        ("pass\x00word!", "cannot be typed"),
        ("pass\udcffword!", "cannot be typed"),
    ],
)
def test_a_password_too_short_or_too_long_is_refused_and_the_reason_does_not_repeat_it(
    password: str, says: str
) -> None:
    (fault,) = password_faults(password)
    assert says in fault
    assert not password or password not in fault


@pytest.mark.ids("AU-04")
def test_thousands_of_common_passwords_come_with_the_package() -> None:
    known = common_passwords()
    assert len(known) >= 3000
    assert min(map(len, known)) >= 8
    assert {"password", "iloveyou", "12345678", "qwertyuiop"} <= known


@pytest.mark.ids("AU-04")
@pytest.mark.parametrize(
    "password", ["password", "PassWord", "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", " password ", "QwertyUiop"]
)
def test_a_common_password_is_refused_in_every_spelling(password: str) -> None:
    (fault,) = password_faults(password)
    assert "everybody tries first" in fault


@pytest.mark.ids("AU-04")
@pytest.mark.parametrize(
    "password", ["Lovelace-1815", "LOVELACE-1815", "ada.l@example.org", "ada.l@EXAMPLE.org", "ada.lovel", "id.example.org"]
)  # fmt: skip
def test_what_is_known_of_the_account_is_no_password(password: str) -> None:
    office = Office()
    email = "ada.lovel@example.org" if password == "ada.lovel" else "ada.l@example.org"
    with pytest.raises(AccountError) as caught:
        office.hire("Lovelace-1815", email=email, password=password)
    assert caught.value.code == "password_refused"
    assert "own name or address" in caught.value.message


@pytest.mark.ids("AU-03")
def test_one_password_typed_in_two_ways_is_one() -> None:
    office = Office()
    office.hire(password="caf\u00e9 \u2168 long")
    assert office.prove("ada", "cafe\u0301 IX long") is not None
    assert office.prove("ada", "cafe IX long") is None


@pytest.mark.ids("AU-03")
@pytest.mark.parametrize("changed", [PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), PASSWORD[:-1]])
def test_nothing_else_is_done_to_a_password(changed: str) -> None:
    office = Office()
    office.hire()
    assert office.prove("ada", PASSWORD) is not None
    assert office.prove("ada", changed) is None


@pytest.mark.ids("AU-03")
def test_a_long_password_counts_to_its_last_byte() -> None:
    office = Office()
    long = "x9" * 511
    office.hire(password=long + "ab")
    assert office.prove("ada", long + "ab") is not None
    assert office.prove("ada", long + "ac") is None
    assert office.prove("ada", long + "abc") is None


@given(st.text())
def test_every_text_can_be_judged(text: str) -> None:
    assert isinstance(password_faults(text), list)
    assert normalised(text) == normalised(normalised(text).decode("utf-8", "surrogatepass"))
    assert is_too_long(text) == (len(text.encode("utf-8", "surrogatepass")) > 1024)


@pytest.mark.ids("AU-04")
def test_a_hook_may_refuse_what_was_stolen_elsewhere() -> None:
    asked: list[str] = []

    def breached(password: str) -> bool:
        asked.append(password)
        return password == "stolen elsewhere"

    office = Office()
    passwords = NewPasswords(Hashing(cost=CHEAP), breached=breached)
    ada = office.hire()
    with pytest.raises(AccountError, match="theft"):
        drive(passwords.hashed("stolen elsewhere", ada))
    assert drive(passwords.hashed("not stolen anywhere", ada)).startswith("$argon2id$")
    with pytest.raises(AccountError, match="fewer"):
        drive(passwords.hashed("short", ada))
    assert asked == ["stolen elsewhere", "not stolen anywhere"], "what is refused here is nobody else's business"


@pytest.mark.ids("AU-04", "ST-01")
def test_a_hook_that_fails_lets_nothing_through_and_its_words_nowhere() -> None:
    def breached(password: str) -> bool:
        raise OSError(f"no answer about {password}")

    passwords = NewPasswords(Hashing(cost=CHEAP), breached=breached)
    with pytest.raises(StoreError) as caught:
        drive(passwords.hashed("my secret horse", Office().hire()))
    assert caught.value.cause == "the breach check raised OSError"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
