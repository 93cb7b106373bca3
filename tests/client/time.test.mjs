import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';

import { failure, HOME, refusal, settle, types, World } from './world.mjs';

const SOURCES = new URL('../../src/keyturn/client/', import.meta.url);
const API = `${HOME}/api`;
const refreshes = ({ server }) => server.count('/auth/refresh');

test('a visible page refreshes half a minute ahead, or a fifth of a short life', async () => {
  for (const [lifetime, due] of [[300, 270_000], [30, 24_000]]) {
    const world = new World();
    world.server.lifetime = lifetime;
    await world.open();
    await world.clock.pass(due - 100);
    assert.equal(refreshes(world), 1);
    await world.clock.pass(200);
    assert.equal(refreshes(world), 2);
  }
});

test('a token that is over as it comes is no reason for haste', async () => {
  const world = new World();
  world.server.lifetime = 0;
  await world.open();
  await world.clock.pass(10_000);
  assert.ok(refreshes(world) <= 11);
});

test('a hidden page waits until it is seen', async () => {
  const world = new World();
  const tab = await world.open({ visible: false });
  await world.clock.pass(280_000);
  assert.equal(refreshes(world), 1);
  tab.document.visibilityState = 'visible';
  tab.events.dispatchEvent(new Event('visibilitychange'));
  await settle();
  assert.equal(refreshes(world), 2);
});

test('a page that is hidden in time does not refresh, and one that is seen in time goes on', async () => {
  const world = new World();
  const tab = await world.open();
  tab.document.visibilityState = 'hidden';
  await world.clock.pass(280_000);
  assert.equal(refreshes(world), 1);
  tab.document.visibilityState = 'visible';
  tab.events.dispatchEvent(new Event('pageshow'));
  await settle();
  assert.equal(refreshes(world), 2);
});

test('a WebSocket that can be renewed is a reason to refresh while hidden', async () => {
  const world = new World();
  const tab = await world.open({ visible: false });
  const socket = await tab.client.websocket('/live', { renew() {} });
  socket.open();
  await world.clock.pass(280_000);
  assert.equal(refreshes(world), 2);
  socket.close();
  await world.clock.pass(3_600_000);
  assert.equal(refreshes(world), 2);
});

test('nothing happens early when the page is woken before it is due', async () => {
  const world = new World();
  const tab = await world.open();
  for (const type of ['online', 'pageshow', 'visibilitychange']) tab.events.dispatchEvent(new Event(type));
  await settle();
  assert.equal(refreshes(world), 1);
});

test('a page from the back-forward cache asks at once: it heard nothing meanwhile', async () => {
  const world = new World();
  const tab = await world.open();
  world.server.cookies = false;
  tab.events.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await settle();
  assert.equal(tab.client.state, 'signed-out');
});

test('a page from the back-forward cache that was signed out hears of a sign-in that it missed', async () => {
  const world = new World();
  world.server.cookies = false;
  const tab = await world.open();
  const silent = await world.open({ resume: false });
  world.server.cookies = true;
  const back = () => Object.assign(new Event('pageshow'), { persisted: true });
  silent.events.dispatchEvent(back());
  await settle();
  assert.equal(silent.client.state, 'unknown'); // who is to ask nothing does not
  tab.events.dispatchEvent(back());
  await settle();
  assert.equal(tab.client.state, 'signed-in');
});

test('a token whose life is over is not sent', async () => {
  const world = new World();
  const tab = await world.open({ visible: false });
  await world.clock.pass(301_000);
  world.server.requests.length = 0;
  assert.equal((await tab.client.fetch(API)).status, 200);
  assert.deepEqual(world.server.requests.map(({ path }) => path), ['/auth/refresh', '/api']);
});

test('a refresh that no call followed is confirmed once', async () => {
  const world = new World();
  const tab = await world.open();
  await world.clock.pass(60_000);
  assert.equal(world.server.count('/auth/session'), 1);
  await world.clock.pass(210_500);
  assert.equal(refreshes(world), 2);
  await tab.client.fetch(API);
  await world.clock.pass(60_000);
  assert.equal(world.server.count('/auth/session'), 1);
});

test('a confirmation that fails is nobody’s business', async () => {
  const world = new World();
  const tab = await world.open();
  world.server.next('/auth/session', refusal('session_ended'));
  await world.clock.pass(60_000);
  assert.deepEqual(types(tab), ['signed-in']);
});

test('a listener that throws does not disturb the others, nor the session', async () => {
  const world = new World();
  const tab = world.tab();
  const heard = [];
  tab.client.on('signed-in', () => {
    throw new Error('mine');
  });
  const off = tab.client.on('signed-in', ({ sessionId }) => heard.push(sessionId));
  await settle();
  assert.deepEqual(heard, ['S1']);
  off();
  await tab.client.logout();
  await tab.client.login({ username: 'ada', password: 'x' });
  assert.deepEqual(heard, ['S1']);
});

test('no token in a client that is looked into, in an event or in an error', async () => {
  const world = new World();
  const tab = await world.open();
  const password = 'swordfish';
  const told = [inspect(tab.client, { depth: 20, showHidden: true, getters: true }), JSON.stringify(tab.client)];
  const answers = [
    new Response(`{"access_token": "secret-S1-9", `), Response.json({ access_token: 'secret-\n', expires_in: 1, session_id: 'S' }),
    refusal('store_unavailable', 503), new TypeError('Failed to fetch'),
  ];
  for (const answer of answers) {
    world.server.next('/auth/login', answer);
    told.push(inspect(await failure(tab.client.login({ username: 'ada', password })), { depth: 20, showHidden: true }));
  }
  await world.clock.pass(400_000);
  told.push(RegExp.input, RegExp.lastMatch, RegExp.leftContext, RegExp.rightContext);
  told.push(inspect(tab.log, { depth: 20, showHidden: true }));
  for (const text of told) assert.doesNotMatch(text, /secret-|swordfish/);
});

test('nothing of what a page leaves behind, or reads the device’s clock by, is named in the code', () => {
  const files = readdirSync(SOURCES).filter((name) => name.endsWith('.js'));
  assert.ok(files.includes('client.js'));
  for (const name of files) {
    const code = readFileSync(new URL(name, SOURCES), 'utf8');
    assert.doesNotMatch(code, /\b(Date|localStorage|sessionStorage|indexedDB|caches|cookieStore|history|innerHTML|outerHTML|insertAdjacentHTML|eval|Function)\b|document\.(cookie|write)|new Function|setTimeout\(['"`]|timeOrigin/, name);
    assert.doesNotMatch(code, /^import\b|^export\b.* from |\bimport\(/m, 'one file, and nothing of others');
  }
});
