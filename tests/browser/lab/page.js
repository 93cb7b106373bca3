// An ordinary page of an application: it signs in, calls its API and shows what came back.
import {createClient} from '/auth/client.js'

// The tests can let time pass.
const now = performance.now.bind(performance)
performance.now = () => now() + (window.elapsed || 0)
const client = createClient()
const show = text => { document.querySelector('output').textContent = text }

async function whoAmI() {
    const answer = await client.fetch('/me')
    const told = await answer.json()
    show(answer.ok ? `you are ${told.subject}` : `${answer.status} ${told.code}`)
}
document.querySelector('#sign-in').addEventListener('submit', async event => {
    event.preventDefault()
    const {username, password} = Object.fromEntries(new FormData(event.target))
    await client.login({username, password})
    await whoAmI()
})
document.querySelector('#me').addEventListener('click', whoAmI)
document.querySelector('#sign-out').addEventListener('click', () => client.logout())
client.on('signed-out', () => show('signed out'))
client.on('expired', () => show('signed out'))
show(await client.resume() ? 'signed in' : 'signed out')
