// Keyturn in the browser: sign in, call, stay signed in over all tabs, sign out (docs/reference/browser-client.md).

/** @import { Client, Emit, Here, Options, Platform } from './client-types.js' */

import { makeCalls } from './client-calls.js';
import { openSession } from './client-session.js';
import { makeWebsocket } from './client-socket.js';

export { KeyturnError } from './client-wire.js';

/** Make a client; a page needs one.
 * @param {Options} [options] @returns {Client} */
export function createClient({ baseUrl = new URL('.', import.meta.url), origins, resume = true, name = '', platform } = {}) {
  const around = { ...surroundings(), ...platform };
  const { origin, pathname } = new URL(baseUrl, around.base());
  const routes = origin + pathname.replace(/\/*$/, '/');
  const listed = new Set((origins ?? [routes]).map((url) => new URL(url).origin));
  // Files and sandboxed frames have no origin.
  listed.delete('null');
  /** @type {Record<string, Set<(detail: any) => void>>} */
  const listeners = {};

  /** @type {Here} */
  const here = {
    ...around,
    routes,
    origins: listed,
    lock: `keyturn:${routes}${name && `:${name}`}`,
    life: new AbortController(),
    sockets: new Set(),
    safely,
    emit(type, detail) {
      for (const listener of [...(listeners[type] ?? [])]) safely(listener, detail);
    },
  };
  const session = openSession(here);
  const calls = makeCalls(here, session);
  // Who listens to 'error' hears of it.
  if (resume) calls.resume().catch(() => {});

  return Object.freeze({
    get state() {
      return session.current().state;
    },
    ...calls,
    websocket: makeWebsocket(here, session),
    /** @type {Client['on']} */
    on(type, listener) {
      const those = (listeners[type] ??= new Set()).add(listener);
      return () => void those.delete(listener);
    },
    close: session.close,
  });
}

/** @type {Here['safely']} */
function safely(run, ...given) {
  try {
    run(...given);
  } catch (error) {
    globalThis.reportError?.(error);
  }
}

/** @returns {Platform} */
const surroundings = () => ({
  fetch,
  setTimeout,
  clearTimeout,
  BroadcastChannel: globalThis.BroadcastChannel,
  WebSocket: globalThis.WebSocket,
  now: () => performance.now(),
  random: Math.random,
  locks: globalThis.navigator?.locks,
  events: globalThis,
  visible: () => globalThis.document?.visibilityState !== 'hidden',
  origin: globalThis.location?.origin,
  base: () => globalThis.document?.baseURI,
});
