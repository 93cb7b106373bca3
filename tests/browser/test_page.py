"""The page of the demonstration: signing in, the life that it draws, the token, the devices, signing out."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.demo_site import PASSWORD, DemoSite, Visit, demonstration, entered, visiting


@pytest.fixture
def visit(demo_jar: BrowserContext, demo_site: DemoSite) -> Iterator[Visit]:
    tab = entered(demo_site, demo_jar)
    yield tab
    assert tab.complaints == []
    assert tab.violations() == []


def test_a_visitor_signs_in_with_what_is_filled_in_and_sees_the_session_begin(visit: Visit) -> None:
    visit.sign_in()
    page = visit.page
    expect(page.locator("#hello")).to_have_text("Signed in as Ada")
    expect(page.locator("#hello")).to_be_focused()
    expect(page.locator("#pill-text")).to_have_text("Signed in")
    expect(page.locator("#timeline .name")).to_have_text(["gen 0"])
    expect(page.locator("#timeline .left")).to_have_count(1)
    expect(page.locator("#log [data-type=SessionStarted]").first).to_contain_text("The session begins")
    expect(page.locator("#announcer")).to_contain_text("Signed in.")
    expect(page.locator("#timeline-summary")).to_have_text(
        re.compile(r"Generation 0\. The access token has \d+ s left")
    )


def test_a_reload_and_a_new_tab_go_on_without_a_flash_of_signed_out(visit: Visit, demo_jar: BrowserContext) -> None:
    visit.sign_in()
    visit.page.reload()
    other = entered(visit.site, demo_jar)
    for tab in (visit, other):
        expect(tab.page.locator("#raw-token")).to_be_visible()
        assert tab.states() == ["unknown", "signed-in"]
        expect(tab.page.locator("#sign-in")).to_be_hidden()
    # What happened before the page was loaded is drawn again.
    expect(visit.page.locator("#timeline .name").first).to_have_text("gen 0")
    assert other.complaints == []


def test_a_wrong_password_is_told_and_the_field_is_ready(visit: Visit) -> None:
    visit.page.locator("#password").fill("not it")
    visit.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(visit.page.locator("#sign-in-fault")).to_have_text("The user name or the password is not right.")
    expect(visit.page.locator("#password")).to_be_focused()
    assert visit.page.locator("body").get_attribute("data-state") == "signed-out"


def test_the_drawing_grows_with_the_generations(chromium: Browser, tmp_path: Path) -> None:
    with (
        demonstration(tmp_path, access_token_lifetime=timedelta(seconds=3)) as lively,
        visiting(chromium, lively) as tab,
    ):
        tab.sign_in()
        expect(tab.page.locator("#timeline .name.newest")).to_have_text(re.compile(r"gen ([2-9]|\d\d)"))
        expect(tab.page.locator("#log [data-type=SessionRefreshed]")).not_to_have_count(0)
        assert tab.page.locator("#timeline .sign.refresh").count() >= 2
        assert tab.page.locator("#timeline .spent").count() >= 2
        expect(tab.page.locator("#fact-generation")).not_to_have_text("0")
        assert (tab.complaints, tab.violations()) == ([], [])


@pytest.mark.ids("CK-07")
def test_the_token_is_opened_and_nothing_that_lasts_is_on_the_page(visit: Visit, demo_jar: BrowserContext) -> None:
    with visit.page.expect_response(lambda answer: answer.url.endswith("/auth/login")) as waiting:
        visit.sign_in()
    token = waiting.value.json()["access_token"]
    claims = visit.page.locator("#token-card")
    for name, meaning in {"gen": "generation", "bnd": "binding cookie", "sid": "one sign-in", "alg": "signed"}.items():
        row = claims.locator("dl > div").filter(has=visit.page.locator(f"dt:text-is('{name}')"))
        expect(row).to_contain_text(meaning)
    markup = visit.page.content()
    header, payload, signature = token.split(".")
    assert header in markup
    assert payload in markup
    assert signature not in markup
    assert len(demo_jar.cookies()) == 2
    assert [cookie["name"] for cookie in demo_jar.cookies() if cookie["value"] in markup] == []


def test_another_device_is_listed_and_ended(visit: Visit) -> None:
    phone = visit.site.phone()
    visit.sign_in()
    row = visit.page.locator(".devices li").filter(has_text="Ada's phone").first
    row.get_by_role("button", name="End the session of Ada's phone").click()
    expect(row).to_have_count(0)
    assert visit.site.refresh(phone) == (401, "session_ended")
    expect(visit.page.locator(".devices .tag")).to_have_text("this browser")
    expect(visit.page.locator("#devices-title")).to_be_focused()


@pytest.mark.ids("SE-04", "SE-07")
def test_after_a_while_ending_another_device_wants_the_password_again(visit: Visit) -> None:
    phone = visit.site.phone()
    visit.sign_in()
    button = visit.page.get_by_role("button", name="End the session of Ada's phone").first
    expect(button).to_be_visible()
    visit.site.demo.clock.travel(timedelta(minutes=16))
    try:
        visit.page.reload()
        button.click()
        dialogue = visit.page.get_by_role("dialog", name="Your password, once more")
        dialogue.get_by_label("Password").fill("not it")
        dialogue.get_by_role("button", name="Confirm").click()
        expect(dialogue.get_by_role("alert")).not_to_be_empty()
        assert visit.site.refresh(phone)[0] == 200
        dialogue.get_by_label("Password").fill(PASSWORD)
        dialogue.get_by_role("button", name="Confirm").click()
        expect(dialogue).to_be_hidden()
        expect(button).to_have_count(0)
    finally:
        visit.site.demo.clock.come_home()


@pytest.mark.ids("SE-10", "BC-07")
def test_signing_out_reaches_the_other_tab_and_signing_out_everywhere_the_other_device(
    visit: Visit, demo_jar: BrowserContext
) -> None:
    visit.sign_in()
    other = entered(visit.site, demo_jar)
    expect(other.page.locator("#raw-token")).to_be_visible()
    visit.page.get_by_role("button", name="Sign out", exact=True).click()
    for tab, words in ((visit, "Signed out."), (other, "Signed out in another tab.")):
        expect(tab.page.locator("#pill-text")).to_have_text("Signed out")
        expect(tab.page.locator("#announcer")).to_contain_text(words)
        expect(tab.page.locator("#token-card")).to_have_text("Sign in, and it is here.")
    assert demo_jar.cookies() == []
    phone = visit.site.phone()
    visit.sign_in()
    visit.page.get_by_role("button", name="Sign out everywhere").click()
    expect(visit.page.locator("#pill-text")).to_have_text("Signed out")
    assert visit.site.refresh(phone) == (401, "session_ended")
    assert other.complaints == []
