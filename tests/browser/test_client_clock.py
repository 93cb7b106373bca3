"""The client counts by a clock that only goes forward: what the device takes for the date makes no difference."""

from datetime import timedelta

import pytest

from tests.browser.client_site import REFRESHING, Site
from tests.browser.client_tab import ClientTab
from tests.browser.conftest import OpenSite

DAY = 86_400_000
#: A device clock that is wrong by as many milliseconds as `window.wrong` says.
WRONG = """(() => {
    const Real = Date
    globalThis.wrong = %d
    globalThis.Date = class extends Real {
        constructor(...given) { given.length ? super(...given) : super(Real.now() + wrong) }
        static now() { return Real.now() + wrong }
    }
})()"""


@pytest.mark.ids("BC-05")
@pytest.mark.parametrize("wrong", [DAY, -DAY], ids=["a day ahead", "a day behind"])
def test_a_device_clock_that_is_a_day_wrong_and_then_set_right_makes_no_difference(site: Site, wrong: int) -> None:
    site.jar.add_init_script(WRONG % wrong)
    tab = site.tab()
    assert abs(tab.page.evaluate("() => Date.now() - performance.timeOrigin") - wrong) < DAY / 2
    tab.sign_in()
    before = site.refreshes
    assert [tab.call() for _ in range(3)] == [200] * 3
    tab.page.evaluate("() => { window.wrong = 0 }")
    assert [tab.call() for _ in range(3)] == [200] * 3
    assert site.refreshes == before
    for turn, now_wrong in enumerate((-wrong, wrong), start=1):
        site.sleep()
        tab.page.evaluate("given => { window.wrong = given }", now_wrong)
        assert [tab.call() for _ in range(3)] == [200] * 3
        assert site.refreshes == before + turn
    assert 401 not in site.line.statuses("/me", "GET")
    tab.reload()
    assert tab.call() == 200


@pytest.mark.ids("BC-05")
def test_a_token_is_renewed_ahead_of_time_without_being_asked_for(open_site: OpenSite) -> None:
    site = open_site(access_token_lifetime=timedelta(seconds=2))
    tab = site.tab()
    tab.sign_in()
    tab.wait_for("seen.told.filter(([type]) => type === 'refreshed').length >= 2")
    assert site.line.statuses(REFRESHING)[1:3] == [200, 200]
    assert tab.state == "signed-in"


def frozen(tab: ClientTab, state: str) -> None:
    tab.page.context.new_cdp_session(tab.page).send("Page.setWebLifecycleState", {"state": state})


@pytest.mark.ids("BC-05")
def test_a_tab_that_slept_is_up_to_date_when_it_wakes(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    frozen(tab, "frozen")
    site.sleep(8 * 3600)
    frozen(tab, "active")
    tab.calls("all", 10)
    assert tab.outcome("all") == [200] * 10
    assert 401 not in site.line.statuses("/me", "GET")  # the token's end was known, however long the sleep was
    assert tab.told("refreshed")


@pytest.mark.ids("BC-05")
def test_coming_to_the_front_renews_what_is_due_before_anybody_asks(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    site.sleep()
    tab.page.evaluate("() => { document.dispatchEvent(new Event('visibilitychange', {bubbles: true})) }")
    tab.wait_for("seen.told.some(([type]) => type === 'refreshed')")


@pytest.mark.ids("BC-05")
def test_without_a_network_the_session_is_kept_and_back_online_it_goes_on(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    site.jar.set_offline(True)
    site.sleep()
    assert tab.code("call('/me')") == "network"
    assert tab.state == "signed-in"
    assert {error["code"] for error in tab.told("error")} == {"network"}
    before = site.refreshes
    site.jar.set_offline(False)
    tab.wait_for("seen.told.some(([type]) => type === 'refreshed')")
    assert tab.call() == 200
    assert site.refreshes == before + 1
    assert set(tab.told()) == {"signed-in", "error", "refreshed"}
