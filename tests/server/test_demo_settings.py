"""Where the demonstration's page may be shown, at what pace, and whose password it tells."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keyturn.server import demo_settings
from keyturn.server.config import load
from keyturn.server.demo_events import EventRing
from keyturn.server.installation import Installation


def config(tmp_path, **environment):
    return load(here=tmp_path, environment={f"KEYTURN_{name}": value for name, value in environment.items()})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_this_machine_alone_it_may_be_shown(tmp_path, host):
    assert demo_settings.faults(replace(config(tmp_path), host=host)) == []


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"ISSUER": "https://id.example.org"}, "the issuer is https://id.example.org"),
        ({"ISSUER": "https://localhost.example.org"}, "the issuer is https://localhost.example.org"),
        ({"SERVER__HOST": "0.0.0.0"}, "it would listen at 0.0.0.0"),
        ({"SERVER__HOST": "::"}, "it would listen at ::"),
        ({"SERVER__HOST": "192.168.1.5", "ISSUER": "http://localhost"}, "it would listen at 192.168.1.5"),
        ({"COOKIE__ACCESS_IN_COOKIE": "true"}, "access tokens are in a cookie, where the page cannot open them"),
        ({"SERVER__WORKERS": "2"}, "each of 2 workers would know a part of what happens"),
    ],
)
def test_elsewhere_it_may_not(tmp_path, environment, says):
    assert demo_settings.faults(config(tmp_path, **environment)) == [says]


def test_without_words_of_the_users_own_it_goes_at_a_pace_that_can_be_watched(tmp_path):
    own = {"KEYTURN_LEEWAY": "7s", "LANG": "C"}
    settings = load(here=tmp_path, environment=demo_settings.lively_environment(own)).settings
    assert settings.access_token_lifetime == timedelta(seconds=30)
    assert (settings.clock_skew, settings.profile) == (timedelta(0), "development")
    assert settings.leeway == timedelta(seconds=7)


@pytest.fixture
def accounts(tmp_path):
    with Installation(config(tmp_path)) as installation:
        installation.prepare()
        yield installation.accounts


def test_where_nobody_has_an_account_one_is_made(accounts):
    made = demo_settings.visitor(accounts)
    assert made is not None
    (account,) = accounts.list()
    assert (account.username, account.roles, account.state) == ("ada", {"demo"}, "active")
    assert made.password not in repr(made)


def test_its_own_account_gets_another_password_with_each_start(accounts):
    first, second = demo_settings.visitor(accounts), demo_settings.visitor(accounts)
    assert first is not None
    assert second is not None
    assert first.password != second.password
    assert len(accounts.list()) == 1


@pytest.mark.parametrize("people", [["grace"], ["ada", "grace"]], ids=["somebody", "two"])
def test_where_people_have_accounts_none_is_touched(accounts, people):
    for name in people:
        accounts.create(name, password="correct horse battery", roles=["demo"])
    before = accounts.list()
    assert demo_settings.visitor(accounts) is None
    assert accounts.list() == before


def test_an_ada_of_somebody_elses_is_not_touched(accounts):
    accounts.create("ada", password="correct horse battery", roles=["admin"])
    before = accounts.list()
    assert demo_settings.visitor(accounts) is None
    assert accounts.list() == before


def test_its_own_account_is_left_alone_once_it_is_suspended(accounts):
    demo_settings.visitor(accounts)
    accounts.suspend("ada")
    before = accounts.list()
    assert demo_settings.visitor(accounts) is None
    assert accounts.list() == before


def test_of_many_events_the_newest_are_kept():
    ring = EventRing(most=3)
    for number in range(1, 6):
        ring.add("Happened", at="now", detail={"number": number})
    assert [fact["n"] for fact in ring.after(0)] == [3, 4, 5]
    assert [fact["n"] for fact in ring.after(4)] == [5]
    ring.forget()
    assert (ring.after(0), ring.last) == ([], 5)
