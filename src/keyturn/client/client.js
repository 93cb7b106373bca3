/**
 * Keyturn in the browser: sign in, call, stay signed in over all tabs, sign out.
 *
 *     import { createClient } from '/auth/client.js';
 *     const client = createClient();
 *     await client.login({ username, password });
 *     const answer = await client.fetch('/api/orders');
 */

import { makeAccount } from './client-account.js';
import { makeFetch } from './client-calls.js';
import { openSession } from './client-session.js';
import { makeWebsocket } from './client-socket.js';

export { KeyturnError } from './client-errors.js';

/** @typedef {import('./client-account.js').Credentials} Credentials */
/** @typedef {import('./client-wire.js').Platform} Platform */

/**
 * @typedef {object} Options
 * @property {string | URL} [baseUrl] where Keyturn's routes are; the folder that this file came from, if nothing is said
 * @property {Array<string | URL>} [origins] which origins may see the access token; that of `baseUrl`, if nothing is said
 * @property {boolean} [resume] false: do not ask at start whether somebody is signed in
 * @property {string} [name] keeps two realms under one `baseUrl` apart
 * @property {Partial<Platform>} [platform] for tests
 */

/**
 * What listeners are told.
 *
 * @typedef {object} Events
 * @property {{sessionId: string}} signed-in
 * @property {{sessionId: string, expiresIn: number}} refreshed
 * @property {{elsewhere: boolean}} signed-out
 * @property {{code: string}} expired
 * @property {{error: Error, during: string}} error
 */

/** @typedef {ReturnType<typeof createClient>} Client */

/**
 * Make a client. One for a page is enough.
 *
 * @param {Options} [options]
 */
export function createClient({ baseUrl, origins, resume = true, name, platform: given } = {}) {
  const platform = { ...surroundings(), ...given };
  const base = new URL(baseUrl ?? new URL('.', import.meta.url), platform.base).href.replace(/[?#].*$/, '').replace(/\/*$/, '/');
  const allowed = new Set((origins ?? [base]).map(originOf));
  /** @type {Map<string, Set<(detail: any) => void>>} */
  const listeners = new Map();

  /** @param {string} type @param {object} detail */
  function emit(type, detail) {
    for (const listener of [...(listeners.get(type) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        // The listener's own trouble, not the session's.
        globalThis.reportError?.(error);
      }
    }
  }

  const session = openSession(base, `keyturn:${base}${name ? `:${name}` : ''}`, platform, emit);
  const account = makeAccount(session, base, platform);
  // What goes wrong here is told to the listeners of 'error', and to whoever asks.
  if (resume) account.resume().catch(() => {});

  return Object.freeze({
    get state() {
      return session.current().state;
    },
    ...account,
    fetch: makeFetch(session, base, allowed, platform),
    websocket: makeWebsocket(session, allowed, platform, emit),

    /**
     * Listen; the function that is given back ends it.
     *
     * @template {keyof Events} T
     * @param {T} type
     * @param {(detail: Events[T]) => void} listener
     * @returns {() => void}
     */
    on(type, listener) {
      const those = listeners.get(type) ?? new Set();
      listeners.set(type, those.add(listener));
      return () => void those.delete(listener);
    },

    /** Stop: no timer, no channel, no listener and no token is left. The session itself goes on. */
    close() {
      listeners.clear();
      session.close();
    },
  });
}

/** @param {string | URL} url */
function originOf(url) {
  const { origin } = new URL(url);
  if (origin === 'null') throw new TypeError(`${url} has no origin`);
  return origin;
}

/** @returns {Platform} */
function surroundings() {
  const { document, location, navigator, performance, BroadcastChannel, WebSocket } = globalThis;
  return {
    fetch: globalThis.fetch.bind(globalThis),
    now: () => performance.now(),
    setTimeout: (run, ms) => globalThis.setTimeout(run, ms),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    locks: navigator?.locks,
    BroadcastChannel,
    WebSocket,
    random: Math.random,
    events: typeof globalThis.addEventListener === 'function' ? globalThis : undefined,
    visible: () => document?.visibilityState !== 'hidden',
    origin: location?.origin,
    base: document?.baseURI ?? location?.href,
  };
}
