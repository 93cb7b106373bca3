// Keyturn's own routes.

/** @import { Ask, Here } from './client-types.js' */

import { codeOf } from './client-rules.js';

const PATIENCE = 10_000;
const HOUR = 3600;

/** What went wrong. `code` is the server's, or `network`, `timeout`, `bad_answer`, `signed_out`, `session_changed`,
 * `cookies_blocked`. */
export class KeyturnError extends Error {
  /** @param {string} code @param {number} [status] @param {number} [retryAfter] seconds @param {string} [detail] */
  constructor(code, status, retryAfter, detail = `Keyturn: ${code}`) {
    super(detail);
    this.name = 'KeyturnError';
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Wait for a promise, but no longer than until the signal.
 * @template T @param {AbortSignal} signal @param {Promise<T>} promise @returns {Promise<T>} */
export const unless = (signal, promise) =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });

/** Give the body of a good answer; all others are errors.
 * @param {Here} here @param {string} path @param {Ask} [how] @returns {Promise<any>} */
export async function ask({ fetch, setTimeout, clearTimeout, routes, life }, path, { method = 'POST', token, json, signal = life.signal } = {}) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(new KeyturnError('timeout')), PATIENCE);
  const either = AbortSignal.any([patience.signal, life.signal, signal]);
  const sent = fetch(routes + path, {
    method,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(json && { 'Content-Type': 'application/json' }),
    },
    body: json && JSON.stringify(json),
    signal: either,
    credentials: 'include',
    redirect: 'error',
    cache: 'no-store',
  });
  try {
    return await unless(either, sent.then(read));
  } catch (error) {
    throw error instanceof KeyturnError ? error : new KeyturnError('network');
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} response */
async function read(response) {
  // (What the parser has to say quotes what it could not read.)
  const body = await response.json().catch(() => {});
  const { status, ok, headers } = response;
  if (ok) return body;
  const retryAfter = Math.min(Number(headers.get('Retry-After')), HOUR) || undefined;
  throw new KeyturnError(codeOf(body) ?? 'bad_answer', status, retryAfter, body?.detail);
}
