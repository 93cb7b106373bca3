"""The demonstration's page in a real browser: what `keyturn demo` serves, and everything that the page complained of."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from keyturn.server.demo_app import USERNAME, Demo, build
from keyturn.server.demo_settings import LIVELY
from keyturn.server.serving import listen, served
from keyturn.settings import Settings

PASSWORD = "a password of the demonstration"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
#: Kept in the page from its first moment: what its policy stopped, and each word that it said about who is signed in.
NOTES = """
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    (globalThis.violations ||= []).push(`${violatedDirective}: ${blockedURI}`)
})
addEventListener('DOMContentLoaded', () => {
    const states = globalThis.states = [document.body.dataset.state]
    new MutationObserver(() => states.push(document.body.dataset.state)).observe(document.body, { attributes: true })
})
"""
#: What a browser says in its console of each refused request; the attacks are full of them.
EXPECTED = ("the server responded with a status of 401", "net::ERR_CONTENT_LENGTH_MISMATCH")


@dataclass(frozen=True)
class DemoSite:
    """The demonstration, served.

    Args:
        demo: its parts.
        url: where its page is.
    """

    demo: Demo
    url: str

    def phone(self) -> str:
        """Sign in on a second device; give its refresh token."""
        body = {"username": USERNAME, "password": PASSWORD, "transport": "body", "device_name": "Ada's phone"}
        answer = httpx.post(self.url + "auth/login", json=body, headers={"Keyturn-Client": "phone"})
        assert answer.status_code == 200
        return str(answer.json()["refresh_token"])

    def refresh(self, refresh_token: str) -> tuple[int, str]:
        """Refresh on that device; give status and code."""
        answer = httpx.post(self.url + "auth/refresh", json={"refresh_token": refresh_token})
        return answer.status_code, str(answer.json().get("code", ""))


@contextmanager
def demonstration(folder: Path, **settings: Any) -> Iterator[DemoSite]:
    """Serve it as it is after its story; with a leeway of a second, for the attacks wait for its end."""
    listening = listen()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    demo = build(folder, address, PASSWORD)
    chosen = {"profile": "development", "issuer": address, **LIVELY, "leeway": timedelta(seconds=1), **settings}
    with (
        closing(demo.store),
        served(demo.app, listening),
        demo.goes_on(),
        demo.auth.override(settings=Settings.from_mapping(chosen)),
    ):
        yield DemoSite(demo, address + "/")


@dataclass
class Visit:
    """A tab with the page, and what went wrong in it."""

    site: DemoSite
    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(words in message.text for words in EXPECTED):
            self.complaints.append(message.text)

    def open(self) -> None:
        """Open the page, and wait until it knows who is signed in."""
        self.page.goto(self.site.url)
        expect(self.page.locator("body:not([data-state=unknown])")).to_be_attached()

    def sign_in(self) -> None:
        """Sign in with what the page has filled in, and wait until it shows the token."""
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.locator("#raw-token")).to_be_visible()

    def be_signed_in(self) -> None:
        """Sign in unless that is so."""
        if self.page.locator("body").get_attribute("data-state") != "signed-in":
            self.sign_in()

    def card(self, attack: str) -> Locator:
        return self.page.locator(f"[data-attack={attack}]")

    def run(self, attack: str) -> "Played":
        """Carry an attack out to its verdict."""
        card = self.card(attack)
        card.get_by_role("button", name="Run").click()
        expect(card.locator(".verdict")).to_be_visible()
        return Played(
            outcome=card.get_attribute("data-outcome") or "",
            sentence=card.locator(".verdict").inner_text(),
            answers=[(int(step.get_attribute("data-status") or -1), step.get_attribute("data-code") or "")
                     for step in card.locator(".wire > li[data-status]").all()],
        )  # fmt: skip

    def violations(self) -> list[str]:
        """What the page's policy has stopped."""
        return self.page.evaluate("() => globalThis.violations ?? []")

    def states(self) -> list[str]:
        """What the page has said about who is signed in, from its first moment."""
        return self.page.evaluate("() => globalThis.states.filter((state, i, all) => state !== all[i - 1])")


@dataclass(frozen=True)
class Played:
    """What came of an attack: the verdict, its sentence, and (status, code) of each answer; 0 where there was none."""

    outcome: str
    sentence: str
    answers: list[tuple[int, str]]


def visitor(chromium: Browser, **options: Any) -> BrowserContext:
    """A profile of its own, in which our notes are taken; a `with` block closes it."""
    context = chromium.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(NOTES)
    return context


def entered(site: DemoSite, context: BrowserContext) -> Visit:
    """Open the page in a new tab of that profile."""
    visit = Visit(site, context.new_page())
    visit.open()
    return visit


@contextmanager
def visiting(chromium: Browser, site: DemoSite, **options: Any) -> Iterator[Visit]:
    """Open the page in a profile of its own."""
    with visitor(chromium, **options) as context:
        yield entered(site, context)
