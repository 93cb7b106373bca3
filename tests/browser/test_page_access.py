"""The page for everybody: by keyboard, by ear, in the dark, on a telephone, magnified, without motion."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.demo_site import DemoSite, Visit, entered, visitor
from tests.browser.packages import node_modules

MANIFEST = json.dumps({"private": True, "devDependencies": {"axe-core": "4.11.0"}})
#: Every rule that axe-core knows, its best practices too; the stranger's page in its frame is a stranger's.
AXE = """async () => {
    const { violations, passes } = await axe.run(document, { iframes: false })
    if (passes.length < 20) return ['axe has looked at next to nothing']
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`))
}"""
Enter = Callable[..., Visit]


@pytest.fixture
def enter(chromium: Browser, demo_site: DemoSite) -> Iterator[Enter]:
    """Open the page as a visitor with these wishes."""
    with ExitStack() as stack:

        def enter_(*scripts: Path, **wishes: Any) -> Visit:
            context = stack.enter_context(visitor(chromium, **wishes))
            for script in scripts:
                context.add_init_script(path=script)
            return entered(demo_site, context)

        yield enter_


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(enter: Enter, need: Callable[[str], str], scheme: str) -> None:
    visit = enter(
        node_modules(MANIFEST, need) / "axe-core" / "axe.min.js", color_scheme=scheme, reduced_motion="reduce"
    )
    assert visit.page.evaluate(AXE) == []
    visit.site.phone()
    visit.sign_in()
    for attack in ("exfiltrated", "your-page", "forged-form"):
        visit.run(attack)
    assert visit.page.evaluate(AXE) == []
    visit.page.set_viewport_size({"width": 360, "height": 800})
    assert visit.page.evaluate(AXE) == []
    ask_for_the_password(visit.page)
    assert visit.page.evaluate(AXE) == []


def ask_for_the_password(page: Page) -> None:
    """Show the dialogue, which is there only once a sign-in is a quarter of an hour old."""
    page.evaluate("() => document.getElementById('again').showModal()")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_keyboard_is_enough_from_the_first_key_to_the_sign_out(enter: Enter) -> None:
    visit = enter()
    page = visit.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    for label in ("User name", "Password", "Stay signed in when the browser closes"):
        page.keyboard.press("Tab")
        expect(page.locator("#sign-in").get_by_label(label)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#hello")).to_be_focused()
    tab_to(page, "Sign out everywhere")
    tab_to(page, "Run the attack")
    assert has_an_outline(page)
    page.keyboard.press("Enter")
    expect(visit.card("exfiltrated").locator(".verdict")).to_contain_text("Stopped")
    # The button keeps the focus, so that the next key goes on from here.
    expect(visit.card("exfiltrated").get_by_role("button", name="Run it again")).to_be_focused()
    tab_to(page, "Sign out", back=True)
    page.keyboard.press("Space")
    expect(page.locator("#pill-text")).to_have_text("Signed out")
    expect(page.locator("#session-title")).to_be_focused()
    tab_to(page, "Sign in")


def tab_to(page: Page, name: str, *, back: bool = False) -> None:
    """Press Tab until a button of that name has the focus; each stop on the way has a name and can be seen."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        name_now = page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
        )
        if name_now == name:
            assert has_an_outline(page)
            return
    pytest.fail(f"no way to {name}")


def has_an_outline(page: Page) -> bool:
    return page.evaluate("() => parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2")


def test_a_screen_reader_finds_landmarks_headings_and_names(enter: Enter) -> None:
    visit = enter()
    visit.sign_in()
    page = visit.page
    for role in ("banner", "main", "contentinfo", "navigation"):
        expect(page.get_by_role(role)).to_have_count(1)
    for name in ("The session", "The access token, opened", "Where you are signed in", "The attack room"):
        expect(page.get_by_role("region", name=name)).to_have_count(1)
        expect(page.get_by_role("heading", level=2, name=name)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("article")).to_have_count(9)
    expect(page.get_by_role("article", name="A stolen access token")).to_have_count(1)
    # The drawing is one picture whose name tells the state; what it shows is a list beside it.
    expect(page.get_by_role("img", name="Its life Generation 0. The access token has")).to_have_count(1)
    expect(page.get_by_role("region", name="The same in words").get_by_role("listitem")).not_to_have_count(0)


def test_what_happens_is_said_aloud_and_what_only_ticks_is_not(enter: Enter) -> None:
    visit = enter()
    visit.sign_in()
    said = visit.page.get_by_role("status").and_(visit.page.locator("#announcer"))
    expect(said).to_have_attribute("aria-live", "polite")
    expect(said).to_contain_text("Signed in.")
    visit.run("exfiltrated")
    expect(said).to_contain_text("Stopped. The token names the binding cookie")
    assert visit.page.locator("#timeline-summary").evaluate("it => it.closest('[aria-live], [role=status]')") is None


@pytest.mark.parametrize(("width", "scale"), [(360, 1), (640, 2)], ids=["telephone", "twice as large"])
def test_nothing_runs_out_of_a_narrow_page(enter: Enter, width: int, scale: int) -> None:
    visit = enter(viewport={"width": width, "height": 800}, device_scale_factor=scale)
    visit.sign_in()
    for attack in ("exfiltrated", "unsigned", "forged-form"):
        visit.run(attack)
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= width
    outside = """width => [...document.querySelectorAll('main *')].filter((it) => it.checkVisibility() && !it.closest('.away'))
        .filter((it) => it.getBoundingClientRect().right > width + 1).map((it) => it.outerHTML.slice(0, 80))"""
    assert visit.page.evaluate(outside, width) == []


def test_who_wants_no_motion_gets_none(enter: Enter) -> None:
    for wish, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        visit = enter(reduced_motion=wish)
        assert visit.page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == behaviour


def test_the_dark_page_is_dark_and_the_light_one_light(enter: Enter) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    grounds = [enter(color_scheme=scheme).page.evaluate(ground) for scheme in ("light", "dark")]
    light, dark = ([int(part) for part in text[4:-1].split(",")] for text in grounds)
    assert min(light) > 220
    assert max(dark) < 40
