"""Password hashes by scrypt."""

import pytest

from keyturn.server.passwords import is_password, password_hash

SALT = bytes(range(16))


@pytest.mark.parametrize("password", ["", "lovelace", "pässwörd", "a\0b", "\ud800", "x" * 1024])
def test_a_password_is_known_by_its_hash(password: str) -> None:
    assert is_password(password, password_hash(password, SALT))


@pytest.mark.parametrize("other", ["", "Lovelace", "lovelace ", "lovelace\0"])
def test_another_password_is_not(other: str) -> None:
    assert not is_password(other, password_hash("lovelace", SALT))


def test_the_same_password_with_another_salt_is_kept_otherwise() -> None:
    assert password_hash("lovelace", SALT)[16:] != password_hash("lovelace", SALT[::-1])[16:]
