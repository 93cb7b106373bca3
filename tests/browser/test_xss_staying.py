"""A thief's script in somebody's page: what it can leave behind, in the jar, in a worker, in a window, for other tabs.

Every attempt and its outcome is a row of docs/explanation/what-a-script-can-steal.md.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.lab.elsewhere import REFRESH_TOKEN, UNBOUND, Elsewhere, access_tokens, claims_of
from tests.browser.lab.stage import DEVELOPMENT, HERE, JAVASCRIPT, POLICY, Lab, attempt, loot_of, staged
from tests.browser.lab.table import Row, settle
from tests.browser.serving import wait_until
from tests.browser.shop import ACCESS, BIND, PASSWORD, REFRESH

WORKER = (HERE / "worker.js").read_text()
LOOK_ALIKES = ["__Host-kt_refresh", "__Secure-kt_refresh", "kt_refresh", "__HOST-HTTP-KT_REFRESH", "__Http-kt_refresh"]
#: What a page can do without the client: who the browser is signed in as, None where nobody is.
WHO = """async () => {
    const turned = await fetch('/auth/refresh', {method: 'POST'})
    if (!turned.ok) return null
    const {access_token} = await turned.json()
    const told = await fetch('/auth/session', {headers: {Authorization: `Bearer ${access_token}`}})
    return (await told.json()).sub
}"""


@pytest.fixture
def jar(lab: Lab) -> Iterator[BrowserContext]:
    with lab.profile() as context:
        yield context


def ours(jar: BrowserContext) -> dict[str, str]:
    names = (REFRESH, BIND, ACCESS)
    return {cookie["name"]: cookie["value"] for cookie in jar.cookies() if cookie["name"] in names}


def next_visit(lab: Lab, jar: BrowserContext, page: Page, username: str) -> Page:
    """Close the page and open it again, where nobody injects anything now: the user is taken for this one."""
    page.close()
    page = lab.visit(jar, says="signed in", spied=False)
    page.locator("#me").click()
    expect(page.locator("output")).to_have_text(f"you are u-{username}")
    return page


# --- the jar ---------------------------------------------------------------------------------------------------------


@pytest.mark.ids("CK-01", "SE-01")
def test_no_cookie_of_our_names_can_be_planted_beside_ours(lab: Lab, jar: BrowserContext) -> None:
    page = lab.sign_in(jar)
    before = ours(jar)
    attempt(page, "plant", [REFRESH, BIND, ACCESS], "evil")
    assert {cookie["name"] for cookie in jar.cookies()} == {REFRESH, BIND}
    assert ours(jar) == before
    attempt(page, "plant", LOOK_ALIKES, "evil")
    assert page.evaluate(WHO) == "u-alice"
    assert len(jar.cookies()) > 2  # look-alikes can be planted, and count for nothing
    settle(
        Row(
            attempt="writes cookies of our names (document.cookie, cookieStore; other paths, Domain, Partitioned), and look-alikes",
            got="our names: refused by the browser; look-alikes: written, and ignored",
            elsewhere="nothing",
        )
    )


@pytest.mark.ids("CK-01", "CK-10")
def test_a_jar_that_overflows_signs_out_and_takes_nothing_in_place_of_ours(lab: Lab, jar: BrowserContext) -> None:
    page = lab.sign_in(jar)
    session_id = claims_of(access_tokens(loot_of(page))[-1])["sid"]
    attempt(page, "overflow")
    assert ours(jar) == {}
    attempt(page, "plant", [REFRESH, BIND, ACCESS], "evil")
    assert ours(jar) == {}
    assert page.evaluate(WHO) is None
    assert lab.shop.row(session_id).ended_at is None
    page.close()
    page = lab.sign_in(jar, spied=False)  # the page says "signed out"; signing in again is all it takes
    page.close()
    settle(
        Row(
            attempt="fills the jar with 300 cookies until ours are thrown out, and writes its own in their place",
            got="**not stopped: the user is signed out**; its own under our names: refused by the browser",
            elsewhere="nothing; the session goes on unseen until its idle end, and nobody holds its cookies",
            remedy="nothing; the user signs in again",
        )
    )


@pytest.mark.ids("CK-12")
def test_in_development_a_script_can_put_its_own_session_in_place_of_the_users(trusting: Browser) -> None:
    with staged(trusting, None, **DEVELOPMENT) as lab:
        with lab.profile() as jar:
            lab.sign_in(jar, "mallory")
            hers = {cookie["name"]: cookie["value"] for cookie in jar.cookies()}
        with lab.profile() as jar:
            page = lab.sign_in(jar)
            attempt(page, "overflow")
            for name, value in hers.items():
                page.evaluate("([name, value]) => { document.cookie = `${name}=${value}; Path=/` }", [name, value])
            next_visit(lab, jar, page, "mallory")
    settle(
        Row(
            attempt="does the same on http://localhost in the `development` profile, whose names have no prefix",
            got="**not stopped: the user works in the thief's account**",
            elsewhere="nothing of the user's; the thief had an account already",
            remedy="that profile answers on loopback alone; it is for developers",
        )
    )


@pytest.mark.ids("XS-06")
def test_a_script_can_sign_the_browser_in_as_somebody_else(lab: Lab, jar: BrowserContext) -> None:
    page = lab.sign_in(jar)
    assert attempt(page, "signInAs", "mallory", PASSWORD) == 200
    next_visit(lab, jar, page, "mallory")
    settle(
        Row(
            attempt="signs the browser in with the thief's own name and password",
            got="**not stopped: the user works in the thief's account** from then on",
            elsewhere="what the user then writes there, the thief can read in the thief's own account",
            remedy="show whose account it is; from pages of other origins it is refused (XS-06)",
        )
    )


# --- workers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def upload(lab: Lab) -> Iterator[Callable[[str], str]]:
    """Put the thief's worker at an address of the application's own, as an upload might be."""
    added: list[str] = []

    def put(path: str) -> str:
        lab.files[path] = (JAVASCRIPT, WORKER)
        added.append(path)
        return path

    yield put
    for path in added:
        del lab.files[path]


def test_a_worker_needs_a_file_at_our_own_address(lab: Lab, jar: BrowserContext, upload: Callable[[str], str]) -> None:
    page = lab.sign_in(jar)
    code = page.evaluate("code => URL.createObjectURL(new Blob([code], {type: 'text/javascript'}))", WORKER)
    upload("/uploads/photo.js")
    told = [
        attempt(page, "stay", address, options)
        for address, options in (
            (code, {}),
            ("data:text/javascript,", {}),
            (lab.drop + "worker.js", {}),
            ("/auth/client.js", {"type": "module", "scope": "/"}),
            ("/auth/session", {"scope": "/"}),
            ("/uploads/photo.js", {"scope": "/"}),
        )
    ]
    assert set(told) <= {"TypeError", "SecurityError"}, told
    # Our own module may be one, for its own folder; it listens to nothing.
    assert attempt(page, "stay", "/auth/client.js", {"type": "module"}) == "/auth/"
    assert page.evaluate(WHO) == "u-alice"
    settle(
        Row(
            attempt="registers a service worker from a blob, from `data:`, from the thief's server, from an answer of ours, from an upload for more than its folder",
            got="refused by the browser; our `client.js` alone can be one, for `/auth/`, and there does nothing",
            elsewhere="nothing",
        )
    )


def test_a_worker_from_a_folder_of_uploads_sees_that_folder_alone(
    lab: Lab, jar: BrowserContext, thief: Elsewhere, upload: Callable[[str], str]
) -> None:
    page = lab.sign_in(jar)
    assert attempt(page, "stay", upload("/uploads/photo.js"), {}) == "/uploads/"
    page.reload()
    expect(page.locator("output")).to_have_text("signed in")
    assert page.evaluate("() => navigator.serviceWorker.controller") is None
    told = _ask_worker(page)
    assert told["seen"] == []
    assert told["own"][0] == 200
    settle(
        Row(
            attempt="registers one from an upload of its own (`/uploads/photo.js`)",
            got="it sees no request of the page's or the client's; **it can ask for itself as the user** when a page wakes it",
            elsewhere=thief.worth(str(told["own"][1])),
            remedy="`worker-src 'none'` (below); serve uploads from another origin, and never as JavaScript",
        )
    )


def test_a_worker_from_a_file_at_the_root_stays(
    lab: Lab, jar: BrowserContext, thief: Elsewhere, upload: Callable[[str], str]
) -> None:
    page = lab.sign_in(jar)
    assert attempt(page, "stay", upload("/photo.js"), {}) == "/"
    page = next_visit(lab, jar, page, "alice")
    told = _ask_worker(page)
    seen = "\n".join(told["seen"])
    cookies = ours(jar)
    page.close()
    assert access_tokens(seen)
    assert not REFRESH_TOKEN.search(seen)
    assert not any(value in seen for value in cookies.values())
    assert '"cookies":[]' in seen  # nor does it see Set-Cookie
    assert told["own"][0] == 200
    settle(
        Row(
            attempt="registers one from a file at the root (`/photo.js`), where the application serves what others upload",
            got="**not stopped: it stays**; on every later visit it sees what the pages send and get, access tokens too, and acts as the user; no refresh token, no cookie, no Set-Cookie",
            elsewhere=thief.worth(seen),
            remedy="`worker-src 'none'`, or an exact list; never serve uploads as JavaScript; once it has happened: `Clear-Site-Data: \"storage\"`",
        )
    )


def test_worker_src_keeps_workers_out(
    lab: Lab, jar: BrowserContext, upload: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lab.headers, "Content-Security-Policy", POLICY + "; worker-src 'none'")
    page = lab.sign_in(jar)
    told = attempt(page, "stay", upload("/photo.js"), {})
    assert told == "SecurityError"
    assert page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0
    settle(
        Row(
            attempt="registers such a worker where the application's pages say `worker-src 'none'`",
            got="refused by the browser",
            elsewhere="nothing",
        )
    )


def test_clear_site_data_ends_a_worker_that_stayed(lab: Lab, jar: BrowserContext, upload: Callable[[str], str]) -> None:
    page = lab.sign_in(jar)
    assert attempt(page, "stay", upload("/photo.js"), {}) == "/"
    page.close()
    with pytest.MonkeyPatch.context() as once:
        once.setitem(lab.headers, "Clear-Site-Data", '"storage"')
        lab.visit(jar, spied=False).close()
    page = lab.visit(jar, says="signed in", spied=False)
    assert page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0
    settle(
        Row(
            attempt='has a worker that stayed, and the application\'s page says `Clear-Site-Data: "storage"`',
            got="the worker is gone; the user is still signed in",
            elsewhere="nothing",
        )
    )


def _ask_worker(page: Page) -> dict[str, list[object]]:
    """Wake the worker, let it ask for itself, and hear what it has seen."""
    return page.evaluate("""async () => {
        const [kept] = await navigator.serviceWorker.getRegistrations()
        return await new Promise(told => {
            navigator.serviceWorker.onmessage = message => told(message.data)
            navigator.serviceWorker.startMessages()
            kept.active.postMessage('what do you know?')
        })
    }""")


# --- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_that_the_script_opened_acts_until_it_is_closed(
    lab: Lab, jar: BrowserContext, thief: Elsewhere
) -> None:
    page = lab.sign_in(jar)
    page.evaluate("() => { document.querySelector('#me').onclick = () => { window.open('about:blank') } }")
    with page.expect_popup() as opened:
        page.locator("#me").click()
    page.close()
    window = opened.value
    assert window.evaluate(WHO) == "u-alice"
    loot = window.evaluate("async () => (await fetch('/auth/refresh', {method: 'POST'})).text()")
    window.close()
    wait_until(lambda: not jar.pages)
    settle(
        Row(
            attempt="opens a window of its own (`about:blank`) when the user clicks, and the page is closed",
            got="**not stopped**: that window acts as the user until it is closed too",
            elsewhere=thief.worth(loot),
            remedy="keep scripts out; a sign-out ends it at once",
        )
    )


# --- other tabs ------------------------------------------------------------------------------------------------------

SAY = """([name, messages]) => {
    const channel = window.channel ||= new BroadcastChannel(name)
    for (const message of messages) channel.postMessage(message)
}"""


def channel_of(lab: Lab) -> str:
    return f"keyturn:{lab.shop.url(path='/auth/')}"


@pytest.mark.ids("CK-07")
def test_a_script_hears_what_other_tabs_tell_each_other(lab: Lab, jar: BrowserContext, thief: Elsewhere) -> None:
    page = lab.sign_in(jar)
    page.evaluate("name => { new BroadcastChannel(name).onmessage = message => keep(message.data) }", channel_of(lab))
    page.evaluate("() => { loot.length = 0 }")
    other = lab.visit(jar, says="signed in", spied=False)
    other.close()
    page.wait_for_function("() => loot.some(text => text.includes('eyJ'))")
    loot = loot_of(page)
    assert not REFRESH_TOKEN.search(loot)
    assert not any(value in loot for value in ours(jar).values())
    settle(
        Row(
            attempt="listens to the channel on which tabs hand each other the access token",
            got="access tokens",
            elsewhere=thief.worth(loot),
            remedy=UNBOUND,
        )
    )


def test_lies_on_the_channel_are_over_with_the_next_load(lab: Lab, jar: BrowserContext) -> None:
    with lab.profile() as theirs:
        hers = lab.sign_in(theirs, "mallory")
        tokens = hers.evaluate("() => told.splice(0)")
        hers.locator("#sign-out").click()
        expect(hers.locator("output")).to_have_text("signed out")
        farewell = json.dumps(hers.evaluate("() => told"))
        her_id = claims_of(access_tokens(loot_of(hers))[-1])["sid"]
    page = lab.sign_in(jar)
    his_id = claims_of(access_tokens(loot_of(page))[-1])["sid"]
    other = lab.visit(jar, says="signed in", spied=False)
    # A token that is refused is not believed: the tab asks the server, and has its own session again.
    _says(other, "you are u-alice", lambda: page.evaluate(SAY, [channel_of(lab), tokens]))
    lies = [*json.loads(farewell.replace(her_id, his_id)), *json.loads(farewell)]
    _says(other, "401 token_missing", lambda: page.evaluate(SAY, [channel_of(lab), lies]))
    page.close()
    other.reload()
    expect(other.locator("output")).to_have_text("signed in")
    _says(other, "you are u-alice", lambda: None)
    settle(
        Row(
            attempt="tells other tabs a token of its own, and that the user has signed out",
            got="**not stopped**: they use it until it is refused (an API that leaves the binding unchecked takes them for the thief), then ask the server; and they show that nobody is signed in",
            elsewhere="nothing; when such a tab is loaded again the user is signed in",
        )
    )


def _says(page: Page, text: str, lie: Callable[[], None]) -> None:
    """Lie and press the button until the page says so: what goes over the channel is heard at some time."""

    def pressed() -> bool:
        lie()
        page.locator("#me").click()
        with suppress(AssertionError):
            expect(page.locator("output")).to_have_text(text, timeout=1000)
            return True
        return False

    wait_until(pressed)


def test_a_lock_that_the_script_holds_is_free_when_its_page_is_closed(lab: Lab, jar: BrowserContext) -> None:
    page = lab.sign_in(jar)
    page.evaluate(
        "name => new Promise(held => navigator.locks.request(name, () => { held(); return new Promise(() => {}) }))",
        channel_of(lab),
    )
    page.evaluate("() => { BroadcastChannel.prototype.postMessage = () => {} }")  # nor does it tell what it knows
    other = lab.visit(jar, spied=False)
    assert other.locator("output").inner_text() == ""
    page.close()
    expect(other.locator("output")).to_have_text("signed in")
    settle(
        Row(
            attempt="holds the lock that tabs refresh under, for good",
            got="other tabs wait for it (10 s at most, then they go on without it)",
            elsewhere="nothing; the lock is gone with the page",
        )
    )


# --- keeping it out --------------------------------------------------------------------------------------------------

STRICT = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; worker-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
INJECT = """() => {
    const tried = []
    for (const inject of [
        () => { document.body.innerHTML += '<img src=x onerror="window.ran = 1">' },
        () => { document.body.insertAdjacentHTML('beforeend', '<svg onload="window.ran = 1">') },
        () => { document.write('<script>window.ran = 1</script>') },
        () => { document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})) },
        () => { document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click() },
        () => { location.href = 'javascript:window.ran = 1' },
        () => { setTimeout('window.ran = 1') },
        () => { navigator.serviceWorker.register('/photo.js') },
        () => { trustedTypes.createPolicy('mine', {createHTML: text => text}) },
    ]) {
        try { inject(); tried.push('') } catch (error) { tried.push(error.name) }
    }
    return new Promise(done => setTimeout(() => done([tried, window.ran ?? 0])))
}"""


@pytest.mark.ids("BC-06")
def test_under_a_strict_policy_the_client_works_and_injected_markup_does_not_run(
    lab: Lab, jar: BrowserContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lab.headers, "Content-Security-Policy", STRICT)
    page = lab.sign_in(jar, spied=False)
    tried, ran = page.evaluate(INJECT)
    page.locator("#me").click()
    expect(page.locator("output")).to_have_text("you are u-alice")
    assert ran == 0
    assert tried.count("TypeError") == len(tried) - 2  # an address and a worker are refused without a word
    settle(
        Row(
            attempt="comes as markup or text (innerHTML, inline handlers, `javascript:`, inline script) where pages say `script-src 'self'; require-trusted-types-for 'script'`",
            got="refused by the browser: it does not run at all; Keyturn's client works under it",
            elsewhere="nothing",
        )
    )
