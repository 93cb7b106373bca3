"""The axios example: an instance whose requests go through a client, single flight and repeats included."""

import json
from collections import Counter

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.browser.vite import Example, press

EXAMPLE = "axios"


@pytest.fixture
def page(example: Example, jar: BrowserContext) -> Page:
    page = jar.new_page()
    page.clock.install()
    page.goto(example.page)
    return page


def sign_in(page: Page) -> None:
    page.fill("[name=password]", "wonderland")
    press(page, "#sign-in button", "sign-in: done")


def test_a_visitor_signs_in_asks_and_signs_out(page: Page) -> None:
    press(page, "#me", "me: token_missing")
    page.fill("[name=password]", "wrong")
    press(page, "#sign-in button", "sign-in: invalid_credentials")
    sign_in(page)
    press(page, "#me", "me: u-1")
    page.reload()
    press(page, "#me", "me: u-1")
    press(page, "#sign-out", "sign-out: done")
    press(page, "#me", "me: token_missing")


def test_twenty_calls_that_come_too_late_are_one_refresh_and_twenty_answers(page: Page, example: Example) -> None:
    """Each is sent a second time, body and all."""
    sign_in(page)
    old: list[str] = []
    heard: Counter[str] = Counter()
    bodies: list[object] = []

    def too_late(route: Route) -> None:
        if route.request.method == "OPTIONS":
            route.fallback()
            return
        token = route.request.headers["authorization"]
        if not old:
            old.append(token)
        heard["old" if token == old[0] else "new"] += 1
        cors = {"Access-Control-Allow-Origin": page.url.rstrip("/"), "Access-Control-Allow-Credentials": "true"}
        if token == old[0]:
            problem = {"code": "token_expired", "status": 401}
            route.fulfill(status=401, headers=cors, content_type="application/problem+json", body=json.dumps(problem))
        else:
            bodies.append(route.request.post_data_json)
            route.fulfill(status=200, headers=cors, json={"taken": route.request.post_data_json})

    page.route(f"{example.api}/orders", too_late)
    page.on("request", lambda request: heard.update([request.url.removeprefix(example.api)]))
    page.clock.fast_forward("00:20")  # a token that is younger than ten seconds is not exchanged for another
    numbers = page.evaluate(
        """async () => {
            const answers = await Promise.all([...Array(20).keys()].map((number) => api.post('/orders', {number})))
            return answers.map((answer) => answer.data.taken.number)
        }"""
    )
    assert numbers == list(range(20))
    assert (heard["old"], heard["new"], heard["/auth/refresh"]) == (20, 20, 1)
    assert sorted(body["number"] for body in bodies) == list(range(20))


def test_what_the_client_refuses_is_an_axios_error_with_its_code(page: Page, example: Example) -> None:
    sign_in(page)
    page.route(f"{example.api}/slow", lambda route: None)
    told = page.evaluate(
        """async () => {
            const waiting = api.get('/slow').catch((error) => [error.isAxiosError, error.code, error.cause?.name])
            await client.logout()
            return waiting
        }"""
    )
    assert told == [True, "signed_out", "KeyturnError"]


def test_a_stranger_is_asked_without_the_token(page: Page, example: Example) -> None:
    sign_in(page)
    seen: list[dict[str, str]] = []

    def stranger(route: Route) -> None:
        seen.append(route.request.headers)
        route.fulfill(status=200, headers={"Access-Control-Allow-Origin": "*"}, json={})

    page.route("http://stranger.test/**", stranger)
    page.evaluate("() => api.get('http://stranger.test/me')")
    assert len(seen) == 1
    assert "authorization" not in seen[0]
