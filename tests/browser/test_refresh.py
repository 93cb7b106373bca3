"""One jar, many tabs: answers out of order, stale cookies, a storm of restored tabs, changed cookie attributes."""

import pytest
from playwright.sync_api import BrowserContext

from keyturn._build import utc_now
from keyturn.settings import CookieSettings
from tests.browser.conftest import NewTab, Open
from tests.browser.pages import Tab
from tests.browser.serving import wait_until
from tests.browser.shop import BIND, REFRESH, Shop


@pytest.mark.ids("M11")
@pytest.mark.parametrize("order", [("answer-a", "answer-b"), ("answer-b", "answer-a")], ids=["in-turn", "crossed"])
def test_two_answers_in_either_order_leave_one_jar_signed_in(
    shop: Shop, new_tab: NewTab, order: tuple[str, str]
) -> None:
    first, second = new_tab(shop.url()), new_tab(shop.url())
    first.sign_in()
    first.ask_later("a", "POST", "/auth/refresh?hold=answer-a")
    wait_until(lambda: shop.gates.is_waiting("answer-a"))
    second.ask_later("b", "POST", "/auth/refresh?hold=answer-b")
    tabs = {"answer-a": (first, "a"), "answer-b": (second, "b")}
    for gate in order:
        shop.gates.let_go(gate)
        tab, name = tabs[gate]
        assert tab.answer_to(name).status == 200
        assert tab.me().status == 200
    _is_signed_in_for_good(shop, first, second)


@pytest.mark.ids("M11")
def test_an_answer_that_comes_after_its_successors_puts_the_jar_back_and_nobody_is_accused(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    first, second = new_tab(shop.url()), new_tab(shop.url())
    first.sign_in()
    first.ask_later("late", "POST", "/auth/refresh?hold=answer-late")
    wait_until(lambda: shop.gates.is_waiting("answer-late"))
    second.refresh()
    shop.clock.advance(11)
    second.refresh()
    assert second.me().status == 200
    newest = [cookie["value"] for cookie in jar.cookies() if cookie["name"] == REFRESH]
    shop.gates.let_go("answer-late")
    assert first.answer_to("late").status == 200
    assert newest != [cookie["value"] for cookie in jar.cookies() if cookie["name"] == REFRESH]
    shop.clock.advance(5)
    _is_signed_in_for_good(shop, second, first)


@pytest.mark.ids("M15")
def test_a_request_with_the_stale_cookie_40_ms_after_the_refresh_gets_the_same_successor(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    first, second = new_tab(shop.url()), new_tab(shop.url())
    second.sign_in()
    second.ask_later("stale", "POST", "/auth/refresh?hold=request-stale")
    wait_until(lambda: shop.gates.is_waiting("request-stale"))
    assert first.refresh().status == 200
    assert first.me().status == 200
    successor = jar.cookies()
    shop.clock.advance(0.040)
    shop.gates.let_go("request-stale")
    assert second.answer_to("stale").status == 200
    assert [cookie["value"] for cookie in jar.cookies()] == [cookie["value"] for cookie in successor]
    _is_signed_in_for_good(shop, first, second)


def _is_signed_in_for_good(shop: Shop, *tabs: Tab) -> None:
    for tab in tabs:
        assert tab.refresh().status == 200
        assert tab.me().status == 200
        shop.clock.advance(11)
        assert tab.refresh().status == 200
        assert tab.me().status == 200
    assert "ReuseDetected" not in shop.told()


RESTORED = """<!doctype html><link rel=icon href="data:,"><script>
const pause = ms => new Promise(go => setTimeout(go, ms))
window.life = (async () => {
    const seen = []
    for (let turn = 0; turn < 3; turn++) {
        await pause(Math.random() * 100)
        const answer = await fetch('/auth/refresh', {method: 'POST'})
        const token = answer.ok ? (await answer.json()).access_token : ''
        const me = await fetch('/me', {headers: {Authorization: 'Bearer ' + token}})
        seen.push([answer.status, me.status])
    }
    return seen
})()
</script>"""


@pytest.mark.ids("M24", "P3")
@pytest.mark.parametrize("turns", [0, 1, 5], ids="after {} turns".format)
def test_ten_tabs_restored_in_one_second_without_a_lock_cause_no_alarm(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, turns: int
) -> None:
    shop = open_shop(clock=utc_now)
    opener = new_tab(shop.url())
    opener.sign_in()
    for _ in range(turns):
        opener.refresh()
    jar.route("**/restored", lambda route: route.fulfill(body=RESTORED, content_type="text/html"))
    tabs = [jar.new_page() for _ in range(10)]
    for tab in tabs:
        tab.goto(shop.url(path="/restored"), wait_until="commit")
    lives = [tab.evaluate("() => window.life") for tab in tabs]
    assert lives == [[[200, 200]] * 3] * 10
    assert "ReuseDetected" not in shop.told()
    assert opener.refresh().status == 200
    assert opener.me().status == 200


@pytest.mark.ids("M16")
def test_a_new_version_with_other_cookie_attributes_costs_one_sign_in_and_no_loop(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    shop.install(cookie=CookieSettings(same_site="None", partitioned=True))
    shop.clock.advance(60)
    assert tab.refresh().status == 200
    assert _names(jar) == [BIND, BIND, REFRESH, REFRESH]  # the browser keeps the old and the new, and sends both
    assert tab.refresh().seen == (401, "token_missing")
    assert _names(jar) == []
    assert tab.sign_in().status == 200
    for _ in range(3):
        shop.clock.advance(60)
        assert tab.refresh().status == 200
        assert tab.me().status == 200
    assert _names(jar) == [BIND, REFRESH]
    assert "ReuseDetected" not in shop.told()


@pytest.mark.ids("M16")
def test_another_same_site_alone_costs_nothing(shop: Shop, jar: BrowserContext, new_tab: NewTab) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    shop.install(cookie=CookieSettings(same_site="Lax"))
    for _ in range(3):
        shop.clock.advance(60)
        assert tab.refresh().status == 200
        assert tab.me().status == 200
    assert {cookie["sameSite"] for cookie in jar.cookies()} == {"Lax"}
    assert _names(jar) == [BIND, REFRESH]


def _names(jar: BrowserContext) -> list[str]:
    return sorted(cookie["name"] for cookie in jar.cookies())
