// The decisions: pure functions of what they are given. Times are milliseconds of a clock that only goes forward.

/** @typedef {{access_token?: string, expires_in: number, session_id: string, scope?: string}} TokenAnswer */

/**
 * What a tab knows. A new object for every change: who compares two of them sees whether anything happened.
 *
 * @typedef {object} Known
 * @property {'unknown' | 'signed-in' | 'signed-out'} state
 * @property {string} [sessionId]
 * @property {string} [scope]
 * @property {string | null} [token] null where the access token travels in a cookie
 * @property {number} [from] when its life began, at the latest
 * @property {number} [until] when its life is over
 * @property {boolean} [used] whether a call of ours was accepted with it
 */

/** @typedef {Known & {state: 'signed-in', sessionId: string, scope: string, token: string | null, from: number, until: number}} SignedIn */

/** What tabs tell each other.
 * @typedef {{type: 'ask'} | {type: 'leaving'} | {type: 'out', sessionId?: string, code?: string}
 *   | {type: 'token', sessionId: string, scope: string, token: string | null, life: number, left: number, fresh: boolean}} Message */

const VERSION = 1;
// What stands unquoted in a header field and in a WebSocket's subprotocol: a value that could not would be named by
// the error that the browser raises.
const TOKEN = /^[\w.~-]+$/;
const CODE = /^[a-z_]{1,64}$/;
const SIGNED_OUT = ['token_missing', 'token_invalid', 'session_ended', 'binding_mismatch'];
const REFRESHABLE = ['token_expired', 'token_stale', ...SIGNED_OUT];
// Two tabs measure the life of one token from different moments.
const SLACK = 1000;
// Who refuses a token this young refuses the next one too.
const YOUNG = 10_000;
const HOUR = 3_600_000;

/** @param {unknown} value @returns {value is string} */
const isText = (value) => typeof value === 'string' && value.length > 0 && value.length < 1e4;
/** @param {unknown} value @returns {value is number} */
const isSeconds = (value) => typeof value === 'number' && value >= 0 && value < 1e9;
/** @param {unknown} value @returns {value is string} */
const isToken = (value) => isText(value) && TOKEN.test(value);

/** Tell whether this is what sign-in, refresh and step-up answer.
 * @param {any} body @returns {body is TokenAnswer} */
export const isTokenAnswer = (body) =>
  isSeconds(body?.expires_in) &&
  isText(body.session_id) &&
  (body.access_token === undefined || isToken(body.access_token));

/** Tell the answers to a refresh apart. Whatever is not plainly a "no" of ours keeps the session.
 * @param {number} status @param {any} body @returns {'token' | 'stale' | 'out' | 'trouble'} */
export function outcomeOf(status, body) {
  if (status === 200 && isTokenAnswer(body)) return 'token';
  if (status !== 401) return 'trouble';
  if (body?.code === 'token_stale') return 'stale';
  return SIGNED_OUT.includes(body?.code) ? 'out' : 'trouble';
}

/** The stable code in a problem document, if there is one.
 * @param {any} body @returns {string | undefined} */
export const codeOf = (body) => (typeof body?.code === 'string' && CODE.test(body.code) ? body.code : undefined);

/** The code of a refusal that need not be Keyturn's own (RFC 6750 section 3.1).
 * @param {any} body @param {string | null} challenge the field WWW-Authenticate */
