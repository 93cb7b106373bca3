"""The attack room: each attack is carried out, and comes out as its card says; the server's own answers are compared."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Response, expect

from keyturn.events import RefreshRecovered, RefreshReissued, ReuseDetected, SessionEnded
from tests.browser.demo_site import DemoSite, Visit, demonstration, visiting


# One visitor for all attacks: each must leave the page as it can be used.
@pytest.fixture(scope="module")
def one_visit(chromium: Browser, demo_site: DemoSite) -> Iterator[Visit]:
    with visiting(chromium, demo_site) as tab:
        yield tab


@pytest.fixture
def visit(one_visit: Visit) -> Iterator[Visit]:
    one_visit.be_signed_in()
    yield one_visit
    assert one_visit.complaints == []
    assert one_visit.violations() == []


def is_signed_in(visit: Visit) -> bool:
    return visit.page.locator("body").get_attribute("data-state") == "signed-in"


def sign_in_again(visit: Visit, attack: str) -> None:
    """Take the card's offer; what went over the wire stays to be read."""
    card = visit.card(attack)
    steps = card.locator(".wire > li").count()
    card.get_by_role("button", name="Sign in again").click()
    expect(visit.page.locator("#pill-text")).to_have_text("Signed in")
    expect(card.get_by_role("button", name="Run it again")).to_be_focused()
    assert card.locator(".wire > li").count() == steps > 0


def test_an_exfiltrated_access_token_is_worthless_without_the_binding_cookie(visit: Visit) -> None:
    played = visit.run("exfiltrated")
    assert (played.outcome, played.answers) == ("stopped", [(401, "binding_mismatch"), (200, "")])
    assert "no script can read that cookie" in played.sentence


@pytest.mark.ids("TOK-02")
def test_a_token_that_nobody_signed_is_no_token(visit: Visit) -> None:
    played = visit.run("unsigned")
    assert (played.outcome, played.answers) == ("stopped", [(401, "token_invalid"), (401, "token_invalid")])
    assert "A header cannot choose how it is checked" in played.sentence


def test_a_script_in_the_page_acts_as_the_user_and_the_page_says_so(visit: Visit) -> None:
    played = visit.run("your-page")
    assert (played.outcome, played.answers) == ("open", [(200, ""), (200, "")])
    assert "This is not stopped: a script in your page can act as you while the page is open." in played.sentence


@pytest.mark.ids("XS-07", "CK-03")
def test_a_forged_form_comes_without_cookies_and_signs_nobody_out(visit: Visit) -> None:
    forged: list[Response] = []
    visit.page.on("response", lambda answer: forged.append(answer) if answer.url.endswith("/auth/logout") else None)
    played = visit.run("forged-form")
    assert played.outcome == "stopped"
    # What the browser sent; the copy, the same form as a browser without SameSite would send it; and still signed in.
    assert played.answers[1:] == [(200, ""), (403, "cross_site"), (200, "")]
    assert [(answer.status, answer.request.headers.get("cookie")) for answer in forged] == [
        (played.answers[0][0], None)
    ]
    assert "SameSite" in played.sentence
    expect(
        visit.card("forged-form").frame_locator("iframe").get_by_text("This page belongs to a stranger")
    ).to_be_visible()
    assert is_signed_in(visit)


@pytest.mark.ids("RT-06")
def test_two_tabs_at_once_get_the_same_successor(visit: Visit) -> None:
    played = visit.run("two-tabs")
    assert (played.outcome, played.answers) == ("harmless", [(200, ""), (200, ""), (200, "")])
    assert "Nobody is accused, nobody is signed out." in played.sentence
    assert any(isinstance(event, RefreshReissued) for event in visit.site.demo.events)


@pytest.mark.ids("RT-06", "P3")
def test_an_answer_lost_on_the_way_signs_nobody_out(visit: Visit) -> None:
    played = visit.run("lost-answer")
    assert played.outcome == "harmless"
    assert (0, "") in played.answers
    assert {status for status, _ in played.answers} <= {0, 200, 204}
    assert "No alarm, no second branch." in played.sentence
    assert isinstance(visit.site.demo.events[-1], RefreshReissued | RefreshRecovered)
    expect(visit.page.locator("#log [data-type=AnswerLost]")).not_to_have_count(0)
    assert is_signed_in(visit)


