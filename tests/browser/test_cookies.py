"""Our cookies in a real jar: what is stored, what a script or a sub-domain can do to them, what logout leaves."""

from urllib.parse import quote_from_bytes

import pytest
from playwright.sync_api import BrowserContext

from keyturn.settings import CookieSettings
from tests.browser.conftest import NewTab, Open
from tests.browser.shop import ACCESS, APP, BIND, REFRESH, SIBLING, Shop


def jar_of(jar: BrowserContext) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in jar.cookies()}


@pytest.mark.ids("CK-01", "CK-02", "CK-03", "CK-04")
@pytest.mark.parametrize("remember", [True, False])
def test_the_jar_holds_two_cookies_with_every_attribute_written_out(
    shop: Shop, jar: BrowserContext, new_tab: NewTab, remember: bool
) -> None:
    new_tab(shop.url()).sign_in(remember=remember)
    stored = {cookie["name"]: cookie for cookie in jar.cookies()}
    assert set(stored) == {REFRESH, BIND}
    for cookie in stored.values():
        assert cookie["httpOnly"]
        assert cookie["secure"]
        assert (cookie["sameSite"], cookie["path"]) == ("Strict", "/")
        assert cookie["domain"] == "app.example.test"  # no dot before it: for this host alone
        assert (cookie["expires"] > 0) is remember


