"""The line between browser and server does what the other tests take it for."""

import pytest
from playwright.sync_api import Page

from tests.browser.client_site import Site
from tests.browser.line import Act, Passed, answered, closed, doubled, half, lost

SEND = """async path => { try { const answer = await fetch(path, {method: 'POST'}); return [answer.status, await answer.text()] }
    catch { return [0, ''] } }"""


@pytest.fixture
def page(site: Site) -> Page:
    page = site.jar.new_page()
    page.goto(site.shop.url())
    return page


@pytest.mark.parametrize(
    ("act", "reached", "status"),
    [
        (lost, 1, 0),
        (closed, 0, 0),
        (half, 1, 0),
        (doubled(deliver=0), 2, 404),
        (doubled(deliver=1), 2, 404),
        (answered(503, "tired", Retry_After="1"), 0, 503),
    ],
    ids=["lost", "closed", "half", "doubled-first", "doubled-second", "answered"],
)
def test_it_bends_what_it_is_told_to_and_counts_it(site: Site, page: Page, act: Act, reached: int, status: int) -> None:
    page.evaluate(SEND, "/auth/nothing")  # so that the connection is one that served before
    site.line.bend("/auth/nothing", act, times=2)
    for _ in range(2):
        assert page.evaluate(SEND, "/auth/nothing")[0] == status
    assert site.line.passed[-2:] == [Passed("POST", "/auth/nothing", reached, status)] * 2
    assert page.evaluate(SEND, "/auth/nothing")[0] == 404


@pytest.mark.parametrize("answers", [False, True], ids=["requests", "answers"])
def test_it_holds_requests_or_answers_until_they_are_let_go(site: Site, page: Page, answers: bool) -> None:
    held = site.line.hold("/auth/nothing", answers=answers)
    page.evaluate(f"() => {{ window.waiting = ({SEND})('/auth/nothing') }}")
    held.wait_for()
    assert len(site.shop.cookies_of("/auth/nothing")) == answers
    assert page.evaluate(SEND, "/auth/nothing")[0] == 404  # it overtakes
    held.let_go()
    assert page.evaluate("() => window.waiting") == [404, page.evaluate(SEND, "/auth/nothing")[1]]


def test_a_chance_is_the_same_in_every_run(site: Site, page: Page) -> None:
    site.line.bend("/auth/nothing", answered(500), chance=0.5, seed=1)
    seen = [page.evaluate(SEND, "/auth/nothing")[0] for _ in range(12)]
    assert seen == [500, 404, 404, 500, 500, 500, 404, 404, 500, 500, 404, 500]
