// Calls with the session's access token: fresh before they are sent, repeated where the server wants a newer one.

import { KeyturnError } from './client-errors.js';
import { codeOf, nextMove, refusalOf } from './client-rules.js';
import { isSignedIn } from './client-session.js';
import { ask, errorOf, unless } from './client-wire.js';

/** @typedef {import('./client-session.js').Session} Session */
/** @typedef {import('./client-session.js').SignedIn} SignedIn */
/** @typedef {import('./client-session.js').Known} Known */
/** @typedef {import('./client-wire.js').Platform} Platform */

// For the body of a refusal; without it the refusal is the caller's.
const PATIENCE = 10_000;

/**
 * Send something with the current token, and again with a newer one where that may help; never as another session.
 *
 * @template {{status: number, ok: boolean}} Answer
 * @param {Session} session
 * @param {AbortSignal} signal
 * @param {{
 *   now: () => number,
 *   send: (known: Known) => Promise<Answer>,
 *   refusal: (answer: Answer) => Promise<string | undefined>,
 * }} call
 * @returns {Promise<Answer>}
 */
async function persist(session, signal, { now, send, refusal }) {
  let known = session.current();
  if (known.state === 'unknown') await session.ensure(known);
  known = session.current();
  const { sessionId } = known;
  if (isSignedIn(known) && known.until <= now()) await session.ensure(known);
  for (let repeats = 0; ; repeats++) {
    signal.throwIfAborted();
    known = session.current();
    if (known.sessionId !== sessionId) throw new KeyturnError(known.sessionId ? 'session_changed' : 'signed_out');
    const answer = await send(known);
    if (answer.ok) known.used = true;
    if (answer.status !== 401 || !isSignedIn(known)) return answer;
    const code = await refusal(answer);
    const newer = session.current() !== known;
    const move = nextMove({ code, repeats, newer, age: now() - known.from, life: known.until - known.from });
    if (move === 'refresh') await session.ensure(known);
    if (move === 'give' || !isSignedIn(session.current())) return answer;
  }
}

/**
 * @param {Session} session
 * @param {string} base
 * @param {ReadonlySet<string>} origins
 * @param {Platform} platform
 */
export function makeFetch(session, base, origins, platform) {
  const { now } = platform;
  const home = new URL(base).hostname;

  /** @param {string} url */
  const listed = (url) => origins.has(new URL(url).origin);

  /** @param {Response} response @returns {Promise<string | undefined>} */
  async function refusal(response) {
    const challenge = response.headers.get('WWW-Authenticate');
    if (response.url && !listed(response.url)) return undefined;
    const late = new AbortController();
    const timer = platform.setTimeout(() => late.abort(), PATIENCE);
    const body = await unless(late.signal, response.clone().json()).catch(() => undefined);
    platform.clearTimeout(timer);
    return refusalOf(body, challenge);
  }

  /** @param {RequestInfo | URL} input @param {RequestInit} [init] @returns {Promise<Response>} */
  return async function fetch(input, init) {
    const outer = session.signal();
    const given = input instanceof Request ? input : undefined;
    const url = new URL(given ? given.url : String(input), platform.base);
    if (!listed(url.href)) return platform.fetch(input, init);
    const named = init?.credentials ?? (given?.credentials === 'same-origin' ? undefined : given?.credentials);
    const credentials = named ?? (url.hostname === home ? 'include' : 'same-origin');
    const request = new Request(given ?? url, { ...init, credentials });
    if (request.headers.has('Authorization')) return platform.fetch(request);
    const signal = AbortSignal.any([request.signal, outer]);
    /** @param {Known} known */
    const send = ({ token }) => {
      const copy = request.clone();
      if (token) copy.headers.set('Authorization', `Bearer ${token}`);
      return platform.fetch(copy, { signal });
    };
    return unless(signal, persist(session, signal, { now, send, refusal }));
  };
}

/**
 * @param {Session} session
 * @param {string} base
 * @param {Platform} platform
 */
export function makeApi(session, base, platform) {
  const { now } = platform;

  /**
   * Ask one of Keyturn's own routes as the user who is signed in.
   *
   * @param {string} method
   * @param {string} path
   * @returns {Promise<any>} the body
   */
  async function api(method, path) {
    const signal = session.signal();
    /** @param {Known} known */
    const send = ({ token }) => ask(platform, base + path, { method, token, signal });
    return unless(signal, checked(signal, send));
  }

  /**
   * The same, for what changes the session: while no other tab refreshes.
   *
   * @param {string} path
   * @param {object} json
   * @param {(reply: import('./client-wire.js').Reply, from: number) => void} done
   */
  async function change(path, json, done) {
    // Not given up with the session's work: what is waited for here may be its very end.
    const { signal } = new AbortController();
    /** @param {Known} known */
    const send = (known) =>
      session.locked(async () => {
        const { sessionId, token } = session.current();
        if (sessionId !== known.sessionId) throw new KeyturnError(sessionId ? 'session_changed' : 'signed_out');
        const from = now();
        const reply = await ask(platform, base + path, { token, json });
        if (reply.ok) done(reply, from);
        return reply;
      });
    return checked(signal, send);
  }

  /** @param {AbortSignal} signal @param {(known: Known) => Promise<import('./client-wire.js').Reply>} send */
  async function checked(signal, send) {
    const reply = await persist(session, signal, {
      now,
      /** @param {import('./client-wire.js').Reply} reply */
      refusal: async ({ body }) => codeOf(body),
      /** @param {Known} known */
      send: (known) => {
        if (!isSignedIn(known)) throw new KeyturnError('signed_out');
        return send(known);
      },
    });
    if (!reply.ok) throw errorOf(reply);
    return reply.body;
  }

  return { api, change };
}
