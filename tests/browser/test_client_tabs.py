"""Many tabs of one browser are one client: one refresh at a time, and what one gets is everybody's."""

import pytest

from tests.browser.client_site import REFRESHING, Site
from tests.browser.line import lost


@pytest.mark.ids("BC-02", "BC-04", "M50")
def test_five_tabs_with_twenty_calls_each_after_expiry_cost_one_refresh(site: Site) -> None:
    tabs = site.signed_in_tabs(5)
    for _ in range(2):
        before = site.refreshes
        site.sleep()
        for tab in tabs:
            tab.calls("all", 20)
        assert [tab.outcome("all") for tab in tabs] == [[200] * 20] * 5
        assert site.refreshes - before == 1
    assert not site.was_alarmed


@pytest.mark.ids("BC-02", "BC-04", "M50")
def test_so_do_calls_that_the_server_refuses_before_the_tabs_know_of_any_expiry(site: Site) -> None:
    tabs = site.signed_in_tabs(5)
    for tab in tabs:
        tab.nap(60)  # to them the token has four minutes left
    site.shop.clock.advance(400)
    before = site.refreshes
    for tab in tabs:
        tab.calls("all", 20)
    assert [tab.outcome("all") for tab in tabs] == [[200] * 20] * 5
    assert site.refreshes - before == 1
    assert 401 in site.line.statuses("/me", "GET")


@pytest.mark.ids("BC-02", "M50")
def test_one_lost_answer_in_ten_signs_nobody_out_and_accuses_nobody(site: Site) -> None:
    tabs = site.signed_in_tabs(5)
    site.line.bend(lambda asked: asked.path != REFRESHING, lost, chance=0.1, seed=5)
    losses = site.line.bend(REFRESHING, lost, chance=0.1, seed=2)
    for _ in range(8):
        site.sleep()
        for tab in tabs:
            tab.calls("all", 5)
        for tab in tabs:
            assert set(tab.outcome("all")) <= {200, "TypeError: Failed to fetch"}
    assert losses.used > 0
    site.line.straighten()
    for tab in tabs:
        tab.calls("all", 20)
    assert [tab.outcome("all") for tab in tabs] == [[200] * 20] * 5
    for tab in tabs:
        assert tab.states[-1] == "signed-in"
        assert tab.states.count("signed-in") == 1
        assert not {"expired", "signed-out"}.intersection(tab.told())
    assert not site.was_alarmed


@pytest.mark.ids("BC-02")
def test_a_body_is_sent_again_whole_with_the_repeated_request(site: Site) -> None:
    tab = site.tab()
    tab.sign_in()
    tab.nap(60)
    site.shop.clock.advance(400)
    init = {"method": "POST", "body": '{"many": 2}', "headers": {"Content-Type": "application/json"}}
    sizes: list[int] = []
    site.line.bend(lambda asked: bool(asked.path == "/orders" and sizes.append(len(asked.body))), lost)
    assert tab.call("/orders", **init) == 200
    assert sizes == [len(init["body"])] * 2
    assert site.line.statuses("/orders") == [401, 200]
    assert site.shop.done.total() == 1
