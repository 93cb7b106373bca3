// A resource server and an OAuth client in JavaScript, with oauth4webapi.
import * as oauth from 'oauth4webapi'
import { answer } from './lines.mjs'

const name = process.argv[2]
const issuer = new URL(name)
const insecure = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' }
const proofs = {
  none: () => oauth.None(),
  basic: (secret) => oauth.ClientSecretBasic(secret),
  post: (secret) => oauth.ClientSecretPost(secret),
}
const by = ({ client_id, secret, proof }) => [{ client_id }, proofs[proof](secret)]
let server

await answer({
  discover: async () => {
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
    server = await oauth.processDiscoveryResponse(issuer, response)
    return server
  },
  validate: async ({ token, audience = name, olderKeys }) => {
    const request = new Request('https://api.example.org/', { headers: { authorization: `Bearer ${token}` } })
    const options = { ...insecure }
    // A copy of the keys as it was a minute ago: only such a one is fetched anew for a key that it does not hold.
    if (olderKeys) {
      const uat = Math.floor(Date.now() / 1000) - 61
      options[oauth.jwksCache] = { jwks: olderKeys, uat }
    }
    return await oauth.validateJwtAccessToken({ ...server }, request, audience, options)
  },
  refresh: async ({ token, ...more }) => {
    const [client, proof] = by(more)
    const response = await oauth.refreshTokenGrantRequest(server, client, proof, token, insecure)
    return await oauth.processRefreshTokenResponse(server, client, response)
  },
  revoke: async ({ token, hint, ...more }) => {
    const [client, proof] = by(more)
    const additionalParameters = hint ? { token_type_hint: hint } : undefined
    const options = { ...insecure, additionalParameters }
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, token, options))
  },
  introspect: async ({ token, ...more }) => {
    const [client, proof] = by(more)
    const response = await oauth.introspectionRequest(server, client, proof, token, insecure)
    return await oauth.processIntrospectionResponse(server, client, response)
  },
})
