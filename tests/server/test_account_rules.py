"""What an account may become, state by state and role by role."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keyturn.server.account_rules import (
    MAX_ROLES,
    activated,
    demoted,
    may_sign_in,
    new_account,
    promoted,
    suspended,
    with_password,
)
from keyturn.server.names import AccountError
from keyturn.server.records import Account, AccountState

NOW = datetime(2030, 3, 14, tzinfo=UTC)


def an_account(username: str = "ada", **more: Any) -> Account:
    return new_account("usr_1", username, now=NOW, **more)


STATES: list[AccountState] = ["unverified", "active", "suspended"]


@pytest.mark.ids("W-F1")
@pytest.mark.parametrize("state", STATES)
def test_only_the_operators_act_changes_a_state(state: AccountState) -> None:
    account = an_account(state=state)
    assert activated(account).state == "active"
    assert suspended(account).state == "suspended"
    for changed in (
        with_password(account, "$x", NOW),
        promoted(account, ["admin"]),
        demoted(account, ["admin"]),
    ):
        assert changed.state == state
    assert may_sign_in(account) is (state == "active")


def test_a_new_password_is_noted_with_its_time_and_changes_nothing_else() -> None:
    before = an_account()
    after = with_password(before, "$argon2id$x", NOW + timedelta(days=1))
    assert (after.password_hash, after.password_changed_at) == ("$argon2id$x", NOW + timedelta(days=1))
    assert with_password(after, "$y", NOW) == with_password(before, "$y", NOW)


@pytest.mark.ids("AU-13")
def test_a_name_with_an_at_sign_is_the_accounts_own_address() -> None:
    account = an_account("Ada@Example.org")
    assert (account.username, account.email) == ("Ada@Example.org", "Ada@Example.org")
    assert account.name_key == account.email_key == "ada@example.org"
    assert an_account("Ada@Example.org", email="ada@EXAMPLE.ORG").email_key == "ada@example.org"
    with pytest.raises(AccountError, match="own e-mail"):
        an_account("eve@example.org", email="ada@example.org")


@pytest.mark.ids("AU-13")
def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(AccountError) as caught:
        an_account("ada lovelace:", email="nobody", roles=["fine", "not fine", ""])
    assert len(caught.value.faults) == 4
    assert caught.value.status == 400


@pytest.mark.parametrize("role", ["read", "shop:write", "https://example.org/all", "!", "a" * 100, "[x]"])
def test_a_role_is_a_scope_token(role: str) -> None:
    assert an_account(roles=[role]).roles == {role}
    assert promoted(an_account(), [role]).roles == {role}


@pytest.mark.parametrize("role", ["", " ", "a b", 'a"b', "a\\b", "é", "a\n", "a" * 101, "\x7f"])
def test_what_would_read_as_another_scope_is_no_role(role: str) -> None:
    with pytest.raises(AccountError, match="A role is"):
        an_account(roles=[role])
    with pytest.raises(AccountError, match="A role is"):
        promoted(an_account(), [role])


def test_roles_are_added_and_taken_away_however_many() -> None:
    account = promoted(an_account(roles=["a"]), ["b", "c", "a"])
    assert account.roles == {"a", "b", "c"}
    assert demoted(account, ["a", "c", "never held"]).roles == {"b"}
    assert demoted(account, []) == promoted(account, []) == account


def test_an_account_has_so_many_roles_and_no_more() -> None:
    most = [f"role-{number}" for number in range(MAX_ROLES)]
    account = an_account(roles=most)
    with pytest.raises(AccountError, match="at most"):
        promoted(account, ["one-more"])
    assert demoted(account, most).roles == frozenset()


@pytest.mark.ids("KEY-06", "ST-01")
def test_a_hash_is_not_in_what_an_account_shows() -> None:
    assert "secret-hash" not in repr(with_password(an_account(), "secret-hash", NOW))
