/** The page of Keyturn's demonstration: it signs in, draws the session's life and lets a visitor play the thief. */

import { bearerOf, send, watch } from './wire.js'; // first: it stands in for fetch before the client is loaded
import { $, announce, pause, short, span } from './dom.js';
import { follow, ownFact } from './facts.js';
import { life } from './life.js';
import { timeline } from './timeline.js';
import { retell, showLegend, tell } from './history.js';
import { decoded, showToken } from './token.js';
import { devices } from './devices.js';
import { room } from './room.js';
import { exfiltrated, unsigned, afterLogout } from './attacks-tokens.js';
import { replay, twoTabs, lostAnswer } from './attacks-refresh.js';
import { forgedForm, planted, yourPage } from './attacks-browser.js';

const API = '/demo/me';
const SILENT = 'The server does not answer. This page asks again by itself.';
const about = await whoServes();
const { createClient } = await import(`${about.settings.prefix}/client.js`).catch((error) => {
  $('waiting').textContent = 'A part of this page did not come. Please reload it.';
  throw error;
});
const client = createClient();
const story = life(about.settings.access_token_lifetime);
const list = devices(client);
/** The page's token: {token, session, generation, until (ms)}. */
let held = null;
let signingOut = false;
/** Whether the server answered when it was last asked. */
let answers = true;
/** Attacks that wait for the server to tell something: {type, resolve}. */
let awaited = [];

const draw = timeline(story, about.settings.access_token_lifetime, () => held);
showLegend();
prefill();
setInterval(count, matchMedia('(prefers-reduced-motion: reduce)').matches ? 5000 : 1000);
room([exfiltrated, replay, twoTabs, lostAnswer, forgedForm, planted, unsigned, afterLogout, yourPage], {
  about,
  client,
  createClient,
  anchor: () => story.anchor(),
  token: look,
  session: () => held?.session ?? '',
  signInAgain,
  fact: (type) => Promise.race([new Promise((resolve) => awaited.push({ type, resolve })), tooLate()]),
});

client.on('signed-in', async () => {
  show();
  announce('Signed in.');
  await look();
  list.show();
});
client.on('refreshed', look);
client.on('signed-out', ({ elsewhere }) => {
  if (held || signingOut) gone(elsewhere ? 'Signed out in another tab.' : 'Signed out.');
  else show(); // a visitor
});
client.on('expired', ({ code }) =>
  gone(code === 'session_ended' ? 'This session was ended. Please sign in again.' : 'Please sign in again.'),
);
client.on('error', ({ during }) =>
  own('retry', `The server could not be asked${during ? ` (${during})` : ''}; the session is kept, and the client tries again.`),
);
watch((request) => {
  if (request.status === 401 && request.path !== API)
    own('refused', `Refused: ${request.method} ${request.path}${request.code ? `, ${request.code}` : ''}.`);
});

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  signIn();
});
$('sign-out').addEventListener('click', () => signOut(() => client.logout()));
$('sign-out-everywhere').addEventListener('click', () => signOut(() => client.logoutAll()));

follow({ news, line, restarted: () => location.reload() });
while (client.state === 'unknown') {
  await client.resume().catch(() => ($('waiting').textContent = SILENT));
  show();
  if (client.state === 'unknown') await pause(2000);
}

function news(facts) {
  for (const fact of facts) {
    story.add(fact);
    tell(fact, { isMine: story.isMine, aloud: story.isOurs(fact) && Date.now() - fact.at < 10_000 });
  }
  draw();
  awaited = awaited.filter(({ type, resolve }) => {
    const fact = facts.find((one) => one.type === type);
    if (fact) resolve(fact);
    return !fact;
  });
  if (client.state === 'signed-in' && facts.some((fact) => fact.type.startsWith('Session'))) list.show();
}

/** Ask until the server says what it is; a refusal is shown in its own words. */
async function whoServes() {
  for (;;) {
    const { status, json } = await send({ path: '/demo/about' });
    if (status === 200) return json;
    $('waiting').textContent = json?.detail ?? SILENT;
    await pause(2000);
  }
}

