"""Limits: how they are spelled, what is refused, and where they come from."""

import re
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest

from keyturn import ConfigurationError, Limits
from keyturn._loading import load_configuration
from keyturn.limits import LIMIT_NAMES, Limit

BASE = '[keyturn]\nissuer = "https://id.example.org"\n'


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("10/minute", 10, timedelta(minutes=1)),
        ("1/second", 1, timedelta(seconds=1)),
        (" 100 / hour ", 100, timedelta(hours=1)),
        ("7/day", 7, timedelta(days=1)),
    ],
)
def test_a_limit_is_a_number_and_a_unit(text, count, period):
    limit = Limit.parse(text)
    assert (limit.count, limit.period) == (count, period)
    assert limit.span <= period / timedelta(microseconds=1) < limit.span + count  # nothing but rounding


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "ten/minute", "0/minute", "-1/minute", "1/minutes", "1/week", "9" * 8 + "/day"]
)
def test_what_spells_no_limit_is_refused(text):
    with pytest.raises(ConfigurationError, match="is no limit"):
        Limit.parse(text)


def test_a_limit_lets_at_least_one_through_and_at_most_one_a_microsecond():
    for count, period in ((0, timedelta(days=1)), (-1, timedelta(days=1)), (2, timedelta(microseconds=1))):
        with pytest.raises(ConfigurationError, match="at least one"):
            Limit(count=count, period=period)


@pytest.mark.ids("AU-08")
def test_the_defaults_are_the_published_ones():
    assert repr(Limits()) == (
        "Limits(login_per_user_and_address='10/minute', login_per_user='100/hour', login_per_address='100/minute', "
        "refresh_per_session='60/minute', refresh_per_address='')"
    )


def test_an_empty_text_turns_one_off_and_leaves_the_others():
    limits = Limits(login_per_address=" ", refresh_per_session=None)
    assert (limits.login_per_address, limits.refresh_per_session) == (None, None)
    assert limits.login_per_user == Limit(count=100, period=timedelta(hours=1))


def test_all_faults_are_told_at_once_each_with_its_name():
    with pytest.raises(ConfigurationError) as caught:
        Limits(login_per_user="many", login_per_address=5, refresh_per_session="60/minute")
    assert [fault.partition(" ")[0] for fault in caught.value.faults] == ["login_per_user:", "login_per_address"]


def test_limits_are_a_value():
    assert Limits() == Limits(login_per_user="100/hour")
    assert hash(Limits()) == hash(Limits())
    with pytest.raises(FrozenInstanceError):
        Limits().login_per_user = None


def test_a_mapping_spells_them_in_any_case_and_unknown_names_are_faults():
    assert Limits.from_mapping({"LOGIN_PER_USER": "1/day"}) == Limits(login_per_user="1/day")
    with pytest.raises(ConfigurationError) as caught:
        Limits.from_mapping({"login_per_usr": "1/day", "refresh_per_session": "often"})
    assert "did you mean login_per_user?" in caught.value.faults[0]
    assert len(caught.value.faults) == 2


def test_a_file_spells_them_and_the_environment_goes_before_it(tmp_path: Path):
    path = tmp_path / "keyturn.toml"
    path.write_text(BASE + '[throttle]\nlogin_per_user = "1/day"\nlogin_per_address = ""\n')
    environment = {"KEYTURN_THROTTLE__LOGIN_PER_USER": "2/day"}
    assert Limits.from_toml(path, environment={}) == Limits(login_per_user="1/day", login_per_address="")
    assert Limits.from_toml(path, environment=environment) == Limits(login_per_user="2/day", login_per_address="")


def test_faults_of_all_tables_are_told_at_once_and_where_they_stand(tmp_path: Path):
    path = tmp_path / "keyturn.toml"
    path.write_text(
        BASE + 'leeway = "no"\n[throttle]\nlogin_per_user = "no"\nwrong = 1\n[server]\ntrusted_proxies = ["nowhere"]\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, environment={"KEYTURN_THROTTLE__REFRESH_PER_SESSION": "no"})
    told = "\n".join(caught.value.faults)
    for wanted in (
        rf"{re.escape(str(path))}: \[throttle\] login_per_user: 'no' is no limit",
        rf"{re.escape(str(path))}: \[throttle\] wrong is no limit",
        "KEYTURN_THROTTLE__refresh_per_session: 'no' is no limit",
        "trusted_proxies has 'nowhere', which is no address",
        r"\[keyturn\] leeway",
    ):
        assert re.search(wanted, told, re.IGNORECASE), (wanted, told)


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize(
    ("written", "environment", "found"),
    [
        ('["10.0.0.0/8", "unix"]', {}, ("10.0.0.0/8", "unix")),
        ("[]", {"KEYTURN_SERVER__TRUSTED_PROXIES": "10.0.0.1, ::1"}, ("10.0.0.1", "::1")),
        ("[]", {}, ()),
    ],
)
def test_trusted_proxies_are_read_from_file_and_environment(tmp_path: Path, written, environment, found):
    path = tmp_path / "keyturn.toml"
    path.write_text(f"{BASE}[server]\ntrusted_proxies = {written}\n")
    assert load_configuration(path, environment=environment).trusted_proxies == found


@pytest.mark.ids("HT-08")
@pytest.mark.parametrize("written", ["7", "[7]", '"10.0.0.1/8"'])
def test_trusted_proxies_that_spell_nothing_are_refused(tmp_path: Path, written):
    path = tmp_path / "keyturn.toml"
    path.write_text(f"{BASE}[server]\ntrusted_proxies = {written}\n")
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        load_configuration(path, environment={})


def test_every_name_is_one_of_the_contract():
    assert LIMIT_NAMES == (
        "login_per_user_and_address", "login_per_user", "login_per_address", "refresh_per_session", "refresh_per_address",
    )  # fmt: skip