@pytest.mark.ids("RT-04", "P4")
def test_a_refresh_token_of_yesterday_is_an_alarm_and_ends_the_session(visit: Visit) -> None:
    played = visit.run("replay")
    assert played.outcome == "noticed"
    assert (401, "session_ended") in played.answers
    assert "A spent one that comes back after its successor was used is an alarm" in played.sentence
    assert "It is an alarm, not a lock" in played.sentence
    told = [event for event in visit.site.demo.events if isinstance(event, ReuseDetected | SessionEnded)]
    assert {type(event) for event in told} == {ReuseDetected, SessionEnded}
    expect(visit.page.locator("#sign-in-hint")).to_have_text("This session was ended. Please sign in again.")
    expect(visit.page.locator("#log [data-mark=alarm]").first).to_contain_text("Two hold copies")
    expect(visit.page.locator("#timeline .alarm-line")).to_have_count(1)
    expect(visit.page.locator("#timeline .void").first).to_be_attached()
    sign_in_again(visit, "replay")


@pytest.mark.ids("SE-02")
def test_after_a_sign_out_the_old_tokens_open_nothing(visit: Visit) -> None:
    played = visit.run("after-logout")
    assert played.outcome == "stopped"
    copied, before, out, access, refresh = played.answers
    assert (copied, before, out) == ((200, ""), (200, ""), (204, ""))
    assert (access, refresh) == ((401, "session_ended"), (401, "session_ended"))
    assert "Signing out ends the session on the server" in played.sentence
    sign_in_again(visit, "after-logout")


@pytest.mark.ids("CK-08")
def test_a_planted_cookie_is_never_taken_for_ours(visit: Visit) -> None:
    played = visit.run("planted")
    assert played.outcome == "stopped"
    assert played.answers[:3] == [(200, ""), (200, ""), (401, "token_missing")]
    assert "Nothing that was planted was ever taken for yours." in played.sentence
    sign_in_again(visit, "planted")
    assert visit.page.evaluate("() => document.cookie") == ""
    # Nothing of it is left over to spoil the next refresh.
    assert visit.run("two-tabs").outcome == "harmless"


def test_who_is_not_signed_in_is_told_that_there_is_nothing_to_steal(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Sign out", exact=True).click()
    expect(visit.page.locator("#pill-text")).to_have_text("Signed out")
    assert visit.run("exfiltrated").outcome == "signed-out"
    visit.card("exfiltrated").get_by_role("button", name="Sign in again").click()
    expect(visit.page.locator("#pill-text")).to_have_text("Signed in")
    assert visit.run("exfiltrated").outcome == "stopped"


def test_a_strict_server_takes_two_tabs_for_a_theft_and_the_card_says_why(chromium: Browser, tmp_path: Path) -> None:
    with (
        demonstration(tmp_path, leeway=timedelta(0), recovery_window=timedelta(0)) as strict,
        visiting(chromium, strict) as visit,
    ):
        visit.sign_in()
        played = visit.run("two-tabs")
        assert played.outcome == "noticed"
        assert "This server is strict" in played.sentence
        assert not is_signed_in(visit)
        assert (visit.complaints, visit.violations()) == ([], [])


@pytest.mark.ids("CK-01")
def test_with_the_prefix_a_planted_cookie_does_not_even_spoil(chromium: Browser, tmp_path: Path) -> None:
    with demonstration(tmp_path, profile="browser") as usual, visiting(chromium, usual) as visit:
        visit.sign_in()
        played = visit.run("planted")
        assert (played.outcome, played.answers) == ("stopped", [(200, ""), (200, ""), (200, "")])
        expect(visit.card("planted").locator(".wire")).to_contain_text(
            "Refused: a cookie with this prefix comes from a"
        )
        assert is_signed_in(visit)
        assert (visit.complaints, visit.violations()) == ([], [])