@pytest.mark.ids("CK-01", "CK-07", "RT-13")
def test_a_script_can_neither_read_nor_create_nor_overwrite_our_cookies(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    write = """async names => {
        for (const name of names) {
            document.cookie = `${name}=evil; Path=/; Secure`
            document.cookie = `${name}=evil; Path=/; Secure; SameSite=Strict; Max-Age=999`
            document.cookie = `${name}=evil; Path=/; Secure; Domain=example.test`
            document.cookie = `=${name}=evil; Path=/; Secure`
            await cookieStore.set({name, value: 'evil'}).catch(() => {})
        }
        return document.cookie
    }"""
    assert tab.page.evaluate(write, [REFRESH, BIND, ACCESS]) == ""
    assert jar_of(jar) == {}
    tab.sign_in()
    before = jar_of(jar)
    assert tab.page.evaluate(write, [REFRESH, BIND, ACCESS]) == ""
    assert jar_of(jar) == before
    assert tab.page.evaluate("async () => (await cookieStore.getAll()).length") == 0
    assert tab.refresh().status == 200


@pytest.mark.ids("CK-01")
def test_a_script_that_fills_the_jar_can_sign_out_but_not_plant(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    fill = (
        "() => { for (let i = 0; i < 400; i++) document.cookie = `junk${i}=1; Path=/; Secure`; return document.cookie }"
    )
    assert "junk399" in tab.page.evaluate(fill)
    assert REFRESH not in jar_of(jar)  # evicted: that is why the name must be one that no script can create
    plant = "name => { document.cookie = `${name}=evil; Path=/; Secure` }"
    tab.page.evaluate(plant, REFRESH)
    assert REFRESH not in jar_of(jar)
    tab.page.evaluate(plant, "__Host-kt_refresh")
    assert "__Host-kt_refresh" in jar_of(jar)  # the older prefix alone would have let it in
    assert tab.refresh().seen == (401, "token_missing")


@pytest.mark.ids("CK-06", "M43")
@pytest.mark.parametrize(
    "cookie",
    [
        CookieSettings(),
        CookieSettings(access_in_cookie=True),
        CookieSettings(suffix="shop"),
        CookieSettings(same_site="Lax"),
        CookieSettings(same_site="None", partitioned=True),
    ],
    ids=["default", "access", "suffix", "lax", "partitioned"],
)
def test_after_logout_the_jar_is_empty(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab, cookie: CookieSettings
) -> None:
    tab = new_tab(open_shop(cookie=cookie).url())
    tab.sign_in()
    assert len(jar.cookies()) == (3 if cookie.access_in_cookie else 2)
    assert tab.sign_out().status == 204
    assert jar.cookies() == []


@pytest.mark.ids("CK-06", "CK-10")
def test_the_end_of_a_session_elsewhere_empties_the_jar_at_the_next_refresh_and_nothing_loops(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    tab.sign_in()
    assert tab.ask("POST", "/auth/logout-all", token=tab.access_token).status == 200
    assert jar.cookies() == []
    tab.sign_in()
    kept = jar.cookies()
    tab.sign_out()
    jar.add_cookies(kept)  # type: ignore[arg-type]  # what was read may be written
    assert tab.refresh().seen == (401, "session_ended")
    assert jar.cookies() == []
    assert tab.refresh().seen == (401, "token_missing")
    assert tab.sign_in().status == 200


#: What stands before our name in a cookie that a sub-domain plants (security checklist, section 5.2).
BEFORE = [b"\xa0", b"\x85", b"\xc2\xa0", b"\xc2\x85", b"\xe2\x80\x80", b"\xe3\x80\x80", b"x,", b"$Version=1,"]


@pytest.mark.ids("CK-08", "M42")
@pytest.mark.parametrize("before", BEFORE, ids=ascii)
def test_a_look_alike_from_a_sub_domain_is_not_taken_for_ours(
    shop: Shop, jar: BrowserContext, new_tab: NewTab, before: bytes
) -> None:
    mallory = new_tab(shop.url())
    mallory.sign_in("mallory")
    hers = jar_of(jar)
    jar.clear_cookies()
    tab = new_tab(shop.url())
    tab.sign_in()
    for name in (REFRESH, BIND):
        planted = before + f"{name}={hers[name]}; Domain=example.test; Path=/; Secure".encode()
        tab.page.goto(shop.url(SIBLING, "/plant?" + quote_from_bytes(planted)))
    tab.page.goto(shop.url())
    assert tab.refresh().status == 200
    assert hers[BIND].encode() in shop.cookies_of("/auth/refresh")[-1]  # it did come along
    assert tab.me().json == {"subject": "u-alice"}
    assert tab.sign_out().status == 204
    assert [cookie for cookie in jar.cookies() if cookie["domain"] == APP] == []
    assert tab.refresh().seen == (401, "token_missing")  # hers alone is nobody's


@pytest.mark.ids("CK-01", "CK-08")
@pytest.mark.parametrize("name", [REFRESH, REFRESH.lower(), REFRESH.upper(), "", REFRESH + "\xa0"], ids=ascii)
def test_the_names_themselves_cannot_be_planted_from_a_sub_domain(
    shop: Shop, jar: BrowserContext, new_tab: NewTab, name: str
) -> None:
    nameless = f"{REFRESH}=" if not name else ""
    planted = f"{name}={nameless}evil; Domain=example.test; Path=/; Secure; HttpOnly".encode()
    tab = new_tab(shop.url(SIBLING, "/plant?" + quote_from_bytes(planted)))
    tab.page.goto(shop.url())
    assert jar.cookies() == []
    assert tab.refresh().seen == (401, "token_missing")


@pytest.mark.ids("CK-01")
def test_a_sub_domain_may_have_a_cookie_of_that_name_for_itself_and_only_as_the_name_demands(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    page = new_tab(shop.url(SIBLING)).page
    whole = f"{REFRESH}=evil; Path=/; Secure; HttpOnly"
    for part in ("; HttpOnly", "; Secure", "Path=/; "):
        page.goto(shop.url(SIBLING, "/plant?" + quote_from_bytes(whole.replace(part, "").encode())))
        assert jar.cookies() == [], part
    page.goto(shop.url(SIBLING, "/plant?" + quote_from_bytes(whole.encode())))
    assert [cookie["domain"] for cookie in jar.cookies()] == [SIBLING]
    assert new_tab(shop.url()).refresh().seen == (401, "token_missing")
    assert shop.cookies_of("/auth/refresh")[-1] == b""


@pytest.mark.ids("CK-12")
def test_on_http_localhost_the_browser_keeps_secure_and_the_prefix(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(https=False, issuer="http://localhost:{port}")
    tab = new_tab(shop.url("localhost"))
    tab.sign_in()
    assert {(cookie["name"], cookie["secure"]) for cookie in jar.cookies()} == {(REFRESH, True), (BIND, True)}
    assert tab.refresh().status == 200
    assert tab.me().status == 200


@pytest.mark.ids("CK-12")
def test_only_the_development_profile_drops_them_and_it_answers_on_loopback_alone(
    open_shop: Open, jar: BrowserContext, new_tab: NewTab
) -> None:
    shop = open_shop(https=False, profile="development", issuer="http://localhost:{port}")
    tab = new_tab(shop.url("localhost"))
    tab.sign_in()
    assert {(cookie["name"], cookie["secure"]) for cookie in jar.cookies()} == {
        ("kt_refresh", False),
        ("kt_bind", False),
    }
    assert tab.refresh().status == 200
    rebound = new_tab(shop.url())  # a name of somebody else's that leads to this machine
    assert rebound.ask("GET", "/me", token=tab.access_token).seen == (421, "misdirected_request")


@pytest.mark.ids("RT-13", "CK-07")
def test_no_answer_and_no_address_ever_shows_the_refresh_token_or_the_binding(
    shop: Shop, jar: BrowserContext, new_tab: NewTab
) -> None:
    tab = new_tab(shop.url())
    seen: list[str] = []
    tab.page.on("request", lambda request: seen.append(request.url))
    secrets: set[str] = set()
    answers = []
    for send in (tab.sign_in, tab.refresh, tab.me, tab.refresh):
        answers.append(send())
        shop.clock.advance(11)
        secrets |= {value for name, value in jar_of(jar).items() if name in (REFRESH, BIND)}
    answers += [tab.ask("GET", path, token=tab.access_token) for path in ("/auth/session", "/auth/sessions")]
    answers.append(tab.sign_out())
    assert len(secrets) == 4  # three refresh tokens, one binding
    shown = [text for answer in answers for text in (answer.text, str(answer.headers))] + seen
    shown.append(tab.page.evaluate("() => document.cookie + JSON.stringify([{...localStorage}, {...sessionStorage}])"))
    assert [text for text in shown if any(secret in text for secret in secrets) or "kt1." in text] == []
