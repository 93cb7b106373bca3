import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeSocket, failure, gate, HOME, refusal, settle, types, World } from './world.mjs';

const API = `${HOME}/api`;

test('a sign-out reaches the other tabs and gives up what is pending in all of them', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open()];
  await world.clock.pass(400);
  world.server.next('/slow', () => new Promise(() => {}), () => new Promise(() => {}));
  const pending = [failure(one.client.fetch(`${HOME}/slow`)), failure(other.client.fetch(`${HOME}/slow`))];
  await settle();
  await one.client.logout();
  await settle();
  assert.deepEqual((await Promise.all(pending)).map(({ code }) => code), ['signed_out', 'signed_out']);
  assert.deepEqual(one.log.at(-1), ['signed-out', { elsewhere: false }]);
  assert.deepEqual(other.log.at(-1), ['signed-out', { elsewhere: true }]);
  await world.clock.pass(3_600_000);
  assert.equal(world.server.count('/auth/refresh'), 2); // one for each tab's start
});

test('a refresh on its way is given up first, and its answer does not sign in again', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open()];
  await world.clock.pass(400);
  world.expire();
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const call = failure(other.client.fetch(API));
  await world.clock.pass(300);
  assert.equal(world.server.count('/auth/refresh'), 3);
  await one.client.logout();
  slow.open();
  await world.clock.pass(2000);
  assert.equal((await call).code, 'signed_out');
  assert.deepEqual([one, other].map(({ client }) => client.state), ['signed-out', 'signed-out']);
});

for (const [name, answer] of [['no network', new TypeError('Failed to fetch')], ['503', refusal('store_unavailable', 503)], ['403', refusal('cross_site', 403)]]) {
  test(`a sign-out that the server does not hear of (${name}) is an error, and everybody is still signed in`, async () => {
    const world = new World();
    const [one, other] = [await world.open(), await world.open()];
    await world.clock.pass(400);
    world.server.next('/auth/logout', answer);
    assert.ok((await failure(one.client.logout())).code);
    await settle();
    assert.deepEqual([one, other].map(({ client }) => client.state), ['signed-in', 'signed-in']);
    assert.equal((await one.client.fetch(API)).status, 200);
  });
}

test('an old message about a session that is over brings nothing back', async () => {
  const world = new World();
  const tab = await world.open();
  const said = world.air.said.find(({ type }) => type === 'token');
  await tab.client.logout();
  const Channel = world.air.channel();
  const stranger = new Channel('keyturn:https://shop.test/auth/');
  stranger.postMessage(said);
  stranger.postMessage({ ...said, fresh: false });
  await settle();
  assert.equal(tab.client.state, 'signed-out');
});

test('nor does it in a tab that knew nothing of that session', async () => {
  const world = new World();
  const tab = await world.open({ resume: false });
  const Channel = world.air.channel();
  const stranger = new Channel('keyturn:https://shop.test/auth/');
  stranger.postMessage({ keyturn: 1, type: 'out', session_id: 'S1' });
  stranger.postMessage({ keyturn: 1, type: 'token', age: 0, fresh: true, expires_in: 300, session_id: 'S1' });
  await settle();
  assert.equal(tab.client.state, 'signed-out');
});

test('a sign-out while it is not yet known who is signed in ends in "signed out"', async () => {
  const world = new World();
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const tab = world.tab();
  await settle();
  const out = tab.client.logout();
  slow.open();
  await world.clock.pass(2000);
  await out;
  assert.equal(tab.client.state, 'signed-out');
});

test('signed out on all devices', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open()];
  await world.clock.pass(400);
  world.server.generation += 1; // and the token is not good any more
  world.clock.now += 20_000;
  const all = one.client.logoutAll();
  await world.clock.pass(400);
  assert.equal(await all, 3);
  await settle();
  assert.deepEqual([one, other].map(({ client }) => client.state), ['signed-out', 'signed-out']);
});

test('a sign-in tells what was given, and where it goes wrong says why', async () => {
  const world = new World();
  world.server.cookies = false;
  const tab = await world.open();
  world.server.next('/auth/login', refusal('invalid_credentials'), refusal('rate_limited', 429, { 'Retry-After': '30' }));
  assert.equal((await failure(tab.client.login({ username: 'ada', password: 'guess' }))).code, 'invalid_credentials');
  assert.equal((await failure(tab.client.login({ username: 'ada', password: 'guess' }))).retryAfter, 30);
  const given = await tab.client.login({ username: 'ada', password: 'swordfish', remember: false, clientId: 'shop', deviceName: 'desk' });
  assert.deepEqual(given, { sessionId: 'S1', scope: 'a' });
  assert.deepEqual(JSON.parse(world.server.requests.at(-1).body), {
    username: 'ada', password: 'swordfish', remember: false, client_id: 'shop', device_name: 'desk', transport: 'cookie',
  });
  assert.deepEqual(types(tab), ['signed-out', 'signed-in']);
});

test('a lost answer to a sign-in is an error, nothing changes, and the next one works', async () => {
  const world = new World();
  world.server.cookies = false;
  const { client } = await world.open();
  world.server.next('/auth/login', new TypeError('Failed to fetch'), new Response('{"access_to'));
  assert.equal((await failure(client.login({ username: 'ada', password: 'x' }))).code, 'network');
  assert.equal((await failure(client.login({ username: 'ada', password: 'x' }))).code, 'bad_answer');
  assert.equal(client.state, 'signed-out');
  await client.login({ username: 'ada', password: 'x' });
  assert.equal(client.state, 'signed-in');
});

