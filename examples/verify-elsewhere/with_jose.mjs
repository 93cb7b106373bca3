import { createRemoteJWKSet, jwtVerify } from 'jose'

const issuer = 'https://id.example.org'
const keys = createRemoteJWKSet(new URL(`${issuer}/auth/jwks.json`), { cacheMaxAge: 300_000 })

// Gives the claims of an access token; throws where it is not good.
export async function caller(token) {
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience: issuer,
    typ: 'at+jwt',
    algorithms: ['ES256'],
    clockTolerance: 30,
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  })
  return payload
}