export const refusalOf = (body, challenge) =>
  codeOf(body) ?? (/^bearer\b.*error="?invalid_token/i.test(challenge ?? '') ? 'token_invalid' : undefined);

/**
 * What to do with a call that was answered 401.
 *
 * @param {{code: string | undefined, repeats: number, newer: boolean, age: number, life: number}} call
 *   `newer`: another token came meanwhile; `age` and `life` are those of the token it was sent with
 * @returns {'give' | 'repeat' | 'refresh'}
 */
export function nextMove({ code, repeats, newer, age, life }) {
  const stale = code === 'token_stale';
  if (!code || !REFRESHABLE.includes(code) || repeats > 1 || (repeats === 1 && !stale)) return 'give';
  if (newer) return 'repeat';
  return stale || age >= Math.min(YOUNG, life) ? 'refresh' : 'give';
}

/** @param {TokenAnswer} body @param {number} from when the request was sent: its life began later @returns {SignedIn} */
export const signedIn = (body, from) => ({
  state: 'signed-in',
  sessionId: body.session_id,
  scope: body.scope ?? '',
  token: body.access_token ?? null,
  from,
  until: from + body.expires_in * 1000,
});

/** When a token is to be refreshed: half a minute, or a fifth of its life, before its end. A second apart at least.
 * @param {Known} known */
export const dueAt = ({ from = 0, until = 0 }) => Math.max(until - Math.min(30_000, (until - from) / 5), from + 1000);

/** How long to wait after failures in a row when nobody is waiting: 1 s to 60 s, less up to a half of it by chance.
 * @param {number} failures @param {number} random 0 to 1 */
export const backoff = (failures, random) => Math.max(1000, Math.min(60_000, 1000 * 2 ** (failures - 1)) * (1 - random / 2));

/** How long a waiting caller pauses before the next try.
 * @param {number} tries @param {number} random 0 to 1 */
export const pause = (tries, random) => 250 * 2 ** (tries - 1) * (0.5 + random);

/** Whether asking again at once may help: not where the server said no, or says when.
 * @param {{code: string, status?: number}} error */
export const mayPass = ({ status = 503 }) => status < 400 || status === 429 || status >= 500;

/** The seconds of a field Retry-After. A date would need the device's clock, which may be wrong.
 * @param {string | null} value @returns {number | undefined} */
export const secondsOf = (value) => (value && /^\d{1,9}$/.test(value) ? +value : undefined);

/** How long to obey it. @param {number | undefined} seconds */
export const barOf = (seconds = 0) => Math.min(seconds * 1000, HOUR);

/** Read what came over the channel; anything of another shape is somebody else's.
 * @param {any} data @returns {Message | undefined} */
export function readMessage(data) {
  const { keyturn, type, sessionId, code, scope, token, life, left, fresh } = data ?? {};
  if (keyturn !== VERSION) return undefined;
  if (type === 'ask' || type === 'leaving') return { type };
  if (type === 'out' && (sessionId === undefined || isText(sessionId))) return { type, sessionId, code: codeOf({ code }) };
  if (type !== 'token' || !isText(sessionId) || typeof scope !== 'string') return undefined;
  if (!(token === null || isToken(token)) || !isSeconds(life / 1000) || !(left <= life)) return undefined;
  return { type, sessionId, scope, token, life, left, fresh: fresh === true };
}

/** @param {Message} message */
export const written = (message) => ({ keyturn: VERSION, ...message });

/** @param {SignedIn} known @param {number} now @param {boolean} fresh whether it has just come from the server @returns {Message} */
export const tokenMessage = ({ sessionId, scope, token, from, until }, now, fresh) => ({
  type: 'token',
  sessionId,
  scope,
  token,
  life: until - from,
  left: until - now,
  fresh,
});

/** @param {Extract<Message, {type: 'token'}>} message @param {number} now @returns {SignedIn} */
export const received = ({ sessionId, scope, token, life, left }, now) => ({
  state: 'signed-in',
  sessionId,
  scope,
  token,
  from: now + left - life,
  until: now + left,
});

/**
 * Whether a token from another tab is to be taken over. Messages may overtake each other: none may bring back a session
 * that this tab knows to be over, nor an older token.
 *
 * @param {SignedIn} theirs @param {boolean} fresh @param {Known} ours @param {string | undefined} ended
 */
export function isNews(theirs, fresh, ours, ended) {
  if (theirs.sessionId === ended || (theirs.token && theirs.token === ours.token)) return false;
  if (ours.sessionId === theirs.sessionId) return theirs.until > (ours.until ?? 0) + (fresh ? -SLACK : SLACK);
  return fresh || ours.state === 'unknown';
}
