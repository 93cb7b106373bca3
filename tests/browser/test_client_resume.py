"""A reload or a new tab finds the session again without a flash of "signed out"; a visitor costs next to nothing."""

from typing import Any

import pytest

from tests.browser.client_site import REFRESHING, Site


@pytest.mark.parametrize("remember", [True, False])
def test_a_reload_finds_the_session_without_a_flash_of_signed_out(site: Site, remember: bool) -> None:
    tab = site.tab()
    session = tab.sign_in(remember=remember)
    for _ in range(2):
        tab.reload()
        tab.wait_for("client.state === 'signed-in'")
        assert tab.states == ["unknown", "signed-in"]
        assert tab.told("signed-in") == [{"sessionId": session}]
        assert tab.call() == 200


def test_so_does_a_new_tab_and_what_it_was_asked_at_once_waits(site: Site) -> None:
    first = site.tab()
    session = first.sign_in()
    first.page.close()
    site.tabs.clear()
    held = site.line.hold(REFRESHING)
    tab = site.tab()
    tab.begin("early", "call('/me')")
    tab.begin("session", "client.session()")
    held.wait_for()
    assert tab.state == "unknown"
    held.let_go()
    assert tab.outcome("early") == 200
    assert tab.outcome("session")["sid"] == session
    assert tab.states == ["unknown", "signed-in"]
    assert site.line.statuses("/me", "GET") == [200]


def test_a_new_tab_beside_one_that_is_signed_in_shows_no_flash_either(site: Site) -> None:
    first = site.tab()
    session = first.sign_in()
    second = site.tab()
    second.wait_for("client.state === 'signed-in'")
    assert second.states == ["unknown", "signed-in"]
    assert second.told("signed-in") == [{"sessionId": session}]
    assert [tab.call() for tab in (first, second)] == [200, 200]


def test_a_visitor_costs_one_401_that_touches_no_store(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watched(name: str, method: Any) -> Any:
        async def asking(self: Any, *given: Any, **more: Any) -> Any:
            asked.append(name)
            return await method(self, *given, **more)

        return asking

    store = type(site.shop.store)
    for name in ("add", "get", "advance"):
        monkeypatch.setattr(store, name, watched(name, getattr(store, name)))
    tab = site.tab()
    tab.wait_for("client.state === 'signed-out'")
    assert site.line.statuses(REFRESHING) == [401]
    assert tab.call("/hello") == 200
    assert tab.call("/me") == 401
    assert tab.do("client.session()") is None
    assert tab.states == ["unknown", "signed-out"]
    assert tab.told() == ["signed-out"]
    assert asked == []
    tab.sign_in()
    assert "add" in asked  # what would have been seen


def test_told_not_to_resume_it_asks_nothing_until_it_is_asked(site: Site) -> None:
    site.tab().sign_in()
    before = site.refreshes
    site.tabs[0].page.close()
    tab = site.tab(resume=False)
    tab.page.wait_for_load_state("networkidle")
    assert tab.state == "unknown"
    assert site.refreshes == before
    assert tab.do("client.resume()") is True
    assert site.refreshes == before + 1
    assert tab.states == ["unknown", "signed-in"]
