/** What the server says happened, as it happens; and each fact in one sentence. */

import { counted, pause } from './dom.js';
import { send } from './wire.js';

/** Marks of the drawing: [name, what it means]. */
export const MARKS = [
  ['start', 'signed in'],
  ['refresh', 'key turned'],
  ['reissue', 'same again'],
  ['recovery', 'recovered'],
  ['retry', 'trying again'],
  ['refused', 'refused'],
  ['alarm', 'alarm'],
  ['end', 'ended'],
];

const KINDS = {
  SessionStarted: ['start', (fact) => `Signed in. The session begins with generation ${fact.generation ?? 0}.`],
  SessionRefreshed: ['refresh', (fact) => `The key was turned: generation ${fact.generation}, with a new access token.`],
  SessionSteppedUp: ['refresh', (fact) => `The password was proved again: generation ${fact.generation}. Older tokens are dead.`],
  RefreshReissued: ['reissue', (fact) => `A retry or a second tab got the same successor: still generation ${fact.generation}.`],
  RefreshRecovered: [
    'recovery',
    (fact) => `An answer was lost and the client came back: generation ${fact.generation} was given to it again.`,
  ],
  RefreshRefused: ['refused', (fact) => `A refresh was refused${fact.code ? `: ${fact.code}` : ''}.`],
  ReuseDetected: [
    'alarm',
    (fact) => `Alarm: a spent refresh token came back${fact.behind ? `, ${counted(fact.behind, 'generation')} old` : ''}. Two hold copies.`,
  ],
  SessionEnded: [
    'end',
    (fact) => `The session was ended${fact.reason ? ` (${fact.reason.replaceAll('_', ' ')})` : ''}. Its access tokens died with it.`,
  ],
  StoreWentBack: ['recovery', () => 'The store had lost writes; the session caught up with the client.'],
  RefreshRequired: ['refused', () => 'Access tokens were made stale: clients will refresh by themselves.'],
  AnswerLost: ['retry', () => 'The answer to a refresh was lost on the way.'],
  StrangerAsked: [
    'refused',
    (fact) => `A stranger’s page sent a form to ${fact.path}: answered ${[fact.status, fact.code].filter(Boolean).join(' ')}.`,
  ],
  LoginFailed: ['refused', () => 'A sign-in was refused.'],
};

/** Turn what GET /demo/events says into a fact: {n, at (ms), type, mark, session, generation, text}. */
export function factOf(told) {
  const detail = told.detail && typeof told.detail === 'object' ? told.detail : {};
  const fact = { ...detail, n: told.n, at: momentOf(told.at), type: told.type, session: told.session ?? '', generation: told.generation };
  const [mark, text] = KINDS[told.type] ?? ['refused', () => told.type];
  return { ...fact, mark, text: text(fact) };
}

/** A fact that the client tells and the server cannot know. */
export const ownFact = (mark, text, session) => ({ n: 0, at: Date.now(), type: 'client', mark, text, session, generation: undefined });

/**
 * Follow the server's facts for as long as the page lives, while it can be seen.
 *
 * `news` is told them, `line` whether the server answers, and `restarted` that it is not the one that it was.
 */
export async function follow({ news, line, restarted }) {
  for (let last = 0, run = ''; ; ) {
    await visible();
    const { status, json } = await asked(last);
    if (document.hidden) continue;
    line(status === 200);
    if (status !== 200) await pause(2000);
    else if (run && run !== json.run) return restarted();
    else if (json.last === last) await pause(500);
    else {
      ({ last, run } = json);
      if (json.events.length) news(json.events.map(factOf));
    }
  }
}

const TURN = 'keyturn-demo-news';

/** A browser has six connections to one server for all its tabs: one page waits for news there, the others only look in. */
const inTurn = (act) => navigator.locks?.request(TURN, { ifAvailable: true }, (lock) => act(lock !== null)) ?? act(true);

async function asked(last) {
  const enough = new AbortController();
  const leave = () => document.hidden && enough.abort();
  document.addEventListener('visibilitychange', leave);
  const path = `/demo/events?after=${last}`;
  const answer = await inTurn((first) => send({ path: first ? path : `${path}&wait=0`, signal: enough.signal }));
  document.removeEventListener('visibilitychange', leave);
  return answer;
}

const visible = () =>
  new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener('visibilitychange', resolve, { once: true });
  });

const momentOf = (at) => (typeof at === 'number' ? at * 1000 : Date.parse(at));
