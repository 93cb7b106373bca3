// A service in JavaScript that verifies our access tokens with jose.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { answer } from './lines.mjs'

const [issuer, jwksUri, algorithm] = process.argv.slice(2)
// The default waits 30 seconds between two fetches; here a key is rotated within a moment.
const keys = createRemoteJWKSet(new URL(jwksUri), { cooldownDuration: 0 })

await answer({
  verify: async ({ token, audience = issuer }) => {
    const verified = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: 'at+jwt',
      algorithms: [algorithm],
      requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
    })
    return { claims: verified.payload, header: verified.protectedHeader }
  },
})
