"""Two applications on one host: cookies know no ports, names keep them apart."""

import pytest
from playwright.sync_api import BrowserContext

from keyturn.settings import CookieSettings
from tests.browser.conftest import NewTab, Open
from tests.browser.shop import BIND, REFRESH


@pytest.mark.ids("CK-13")
@pytest.mark.parametrize(
    ("settings", "ending"),
    [({"cookie": CookieSettings(suffix="office")}, "_office"), ({"realm": "office"}, "_office")],
    ids=["suffix", "realm"],
)
def test_a_suffix_or_a_realm_keeps_two_applications_of_one_host_signed_in(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, settings: dict[str, object], ending: str
) -> None:
    shop, office = open_shop(), open_shop(**settings)
    one, other = new_tab(shop.url()), new_tab(office.url())
    one.sign_in("alice")
    other.sign_in("mallory")
    assert {cookie["name"] for cookie in jar.cookies()} == {REFRESH, BIND, REFRESH + ending, BIND + ending}
    for _ in range(2):
        shop.clock.advance(60)
        office.clock.advance(60)
        assert one.refresh().status == 200
        assert other.refresh().status == 200
        assert one.me().json == {"subject": "u-alice"}
        assert other.me().json == {"subject": "u-mallory"}
    assert other.sign_out().status == 204
    assert {cookie["name"] for cookie in jar.cookies()} == {REFRESH, BIND}
    assert one.refresh().status == 200
    assert "ReuseDetected" not in shop.told() + office.told()


@pytest.mark.ids("CK-13")
def test_under_the_same_names_the_second_sign_in_takes_the_place_of_the_first(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop, office = open_shop(), open_shop()
    one, other = new_tab(shop.url()), new_tab(office.url())
    one.sign_in("alice")
    other.sign_in("mallory")
    assert len(jar.cookies()) == 2
    assert one.refresh().seen == (401, "session_ended")  # that is why there are suffixes
