"""Signing out in one tab is signing out in all: nothing under way survives it, and nothing is left in the jar."""

import pytest

from tests.browser.client_site import REFRESHING, Site
from tests.browser.client_tab import ClientTab
from tests.browser.line import answered, lost


@pytest.fixture
def tabs(site: Site) -> tuple[ClientTab, ClientTab]:
    """Two tabs of one session."""
    first, second = site.signed_in_tabs(2)
    return first, second


@pytest.mark.ids("SE-10", "BC-07", "M43", "M44")
@pytest.mark.parametrize("way", ["logout", "logoutAll"])
def test_it_reaches_the_other_tabs_and_stops_their_pending_work(
    site: Site, tabs: tuple[ClientTab, ClientTab], way: str
) -> None:
    first, second = tabs
    held = site.line.hold("/me")
    second.begin("pending", "call('/me')")
    held.wait_for()
    first.do(f"client.{way}()")
    assert second.code("later.pending.then(({error}) => { throw error })") == "signed_out"
    assert [tab.state for tab in tabs] == ["signed-out", "signed-out"]
    assert first.told("signed-out") == [{"elsewhere": False}]
    assert second.told("signed-out") == [{"elsewhere": True}]
    assert site.names == []
    assert [tab.call() for tab in tabs] == [401, 401]
    assert [tab.do("client.resume()") for tab in tabs] == [False, False]


@pytest.mark.ids("BC-07", "M43", "M44")
@pytest.mark.parametrize("answers", [True, False], ids=["the answer is on its way", "the request is on its way"])
def test_a_refresh_that_was_under_way_in_another_tab_brings_nothing_back(
    site: Site, tabs: tuple[ClientTab, ClientTab], answers: bool
) -> None:
    first, second = tabs
    site.sleep()
    held = site.line.hold(REFRESHING, answers=answers)
    second.begin("pending", "call('/me')")
    held.wait_for()
    first.do("client.logout()")
    held.let_go()
    assert second.code("later.pending.then(({error}) => { throw error })") == "signed_out"
    assert site.names == []
    assert [tab.state for tab in tabs] == ["signed-out", "signed-out"]
    assert [tab.do("client.resume()") for tab in tabs] == [False, False]
    assert site.names == []
    assert not site.was_alarmed


@pytest.mark.ids("BC-07", "M44")
@pytest.mark.parametrize("act", [lost, answered(503), answered(302, Location="/")], ids=["lost", "503", "302"])
def test_where_the_server_could_not_be_asked_the_session_still_is_and_says_so(
    site: Site, tabs: tuple[ClientTab, ClientTab], act: object
) -> None:
    first, _ = tabs
    site.line.bend("/auth/logout", act, times=1)  # type: ignore[arg-type]
    assert first.code("client.logout()") in {"network", "bad_answer"}
    assert [tab.state for tab in tabs] == ["signed-in", "signed-in"]
    if act is not lost:  # else the server heard it, and the next refresh will tell
        assert [tab.call() for tab in tabs] == [200, 200]
    first.do("client.logout()")
    assert [tab.state for tab in tabs] == ["signed-out", "signed-out"]
    assert site.names == []


def test_who_signs_in_again_is_signed_in_in_every_tab(site: Site, tabs: tuple[ClientTab, ClientTab]) -> None:
    first, second = tabs
    first.do("client.logout()")
    session = second.sign_in("mallory")
    first.wait_for("client.state === 'signed-in'")
    assert [tab.do("client.session()")["sid"] for tab in tabs] == [session] * 2
    assert first.do("client.fetch('/me').then(answer => answer.json())") == {"subject": "u-mallory"}


def test_a_request_is_never_repeated_as_somebody_else(site: Site, tabs: tuple[ClientTab, ClientTab]) -> None:
    first, second = tabs
    held = site.line.hold("/orders")
    second.begin("pending", "call('/orders', {method: 'POST'})")
    held.wait_for()
    first.sign_in("mallory")
    assert second.code("later.pending.then(({error}) => { throw error })") == "session_changed"
    held.let_go()
    assert site.shop.done["u-mallory"] == 0
