import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';

import { failure, gate, HOME, refusal, settle, World } from './world.mjs';

const API = `${HOME}/api`;

async function signedIn(options) {
  const world = new World();
  const tab = await world.open({ visible: false, ...options });
  await world.clock.pass(20_000);
  world.server.requests.length = 0;
  return { world, ...tab };
}

const stream = (text) =>
  new ReadableStream({
    start(controller) {
      for (const part of text) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });

function form(text) {
  const data = new FormData();
  data.set('file', new Blob([text]), 'a.txt');
  return data;
}

const BODIES = {
  'a string': ['hello', {}],
  'a Blob': [new Blob(['hello']), {}],
  'a FormData': [form('hello'), {}],
  'URLSearchParams': [new URLSearchParams({ a: 'hello' }), {}],
  'bytes': [new TextEncoder().encode('hello'), {}],
  'a stream': [() => stream('hello'), { duplex: 'half' }],
};

for (const [name, [body, more]] of Object.entries(BODIES)) {
  test(`${name} is sent again with the repeat`, async () => {
    const { world, client } = await signedIn();
    world.server.generation += 1; // the token is not good any more
    const init = { method: 'POST', body: typeof body === 'function' ? body() : body, ...more };
    const answer = await client.fetch(API, init);
    assert.equal(answer.status, 200);
    const [first, , second] = world.server.requests;
    assert.deepEqual(world.server.requests.map(({ path }) => path), ['/api', '/auth/refresh', '/api']);
    assert.ok(second.body.includes('hello'));
    assert.equal(first.body, second.body);
  });
}

test('a Request is sent again with its method, its headers and its body', async () => {
  const { world, client } = await signedIn();
  world.server.generation += 1;
  const request = new Request(API, { method: 'PUT', body: 'hello', headers: { 'X-Shop': 'open' } });
  assert.deepEqual(await (await client.fetch(request)).json(), { echo: 'hello' });
  assert.deepEqual(world.server.requests.filter(({ path }) => path === '/api').map(({ method, headers }) => [method, headers.get('X-Shop')]), [['PUT', 'open'], ['PUT', 'open']]);
});

for (const code of ['token_expired', 'token_missing', 'token_invalid', 'session_ended', 'binding_mismatch']) {
  test(`${code} for ever: one refresh, one repeat, and the caller has the refusal`, async () => {
    const { world, client } = await signedIn();
    world.server.next('/api', ...Array.from({ length: 9 }, () => refusal(code)));
    const answer = await client.fetch(API);
    assert.deepEqual([answer.status, (await answer.json()).code], [401, code]);
    assert.deepEqual([world.server.count('/api'), world.server.count('/auth/refresh')], [2, 1]);
    assert.equal(client.state, 'signed-in');
    await client.fetch(API); // the token is young: it is not turned again
    assert.equal(world.server.count('/auth/refresh'), 1);
  });
}

for (const code of ['token_expired', 'token_invalid', 'session_ended']) {
  test(`a token that is young by our clock, which stops while the machine sleeps, and is refused (${code}) is refreshed`, async () => {
    const world = new World();
    const { client } = await world.open({ visible: false });
    await world.clock.pass(2000);
    world.server.next('/api', refusal(code));
    assert.equal((await client.fetch(API)).status, 200);
    assert.equal(world.server.count('/auth/refresh'), 2);
  });
}

test('an API that takes every token for expired costs one refresh in ten seconds, whoever calls', async () => {
  const world = new World();
  const tabs = [];
  for (let count = 0; count < 5; count++) tabs.push(await world.open({ visible: false }));
  await world.clock.pass(400);
  world.server.requests.length = 0;
  for (let second = 0; second < 60; second++) {
    world.server.next('/api', ...Array.from({ length: 10 }, () => refusal('token_expired')));
    const calls = tabs.map(({ client }) => client.fetch(API));
    await world.clock.pass(1000);
    for (const call of calls) assert.equal((await call).status, 401);
    world.server.script.clear();
  }
  assert.equal(world.server.count('/auth/refresh'), 6);
});

test('token_stale for ever: two refreshes, two repeats', async () => {
  const { world, client } = await signedIn();
  world.server.next('/api', ...Array.from({ length: 9 }, () => refusal('token_stale')));
  assert.equal((await client.fetch(API)).status, 401);
  assert.deepEqual([world.server.count('/api'), world.server.count('/auth/refresh')], [3, 2]);
});

test('a 401 of the application itself is the caller’s', async () => {
  const { world, client } = await signedIn();
  world.server.next('/api', refusal('reauthentication_required'), new Response('no', { status: 401 }));
  assert.equal((await client.fetch(API)).status, 401);
  assert.equal(await (await client.fetch(API)).text(), 'no');
  assert.equal(world.server.count('/auth/refresh'), 0);
});

test('a refusal by RFC 6750 alone is understood', async () => {
  const { world, client } = await signedIn();
  world.server.next('/api', new Response('', { status: 401, headers: { 'WWW-Authenticate': 'Bearer realm="x", error="invalid_token"' } }));
  assert.equal((await client.fetch(API)).status, 200);
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('a token that another call has already renewed is not renewed again', async () => {
  const { world, client } = await signedIn();
  const slow = gate();
  world.server.next('/slow', () => slow.promise.then(() => refusal('token_expired')));
  const late = client.fetch(`${HOME}/slow`);
  await settle();
  world.server.generation += 1;
  await client.fetch(API);
  slow.open();
  assert.equal((await late).status, 200);
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('an answer after a refresh that shows another session is not asked for again', async () => {
  const { world, client, log } = await signedIn();
  world.server.session = 'S2';
  const error = await failure(client.fetch(API, { method: 'POST', body: 'pay' }));
  assert.equal(error.code, 'session_changed');
  assert.equal(world.server.count('/api'), 1);
  assert.deepEqual(log.at(-1), ['signed-in', { sessionId: 'S2' }]);
});

test('the token goes to listed origins only', async () => {
  const { world, client } = await signedIn({ origins: ['https://api.test', HOME] });
  for (const url of ['https://api.test/x', 'https://evil.test/x', 'https://shop.test:8443/x', 'http://shop.test/x', 'https://shop.test.evil.test/x']) {
    await client.fetch(url);
  }
  const [listed, ...others] = world.server.requests.filter(({ path }) => path === '/x');
  assert.equal(listed.authorization, `Bearer ${world.server.token}`);
  assert.deepEqual(others.map(({ authorization }) => authorization), [null, null, null, null]);
});

test('no origin at all is never listed', async () => {
  const { world, client } = await signedIn({ origins: ['data:,x', 'about:blank'] });
  await client.fetch('data:text/plain,hello');
  assert.equal(world.server.requests.at(-1).authorization, null);
});

test('a refusal from where a redirect led to is the caller’s', async () => {
  const { world, client } = await signedIn();
  const there = refusal('token_expired');
  Object.defineProperty(there, 'url', { value: 'https://evil.test/' });
  world.server.next('/api', there);
  assert.equal((await client.fetch(API)).status, 401);
  assert.equal(world.server.count('/auth/refresh'), 0);
});

test('cookies go with calls to our own host, unless the caller says otherwise', async () => {
  const { world, client } = await signedIn({ origins: [HOME, 'https://shop.test:8443', 'https://api.test'] });
  await client.fetch('https://shop.test:8443/a');
  await client.fetch('https://api.test/b');
  await client.fetch(`${HOME}/c`, { credentials: 'omit' });
  await client.fetch(`${HOME}/g`, { credentials: undefined });
  await client.fetch(`${HOME}/d`, { credentials: 'same-origin' });
  await client.fetch(new Request(`${HOME}/e`));
  await client.fetch(new Request(`${HOME}/f`, { credentials: 'omit' }));
  const named = Object.fromEntries(world.server.requests.map(({ path, credentials }) => [path, credentials]));
  assert.deepEqual(named, { '/a': 'include', '/b': 'same-origin', '/c': 'omit', '/d': 'same-origin', '/e': 'include', '/f': 'omit', '/g': 'include' });
});

test('an Authorization of the caller’s own is left alone', async () => {
  const { world, client } = await signedIn();
  await client.fetch(API, { headers: { Authorization: 'Basic eA==' } });
  assert.equal(world.server.requests.at(-1).authorization, 'Basic eA==');
  assert.equal(world.server.requests.length, 1);
});

test('Keyturn’s own routes are asked with cookies, and never follow a redirect', async () => {
  const { world, client } = await signedIn();
  await client.sessions();
  const { credentials, redirect } = world.server.requests.at(-1);
  assert.deepEqual([credentials, redirect], ['include', 'error']);
});

test('a caller who gives up while a refresh is awaited ends only their own wait', async () => {
  const { world, client } = await signedIn();
  world.server.generation += 1;
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const giving = new AbortController();
  const [given, kept] = [failure(client.fetch(API, { signal: giving.signal })), client.fetch(API)];
  await settle();
  giving.abort();
  assert.equal((await given).name, 'AbortError');
  slow.open();
  assert.equal((await kept).status, 200);
});

test('calls before it is known who is signed in wait for it', async () => {
  const world = new World();
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const { client } = world.tab();
  const [call, who] = [client.fetch(API), client.session()];
  await settle();
  assert.equal(client.state, 'unknown');
  assert.equal(world.server.count('/api'), 0);
  slow.open();
  assert.equal((await call).status, 200);
  assert.deepEqual(await who, { sub: 'ada', sid: 'S1' });
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('resume: false asks nothing until it is needed', async () => {
  const world = new World();
  const { client } = await world.open({ resume: false });
  await world.clock.pass(3_600_000);
  assert.equal(world.server.requests.length, 0);
  assert.equal(client.state, 'unknown');
  assert.deepEqual(await Promise.all([client.resume(), client.resume()]), [true, true]);
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('the list of devices, ends and step-up', async () => {
  const { world, client, log } = await signedIn();
  assert.deepEqual(await client.sessions(), [{ id: 'S1' }]);
  assert.equal(await client.endOtherSessions(), 2);
  await client.endSession('a/b');
  assert.equal(world.server.requests.at(-1).url, `${HOME}/auth/sessions/a%2Fb`);
  await client.stepUp({ password: 'swordfish' });
  assert.equal(log.at(-1)[0], 'refreshed');
  assert.equal((await client.fetch(API)).status, 200);
  world.server.next('/auth/step-up', refusal('invalid_credentials'));
  assert.equal((await failure(client.stepUp({ password: 'guess' }))).code, 'invalid_credentials');
  world.server.next('/auth/sessions/S1', new Response(null, { status: 204 }));
  await client.endSession('S1');
  assert.equal(client.state, 'signed-out');
  const before = world.server.requests.length;
  assert.equal(await client.session(), null);
  assert.equal(world.server.requests.length, before);
});

test('a step-up that comes too late is refreshed and repeated', async () => {
  const { world, client } = await signedIn();
  world.server.next('/auth/step-up', refusal('token_stale'));
  await client.stepUp({ password: 'swordfish' });
  assert.deepEqual(world.server.requests.map(({ path }) => path), ['/auth/step-up', '/auth/refresh', '/auth/step-up']);
});

test('a step-up is not repeated as another session', async () => {
  const { world, client } = await signedIn();
  world.server.next('/auth/step-up', refusal('token_stale'));
  world.server.session = 'S2';
  assert.equal((await failure(client.stepUp({ password: 'swordfish' }))).code, 'session_changed');
  assert.equal(world.server.count('/auth/step-up'), 1);
});

test('how much is told of where a call came from is as the caller said', async () => {
  const { world, client } = await signedIn();
  await client.fetch(API, { referrerPolicy: 'no-referrer' });
  await client.fetch(new Request(API, { referrerPolicy: 'origin' }));
  assert.deepEqual(world.server.requests.map(({ referrerPolicy }) => referrerPolicy), ['no-referrer', 'origin']);
});

test('a relative address is relative to where the page is now', async () => {
  const { world, client } = await signedIn();
  world.tabs[0].document.baseURI = `${HOME}/shop/tea/`;
  await client.fetch('green');
  assert.equal(world.server.requests.at(-1).url, `${HOME}/shop/tea/green`);
});

test('the address of Keyturn’s routes is taken with and without a slash, and without a query', async () => {
  for (const baseUrl of [`${HOME}/auth`, `${HOME}/auth//`, '/auth', `${HOME}/auth/?v=3#x`, 'auth/', new URL(`${HOME}/auth`)]) {
    const { world } = await signedIn({ baseUrl });
    assert.equal(world.server.count('/auth/refresh') + world.tabs.length, 1);
    assert.equal(world.tabs[0].client.state, 'signed-in');
  }
});

test('a call that is done leaves nothing on a signal that lives longer', async () => {
  const { server } = new World();
  for (const answer of [async () => Response.json(server.answer()), () => Promise.reject(new Error('mine'))]) {
    const signals = [];
    const fetch = (url, { signal }) => signals.push(signal) && answer();
    await new World().open({ platform: { fetch } });
    assert.deepEqual(signals.map((signal) => getEventListeners(signal, 'abort').length), [0]);
  }
});
