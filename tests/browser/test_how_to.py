"""The snippets of docs/how-to/browser.md, played in a page under the policy that stands there."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser import shop as shop_module
from tests.browser.shop import PASSWORD, Shop

HOW_TO = (Path(__file__).parents[2] / "docs/how-to/browser.md").read_text()
CREATE, SIGN_IN, SIGN_OUT, RESUME, LISTEN, CALL, SESSIONS, SOCKET, PACKAGE = re.findall(
    r"^```js\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL
)
(POLICY,) = re.findall(r"^Content-Security-Policy: (.*)$", HOW_TO, re.MULTILINE)
FORM = """<!doctype html><title>page</title><link rel=icon href=/icon.png>
    <form><input name=username><input name=password type=password><input name=remember type=checkbox checked>
    <button>Sign in</button></form><button id=sign-out>Sign out</button><script type=module src=/how-to.js></script>"""
#: What the snippets call of the application's own, written down.
APPLICATION = """
    window.told = []
    const showForm = (text = '') => told.push(['form', text]), showAccount = () => told.push(['account'])
    const showTrouble = (text) => told.push(['trouble', text])
    addEventListener('securitypolicyviolation', (event) => told.push(['violation', event.violatedDirective]))
"""
#: Those that are carried out when the test says so; each gives what it has made.
LATER = """
    window.call = async () => { %s; return answer.json() }
    window.look = async () => { %s; return claims }
    window.connect = async () => { %s; return window.socket = socket }
"""


def module() -> str:
    steps = LATER % (CALL, SESSIONS, SOCKET)
    top = [text.replace("import ", "\nimport ", 1) for text in (CREATE, SIGN_IN, SIGN_OUT, LISTEN)]
    return "\n".join([APPLICATION, *top, "window.client = client", steps, RESUME, "told.push(['asked'])"])


Serve = Callable[..., None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Lay a file beside the shop's own: on every host, and from this machine as its routes are."""
    files: dict[str, tuple[int, list[tuple[bytes, bytes]], bytes]] = {}
    monkeypatch.setattr(shop_module, "page_file", files.get)

    def lay(path: str, body: str, kind: str, *more: tuple[bytes, bytes]) -> None:
        files[path] = 200, [(b"content-type", kind.encode()), *more], body.encode()

    return lay


@pytest.fixture
def page(shop: Shop, jar: BrowserContext, serve: Serve) -> Page:
    page = jar.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.clock.install()
    serve("/how-to", FORM, "text/html", (b"content-security-policy", POLICY.encode()))
    serve("/how-to.js", module(), "text/javascript")
    serve("/icon.png", "", "image/png")
    page.goto(shop.url(path="/how-to"))
    page.wait_for_function("() => window.told?.some(([what]) => what === 'asked')")
    return page


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", password)
    page.get_by_text("Sign in").click()


def wait_for(page: Page, what: str) -> None:
    page.wait_for_function("what => told.some(([first]) => first === what)", arg=what)


def told(page: Page) -> list[list[str]]:
    return page.evaluate("() => told.splice(0)")


def test_the_snippets_work_one_after_the_other_under_the_policy(page: Page, shop: Shop) -> None:
    assert told(page) == [["form", ""], ["form", ""], ["asked"]]  # by the event, and by who asked
    sign_in(page, "wrong")
    wait_for(page, "trouble")
    assert told(page) == [["trouble", "The user name or the password is not right."]]
    sign_in(page)
    wait_for(page, "account")
    assert page.evaluate("() => call()") == {"orders": 1}
    assert page.evaluate("() => look()")["sub"] == "u-alice"
    page.evaluate("async () => { window.said = []; (await connect()).onmessage = ({data}) => said.push(data) }")
    page.wait_for_function("() => said.includes('hello u-alice')")
    page.clock.fast_forward("04:45")  # a new token comes ahead of the old one's end, and is handed on
    page.wait_for_function("() => said.includes('renewed')")
    page.locator("#sign-out").click()
    wait_for(page, "form")
    page.wait_for_function("() => socket.readyState === WebSocket.CLOSED")
    assert told(page) == [["account"], ["form", ""]]
    assert shop.done == {"u-alice": 1}


def test_another_tab_and_the_servers_no_are_told(page: Page, shop: Shop) -> None:
    sign_in(page)
    wait_for(page, "account")
    with page.context.expect_page() as opening:
        page.evaluate("() => { open('/elsewhere') }")
    other = opening.value
    other.evaluate("() => import('/auth/client.js').then(({createClient}) => createClient().logout())")
    wait_for(page, "form")
    assert ["form", "You signed out in another tab."] in told(page)
    sign_in(page)
    wait_for(page, "account")
    page.context.clear_cookies()
    told(page)
    page.clock.fast_forward("04:45")
    wait_for(page, "form")
    assert told(page) == [["form", "Please sign in again."]]


def test_the_package_is_told_where_the_server_is(page: Page, shop: Shop, serve: Serve) -> None:
    """From a bundler or, as here, by an import map; the page is of another origin than the server."""
    app = f"https://sub.example.test:{shop.port}"
    shop.install(origins=(app,))
    names = json.dumps({"imports": {"keyturn": shop.url(path="/auth/client.js")}})
    head = f"<link rel=icon href='data:,'><script type=importmap>{names}</script>"
    serve("/package", f"<!doctype html>{head}<script type=module src=/package.js></script>", "text/html")
    here = PACKAGE.replace("https://id.example.org", shop.origin())
    serve("/package.js", here + "\nwindow.client = client", "text/javascript")
    page.goto(f"{app}/package")
    page.wait_for_function("() => window.client?.state === 'signed-out'")
    page.evaluate("(password) => client.login({username: 'alice', password})", PASSWORD)
    me = page.evaluate("(url) => client.fetch(url).then((answer) => answer.json())", shop.url(path="/me"))
    assert me == {"subject": "u-alice"}