/** Say whether the server answers, when that changes. */
function line(up) {
  if (up === answers) return;
  answers = up;
  show();
  announce(up ? 'The server answers again.' : SILENT);
}

async function tooLate() {
  await pause(20_000);
  throw new Error('nothing came of it within 20 seconds.');
}

/** Say who is signed in, as far as that is known. */
function show() {
  document.body.dataset.state = client.state;
  document.body.dataset.line = answers ? 'up' : 'down';
  $('pill-text').textContent = !answers ? 'No answer from the server' : { unknown: 'One moment', 'signed-in': 'Signed in', 'signed-out': 'Signed out' }[client.state];
  count();
}

/** Look at the token in use, as any script could: by seeing what the client sends. Empty where there is none. */
async function look() {
  let me;
  const token = await bearerOf(API, async () => {
    const answer = await client.fetch(API);
    me = answer.ok ? await answer.json() : {};
  }).catch(() => ''); // signed out meanwhile, or the line is down: the client says so itself
  if (!token || client.state !== 'signed-in') return '';
  const { claims } = decoded(token);
  held = { token, session: claims.sid, generation: claims.gen, until: claims.exp * 1000 };
  story.follow(claims.sid);
  retell(story.isMine);
  if (me.name ?? me.subject) $('hello').textContent = `Signed in as ${me.name ?? me.subject}`;
  $('fact-session').textContent = short(claims.sid);
  showToken(token);
  count();
  draw();
  return token;
}

function count() {
  const left = held ? (held.until - Date.now()) / 1000 : 0;
  const newest = held ? Math.max(held.generation, story.newest() ?? 0) : 0;
  $('fact-generation').textContent = !held
    ? '–'
    : newest > held.generation
      ? `${newest} (this page’s token is of ${held.generation})`
      : newest;
  $('fact-left').textContent = left > 0 ? `${span(left)} left` : 'over; the next call renews it';
  $('timeline-summary').textContent = held
    ? `Generation ${newest}. The access token has ${span(left)} left.`
    : 'No session here at the moment.';
}

function gone(sentence) {
  const inside = $('hello').closest('.card').contains(document.activeElement);
  held = null;
  showToken('');
  list.clear();
  show();
  announce(sentence);
  $('sign-in-hint').hidden = false;
  $('sign-in-hint').textContent = sentence;
  if (inside || signingOut) $('session-title').focus();
  signingOut = false;
}

async function signIn() {
  const form = new FormData($('sign-in'));
  const fault = $('sign-in-fault');
  fault.textContent = '';
  try {
    await client.login({ username: form.get('username'), password: form.get('password'), remember: form.has('remember') });
    $('hello').focus();
  } catch (error) {
    fault.textContent = error.code === 'invalid_credentials' ? 'The user name or the password is not right.' : error.message;
    $('password').focus();
  }
}

/** Sign in as before if the page knows how, else lead to the form; true where that was done. */
async function signInAgain() {
  try {
    if (!about.password) throw new Error();
    await client.login({ username: about.username, password: about.password });
    await look();
    return true;
  } catch (error) {
    $('sign-in-fault').textContent = error.message;
    $('username').focus();
    return false;
  }
}

async function signOut(act) {
  signingOut = true;
  $('session-fault').textContent = '';
  try {
    await act();
  } catch (error) {
    signingOut = false;
    $('session-fault').textContent = `You are still signed in: ${error.message}`;
  }
}

function prefill() {
  if (!about.password) return;
  $('username').value = about.username;
  $('password').value = about.password;
  $('sign-in-hint').hidden = false;
  $('sign-in-hint').textContent = 'The demonstration made this account. Its password is filled in.';
}

function own(mark, text) {
  if (!held) return;
  const fact = ownFact(mark, text, held.session);
  story.add(fact);
  tell(fact, { isMine: story.isMine, aloud: false });
}
