"""The page on which the browser client is tried: as strict as a page can be, and it writes down what it sees."""

from pathlib import Path

import keyturn

CLIENT = Path(keyturn.__file__).parent / "client"
PAGE = "<!doctype html><title>app</title><link rel=icon href='data:,'><script type=module src=/app.js></script>"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self' https: wss:; img-src data:; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
#: `states` is every state that the client ever showed, `told` every event; `nap` lets the monotonic clock jump;
#: with `hurry` time itself runs so much faster for the client, but for how long it waits for an answer, which is
#: `patience` ms: no time of its own, but of a machine that may be busy.
SCRIPT = """
const {from = '/auth/client.js', hurry, patience, ...options} = JSON.parse(decodeURIComponent(location.search.slice(1)) || '{}')
const seen = {states: [], told: [], moments: [], violations: []}
addEventListener('securitypolicyviolation', event => seen.violations.push(event.violatedDirective))
let ahead = 0
const now = performance.now.bind(performance)
performance.now = () => now() + ahead
const {createClient, KeyturnError} = await import(from)
if (hurry) {
    const quick = {
        setTimeout: (run, ms) => setTimeout(run, ms / hurry),
        performance: {now: () => now() * hurry + ahead},
        AbortSignal: {any: signals => AbortSignal.any(signals), timeout: ms => AbortSignal.timeout(patience ?? ms)},
    }
    options.platform = new Proxy(globalThis, {get: (page, name) => quick[name] ?? page[name]})
}
const client = createClient(options)
const look = () => { if (seen.states.at(-1) !== client.state) seen.states.push(client.state) }
const plain = error => ({name: error.name, code: error.code, status: error.status, retryAfter: error.retryAfter, message: error.message})
for (const type of ['signed-in', 'refreshed', 'signed-out', 'expired', 'error'])
    client.on(type, detail => { look(); seen.moments.push(now()); seen.told.push([type, type === 'error' ? plain(detail.error) : detail]) })
look()
setInterval(look, 1)
const attempt = async work => { try { return {value: await work()} } catch (error) { return {error: plain(error)} } }
Object.assign(window, {
    client, createClient, KeyturnError, seen, attempt, later: {}, nap: seconds => { ahead += seconds * 1000 },
    call: (path, init) => client.fetch(path, init).then(answer => answer.status),
})
window.ready = true
"""


def page_file(path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    """Give status, headers and body of one of the page's files; below /lib/ the client, as a page brings its own."""
    policy = (b"content-security-policy", POLICY.encode())
    if path == "/app":
        return 200, [(b"content-type", b"text/html"), policy], PAGE.encode()
    if path == "/app.js":
        return 200, [(b"content-type", b"text/javascript")], SCRIPT.encode()
    if path.startswith("/lib/client") and path.endswith(".js"):
        return 200, [(b"content-type", b"text/javascript")], (CLIENT / path.removeprefix("/lib/")).read_bytes()
    return None
