// The oidc-provider of npm as its documentation sets it up, with refresh tokens that turn at every use.
// Told in one JSON argument what the peers' programs understand; serves until SIGTERM.

import { generateKeyPairSync } from 'node:crypto';

import Provider, { errors } from 'oidc-provider';

const told = JSON.parse(process.argv[2]);
const clientId = 'benchmark';

// What the package's own memory adapter does, but with room for more than a thousand things: forgetting used tokens
// would hide that they were used twice.
function memory() {
  const stored = new Map();
  const byGrant = new Map();
  const byUid = new Map();
  return (model) => ({
    async upsert(id, payload) {
      const key = `${model}:${id}`;
      stored.set(key, payload);
      if (model === 'Session') byUid.set(payload.uid, id);
      if (payload.grantId && model !== 'Session' && model !== 'Interaction') {
        const members = byGrant.get(payload.grantId) ?? new Set();
        byGrant.set(payload.grantId, members.add(key));
      }
    },
    async find(id) { return stored.get(`${model}:${id}`); },
    async findByUid(uid) { return stored.get(`${model}:${byUid.get(uid)}`); },
    async findByUserCode() { return undefined; },
    async consume(id) { stored.get(`${model}:${id}`).consumed = Math.floor(Date.now() / 1000); },
    async destroy(id) { stored.delete(`${model}:${id}`); },
    async revokeByGrantId(grantId) {
      for (const key of byGrant.get(grantId) ?? []) stored.delete(key);
      byGrant.delete(grantId);
    },
  });
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const users = new Set(Array.from({ length: told.users }, (_, number) => `user-${number + 1}`));

const provider = new Provider(`http://127.0.0.1:${told.port}`, {
  adapter: memory(),
  clients: [{
    client_id: clientId,
    token_endpoint_auth_method: 'none',
    grant_types: ['password', 'authorization_code', 'refresh_token'],
    redirect_uris: ['https://app.example.org/signed-in'],
    id_token_signed_response_alg: 'ES256',
  }],
  findAccount: (_, id) => (users.has(id) ? { accountId: id, claims: async () => ({ sub: id }) } : undefined),
  features: { devInteractions: { enabled: false }, revocation: { enabled: true, allowedPolicy: () => true }, userinfo: { enabled: true } },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  ttl: { AccessToken: 300, RefreshToken: 30 * 86400, Grant: 30 * 86400, IdToken: 300 },
});

// The package has no such grant, and rightly so; here it takes the place of pages that a person would click through.
async function signIn(ctx) {
  const { client, params } = ctx.oidc;
  if (!users.has(params.username) || params.password !== told.password) throw new errors.InvalidGrant('no such user');
  const accountId = params.username;
  const scope = 'openid offline_access';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const shared = { accountId, client, grantId, gty: 'password', scope };
  const accessToken = await new provider.AccessToken(shared).save();
  const refreshToken = await new provider.RefreshToken({
    ...shared, authTime: Math.floor(Date.now() / 1000), rotations: 0,
  }).save();
  ctx.body = {
    access_token: accessToken, expires_in: 300, refresh_token: refreshToken, scope, token_type: 'Bearer',
  };
}

provider.registerGrantType('password', signIn, ['username', 'password', 'scope']);

const server = provider.listen(told.port, '127.0.0.1', () => {
  console.log(`oidc-provider listens on http://127.0.0.1:${told.port}`);
});
server.keepAliveTimeout = 1200 * 1000;
process.on('SIGTERM', () => { server.close(); server.closeAllConnections(); });
