import assert from 'node:assert/strict';
import { test } from 'node:test';

import { failure, gate, HOME, refusal, settle, types, World } from './world.mjs';

const html = (status) => new Response('<h1>Welcome to our Wi-Fi</h1>', { status, headers: { 'Content-Type': 'text/html' } });
const never = () => new Promise(() => {});
const halfway = () =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"access_token": "secret-'));
        controller.error(new TypeError('terminated'));
      },
    }),
  );

const TROUBLE = {
  503: [() => refusal('store_unavailable', 503), 'store_unavailable'],
  '503 of a proxy': [() => html(503), 'bad_answer'],
  500: [() => html(500), 'bad_answer'],
  429: [() => refusal('rate_limited', 429), 'rate_limited'],
  'no network': [() => new TypeError('Failed to fetch'), 'network'],
  'a redirect, which is an error': [() => new TypeError('unexpected redirect'), 'network'],
  'HTML with 200': [() => html(200), 'bad_answer'],
  'HTML with 401': [() => html(401), 'bad_answer'],
  'half a JSON': [() => new Response('{"access_token": "secret-half', { status: 200 }), 'bad_answer'],
  'a body that breaks off': [halfway, 'bad_answer'],
  'nothing in it': [() => new Response('', { status: 200 }), 'bad_answer'],
  'JSON of something else': [() => Response.json({ hello: 1 }), 'bad_answer'],
  'a token that no header can carry': [() => Response.json({ access_token: 'a\nb', expires_in: 1, session_id: 'S1' }), 'bad_answer'],
  'a life that is no number': [() => Response.json({ access_token: 'a', expires_in: '300', session_id: 'S1' }), 'bad_answer'],
  204: [() => new Response(null, { status: 204 }), 'bad_answer'],
  '503 with the code of an end': [() => refusal('session_ended', 503), 'session_ended'],
  403: [() => refusal('cross_site', 403), 'cross_site'],
  421: [() => refusal('misdirected_request', 421), 'misdirected_request'],
  'an unknown code': [() => refusal('something_new'), 'something_new'],
};

for (const [name, [answer, code]] of Object.entries(TROUBLE)) {
  test(`${name} keeps the session, is told, and three tries later the caller has the error`, async () => {
    const world = new World();
    const tab = await world.open({ visible: false });
    world.expire();
    world.server.requests.length = 0;
    world.server.next('/auth/refresh', answer(), answer(), answer());
    const call = failure(tab.client.fetch(`${HOME}/api`));
    await world.clock.pass(5000);
    const error = await call;
    assert.equal(error.code, code);
    assert.equal(error.name, 'KeyturnError');
    assert.equal(tab.client.state, 'signed-in');
    assert.deepEqual(types(tab), ['signed-in', 'error', 'error', 'error']);
    assert.deepEqual(tab.log[1][1], { error: tab.log[1][1].error, during: 'refresh' });
    assert.equal(world.server.count('/auth/refresh'), 3);
    assert.equal((await tab.client.fetch(`${HOME}/api`)).status, 200); // and then it works
  });
}

test('a server that answers nothing is given ten seconds', async () => {
  const world = new World();
  const tab = await world.open({ visible: false });
  world.expire();
  world.server.next('/auth/refresh', never, never, never);
  const call = failure(tab.client.fetch(`${HOME}/api`));
  await world.clock.pass(9_900);
  assert.deepEqual(types(tab), ['signed-in']);
  await world.clock.pass(30_000);
  assert.equal((await call).code, 'timeout');
  assert.equal(tab.client.state, 'signed-in');
});

test('Retry-After is obeyed: nobody asks before', async () => {
  const world = new World();
  const tab = await world.open();
  world.expire();
  world.clock.now += 300_000;
  world.server.requests.length = 0;
  world.server.next('/auth/refresh', refusal('rate_limited', 429, { 'Retry-After': '120' }));
  const first = failure(tab.client.fetch(`${HOME}/api`));
  await world.clock.pass(2000);
  assert.deepEqual([(await first).code, (await first).retryAfter, (await first).status], ['rate_limited', 120, 429]);
  const second = await failure(tab.client.fetch(`${HOME}/api`));
  assert.equal(second.retryAfter, 120);
  await world.clock.pass(117_000);
  assert.equal(world.server.count('/auth/refresh'), 1);
  await world.clock.pass(2000);
  assert.equal(world.server.count('/auth/refresh'), 2);
  assert.equal((await tab.client.fetch(`${HOME}/api`)).status, 200);
});

test('coming back online does not cut Retry-After short', async () => {
  const world = new World();
  world.server.next('/auth/refresh', refusal('rate_limited', 429, { 'Retry-After': '120' }));
  const tab = await world.open();
  tab.events.dispatchEvent(new Event('online'));
  await world.clock.pass(119_000);
  assert.equal(world.server.count('/auth/refresh'), 1);
  await world.clock.pass(2000);
  assert.equal(tab.client.state, 'signed-in');
});

