// Keyturn's own routes: one request, one answer, within ten seconds.

import { KeyturnError } from './client-errors.js';
import { codeOf, secondsOf } from './client-rules.js';

/**
 * What a client needs of its surroundings.
 *
 * @typedef {object} Platform
 * @property {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} fetch
 * @property {() => number} now milliseconds, of a clock that only goes forward
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {Pick<LockManager, 'request'> | undefined} locks
 * @property {(new (name: string) => Pick<BroadcastChannel, 'postMessage' | 'onmessage' | 'close'>) | undefined} BroadcastChannel
 * @property {new (url: string | URL, protocols?: string[]) => WebSocket} WebSocket
 * @property {() => number} random
 * @property {EventTarget | undefined} events of online, pageshow and visibilitychange
 * @property {() => boolean} visible
 * @property {string | undefined} origin of the page
 * @property {string | undefined} base what relative addresses are relative to
 */

/** @typedef {{status: number, ok: boolean, body: any, retryAfter: number | undefined}} Reply */

const PATIENCE = 10_000;

/**
 * Wait for a promise, but no longer than until the signal is given.
 *
 * @template T
 * @param {AbortSignal} signal
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function unless(signal, promise) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    const done = () => signal.removeEventListener('abort', stop);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(done);
  });
}

/**
 * Ask one of Keyturn's own routes.
 *
 * @param {Platform} platform
 * @param {string} url
 * @param {{method?: string, token?: string | null, json?: object, signal?: AbortSignal}} [how]
 * @returns {Promise<Reply>} whatever the server answered
 * @throws {KeyturnError} `network` or `timeout`
 */
export async function ask(platform, url, { method = 'POST', token, json, signal } = {}) {
  const patience = new AbortController();
  const timer = platform.setTimeout(() => patience.abort(new KeyturnError('timeout')), PATIENCE);
  const either = signal ? AbortSignal.any([patience.signal, signal]) : patience.signal;
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json) headers['Content-Type'] = 'application/json';
  const body = json && JSON.stringify(json);
  try {
    return await unless(
      either,
      read(
        platform.fetch(url, {
          method,
          headers,
          body,
          signal: either,
          credentials: 'include',
          redirect: 'error',
          cache: 'no-store',
        }),
      ),
    );
  } catch (error) {
    throw error instanceof KeyturnError ? error : new KeyturnError('network', { cause: error });
  } finally {
    platform.clearTimeout(timer);
  }
}

/** @param {Promise<Response>} sent @returns {Promise<Reply>} */
async function read(sent) {
  const response = await sent;
  const { status, ok } = response;
  const retryAfter = secondsOf(response.headers.get('Retry-After'));
  return { status, ok, body: parsed(await response.text()), retryAfter };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // What the parser has to say quotes what it could not read.
    return undefined;
  }
}

/** @param {Reply} reply */
export function errorOf({ status, ok, body, retryAfter }) {
  const code = ok ? undefined : codeOf(body);
  const detail = code && typeof body.detail === 'string' ? body.detail.slice(0, 500) : undefined;
  return new KeyturnError(code ?? 'bad_answer', { status, retryAfter, detail });
}
