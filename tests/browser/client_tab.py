"""What a tab does in which the client runs, in the words of the tests."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from playwright.sync_api import BrowserContext, Page

from tests.browser.shop import PASSWORD

WAIT = "() => new Promise(done => { const id = setInterval(() => { if (%s) { clearInterval(id); done() } }, 5) })"


class RejectedError(Exception):
    """What the client's promise was rejected with."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code, self.status = error.get("code"), error.get("status")
        self.name, self.retry_after = error["name"], error.get("retryAfter")


def _value(outcome: dict[str, Any]) -> Any:
    if "error" in outcome:
        raise RejectedError(outcome["error"])
    return outcome.get("value")


@dataclass
class ClientTab:
    """A tab with that page and its client."""

    page: Page

    def do(self, script: str, given: Any = None) -> Any:
        """Evaluate an expression, `given` at hand, and wait for it; `RejectedError` where it was rejected."""
        return _value(self.page.evaluate(f"given => attempt(async () => ({script}))", given))

    def code(self, script: str, given: Any = None) -> str | None:
        """Give the code that an expression is rejected with."""
        try:
            self.do(script, given)
        except RejectedError as refused:
            return refused.code or refused.name
        return None

    def begin(self, name: str, script: str, given: Any = None) -> None:
        """Begin something whose outcome is asked for later."""
        self.page.evaluate(f"given => {{ later.{name} = attempt(async () => ({script})) }}", given)

    def outcome(self, name: str) -> Any:
        return _value(self.page.evaluate(f"() => later.{name}"))

    def sign_in(self, username: str = "alice", **more: Any) -> str:
        told = self.do("client.login(given)", {"username": username, "password": PASSWORD, **more})
        # That nobody was signed in before is not what the tests of a session are about.
        self.page.evaluate(
            "() => { for (const list of seen.told[0][0] === 'signed-out' ? [seen.told, seen.moments] : []) list.shift() }"
        )
        return str(told["sessionId"])

    def call(self, path: str = "/me", **init: Any) -> int:
        """Call the application's API and give the status."""
        return int(self.do("call(...given)", [path, init]))

    def calls(self, name: str, many: int) -> None:
        """Begin many calls at once; their outcome is a list of statuses, and of codes where one was rejected."""
        each = "call('/me').catch(error => error.code ?? String(error))"
        self.begin(name, f"Promise.all(Array.from({{length: given}}, () => {each}))", many)

    @property
    def state(self) -> str:
        return str(self.page.evaluate("() => client.state"))

    @property
    def states(self) -> list[str]:
        return list(self.page.evaluate("() => seen.states"))

    def told(self, kind: str = "") -> list[Any]:
        """What the client told: all events, or the details of those of a kind."""
        told = self.page.evaluate("() => seen.told")
        return [detail for type_, detail in told if type_ == kind] if kind else [type_ for type_, _ in told]

    def wait_for(self, condition: str) -> None:
        """Wait until an expression holds in the page."""
        self.page.evaluate(WAIT % condition)

    def nap(self, seconds: float) -> None:
        """Let the tab's monotonic clock jump, as a sleep does; its timers do not run meanwhile."""
        self.page.evaluate("seconds => nap(seconds)", seconds)

    def reload(self) -> None:
        self.page.reload()
        self.page.evaluate(WAIT % "window.ready")


def client_tab(jar: BrowserContext, origin: str, **options: Any) -> ClientTab:
    """Open the page in a new tab; the options go to createClient."""
    page = jar.new_page()
    page.goto(f"{origin}/app?{quote(json.dumps(options))}")
    page.evaluate(WAIT % "window.ready")
    return ClientTab(page)