test('a server that wants to be left alone for ever is asked again after an hour', async () => {
  const world = new World();
  world.server.next('/auth/refresh', refusal('rate_limited', 429, { 'Retry-After': '999999999' }));
  const tab = await world.open();
  await world.clock.pass(3_599_000);
  assert.equal(world.server.count('/auth/refresh'), 1);
  await world.clock.pass(2000);
  assert.equal(tab.client.state, 'signed-in');
});

test('a page that is looked at while a refresh fails does not ask again at once', async () => {
  const world = new World();
  const tab = await world.open({ visible: false });
  world.expire();
  world.clock.now += 300_000;
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise);
  tab.document.visibilityState = 'visible';
  for (let time = 0; time < 3; time++) {
    tab.events.dispatchEvent(new Event('visibilitychange'));
    await settle();
  }
  slow.open(refusal('store_unavailable', 503));
  await settle();
  assert.equal(world.server.count('/auth/refresh'), 2); // the first was at the start
  await world.clock.pass(2100);
  assert.equal(world.server.count('/auth/refresh'), 3);
});

test('in the background it backs off, up to a minute', async () => {
  const world = new World();
  const tab = await world.open();
  const dead = Array.from({ length: 40 }, () => new TypeError('Failed to fetch'));
  world.server.next('/auth/refresh', ...dead);
  world.server.requests.length = 0;
  await world.clock.pass(600_000);
  const tries = world.server.count('/auth/refresh');
  assert.ok(tries >= 6 && tries <= 14, `${tries} tries`);
  assert.equal(tab.client.state, 'signed-in');
});

test('coming back online does not wait for that', async () => {
  const world = new World();
  const tab = await world.open();
  world.server.next('/auth/refresh', ...Array.from({ length: 8 }, () => new TypeError('Failed to fetch')));
  await world.clock.pass(400_000);
  const before = world.server.count('/auth/refresh');
  tab.events.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(world.server.count('/auth/refresh'), before + 1);
});

for (const code of ['token_missing', 'token_invalid', 'session_ended', 'binding_mismatch']) {
  test(`${code} from the refresh signs out, and is told once in every tab`, async () => {
    const world = new World();
    const [one, other] = [await world.open(), await world.open()];
    await world.clock.pass(400);
    world.expire();
    world.server.next('/auth/refresh', refusal(code));
    const call = one.client.fetch(`${HOME}/api`);
    await world.clock.pass(400);
    assert.equal((await call).status, 401); // what the API said
    assert.deepEqual([one, other].map(({ client }) => client.state), ['signed-out', 'signed-out']);
    for (const { log } of [one, other]) assert.deepEqual(log.at(-1), ['expired', { code }]);
    const later = await one.client.fetch(`${HOME}/api`);
    assert.equal(later.status, 401);
    assert.equal(world.server.requests.at(-1).authorization, null);
  });
}

test('a token that is stale at the refresh is tried once more, then the session is over', async () => {
  const world = new World();
  const tab = await world.open();
  world.expire();
  world.server.next('/auth/refresh', refusal('token_stale'));
  assert.equal((await tab.client.fetch(`${HOME}/api`)).status, 200);
  world.expire();
  world.server.next('/auth/refresh', refusal('token_stale'), refusal('token_stale'));
  assert.equal((await tab.client.fetch(`${HOME}/api`)).status, 401);
  assert.deepEqual(tab.log.at(-1), ['expired', { code: 'token_stale' }]);
});

test('a visitor who never signed in costs one question, and is told once to be signed out', async () => {
  const world = new World();
  world.server.cookies = false;
  const tab = await world.open();
  assert.equal(tab.client.state, 'signed-out');
  await world.clock.pass(3_600_000);
  assert.equal(world.server.requests.length, 1);
  assert.deepEqual(tab.log, [['signed-out', { elsewhere: false }]]);
  assert.equal(await tab.client.resume(), false);
  assert.equal(tab.log.length, 1);
});

test('a visitor whose first question went wrong is told when it is known', async () => {
  const world = new World();
  world.server.cookies = false;
  world.server.next('/auth/refresh', ...Array.from({ length: 4 }, () => new TypeError('Failed to fetch')));
  const tab = world.tab();
  await world.clock.pass(60_000);
  assert.equal(tab.client.state, 'signed-out');
  assert.deepEqual(types(tab).filter((type) => type !== 'error'), ['signed-out']);
});

test('a dead cookie at the start is told', async () => {
  const world = new World();
  world.server.next('/auth/refresh', refusal('session_ended'));
  const tab = await world.open();
  assert.deepEqual(tab.log, [['expired', { code: 'session_ended' }]]);
});

test('a server that cannot be reached at the start leaves the state unknown, and is asked again', async () => {
  const world = new World();
  world.server.next('/auth/refresh', ...Array.from({ length: 3 }, () => new TypeError('Failed to fetch')));
  const tab = world.tab();
  const answer = failure(tab.client.resume());
  await world.clock.pass(1500);
  assert.equal((await answer).code, 'network');
  assert.equal(tab.client.state, 'unknown');
  await world.clock.pass(60_000);
  assert.equal(tab.client.state, 'signed-in');
});
