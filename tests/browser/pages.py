"""What scripts of pages do here, in the words of the tests."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.browser.shop import PASSWORD

ASK = """async ([method, url, options]) => {
    const {json, token, credentials, mode, headers} = options
    const init = {method, headers: {...headers}, credentials: credentials || 'same-origin', mode: mode || 'cors'}
    if (json) { init.headers['Content-Type'] = 'application/json'; init.body = JSON.stringify(json) }
    if (token) init.headers.Authorization = 'Bearer ' + token
    try {
        const answer = await fetch(url, init)
        const text = await answer.text()
        let value = null
        try { value = JSON.parse(text) } catch {}
        return {status: answer.status, type: answer.type, text, json: value, headers: [...answer.headers]}
    } catch (error) {
        return {status: 0, type: 'error', text: String(error), json: null, headers: []}
    }
}"""
LATER = f"([name, args]) => {{ (window.asked ||= {{}})[name] = ({ASK})(args) }}"

#: Opens a WebSocket; gives its first message, or "refused".
KNOCK = """url => new Promise(tell => {
    const socket = new WebSocket(url)
    socket.onmessage = message => { tell(message.data); socket.close() }
    socket.onclose = () => tell('refused')
})"""


#: Sends a form, in a moment: whoever has it evaluated hears that it ended before the page goes.
SUBMIT = """([action, fields, enctype]) => {
    const form = document.createElement('form')
    Object.assign(form, {method: 'POST', action}); if (enctype) form.enctype = enctype
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement('input'); Object.assign(input, {type: 'hidden', name, value})
        form.append(input)
    }
    document.body.append(form); setTimeout(() => form.submit())
}"""


@dataclass
class Answer:
    """An answer, as far as a script may read it."""

    status: int
    type: str
    text: str
    json: Any
    headers: list[list[str]]

    @property
    def seen(self) -> tuple[int, str | None]:
        return self.status, (self.json or {}).get("code")


@dataclass
class Tab:
    """A page and what its script keeps in memory."""

    page: Page
    access_token: str = field(default="", repr=False)
    session_id: str = ""

    def ask(self, method: str, url: str, **options: Any) -> Answer:
        """Send a request by fetch."""
        return self._keep(self.page.evaluate(ASK, [method, url, options]))

    def ask_later(self, name: str, method: str, url: str, **options: Any) -> None:
        """Send a request by fetch and do not wait for its answer."""
        self.page.evaluate(LATER, [name, [method, url, options]])

    def answer_to(self, name: str) -> Answer:
        """Wait for the answer to such a request."""
        return self._keep(self.page.evaluate("name => window.asked[name]", name))

    def _keep(self, told: dict[str, Any]) -> Answer:
        answer = Answer(**told)
        if answer.status == 200 and isinstance(answer.json, dict):
            self.access_token = answer.json.get("access_token", self.access_token)
            self.session_id = answer.json.get("session_id", self.session_id)
        return answer

    def sign_in(self, username: str = "alice", url: str = "/auth/login", **more: Any) -> Answer:
        credentials = more.pop("credentials", "same-origin")
        body = {"username": username, "password": PASSWORD, **more}
        answer = self.ask("POST", url, json=body, credentials=credentials)
        assert answer.status == 200, answer.text
        return answer

    def refresh(self, query: str = "") -> Answer:
        return self.ask("POST", "/auth/refresh" + query)

    def me(self) -> Answer:
        return self.ask("GET", "/me", token=self.access_token)

    def sign_out(self) -> Answer:
        return self.ask("POST", "/auth/logout")


def tab_of(jar: BrowserContext, url: str) -> Tab:
    """Open a page in a new tab."""
    page = jar.new_page()
    page.goto(url)
    return Tab(page)


def send_form(tab: Tab, action: str, fields: dict[str, str] | None = None, enctype: str = "") -> int:
    """Let a page send a form as a top-level navigation, its last act; give the status of what the user looks at."""
    with tab.page.expect_response(lambda answer: answer.url == action) as waiting:
        tab.page.evaluate(SUBMIT, [action, fields or {}, enctype])
    return waiting.value.status
