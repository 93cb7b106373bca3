// The decisions, as pure functions. Times are milliseconds of a clock that only goes forward.

/** @import { Answer, Known, Message, SignedIn, TokenAnswer } from './client-types.js' */

const OVER = ['token_missing', 'token_invalid', 'session_ended', 'binding_mismatch'];
const REFRESHABLE = ['token_expired', 'token_stale', ...OVER];
// Who refuses what took the place of a refused token refuses the next one too.
const YOUNG = 10_000;
// Two tabs measure one life from different moments.
const SLACK = 1000;

/** @param {any} body @returns {body is TokenAnswer} */
export const isTokenAnswer = (body) =>
  typeof body?.expires_in === 'number' &&
  body.expires_in >= 0 &&
  body.expires_in < 1e6 &&
  typeof body.session_id === 'string' &&
  // What a header field or a subprotocol cannot carry would be quoted by the browser's error.
  /^[\w.~-]+$/.test(body.access_token ?? '-') &&
  // Every script can read the last match: RegExp.input.
  /^/.test('');

/** @param {TokenAnswer} answer @param {number} from @returns {SignedIn} */
export const signedIn = ({ access_token, expires_in, session_id, forced, scope = '' }, from) => ({
  state: 'signed-in',
  access_token,
  expires_in,
  session_id,
  scope,
  forced,
  from,
  until: from + expires_in * 1000,
});

/** Of a refused refresh: whatever is not plainly a "no" of ours keeps the session.
 * @param {Answer} answer */
export const outcomeOf = ({ status, code = '' }) =>
  status !== 401 ? 'trouble' : code === 'token_stale' ? 'stale' : OVER.includes(code) ? 'out' : 'trouble';

/** Ours, or that of RFC 6750 section 3.1.
 * @param {any} body @param {string | null} [challenge] @returns {string | undefined} */
export const codeOf = (body, challenge) =>
  /^[a-z_]+$/.test(body?.code ?? '') ? body.code : /^bearer.*invalid_token/i.test(challenge ?? '') ? 'token_invalid' : undefined;

/** What to do with an answer, by what was known when it was asked for and is known now.
 * @param {Answer} answer @param {Known} then @param {Known} now @param {number} time @param {number} repeats
 * @returns {'give' | 'repeat' | 'refresh'} */
export function nextMove({ status, code = '' }, then, now, time, repeats) {
  const stale = code === 'token_stale';
  if (status !== 401 || !then.session_id || !REFRESHABLE.includes(code) || repeats > +stale) return 'give';
  if (then !== now) return 'repeat';
  return stale || !then.forced || time >= then.from + YOUNG ? 'refresh' : 'give';
}

/** Half a minute before the end, or a fifth of the life; but never more than once in a second.
 * @param {SignedIn} known */
export const dueAt = ({ from, until }) => Math.max(until - Math.min(30_000, (until - from) / 5), from + 1000);

/** Longer after each failure, less up to a half by chance.
 * @param {number} failures @param {number} random @param {number} first */
export const backoff = (failures, random, first) => Math.min(60_000, first * 2 ** failures) * (1 - random / 2);

/** @param {any} data @returns {data is Message} */
export const isMessage = (data) =>
  data?.keyturn === 1 && (data.type !== 'token' || (isTokenAnswer(data) && /** @type {any} */ (data).age >= 0));

/** Messages overtake each other: none may bring back a session that is over, nor an older token.
 * @param {SignedIn} theirs @param {boolean} fresh @param {Known} ours @param {string | undefined} ended */
export function isNews(theirs, fresh, ours, ended) {
  if (theirs.session_id === ended || (theirs.access_token && theirs.access_token === ours.access_token)) return false;
  if (theirs.session_id === ours.session_id) return theirs.until > ours.until + (fresh ? -SLACK : SLACK);
  return fresh || ours.state === 'unknown';
}