test('a sign-in waits for the refresh that is under way, with and without locks', async () => {
  for (const locks of [true, false]) {
    const world = new World({ locks });
    const { client } = await world.open();
    world.expire();
    const slow = gate();
    world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
    const call = client.fetch(API);
    await settle();
    const login = client.login({ username: 'bob', password: 'x' });
    await settle();
    assert.equal(world.server.count('/auth/login'), 0);
    slow.open();
    await world.clock.pass(400);
    await login;
    await call;
    assert.equal(world.server.requests.findIndex(({ path }) => path === '/auth/login') > 1, true);
    assert.equal((await client.fetch(API)).status, 200);
  }
});

test('a sign-in of somebody else in another tab takes this one along, and repeats nothing as them', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open()];
  await world.clock.pass(400);
  world.server.next('/slow', () => new Promise(() => {}));
  const pending = failure(other.client.fetch(`${HOME}/slow`));
  await settle();
  world.server.session = 'S2';
  await one.client.login({ username: 'bob', password: 'x' });
  await settle();
  assert.equal((await pending).code, 'session_changed');
  assert.deepEqual(other.log.at(-1), ['signed-in', { sessionId: 'S2' }]);
  assert.deepEqual(await other.client.session(), { sub: 'ada', sid: 'S2' });
});

test('cookies that do not come back from another site are found out at the sign-in', async () => {
  const world = new World();
  world.server.cookies = false;
  const { client } = await world.open({ platform: { location: { origin: 'https://app.test' } } });
  world.server.next('/auth/session', refusal('binding_mismatch'));
  assert.equal((await failure(client.login({ username: 'ada', password: 'x' }))).code, 'cookies_blocked');
  assert.equal(client.state, 'signed-out');
  await client.login({ username: 'ada', password: 'x' });
  assert.equal(client.state, 'signed-in');
});

test('a WebSocket carries the token as its second subprotocol, hears of new ones and is closed with the session', async () => {
  const world = new World();
  const { client } = await world.open();
  const renewed = [];
  const socket = await client.websocket('/live', { renew: (...given) => renewed.push(given) });
  assert.equal(socket.url, 'wss://shop.test/live');
  assert.deepEqual(socket.protocols, ['keyturn', world.server.token]);
  socket.open();
  await world.clock.pass(280_000);
  assert.deepEqual(renewed, [[socket, world.server.token]]);
  await client.logout();
  assert.deepEqual(socket.closed, [4401, 'signed_out']);
  assert.equal((await failure(client.websocket('/live'))).code, 'signed_out');
});

test('a WebSocket that was still opening hears of the token that came meanwhile', async () => {
  const world = new World();
  const { client } = await world.open();
  const renewed = [];
  const socket = await client.websocket('wss://shop.test/live', { renew: (_, token) => renewed.push(token) });
  await world.clock.pass(280_000);
  assert.deepEqual(renewed, []);
  socket.open();
  assert.deepEqual(renewed, [world.server.token]);
});

test('no WebSocket to an origin that is not listed', async () => {
  const world = new World();
  const { client } = await world.open();
  const before = FakeSocket.all.length;
  for (const url of ['wss://evil.test/live', 'ws://shop.test/live']) assert.ok((await failure(client.websocket(url))) instanceof TypeError);
  assert.equal(FakeSocket.all.length, before);
});

test('a closed client has no timer, no channel, no listener and no token, and asks nothing', async () => {
  const world = new World();
  const tab = await world.open();
  const pending = failure(tab.client.fetch(`${HOME}/slow`));
  world.server.next('/slow', () => new Promise(() => {}));
  await settle();
  tab.client.close();
  assert.equal((await pending).code, 'signed_out');
  assert.equal(world.clock.timers.size, 0);
  assert.equal(world.air.channels.size, 0);
  world.server.requests.length = 0;
  tab.events.dispatchEvent(new Event('online'));
  for (const call of [() => tab.client.fetch(API), () => tab.client.login({ username: 'a', password: 'b' }), () => tab.client.logout(), () => tab.client.sessions()]) {
    assert.equal((await failure(call())).code, 'signed_out');
  }
  await world.clock.pass(3_600_000);
  assert.equal(world.server.requests.length, 0);
  tab.client.close();
});

test('a sign-out elsewhere wins over the answer to a question asked before it', async () => {
  const world = new World();
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const tab = await world.open();
  const Channel = world.air.channel();
  new Channel('keyturn:https://shop.test/auth/').postMessage({ keyturn: 1, type: 'out', session_id: 'S1' });
  await settle();
  slow.open();
  await world.clock.pass(1000);
  assert.equal(tab.client.state, 'signed-out');
});

test('a tab that does not know yet hears of a sign-out elsewhere', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open({ resume: false })];
  other.log.length = 0;
  await one.client.logout();
  await settle();
  assert.deepEqual(other.log, [['signed-out', { elsewhere: true }]]);
});

for (const act of ['logoutAll', 'sessions', 'endOtherSessions', 'stepUp', 'endSession']) {
  test(`${act}, asked for in a session that another has taken the place of, is not done in the other`, async () => {
    const world = new World();
    const { client } = await world.open({ visible: false });
    await world.clock.pass(301_000); // the token is over, and nobody has noticed
    world.server.session = 'S2';
    world.server.requests.length = 0;
    assert.equal((await failure(client[act]({ password: 'x' }))).code, 'session_changed');
    assert.deepEqual(world.server.requests.map(({ path }) => path), ['/auth/refresh']);
  });
}
