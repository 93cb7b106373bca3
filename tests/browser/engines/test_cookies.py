"""Our cookies in the jars of Firefox and WebKitGTK: what is stored, what a script can do to them, what logout leaves."""

from urllib.parse import quote_from_bytes

import pytest

from keyturn.settings import CookieSettings
from tests.browser.engines.conftest import OpenStreet, OpenTab
from tests.browser.engines.face import Engine, Profile
from tests.browser.engines.street import Street
from tests.browser.pages import Tab
from tests.browser.shop import ACCESS, BIND, REFRESH, SIBLING

#: Engines that take `__Host-` and `__Host-Http-` for any other name; the day one does better, these tests will say so.
KNOWS_NO_PREFIX = {"WebKitGTK"}


@pytest.mark.ids("CK-01", "CK-02", "CK-03", "CK-04")
def test_the_jar_holds_two_cookies_with_every_attribute_written_out(street: Street, open_tab: OpenTab) -> None:
    page = open_tab(street.shop.url())
    for remember in (True, False):
        Tab(page).sign_in(remember=remember)
        stored = page.cookies()
        assert [cookie.name for cookie in stored] == [BIND, REFRESH]
        for cookie in stored:
            assert (cookie.http_only, cookie.secure, cookie.same_site, cookie.path) == (True, True, "strict", "/")
            assert cookie.domain == "app.example.test"  # no dot before it: for this host alone
            assert (cookie.expires is not None) is remember


#: Writes a cookie of that name in all the ways there are.
WRITE = """async name => {
    document.cookie = `${name}=evil; Path=/; Secure`
    document.cookie = `${name}=evil; Path=/; Secure; SameSite=Strict; Max-Age=999`
    document.cookie = `${name}=evil; Path=/; Secure; Domain=example.test`
    await window.cookieStore?.set({name, value: 'evil'}).catch(() => {})
    return document.cookie
}"""


@pytest.mark.ids("CK-07", "RT-13")
def test_a_script_can_neither_read_nor_overwrite_our_cookies(street: Street, open_tab: OpenTab) -> None:
    page = open_tab(street.shop.url())
    tab = Tab(page)
    tab.sign_in()
    kept = page.cookies()
    values = [cookie.value for cookie in kept]
    for name in (REFRESH, BIND):
        said = page.evaluate(WRITE, name)  # (WebKitGTK lets a script read what it wrote, and sends the jar's own)
        assert [value for value in values if value in said] == []
    assert page.cookies() == kept
    assert tab.refresh().status == 200
    assert b"evil" not in street.shop.cookies_of("/auth/refresh")[-1]
    assert tab.me().json == {"subject": "u-alice"}


@pytest.mark.ids("CK-01")
def test_a_script_can_create_none_of_our_names_where_the_engine_knows_the_prefix(
    engine: Engine, street: Street, open_tab: OpenTab
) -> None:
    page = open_tab(street.shop.url())
    created = [name for name in (REFRESH, BIND, ACCESS) if page.evaluate(WRITE, name)]
    assert sorted({cookie.name for cookie in page.cookies()}) == sorted(created)
    assert created == ([REFRESH, BIND, ACCESS] if engine.name in KNOWS_NO_PREFIX else [])


@pytest.mark.ids("CK-01", "CK-08", "M42")
def test_who_is_signed_in_is_never_taken_for_somebody_else_whatever_a_sub_domain_plants(
    engine: Engine, profile: Profile, street: Street
) -> None:
    hers = mallorys(profile, street)
    page = profile.open_tab(street.shop.url())
    tab = Tab(page)
    tab.sign_in()
    plant(profile, street, hers)
    if engine.name in KNOWS_NO_PREFIX:  # ours came twice, counts as absent, and is cleared: a nuisance, not a theft
        assert tab.refresh().seen == (401, "token_missing")
        assert tab.me().status == 401
    else:
        assert tab.refresh().status == 200
        assert tab.me().json == {"subject": "u-alice"}


@pytest.mark.ids("CK-01", "CK-08", "XS-06")
def test_a_session_that_a_sub_domain_plants_is_not_used_by_anybody(
    engine: Engine, profile: Profile, street: Street
) -> None:
    plant(profile, street, mallorys(profile, street))
    tab = Tab(profile.open_tab(street.shop.url()))
    told = tab.refresh()
    if engine.name in KNOWS_NO_PREFIX:  # it begins, and then every name is there twice: once planted, once ours
        assert told.status == 200
        assert tab.me().seen == (401, "binding_mismatch")
        assert tab.refresh().seen == (401, "token_missing")
    else:
        assert told.seen == (401, "token_missing")


def mallorys(profile: Profile, street: Street) -> dict[str, str]:
    """The cookies of somebody else's session; the jar is empty again."""
    page = profile.open_tab(street.shop.url())
    Tab(page).sign_in("mallory")
    values = {cookie.name: cookie.value for cookie in page.cookies()}
    page.clear_cookies()
    return values


def plant(profile: Profile, street: Street, values: dict[str, str]) -> None:
    """Let the sub-domain next door set these cookies for us too."""
    page = profile.open_tab(street.shop.url(SIBLING))
    for name, value in values.items():
        cookie = f"{name}={value}; Domain=example.test; Path=/; Secure; HttpOnly".encode()
        page.go(street.shop.url(SIBLING, "/plant?" + quote_from_bytes(cookie)))


@pytest.mark.ids("CK-06", "M43")
@pytest.mark.parametrize(
    "cookie",
    [
        CookieSettings(access_in_cookie=True),
        CookieSettings(same_site="None", partitioned=True),
    ],
    ids=["access", "partitioned"],
)
def test_after_logout_the_jar_is_empty(open_street: OpenStreet, open_tab: OpenTab, cookie: CookieSettings) -> None:
    page = open_tab(open_street(cookie=cookie).shop.url())
    tab = Tab(page)
    tab.sign_in()
    assert len(page.cookies()) == (3 if cookie.access_in_cookie else 2)
    assert tab.sign_out().status == 204
    assert page.cookies() == []
