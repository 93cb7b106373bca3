/** What the server says happened, as it happens; and each fact in one sentence. */

import { pause, span } from './dom.js';
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
    (fact) => `Alarm: a spent refresh token came back${fact.behind ? `, ${fact.behind} generations old` : ''}. Two hold copies.`,
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

/** Follow the server's facts for as long as the page lives. */
export async function follow(listener) {
  for (let last = 0; ;) {
    const { status, json } = await send({ path: `/demo/events?after=${last}` });
    if (json?.last === last) await pause(500); // too many tabs ask, and none of them is made to wait
    if (status === 200) {
      last = json.last; // smaller than before where the server is another one
      if (json.events.length) listener(json.events.map(factOf));
    } else await pause(2000);
  }
}

/** Say how long ago, in the words of a list. */
export const ago = (seconds) => (seconds < 5 ? 'just now' : `${span(seconds)} ago`);

const momentOf = (at) => (typeof at === 'number' ? at * 1000 : Date.parse(at));
