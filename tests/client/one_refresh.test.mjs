import assert from 'node:assert/strict';
import { test } from 'node:test';

import { gate, refusal, settle, types, World } from './world.mjs';

async function five(options) {
  const world = new World(options);
  const tabs = [];
  for (let count = 0; count < 5; count++) tabs.push(await world.open());
  await world.clock.pass(400);
  world.server.requests.length = 0;
  return { world, tabs };
}

test('twenty calls in each of five tabs after the end of a token cost one refresh, and all succeed', async () => {
  const { world, tabs } = await five();
  world.expire();
  const calls = tabs.flatMap(({ client }) =>
    Array.from({ length: 20 }, (_, n) => client.fetch('https://shop.test/api', { method: 'POST', body: `call ${n}` })),
  );
  await world.clock.pass(2000);
  const answers = await Promise.all(calls.map(async (call) => (await call).json()));
  assert.equal(answers.length, 100);
  assert.ok(answers.every(({ echo }, index) => echo === `call ${index % 20}`));
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('without locks and without a channel, twenty calls in one tab cost one refresh', async () => {
  const world = new World({ locks: false, channel: false });
  const { client } = await world.open();
  world.expire();
  const calls = Array.from({ length: 20 }, () => client.fetch('https://shop.test/api'));
  await settle();
  assert.ok((await Promise.all(calls)).every(({ status }) => status === 200));
  assert.equal(world.server.count('/auth/refresh'), 2); // the resume, and this
});

test('who waited for the lock takes what the other fetched, though the message is late', async () => {
  const world = new World();
  const [one, other] = [await world.open(), await world.open()];
  await world.clock.pass(400);
  world.expire();
  world.server.requests.length = 0;
  world.air.held = [];
  const slow = gate();
  world.server.next('/auth/refresh', () => slow.promise.then(() => world.server.refresh()));
  const calls = [one.client.fetch('https://shop.test/a'), other.client.fetch('https://shop.test/b')];
  await world.clock.pass(300);
  slow.open();
  await settle();
  world.air.release();
  await world.clock.pass(300);
  assert.deepEqual((await Promise.all(calls)).map(({ status }) => status), [200, 200]);
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('a frozen tab answers nothing: a quarter of a second later the refresh is made', async () => {
  const world = new World();
  const awake = await world.open();
  const frozen = await world.open();
  for (const channel of world.air.channels) if (channel.onmessage && channel !== [...world.air.channels][0]) channel.onmessage = null;
  await world.clock.pass(400);
  assert.equal(frozen.client.state, 'signed-in');
  world.expire();
  const call = awake.client.fetch('https://shop.test/api');
  await world.clock.pass(260);
  assert.equal((await call).status, 200);
});

test('a locked lock is gone around after ten seconds', async () => {
  const world = new World();
  world.locks.seize('keyturn:https://shop.test/auth/');
  const { client } = await world.open();
  await world.clock.pass(9000);
  assert.equal(world.server.requests.length, 0);
  await world.clock.pass(1500);
  assert.equal(client.state, 'signed-in');
});

test('locks that are refused are done without', async () => {
  const world = new World();
  world.locks.request = async () => {
    throw new DOMException('', 'SecurityError');
  };
  const { client } = await world.open();
  await world.clock.pass(300);
  assert.equal(client.state, 'signed-in');
});

test('two clients of different names do not wait for each other', async () => {
  const world = new World();
  world.locks.seize('keyturn:https://shop.test/auth/');
  const { client } = await world.open({ name: 'staff' });
  assert.equal(client.state, 'signed-in');
});

test('a tab that another refreshed for does not ask the server', async () => {
  const { world, tabs } = await five();
  world.expire();
  for (const { log } of tabs) log.length = 0;
  tabs[0].client.fetch('https://shop.test/api');
  await world.clock.pass(400);
  assert.deepEqual(tabs.map(types), Array.from({ length: 5 }, () => ['refreshed']));
  assert.equal((await tabs[3].client.fetch('https://shop.test/api')).status, 200);
  assert.equal(world.server.count('/auth/refresh'), 1);
});

test('a late answer to a question does not bring back an older token', async () => {
  const world = new World();
  const { client } = await world.open();
  const old = world.air.said.find(({ type }) => type === 'token');
  world.clock.now += 60_000;
  world.server.next('/api', refusal('token_stale'));
  await client.fetch('https://shop.test/api');
  assert.equal(world.server.count('/auth/refresh'), 2);
  const Channel = world.air.channel();
  const stranger = new Channel('keyturn:https://shop.test/auth/');
  stranger.postMessage({ ...old, fresh: false, age: 60_000 });
  await settle();
  await client.fetch('https://shop.test/api');
  assert.equal(world.server.requests.at(-1).authorization, `Bearer ${world.server.token}`);
  assert.equal(world.server.count('/auth/refresh'), 2);
});

test('messages of another shape change nothing', async () => {
  const world = new World();
  const tab = await world.open();
  const said = world.air.said.find(({ type }) => type === 'token');
  const Channel = world.air.channel();
  const stranger = new Channel('keyturn:https://shop.test/auth/');
  const broken = [
    null, 7, 'token', [], {}, { type: 'out' }, { keyturn: 2, type: 'out' }, { keyturn: 1 }, { keyturn: 1, type: 'what' },
    { keyturn: 1, type: 'out', session_id: 7 }, { keyturn: 1, type: 'token' }, { ...said, access_token: 'a b' },
    { ...said, access_token: 'x', age: 'soon' }, { ...said, access_token: 'x', age: -5 },
    { ...said, access_token: 'x', expires_in: 'long' }, { ...said, access_token: 'x', session_id: {} },
  ];
  for (const message of broken) stranger.postMessage(message);
  await settle();
  assert.equal(tab.client.state, 'signed-in');
  assert.deepEqual(types(tab), ['signed-in']);
});
