"""What every throttle promises, whatever keeps its counters."""

import asyncio
import threading

import pytest

from keyturn.limits import Limits
from keyturn.throttle import Admission
from keyturn.throttle._known import MOST_BROWSERS, REMEMBERED

OFF = {
    "login_per_user_and_address": "", "login_per_user": "", "login_per_address": "", "refresh_per_session": "",
}  # fmt: skip
MINE, OTHERS = "a" * 64, "b" * 64


def waits(admission: Admission) -> float | None:
    return None if admission.wait is None else admission.wait.total_seconds()


def failures(desk, how_many, **more):
    """Fail so often; how many of these attempts were let through."""
    return sum(desk.login(**more).wait is None for _ in range(how_many))


def addresses(how_many):
    return [f"198.51.{number // 250}.{number % 250}" for number in range(how_many)]


def together(desk, names):
    """Fail with all these names at the same moment; which of them were let through."""
    if desk.runner is not None:

        async def all_at_once():
            return await asyncio.gather(*(desk.throttle.admit(desk.attempt(name)) for name in names))

        return [admission.wait is None for admission in desk.runner.run(all_at_once())]
    gate, through = threading.Barrier(len(names)), []

    def guess(name):
        gate.wait()
        through.append(desk.login(name).wait is None)

    threads = [threading.Thread(target=guess, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return through


@pytest.mark.ids("AU-08")
def test_failures_of_one_user_from_one_address_are_limited(make):
    desk = make()
    assert failures(desk, 13) == 10
    assert waits(desk.login()) == 6
    assert desk.login(username="bob").wait is None
    assert desk.login(address="192.0.2.8").wait is None


@pytest.mark.ids("AU-08")
def test_whoever_waits_as_told_is_let_through_once(make):
    desk = make()
    failures(desk, 10)
    desk.clock.advance(5.999999)
    assert waits(desk.login()) == 0.000001
    desk.clock.advance(0.000001)
    assert failures(desk, 3) == 1


@pytest.mark.ids("AU-08")
def test_failures_of_one_user_are_limited_wherever_they_come_from(make):
    desk = make(Limits(login_per_user="20/hour"))
    assert sum(desk.login(address=address).wait is None for address in addresses(30)) == 20
    assert waits(desk.login(address="203.0.113.1")) == 180


@pytest.mark.ids("AU-08")
def test_failures_from_one_address_are_limited_whoever_is_meant(make):
    desk = make(Limits(login_per_address="20/minute"))
    assert sum(desk.login(username=f"user {number}").wait is None for number in range(30)) == 20
    assert desk.login(username="alice", address="192.0.2.8").wait is None
    assert desk.login(username="alice").wait is not None


@pytest.mark.ids("AU-08")
def test_addresses_of_one_ipv6_network_count_as_one(make):
    desk = make()
    assert sum(desk.login(address=f"2001:db8:1:2::{number:x}").wait is None for number in range(15)) == 10
    assert desk.login(address="2001:db8:1:3::1").wait is None


@pytest.mark.ids("AU-08", "AU-13")
def test_spellings_of_one_name_share_a_count(make):
    desk = make()
    for name in ("alice", "ALICE", "alice ", "Alíce"):
        failures(desk, 3, username=name)
    assert desk.login(username="aLiCe").wait is not None


@pytest.mark.ids("AU-08")
def test_only_failures_count(make):
    desk = make()
    assert all(desk.sign_in().wait is None for _ in range(40))
    assert failures(desk, 13) == 10


@pytest.mark.ids("AU-08")
def test_a_success_gives_back_its_own_attempt_and_no_failure(make):
    desk = make()
    failures(desk, 9)
    assert desk.sign_in().wait is None
    assert failures(desk, 3) == 1


@pytest.mark.ids("AU-08")
def test_a_refused_attempt_costs_nothing_and_prolongs_nothing(make):
    desk = make()
    failures(desk, 200)
    assert waits(desk.login()) == 6
    assert desk.login(address="192.0.2.8").wait is None  # the user's own count was not touched either
    desk.clock.advance(60)
    assert failures(desk, 13) == 10


@pytest.mark.ids("AU-08")
def test_a_victims_known_browser_signs_in_while_strangers_exhaust_the_name(make):
    desk = make(Limits(login_per_user="20/hour"))
    desk.sign_in(gets=MINE)
    for address in addresses(40):
        desk.login(address=address)
    assert desk.login().wait is not None
    assert desk.sign_in(browser=MINE, address="203.0.113.9").wait is None


@pytest.mark.ids("AU-08")
def test_a_victims_known_browser_signs_in_while_a_neighbour_exhausts_the_address(make):
    desk = make(Limits(login_per_address="20/minute"))
    desk.sign_in(gets=MINE)
    for number in range(40):
        desk.login(username=f"user {number}")
    assert desk.login().wait is not None
    assert desk.sign_in(browser=MINE).wait is None


@pytest.mark.ids("AU-08")
def test_a_victims_new_browser_waits_at_most_as_told_however_long_the_attack_lasts(make):
    desk = make(Limits(login_per_user="20/hour"))
    for address in addresses(100):
        desk.login(address=address)
        desk.clock.advance(7)
    refused = desk.login(address="203.0.113.9")
    assert 0 < waits(refused) <= 180
    desk.clock.advance(refused.wait)
    assert desk.sign_in(address="203.0.113.9").wait is None


@pytest.mark.ids("AU-08")
def test_a_known_browser_is_no_way_around_the_limit(make):
    desk = make(Limits(login_per_user="20/hour"))
    desk.sign_in(gets=MINE)
    assert failures(desk, 13, browser=MINE) == 10
    assert waits(desk.login(browser=MINE)) == 6
    through = 10
    for _ in range(40):
        desk.clock.advance(6)
        through += desk.login(browser=MINE).wait is None
    assert through <= 20 + 240 / 180 + 1


@pytest.mark.ids("AU-08")
def test_a_browser_is_known_for_the_user_whom_it_signed_in_and_for_nobody_else(make):
    desk = make()
    desk.sign_in(username="mallory", gets=OTHERS)
    failures(desk, 10)
    assert desk.login(browser=OTHERS).wait is not None  # counted under (alice, address), like any stranger
    assert desk.login(username="mallory", browser=OTHERS).wait is None


@pytest.mark.ids("AU-08")
@pytest.mark.parametrize("theirs", ["Alice", "Älice", "alice ", "\uff41lice"])
def test_a_user_whose_name_is_spelled_like_a_victims_is_no_way_around_the_limit(make, theirs):
    desk = make()
    failures(desk, 10)
    desk.sign_in(username=theirs, address="203.0.113.9", gets=OTHERS)
    assert desk.login(browser=OTHERS).wait is not None
    assert desk.login(username=theirs, browser=OTHERS).wait is None


@pytest.mark.ids("AU-08")
def test_a_user_whose_name_is_spelled_like_a_victims_makes_none_of_its_browsers_forgotten(make):
    desk = make()
    desk.sign_in(gets=MINE)
    for number in range(MOST_BROWSERS + 1):
        desk.sign_in(username="Alice", gets=f"{number:064x}")
    failures(desk, 10)
    assert desk.login(browser=MINE).wait is None


@pytest.mark.ids("AU-08")
def test_each_known_browser_of_a_user_has_its_own_count(make):
    desk = make()
    desk.sign_in(gets=MINE)
    desk.sign_in(gets=OTHERS)
    assert failures(desk, 13, browser=MINE) == 10
    assert desk.login(browser=OTHERS).wait is None


def test_a_browser_that_signs_in_with_one_cookie_again_pushes_no_other_out(make):
    desk = make()
    desk.sign_in(gets=MINE)
    for _ in range(MOST_BROWSERS):
        desk.sign_in(gets=OTHERS)
    failures(desk, 10)
    assert desk.login(browser=MINE).wait is None


@pytest.mark.ids("AU-08")
def test_a_browser_that_only_failed_is_not_known(make):
    desk = make()
    failures(desk, 10, browser=MINE)
    assert desk.login(browser=MINE).wait is not None


@pytest.mark.ids("AU-08", "DS-02")
def test_signing_in_again_and_again_keeps_the_youngest_browsers(make):
    desk = make()
    browsers = [f"{number:064x}" for number in range(MOST_BROWSERS + 2)]
    for browser in browsers:
        desk.sign_in(gets=browser)
    failures(desk, 10)
    known = [desk.login(browser=browser).wait is None for browser in browsers]
    assert known == [False, False, *[True] * MOST_BROWSERS]


def test_a_browser_is_forgotten_when_its_cookie_is(make):
    desk = make()
    desk.sign_in(gets=MINE)
    desk.clock.advance(REMEMBERED / 10**6 - 1)
    failures(desk, 10)
    assert desk.login(browser=MINE).wait is None
    desk.clock.advance(1)
    failures(desk, 10)
    assert desk.login(browser=MINE).wait is not None


def test_where_the_address_is_unknown_nobody_shares_a_count_of_it(make):
    desk = make(Limits(login_per_address="5/minute"))
    assert all(desk.login(username=f"user {number}", address="").wait is None for number in range(20))
    assert failures(desk, 13, address="") == 10


@pytest.mark.ids("AU-08")
def test_a_known_browser_has_a_count_in_each_realm(make):
    desk = make()
    there = desk.attempt()._replace(realm="staff")
    desk.run(desk.throttle.succeeded(there, Admission(), now=desk.clock(), browser=MINE))
    desk.sign_in(gets=MINE)
    assert failures(desk, 13, browser=MINE) == 10
    assert desk.run(desk.throttle.admit(there._replace(browser=MINE))).wait is None


@pytest.mark.ids("AU-08")
def test_realms_have_users_of_their_own(make):
    desk = make()
    failures(desk, 10)
    attempt = desk.attempt()._replace(realm="staff")
    assert desk.run(desk.throttle.admit(attempt)).wait is None


@pytest.mark.ids("AU-08")
def test_a_step_up_is_counted_for_its_session_alone(make):
    desk = make()
    assert sum(desk.step_up().wait is None for _ in range(13)) == 10
    assert desk.step_up("another").wait is None
    assert desk.login().wait is None


@pytest.mark.ids("RT-16")
def test_refreshes_of_a_session_are_limited_and_come_back_with_time(make, kind):
    desk = make(Limits(refresh_per_session="30/minute"))
    share = 0 if kind == "memory" else 3
    assert sum(desk.refresh().wait is None for _ in range(60)) == 30 + share
    assert desk.refresh("another").wait is None
    assert 0 < waits(desk.refresh()) <= 2
    desk.clock.advance(2)
    assert [desk.refresh().wait is None for _ in range(2)] == [True, False]
    desk.clock.advance(60)
    assert sum(desk.refresh().wait is None for _ in range(60)) == 30 + share


@pytest.mark.ids("RT-16")
@pytest.mark.parametrize("theirs", [lambda number: "", lambda number: OTHERS, lambda number: f"{number:064x}"])
def test_a_sessions_own_browser_refreshes_whatever_others_do_with_its_token(make, kind, theirs):
    desk = make(Limits(refresh_per_session="30/minute"))
    share = 0 if kind == "memory" else 3
    desk.throttle.proven("session", MINE, now=desk.clock())
    assert sum(desk.refresh(browser=theirs(number)).wait is None for number in range(60)) == 30 + share
    assert sum(desk.refresh(browser=MINE).wait is None for _ in range(60)) == 30 + share


@pytest.mark.ids("RT-16")
def test_a_browser_is_the_own_one_of_its_session_and_of_no_other(make, kind):
    desk = make(Limits(refresh_per_session="30/minute"))
    desk.throttle.proven("another", MINE, now=desk.clock())
    for _ in range(60):
        desk.refresh()
    assert desk.refresh(browser=MINE).wait is not None


@pytest.mark.ids("RT-16")
def test_a_sessions_own_browser_is_told_apart_where_addresses_are_counted_too(make, kind):
    desk = make(Limits(refresh_per_session="30/minute", refresh_per_address="1000/minute"))
    desk.throttle.proven("session", MINE, now=desk.clock())
    for number in range(60):
        desk.refresh(browser=f"{number:064x}")
    assert desk.refresh(browser=MINE).wait is None
    assert desk.refresh(browser=OTHERS).wait is not None


@pytest.mark.ids("RT-16")
def test_a_clock_that_goes_back_keeps_nobody_from_refreshing(make, kind):
    desk = make(Limits(refresh_per_session="30/minute"))
    share = 0 if kind == "memory" else 3
    while desk.refresh().wait is None:
        pass
    desk.clock.advance(-24 * 3600)
    assert sum(desk.refresh().wait is None for _ in range(60)) == 30 + share


@pytest.mark.ids("RT-16")
def test_refreshes_from_an_address_are_limited_where_asked_for(make, kind):
    desk = make(Limits(refresh_per_address="30/minute"))
    share = 0 if kind == "memory" else 3
    assert sum(desk.refresh(f"session {number}").wait is None for number in range(60)) == 30 + share
    assert desk.refresh("session x", address="192.0.2.8").wait is None


def test_a_limit_that_is_off_counts_nothing(make):
    desk = make(Limits(**OFF))
    assert failures(desk, 200) == 200
    assert all(desk.refresh().wait is None for _ in range(200))
    assert all(desk.step_up().wait is None for _ in range(200))
    assert desk.sign_in(gets=MINE).wait is None


@pytest.mark.ids("AU-08")
def test_guesses_that_run_side_by_side_are_no_more_than_the_limit(make):
    through = together(make(), ["alice"] * 64)
    assert (len(through), sum(through)) == (64, 10)


@pytest.mark.ids("AU-08")
def test_guesses_at_many_names_side_by_side_get_in_nobodys_way_but_the_addresss(make):
    through = together(make(Limits(login_per_address="40/minute")), [f"user {number}" for number in range(64)])
    assert (len(through), sum(through)) == (64, 40)


@pytest.mark.ids("AU-08")
def test_successes_that_run_side_by_side_give_all_of_it_back(make):
    desk = make()
    if desk.runner is not None:

        async def one():
            attempt = desk.attempt()
            admission = await desk.throttle.admit(attempt)
            if admission.wait is None:
                await desk.throttle.succeeded(attempt, admission, now=desk.clock(), browser=MINE)

        async def all_at_once():
            await asyncio.gather(*(one() for _ in range(32)))

        desk.runner.run(all_at_once())
    else:
        threads = [threading.Thread(target=desk.sign_in, kwargs={"gets": MINE}) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures(desk, 13) == 10


@pytest.mark.ids("AU-08", "ST-01")
def test_no_name_is_shown(make):
    desk = make()
    attempt = desk.attempt(username="hunter2-secret-name", browser=MINE)
    admission = desk.run(desk.throttle.admit(attempt))
    for shown in (repr(attempt), str(admission), repr(admission), repr(desk.throttle), repr(vars(desk.throttle))):
        assert "hunter2" not in shown
